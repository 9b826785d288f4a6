"""Rules of answers without a visit: what another delivery had heard was enough."""

from __future__ import annotations

from collections.abc import Iterator

from mailstrom.status import Attempt, Phase
from mailstrom.testing.gates import Dial

from .case import INSTANT_SECS, NOT_ASKED, Case, is_visit, secs
from .plan import MINUTE
from .promises import due_before
from .witness import Seen, Told, Witness

FRESH_SECS = 10 * MINUTE  # an answer of longer ago holds for nobody
WELL_SECS = 15 * MINUTE  # for so long it could be reached
UNTIL_DOWN = 3
UNHEARD = (Phase.DNS, Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.TLS)
CUTS = ("cut", "partition", "freeze", "outage", "lose_replies")


def an_answer_without_a_visit_is_that_of_a_visit(case: Case, witness: Witness) -> None:
    """Whoever told it had asked a host of that lane in vain, after it was due, and was told that reason."""
    if not case.has_true_times:
        return
    for seen, told, attempt in _unvisited(case, witness):
        assert told.is_a_try, f"{told.result} is no try: {case}"
        since = due_before(case, told.at)
        asked = list(_probes(witness, seen, case, attempt, since))
        assert asked, f"nobody asked since {since:g}: {attempt} at {told.at:g}, of {case}"
        reason = (attempt.reason or "").removeprefix(NOT_ASKED)
        names = [*case.domain.mx, case.domain.name]
        assert any(name in reason for name in names), f"of whom is that said? {attempt}, of {case}"
        assert attempt.phase in UNHEARD, f"the host had spoken with us: {attempt}, of {case}"
        count = _found_nobody(witness, seen, case, told)
        assert count >= UNTIL_DOWN, f"only {count} in a row had found nobody: {attempt}, of {case}"
        assert attempt.ip is None, f"it was not visited: {attempt}, of {case}"


def nobody_who_could_be_reached_is_said_to_be_down(case: Case, witness: Witness) -> None:
    """No answer without a visit where a host of the lane was well all the time before."""
    if not case.has_true_times:
        return
    for _, told, attempt in _unvisited(case, witness):
        if not _may_be_troubled(case, told.at):
            raise AssertionError(f"all was well since {told.at - WELL_SECS:g}: {attempt}, of {case}")


def _unvisited(case: Case, witness: Witness) -> Iterator[tuple[Seen, Told, Attempt]]:
    for seen in witness.seen.values():
        for told in seen.told_of(case.message_id, case.recipient.address):
            for attempt in told.visits:
                if not is_visit(attempt):
                    yield seen, told, attempt


def _probes(
    witness: Witness, seen: Seen, case: Case, attempt: Attempt, since: float
) -> Iterator[Dial | float]:
    """What may have been heard: of a host that could not be connected with, or that said nothing of use."""
    until = secs(attempt.at) + INSTANT_SECS
    fresh_since = until - FRESH_SECS - INSTANT_SECS
    if attempt.phase is Phase.DNS:
        since = max(since - INSTANT_SECS, fresh_since)
        yield from (at for at in witness.asked_at(seen, case.domain) if since <= at <= until)
        return
    ips = witness.ips_of(frozenset(case.domain.mx))
    for dial in seen.dials:
        is_fit = dial.is_connected != (attempt.phase is Phase.CONNECT)
        if (
            dial.ip in ips
            and is_fit
            and since - INSTANT_SECS <= dial.since
            and dial.until is not None
            and fresh_since <= dial.until <= until  # a process that is frozen hears late
        ):
            yield dial


def _found_nobody(witness: Witness, seen: Seen, case: Case, told: Told) -> int:
    """How many passes in a row had, in that lane, by what this process told."""
    lane, in_vain = witness.lane_of(case.recipient.address), set()
    for each in seen.told:
        if each.at > told.at + INSTANT_SECS:
            break
        visits = [visit for visit in each.visits if is_visit(visit)]
        if witness.lane_of(each.address) != lane or not visits:
            continue
        if any(visit.state == "delivered" for visit in visits):
            in_vain.clear()
        in_vain.add((each.message_id, visits[0].at))
    return len(in_vain)


def _may_be_troubled(case: Case, at: float) -> bool:
    since, until, plan = at - WELL_SECS, at + INSTANT_SECS, case.plan  # to be refused takes no time
    if plan.losses(since, until) or any(fault.overlaps(since, until) for fault in case.domain.faults):
        return True
    if case.is_disturbed(CUTS, since, until):
        return True
    hosts = [host for host in plan.hosts if host.name in case.domain.mx]
    return all(
        host.trouble or host.slow or host.turns_away or any(down.overlaps(since, until) for down in host.down)
        for host in hosts
    )
