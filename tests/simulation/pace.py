"""Rules of time: when a recipient is tried, how long it waits, and by when it is over."""

from __future__ import annotations

from mailstrom.event import EventKind
from mailstrom.status import DeliveryResult

from .case import Case, Pass, ended_at, secs
from .plan import DAY, HOUR, MINUTE
from .smooth import PROMPT_SECS, SmoothWays
from .traffic import Traffic
from .witness import Seen, Witness

LONGEST_PASS_SECS = 2 * HOUR  # what had begun before it expired may end well
ROUNDING_SECS = 1.0
LOOK_UP_SECS = 2 * MINUTE  # from the claim to the first host, where the DNS is slow
BASE_SECS, FACTOR, JITTER = 60.0, 3.0, 0.1
RFC_BASE_SECS, RFC_FACTOR, RFC_LONGEST_SECS = 900.0, 2.0, 3 * HOUR
UNCERTAIN_SECS = 900.0
CLAIM_LOST_SECS = 5.0
STORED_AFTER_SECS = 2 * HOUR  # where the storage is away
CRASH_SECS = (60.0, 120.0, 240.0, 480.0)


def nothing_is_taken_before_it_is_due(case: Case) -> None:
    """Nobody is tried before `send_at`."""
    if not case.is_hastened:
        early = [each for each in case.taken if each.at < case.due - ROUNDING_SECS]
        assert not early, f"due at {case.due:g}, taken before: {case}"


def nothing_is_taken_long_after_it_has_expired(case: Case) -> None:
    """Nobody is delivered after `expires_at`, but by a pass that had begun before."""
    end = case.gives_up_at
    if end is not None and not case.acts("jump"):
        late = [each for each in case.taken if each.at > end + LONGEST_PASS_SECS]
        assert not late, f"expired at {end:g}, taken long after: {case}"


def no_pass_begins_after_it_has_expired(case: Case) -> None:
    """Once the time of a message is over nobody begins to try it."""
    end = case.gives_up_at
    if end is None or not case.has_true_times:
        return
    slack = ROUNDING_SECS + LOOK_UP_SECS * bool(case.domain.faults or case.plan.lost)
    for each in case.passes:
        begins = secs(each[0].at)
        if not case.is_disturbed(("freeze",), end, begins):
            assert begins < end + slack, f"over at {end:g}, tried at {begins:g}: {case}"


def each_wait_is_the_policys(case: Case) -> None:
    """Who is deferred is tried again after the wait that the policy says, or held."""
    if not case.has_true_times or not case.all_attempts_are_there:
        return
    for event, attempts in case.course:
        result = event.result
        if event.kind is EventKind.DEFERRED and result is not None and result.next_attempt_at is not None:
            _check_wait(case, result, attempts, secs(event.at))


def nobody_waits_beyond_the_end(case: Case) -> None:
    """Who is deferred falls due at the latest when the message is given up."""
    end = case.gives_up_at
    if end is None or not case.has_true_times:
        return
    for event in case.events:
        if event.result is not None and event.result.next_attempt_at is not None:
            next_at = secs(event.result.next_attempt_at)
            assert next_at < end + ROUNDING_SECS, f"over at {end:g}, next try at {next_at:g}: {case}"


def all_is_over_within_the_time_of_the_policy(case: Case, traffic: Traffic, witness: Witness) -> None:
    """No accepted email is without a final answer when its policy's time is over, where its lane has room.

    What a process takes for a lost network, since many hosts are down, counts no tries for a day at most.
    """
    if not case.result.completed or not case.has_true_times or case.acts("hold", "release"):
        return
    if case.plan.on_uncertain == "hold":
        return
    passes = len(case.passes) + 1 + len(case.orders.acts)
    by = (
        case.due
        + _policys_secs(case)
        + passes * LONGEST_PASS_SECS
        + sum(act.secs for act in case.orders.acts)
        + sum(loss.until - loss.since + LONGEST_PASS_SECS for loss in case.plan.lost)
    )
    over_at = max(secs(event.at) for event in case.events)
    by += sum(_spared_secs(seen, case.due, over_at) for seen in witness.seen.values())
    if not traffic.leaves_room(case.domain, by - PROMPT_SECS, by):
        return
    assert over_at < by, f"over at {over_at:g}, not by {by:g}: {case}"


def _spared_secs(seen: Seen, since: float, until: float) -> float:
    spans = ((max(span.since, since), min(span.until, until)) for span in seen.offline)
    return min(sum(end - begin for begin, end in spans if begin < end), DAY)


def who_has_nothing_in_the_way_is_delivered_at_once(case: Case, ways: SmoothWays) -> None:
    """A healthy lane never waits for a sick one."""
    by = ways.delivered_by(case)
    if by is not None:
        assert case.taken, f"nothing was in the way of it: {case}"
        first = case.taken[0].at
        assert first < by, f"due at {case.due:g}, to be taken by {by:g}, taken at {first:g}: {case}"


def who_has_nothing_in_the_way_needs_one_visit(case: Case, ways: SmoothWays) -> None:
    """Where the best host is well, one visit to it delivers."""
    if ways.is_plain(case):
        visits = [attempt.host for attempt in case.recipient.attempts]
        assert visits == [case.domain.mx[0]], f"visited {visits}: {case}"


def _check_wait(case: Case, result: DeliveryResult, attempts: Pass, at: float) -> None:
    assert result.next_attempt_at is not None
    next_at, end = secs(result.next_attempt_at), case.gives_up_at
    if end is not None and abs(next_at - end) < ROUNDING_SECS:
        return
    # a result may reach the storage late, with the next pass at its heels, but not before the visit was over
    was_away = case.is_disturbed(("outage", "lose_replies", "freeze"), at - STORED_AFTER_SECS, at)
    seen = ended_at(attempts[-1]) if attempts and not was_away else at - STORED_AFTER_SECS
    least, most = _wait(case, result, attempts)
    fits = seen + least - ROUNDING_SECS < next_at < at + most + ROUNDING_SECS
    assert fits, f"deferred at {at:g} until {next_at:g}, not for {least:g} to {most:g}: {result}, of {case}"


def _wait(case: Case, result: DeliveryResult, attempts: Pass) -> tuple[float, float]:
    """The least and the most of it."""
    reason = result.reason or ""
    if "crashed after the final dot" in reason:
        return UNCERTAIN_SECS, UNCERTAIN_SECS
    if "internal error" in reason:
        return min(CRASH_SECS), max(CRASH_SECS)
    if any(attempt.uncertain for attempt in attempts):
        wait = _wait_secs(case, max(result.tries, 1))
        return max(wait, UNCERTAIN_SECS), max(wait * (1 + JITTER), UNCERTAIN_SECS)
    if "the claim was lost" in reason:
        return CLAIM_LOST_SECS, CLAIM_LOST_SECS
    wait = _wait_secs(case, max(result.tries, 1))
    return wait, wait * (1 + JITTER)


def _wait_secs(case: Case, tries: int) -> float:
    if case.plan.tries is None:
        return min(RFC_BASE_SECS * RFC_FACTOR**tries, RFC_LONGEST_SECS)
    return BASE_SECS * FACTOR**tries


def _policys_secs(case: Case) -> float:
    """All waits together."""
    if case.plan.tries is None:
        return 5 * DAY
    waits = (
        max(_wait_secs(case, tries) * (1 + JITTER), UNCERTAIN_SECS) for tries in range(1, case.plan.tries)
    )
    return min(sum(waits), 2 * DAY)
