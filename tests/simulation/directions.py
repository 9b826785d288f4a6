"""Rules of directions: mail goes where the DNS says, for as long as it says so."""

from __future__ import annotations

from collections.abc import Iterator

from mailstrom.status import Attempt, Cause, Phase

from .case import INSTANT_SECS, Case, is_visit, secs
from .plan import LOSSES, MOVED, DomainPlan, During
from .traffic import Traffic
from .witness import SILENT, Seen, Witness

LOOK_UP_SECS = 30.0  # the longest
LOOKED_UP_SECS = 60.0  # twice what a look-up may take
LATE_SECS = 1.0
LEAST_TTL_SECS = 5.0
LEFT_SECS = 10.0  # what was open so shortly before may have been used

Order = tuple[str, ...]


def only_the_dns_says_that_there_is_no_such_domain(case: Case) -> None:
    """`NO_SUCH_DOMAIN` means that the DNS said so just then; what is kept of that bounces nothing."""
    for attempt in _failed_look_ups(case):
        if attempt.state == "failed":
            said = _said(case, secs(attempt.at))
            assert "NXDOMAIN" in said, f"the domain was there: {attempt}, of {case}"
    if case.result.cause is Cause.NO_SUCH_DOMAIN:
        kinds = {fault.what for fault in case.domain.faults}
        assert "NXDOMAIN" in kinds, f"the domain was always there: {case}"


def the_dns_is_only_blamed_for_trouble_of_its_own(case: Case, witness: Witness) -> None:
    """Who is deferred at the look-up was so because the DNS did not answer, it or whose look-up it joined."""
    for attempt in _failed_look_ups(case):
        if not case.acts("close", "exit"):
            is_troubled = bool(_said(case, secs(attempt.at)) - {None, MOVED})
            is_troubled = is_troubled or _joined_silence(case, attempt, witness)
            assert is_troubled, f"the DNS had no trouble: {attempt}, of {case}"


def hosts_are_asked_in_the_order_of_the_dns(case: Case, traffic: Traffic) -> None:
    """Each pass goes from host to host as the MX records say, or said within their TTL."""
    for visits in case.passes if case.has_true_times and case.all_attempts_are_there else ():
        asked = [each for each in visits if each.phase is not Phase.DNS and is_visit(each)]
        if not asked or _was_frozen(case, asked[0]) or _may_use_an_idle_session(case, asked[0], traffic):
            continue
        went = tuple(dict.fromkeys(each.host for each in asked))
        orders = set(_orders(case.domain, secs(asked[0].at)))
        since, until = _looked_up(asked[0]), secs(asked[0].at) + INSTANT_SECS
        if any(LOSSES[loss.what][1] for loss in case.plan.losses(since, until)):
            # a host whose address is not known is left out
            orders = {_in_order_of(went, order) for order in orders}
        fits = any(order[: len(went)] == went for order in orders)
        assert fits, f"went to {went} at {secs(asked[0].at):g}, told was {orders}: {case}"


def _failed_look_ups(case: Case) -> Iterator[Attempt]:
    for attempt in case.recipient.attempts if case.has_true_times else ():
        if attempt.phase is Phase.DNS and is_visit(attempt) and not _was_frozen(case, attempt):
            yield attempt


def _was_frozen(case: Case, attempt: Attempt) -> bool:
    """Nobody knows then when it was that the DNS was asked."""
    at = secs(attempt.at)
    return case.is_disturbed(("freeze",), at - LOOKED_UP_SECS, at + LOOKED_UP_SECS)


def _may_use_an_idle_session(case: Case, first: Attempt, traffic: Traffic) -> bool:
    """One with any host of the lane comes before the order."""
    at = secs(first.at)
    return any(any(traffic.sessions(host, at - LEFT_SECS, at)) for host in case.domain.mx)


def _joined_silence(case: Case, attempt: Attempt, witness: Witness) -> bool:
    """It waited for the end of an equal look-up, begun before it, that had no answer then."""
    at, names = secs(attempt.at), {case.domain.name, *case.domain.mx}
    for seen, told_at in _told_of(case, attempt, witness):
        since = told_at - LOOK_UP_SECS - INSTANT_SECS
        asked_at = min((ask.at for ask in seen.asks if ask.name in names and since < ask.at < at), default=at)
        if asked_at < at < told_at - INSTANT_SECS:
            return not _said_between(case, asked_at, at).isdisjoint(SILENT)
    return False


def _told_of(case: Case, attempt: Attempt, witness: Witness) -> Iterator[tuple[Seen, float]]:
    """Who told of it, and when."""
    for seen in witness.seen.values():
        for told in seen.told_of(case.message_id, case.recipient.address):
            if any(visit.at == attempt.at for visit in told.visits):
                yield seen, told.at


def _said(case: Case, at: float) -> set[str | None]:
    """What the DNS says while something is looked up from then on; None: what it says usually."""
    return _said_between(case, at - LATE_SECS, at + LOOKED_UP_SECS)


def _said_between(case: Case, since: float, until: float) -> set[str | None]:
    instead = {LOSSES[loss.what][1] for loss in case.plan.losses(since, until)}
    return {*_told(case.domain.faults, since, until)} | instead


def _orders(domain: DomainPlan, at: float) -> Iterator[Order]:
    """The hosts as they were told at that time, or may be known from before."""
    kept_secs = max(domain.ttl_secs, LEAST_TTL_SECS) + LOOKED_UP_SECS
    for what in _told(domain.faults, at - kept_secs, at + LATE_SECS):
        if what in (None, MOVED):
            yield domain.mx[::-1] if what == MOVED else domain.mx


def _looked_up(first: Attempt) -> float:
    """When that may have begun."""
    return secs(first.at) - LOOKED_UP_SECS


def _in_order_of(went: Order, order: Order) -> Order:
    """The hosts that were visited, as they stand in the other."""
    return tuple(host for host in order if host in went)


def _told(faults: tuple[During, ...], since: float, until: float) -> Iterator[str | None]:
    """What is so at some time from the one to the other: of several things the one that began last."""
    changes = {each for fault in faults for each in (fault.since, fault.until) if since < each < until}
    for at in (since, *sorted(changes)):
        going_on = [fault for fault in faults if fault.since <= at < fault.until]
        yield max(going_on, key=lambda fault: fault.since).what if going_on else None
