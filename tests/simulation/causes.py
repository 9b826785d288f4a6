"""Rules of verdicts: what is said of a recipient follows from what hosts answered, and from the policy."""

from __future__ import annotations

from itertools import pairwise

from mailstrom.event import EventKind
from mailstrom.status import Attempt, Cause, Phase

from .case import Case

ABOUT_THE_RECIPIENT = (Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT)  # not about the host alone
BY_US = ("the claim was lost", "stopped by us")


def no_pass_ends_by_an_error_of_ours(case: Case) -> None:
    """Whatever befalls us, mailstrom itself does what it was written for."""
    for event in case.events:
        reason = "" if event.result is None else event.result.reason or ""
        assert "internal error" not in reason, f"{reason}: {case}"


def tries_never_go_beyond_the_policy(case: Case) -> None:
    """Nobody has more tries than the policy allows; who is released by a person gets another one."""
    if case.plan.tries is not None:
        allowed = case.plan.tries + len(case.acts("release"))
        assert case.result.tries <= allowed, f"tried too often: {case}"


def each_pass_that_came_to_a_host_counts_as_a_try(case: Case) -> None:
    """Tries count the passes: each once, but for those that we ourselves broke off."""
    if not case.all_attempts_are_there or not case.has_true_times:
        return
    counted = sum(not any(map(_is_ours, each)) for each in case.passes)
    assert counted <= case.result.tries, f"{counted} passes came to a host: {case}"
    assert case.result.tries <= len(case.passes), f"{len(case.passes)} passes were made: {case}"


def nobody_is_given_up_before_the_last_try(case: Case) -> None:
    """`TRIES_EXHAUSTED` means that all tries of the policy were made."""
    if case.result.cause is Cause.TRIES_EXHAUSTED:
        made = case.result.tries
        assert made >= (case.plan.tries or made + 1), f"given up after {made}: {case}"


def only_a_permanent_reply_refuses(case: Case) -> None:
    """Who failed as refused was refused by a host with 5yz."""
    if case.result.cause is Cause.REFUSED:
        reply = case.result.reply
        assert reply is None or reply.is_permanent, f"refused for good with {reply}: {case}"
        assert reply is not None, f"nobody refused it: {case}"


def a_permanent_reply_fails_at_that_host(case: Case) -> None:
    """5yz is never "try again later", 4yz never "never"; to STARTTLS either only means "no TLS"."""
    for attempt in case.recipient.attempts:
        reply = attempt.reply
        if reply is None or attempt.uncertain or attempt.phase is Phase.STARTTLS:
            continue
        if reply.is_permanent:
            assert attempt.state == "failed", f"{attempt}, of {case}"
        if reply.is_transient:
            assert attempt.state == "deferred", f"{attempt}, of {case}"


def what_one_host_puts_off_another_does_not_refuse(case: Case) -> None:
    """Deferred by a reply beats failed: a backup MX knows less than the preferred one."""
    if case.result.cause is Cause.REFUSED and case.has_true_times:
        last = case.passes[-1]
        put_off = [each for each in last if each.state == "deferred" and each.reply is not None]
        assert not put_off, f"{put_off[0]}, of {case}"


def who_is_refused_or_served_goes_no_further(case: Case) -> None:
    """In one pass no other host is asked after a delivery, a doubt, or a refusal of the recipient.

    But for a refusal by a backup of whom a better host has put off: that may know better.
    """
    for visits in case.passes if case.has_true_times else ():
        is_put_off = False
        for before, after in pairwise(visits):
            is_put_off |= before.state == "deferred" and before.reply is not None
            is_refused = before.state == "failed" and before.phase in ABOUT_THE_RECIPIENT
            ends = before.state == "delivered" or before.uncertain or (is_refused and not is_put_off)
            assert not ends, f"{before}, and then {after}, of {case}"


def what_is_uncertain_goes_as_the_policy_says(case: Case) -> None:
    """What may have been delivered is tried again, held or failed, as `on_uncertain` says."""
    policy = case.plan.retry.on_uncertain
    if policy == "retry" or case.acts("release"):
        return
    for event in case.events:
        if event.kind is EventKind.DEFERRED and event.result is not None and event.result.uncertain:
            assert policy == "hold", f"deferred, not failed: {event.result}, of {case}"
            assert event.result.next_attempt_at is None, f"not held: {event.result}, of {case}"


def _is_ours(attempt: Attempt) -> bool:
    return any(each in (attempt.reason or "") for each in BY_US)
