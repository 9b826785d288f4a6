"""Rules of a network that is lost: when a process says so, how long, and what that costs those who wait.

Three destinations in a row that cannot be reached, one of them known from before (or nobody is), and a minute
in which nobody at all was reached: that is a lost network, and nothing less. Then no try is counted, but for
a destination that was spared for a day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mailstrom.status import Attempt, Cause, Phase

from .case import is_visit
from .directions import LOOK_UP_SECS
from .orders import Orders
from .plan import DAY, HOUR
from .witness import NOT_THERE, Lane, Seen, Told, Witness, began_at, over_at

DESTINATIONS = 3
SILENCE_SECS = 60.0
SPARED_SECS = DAY
PASS_SECS = HOUR  # the longest that finds nobody
TELLING_SECS = 2.0
ROUNDING_SECS = 0.01
UNSTEADY = ("freeze", "jump")  # nobody knows when such a process heard of things


def a_network_is_only_lost_where_nobody_is_reached(witness: Witness, orders: Orders) -> None:
    """It takes a minute without anybody, and three destinations, one of which was there before."""
    for seen in _steady(witness, orders):
        for span in seen.offline:
            # who was reached at the instant in which a loss also ends came behind what was said: such as
            # where it is resumed from a pause, and says at once that it is still lost
            is_over_at_once = span.until - span.since < ROUNDING_SECS
            reached_at = seen.reached_at(span.since - ROUNDING_SECS * is_over_at_once)
            since = -math.inf if reached_at is None else reached_at
            said = f"{seen.name} said at {span.since:g} that the network is lost"
            is_quiet = since <= span.since - SILENCE_SECS + ROUNDING_SECS
            assert is_quiet, f"{said}, and had reached somebody at {since:g}"
            missed = {*_not_connected(witness, seen, since, span.since)}
            asked_since = since - LOOK_UP_SECS  # a look-up that began before may have ended behind that
            unanswered = {each.name for each in witness.asks_in_vain(seen, asked_since, span.since)}
            assert len(missed) + len(unanswered) >= DESTINATIONS, (
                f"{said}, and missed only {missed}, {unanswered}"
            )
            lanes = {*missed, *map(witness.lane_named, unanswered)}
            is_known = any(seen.reached_at(since, witness.ips_of(lane)) is not None for lane in lanes)
            assert is_known or reached_at is None, f"{said}, and knew nobody of {lanes}"


def a_lost_network_is_back_as_soon_as_somebody_is_reached(witness: Witness, orders: Orders) -> None:
    """Whoever is reached ends it."""
    for seen in _steady(witness, orders):
        for span in seen.offline:
            first = min(_reached(seen, span.since + ROUNDING_SECS), default=math.inf)
            assert span.until <= first + TELLING_SECS, (
                f"{seen.name} reached somebody at {first:g}, and says until {span.until:g} that nobody can be"
            )


def a_lost_network_spends_no_tries(witness: Witness, orders: Orders) -> None:
    """What a process cannot reach while it says that it has no network is no try, for a day."""
    for seen in _steady(witness, orders):
        for told in filter(_is_spent_in_vain, seen.told):
            since = seen.offline_since(told.at, TELLING_SECS)
            is_silent = _is_unanswered(witness, told)
            if since is not None and is_silent and not _was_spared(witness, seen, told):
                raise AssertionError(f"{seen.name} has no network since {since:g}, and counts {told}")


def a_lost_network_is_noticed(witness: Witness, orders: Orders) -> None:
    """After three destinations in a row, one of them known, and a minute without anybody no try counts."""
    for seen in _steady(witness, orders):
        row = Row()
        for told in seen.told:
            row.reached_by(seen, told, witness)
            if not _is_spent_in_vain(told) or not _is_unanswered(witness, told):
                continue
            is_spent = row.lost_since + TELLING_SECS < told.at and not _was_spared(witness, seen, told)
            assert not is_spent, (
                f"{seen.name} has reached nobody since {row.reached_at:g}, "
                f"knows since {row.lost_since:g}, and counts {told}"
            )
            row.missed(told, witness)


@dataclass(slots=True)
class Row:
    """The destinations that were missed since somebody was reached."""

    reached_at: float = 0.0
    lost_since: float = math.inf
    missed_lanes: set[Lane] = field(default_factory=set)
    missed_names: set[str] = field(default_factory=set)
    known_names: set[str] = field(default_factory=set)  # of domains that were reached before

    def reached_by(self, seen: Seen, told: Told, witness: Witness) -> None:
        """Begins anew where somebody was reached until then."""
        if not told.reached_nobody:
            self.known_names.add(witness.domain_of(told.address).name)
        last = seen.reached_at(told.at) or 0.0
        if not told.reached_nobody or last > self.reached_at:
            self.missed_lanes.clear()
            self.missed_names.clear()
            self.lost_since, self.reached_at = math.inf, max([last, *map(over_at, told.visits)])

    def missed(self, told: Told, witness: Witness) -> None:
        """One more could not be reached."""
        self.missed_lanes.add(witness.lane_of(told.address))
        self.missed_names.add(witness.domain_of(told.address).name)
        knows_one = not self.missed_names.isdisjoint(self.known_names)
        is_long = told.at > self.reached_at + 2 * SILENCE_SECS
        if len(self.missed_lanes) >= DESTINATIONS and knows_one and is_long:
            self.lost_since = min(self.lost_since, told.at)


def _steady(witness: Witness, orders: Orders) -> Iterator[Seen]:
    if not any(act.what in UNSTEADY for act in orders.acts):
        yield from witness.seen.values()


def _reached(seen: Seen, since: float) -> Iterator[float]:
    """When it told that somebody was there since then."""
    for at, event in seen.heard:
        if at > since and (event.session_opened or _is_there(event.attempt, since)):
            yield at


def _is_there(visit: Attempt | None, since: float) -> bool:
    if visit is None or not is_visit(visit) or began_at(visit) < since:
        return False
    return visit.phase not in NOT_THERE


def _not_connected(witness: Witness, seen: Seen, since: float, until: float) -> Iterator[Lane]:
    for dial in seen.dials:
        if not dial.is_connected and dial.until is not None and since <= dial.until <= until:
            yield from witness.lanes_at(dial.ip)


def _is_spent_in_vain(told: Told) -> bool:
    is_over = told.result.cause not in (None, Cause.TRIES_EXHAUSTED)
    return told.is_a_try and bool(told.visits) and told.reached_nobody and not is_over


def _is_unanswered(witness: Witness, told: Told) -> bool:
    """No connection, or no answer of the DNS: nobody spoke, not even to say that there is trouble."""
    return all(is_visit(each) and witness.was_silent(each) for each in told.visits)


def _was_spared(witness: Witness, seen: Seen, told: Told) -> bool:
    """The destination may have been spared for a day in this process, since it was reached last."""
    is_name = all(visit.phase is Phase.DNS for visit in told.visits)  # its hosts are not known
    place_of = witness.domain_of if is_name else witness.lane_of
    reached_at = _place_reached_at(seen, told, place_of)
    since = -math.inf if reached_at is None else reached_at
    asked = witness.asked_at(seen, witness.domain_of(told.address))
    return told.at >= min((at for at in asked if at > since), default=told.at) + SPARED_SECS - PASS_SECS


def _place_reached_at(seen: Seen, told: Told, place_of: Callable[[str], object]) -> float | None:
    """When it last told that a host was reached for mail to the same place: another's may share its hosts."""
    found = (each for each in seen.told if not each.reached_nobody and each.at <= told.at)
    return max((each.at for each in found if place_of(each.address) == place_of(told.address)), default=None)
