"""Rules of lanes: how many deliveries each takes at once, as its hosts can be reached or not.

A process begins with five; each delivery for which a host is there makes room for one more, up to
`Config.max_sessions_per_lane`, each that finds nobody takes one away. Once a whole cohort of them, and three
at least, have found nobody in a row, one at a time asks. What is counted here is the most that may be: all
that is in doubt counts for more room.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mailstrom.status import Phase

from .case import INSTANT_SECS, Case, is_visit
from .directions import LOOK_UP_SECS
from .network import DESTINATIONS
from .orders import Orders
from .plan import MINUTE
from .promises import due_before
from .traffic import FIRST_AT_ONCE
from .witness import Lane, Seen, Span, Witness, began_at, over_at

UNTIL_DOWN = 3  # deliveries in a row that found nobody, at least
KEPT_SECS = 10 * MINUTE  # what was learned longer ago may be forgotten
GOES_ON_SECS = 60.0  # what begins so shortly after another of its message may be on its way to the next host
TELLING_SECS = 1.0
OPENS_WITHIN_SECS = 2 * MINUTE


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """What a process did at hosts of one lane for one message, at one go, from host to host."""

    since: float
    until: float
    message_id: str
    found_nobody: bool  # no host of those it went to could be connected with


@dataclass(slots=True)
class Room:
    """The most that a lane may take."""

    most: int
    room: int
    in_vain: int = 0  # calls in a row that found nobody
    cohort: int = 0  # the most of them at once, since the first
    perhaps_down_since: float = float("inf")
    down_since: float = float("inf")

    def begin_anew(self) -> None:
        """Nothing is known of the lane any more, or all is well."""
        self.room = max(self.room, min(FIRST_AT_ONCE, self.most))
        self.in_vain, self.perhaps_down_since, self.down_since = 0, float("inf"), float("inf")

    def found_somebody(self) -> None:
        """One more may come."""
        self.begin_anew()
        self.room = min(self.room + 1, self.most)

    def found_nobody(self, at: float) -> None:
        """One less may come; after a cohort one alone."""
        self.cohort = max(self.cohort, self.room) if self.in_vain else self.room
        self.in_vain += 1
        self.room = max(self.room - 1, 1)
        if self.in_vain >= UNTIL_DOWN and at < self.down_since:
            self.perhaps_down_since = at  # or since one of those before it
        if self.in_vain >= max(UNTIL_DOWN, self.cohort):
            self.down_since = min(self.down_since, at)


def each_lane_has_room_for_as_many_as_it_takes(witness: Witness, orders: Orders) -> None:
    """No process begins more deliveries in a lane than there is room for; one where nobody is there."""
    if any(act.what == "jump" for act in orders.acts):
        return
    for seen in witness.seen.values():
        for lane, calls in _calls(witness, seen).items():
            _check(witness, seen, lane, calls)


def a_lane_that_is_open_takes_more_than_one(case: Case, witness: Witness) -> None:
    """Who is due does not wait until the end of a long delivery to hosts that are there, and take more."""
    plan = case.plan
    most = min(plan.max_sessions_per_lane, plan.max_sessions)
    if case.orders.acts or plan.lost or plan.processes > 1 or most < 2 or not case.has_true_times:
        return
    lane = witness.lane_of(case.recipient.address)
    for seen in witness.seen.values():
        opened = seen.openings(witness.ips_of(lane))
        for told in seen.told_of(case.message_id, case.recipient.address):
            begins = [began_at(visit) for visit in told.visits if is_visit(visit)]
            if begins:
                _check_that_it_opened(case, seen, _calls(witness, seen), lane, opened, begins[0])


def _check_that_it_opened(
    case: Case,
    seen: Seen,
    calls: dict[Lane, list[Call]],
    lane: Lane,
    opened: Sequence[Span],
    begins: float,
) -> None:
    in_lane = calls.get(lane, ())
    others = [call for call in in_lane if call.message_id != case.message_id]
    due = due_before(case, begins + INSTANT_SECS)
    busy = [call for some in calls.values() for call in some]
    for call in others:
        # for this one, and not for another lane that has the same host
        its = (each.until for each in opened if abs(each.since - call.since) < INSTANT_SECS)
        at = next(its, None)
        if at is None or max(at, due) + OPENS_WITHIN_SECS > call.until or begins < call.until - INSTANT_SECS:
            continue
        waits = Span(since=max(at, due), until=call.until)
        if any(at <= each.until <= begins and not _has_opened(each, opened) for each in in_lane):
            continue  # which took that room away again
        beside = [each for each in others if each is not call and _overlaps(each, waits)]
        is_full = len([each for each in busy if _overlaps(each, waits)]) >= case.plan.max_sessions
        assert beside or is_full, (
            f"{seen.name} has somebody in {sorted(lane)} since {at:g}, and alone until {call.until:g}: {case}"
        )


def _has_opened(call: Call, opened: Sequence[Span]) -> bool:
    return any(call.since <= each.until <= call.until for each in opened)


def _overlaps(call: Call, span: Span) -> bool:
    return call.since < span.until and call.until > span.since


def _check(witness: Witness, seen: Seen, lane: Lane, calls: Sequence[Call]) -> None:
    most = witness.plan.max_sessions_per_lane
    room = Room(most, min(FIRST_AT_ONCE, most))
    happens = [*_begins(calls), *_ends(calls), *_opened(witness, seen, lane)]
    happens += [(at, 0, None) for span in seen.offline for at in (span.since, span.until)]
    happens += [(at, 0, None) for at in _cleared(witness, seen)]
    last_at = 0.0
    # at one instant what makes room comes first
    for at, kind, call in sorted(happens, key=lambda each: (_microsecond(each[0]), each[1])):
        if at > last_at + KEPT_SECS:
            room.begin_anew()
        last_at = at
        if call is None:
            room.begin_anew()
        elif kind == OPENED:
            room.found_somebody()
        elif kind == BEGINS and not _goes_on(call, calls):
            _check_room(seen, lane, call, calls, room)
        elif kind == ENDS and call.found_nobody:
            room.found_nobody(at)


def _cleared(witness: Witness, seen: Seen) -> Iterator[float]:
    """When a suspicion ended that the fault is ours, also where nobody was told of one."""
    since, missed = 0.0, set[Lane]()
    for dial in sorted(seen.dials, key=lambda each: each.until or math.inf):
        if dial.until is None:
            return
        if not dial.is_connected:
            missed.update(witness.lanes_at(dial.ip))
            continue
        unanswered = {each.name for each in witness.asks_in_vain(seen, since - LOOK_UP_SECS, dial.until)}
        if len(missed) + len(unanswered) >= DESTINATIONS:
            yield dial.until
        since, missed = dial.until, set()


def _microsecond(at: float) -> float:
    """What is told of an attempt knows no part of one."""
    return at if math.isinf(at) else math.floor(at * 1e6 + 1e-3)


OPENED, BEGINS, ENDS = 1, 2, 3


def _check_room(seen: Seen, lane: Lane, call: Call, calls: Sequence[Call], room: Room) -> None:
    beside = [each for each in calls if each < call and each.until > call.since + INSTANT_SECS]
    # who asks alone, where nobody is there, asks beside those that were on their way before
    asks_alone = all(each.since < room.perhaps_down_since + TELLING_SECS for each in beside)
    has_room = len(beside) < room.room or (asks_alone and room.perhaps_down_since <= call.since)
    assert has_room, (
        f"{seen.name} begins with {len(beside) + 1} at once at {call.since:g}, "
        f"room is for {room.room}: {sorted(lane)}"
    )
    since_down = [each for each in beside if each.since > room.down_since + TELLING_SECS]
    assert not since_down, (
        f"{seen.name} asks with {call.message_id} at {call.since:g} beside {since_down[0].message_id}, and "
        f"nobody is there since {room.down_since:g}: {sorted(lane)}"
    )


def _goes_on(call: Call, calls: Sequence[Call]) -> bool:
    """It may be the rest of another one."""
    return any(
        each.message_id == call.message_id and each.until <= call.since <= each.until + GOES_ON_SECS
        for each in calls
        if each is not call
    )


def _begins(calls: Iterable[Call]) -> Iterator[tuple[float, int, Call | None]]:
    return ((call.since, BEGINS, call) for call in calls)


def _ends(calls: Iterable[Call]) -> Iterator[tuple[float, int, Call | None]]:
    """Over a session that was open somebody is found without a connection being made."""
    return ((call.until, ENDS if call.found_nobody else OPENED, call) for call in calls)


def _opened(witness: Witness, seen: Seen, lane: Lane) -> Iterator[tuple[float, int, Call | None]]:
    """Connections for which no result was told count, too; and those that took long to become sessions."""
    ips = witness.ips_of(lane)
    connected = [dial.until for dial in seen.dials if dial.is_connected and dial.ip in ips]
    for at in (*connected, *(each.until for each in seen.openings(ips))):
        if at is not None:
            yield at, OPENED, Call(at, at, "", found_nobody=False)


def _calls(witness: Witness, seen: Seen) -> dict[Lane, list[Call]]:
    """By lane, in the order of their beginning."""
    visits: defaultdict[tuple[Lane, str, str], set[tuple[float, float, bool]]] = defaultdict(set)
    for told in seen.told:
        domain = witness.domain_of(told.address)
        for visit in told.visits:
            if is_visit(visit) and visit.ip is not None:
                stop = began_at(visit), over_at(visit), visit.phase is Phase.CONNECT
                visits[frozenset(domain.mx), domain.name, told.message_id].add(stop)
    found: defaultdict[Lane, list[Call]] = defaultdict(list)
    for (lane, _, message_id), stops in visits.items():
        found[lane] += _joined(message_id, sorted(stops))
    return {lane: sorted(calls) for lane, calls in found.items()}


def _joined(message_id: str, stops: Sequence[tuple[float, float, bool]]) -> Iterator[Call]:
    """Visits that follow each other at once are one call."""
    group: list[tuple[float, float, bool]] = []
    for before, stop in pairwise([(0.0, -1e9, True), *stops]):
        if stop[0] > before[1] + INSTANT_SECS and group:
            yield _call(message_id, group)
            group = []
        group.append(stop)
    if group:
        yield _call(message_id, group)


def _call(message_id: str, stops: Sequence[tuple[float, float, bool]]) -> Call:
    return Call(
        stops[0][0],
        max(until for _, until, _ in stops),
        message_id,
        found_nobody=all(in_vain for _, _, in_vain in stops),
    )
