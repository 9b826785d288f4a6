"""Rules of doubt: what was taken, what is said of it, and why some of it may be there twice."""

from __future__ import annotations

from mailstrom.event import Event
from mailstrom.status import Cause

from .case import INSTANT_SECS, Case, secs
from .plan import HOUR

LEASE_SECS = 60.0
DEATHS = ("kill", "kill_at")
ENDS = ("close", "exit")  # results are handed over, unless the storage takes none
CRASHED = "crashed after the final dot"
BACK_SECS = 3 * HOUR  # by then somebody else has claimed what a dead process had


def each_delivery_beyond_the_first_is_explained(case: Case) -> None:
    """Nothing is taken more often than delivered, but for what is said to be uncertain."""
    told = (case.result.state == "delivered") + doubts(case)
    assert len(case.taken) <= told, f"taken {len(case.taken)} times: {case}"


def what_is_delivered_was_taken(case: Case) -> None:
    """Nobody is said to be delivered whom no host took."""
    assert case.taken or case.result.state != "delivered", f"never taken: {case}"


def what_was_taken_is_not_denied(case: Case) -> None:
    """Whom a host took is delivered, or may be."""
    if case.taken and case.result.state != "delivered":
        assert case.result.uncertain, f"taken, and said not to be: {case}"


def a_doubt_stays_until_it_is_delivered(case: Case) -> None:
    """What may have been delivered once may have been for ever."""
    if case.result.state == "delivered":
        return
    if any(attempt.uncertain for attempt in case.recipient.attempts):
        assert case.result.uncertain, f"it is known no more that it may be delivered: {case}"
    was = [event.result.uncertain for event in case.events if event.result is not None]
    assert was == sorted(was), f"a doubt was taken back: {case}"


def a_crash_is_only_told_where_a_claim_was_lost(case: Case) -> None:
    """A result is lost with its process, or with a lease that nobody could prolong, and for nothing else."""
    for event in case.events:
        if _tells_of_a_crash(event) and case.has_true_times:
            assert _may_have_lost_a_claim(case, secs(event.at)), f"nobody crashed: {event.result}, of {case}"


def doubts(case: Case) -> int:
    """Deliveries that nobody knows of: attempts that say so, and such as died with their process."""
    said = sum(attempt.uncertain for attempt in case.recipient.attempts)
    return said + sum(map(_tells_of_a_crash, case.events)) + _was_stopped_after_a_crash(case)


def _tells_of_a_crash(event: Event) -> bool:
    """Of an attempt that died with its process an event is all that tells."""
    result = event.result
    if result is None or not result.uncertain or result.cause in (Cause.CANCELLED, Cause.EXPIRED):
        return False
    reason = result.reason or ""
    # an order and the end repeat what was known before
    return CRASHED in reason and not reason.startswith("held; before that")


def _was_stopped_after_a_crash(case: Case) -> bool:
    """Its process died after the final dot, and `cancel` or `hold` came before anybody claimed it again.

    Nobody tells of the crash then: that it is uncertain, and that claims were lost, is all.
    """
    is_held = case.result.state == "deferred" and case.result.next_attempt_at is None
    if not case.result.uncertain or not (is_held or case.result.cause is Cause.CANCELLED):
        return False
    stops = case.acts("cancel", "hold")
    return not case.has_true_times or any(_may_have_lost_a_claim(case, act.at) for act in stops)


def _may_have_lost_a_claim(case: Case, at: float) -> bool:
    if case.is_disturbed(DEATHS, at - BACK_SECS, at + INSTANT_SECS):
        return True
    ended = case.is_disturbed(ENDS, at - BACK_SECS, at)
    if ended and case.is_disturbed(("outage", "lose_replies"), at - BACK_SECS, at):
        return True
    longer = [act for act in case.acts("freeze", "outage") if act.secs > LEASE_SECS / 2]
    return any(act.at <= at <= act.at + act.secs + BACK_SECS for act in longer)
