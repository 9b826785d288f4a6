"""Slips in the rules: what a reply means, how often and when a recipient is tried."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from mailstrom.engine import recorder
from mailstrom.schedule import retry
from mailstrom.smtp import transaction
from mailstrom.status import Cause

from . import replaces


@replaces(transaction, "judge_reply")
def a_transient_refusal_is_final(right: Any, *args: Any) -> Any:
    verdict = right(*args)
    return replace(verdict, state="failed", cause=Cause.REFUSED) if verdict.state == "deferred" else verdict


@replaces(transaction, "judge_reply")
def a_permanent_refusal_is_tried_again(right: Any, *args: Any) -> Any:
    verdict = right(*args)
    return replace(verdict, state="deferred", cause=None) if verdict.state == "failed" else verdict


@replaces(transaction, "judge_reply")
def any_reply_to_the_dot_is_a_yes(right: Any, phase: Any, reply: Any, host: str) -> Any:
    is_dot = phase is transaction.Phase.DOT and reply.is_transient
    return right(phase, replace(reply, code=250) if is_dot else reply, host)


@replaces(recorder, "judge_pass")
def tries_are_not_counted(right: Any, policy: Any, verdict: Any, **more: Any) -> Any:
    return right(policy, replace(verdict, counts_as_try=False), **more)


@replaces(recorder, "judge_pass")
def tries_are_counted_twice(right: Any, policy: Any, verdict: Any, *, tries: int, **more: Any) -> Any:
    return right(policy, verdict, tries=tries + verdict.counts_as_try, **more)


@replaces(recorder, "judge_pass")
def there_is_one_try_too_many(right: Any, policy: Any, verdict: Any, **more: Any) -> Any:
    longer = policy if policy.tries is None else replace(policy, tries=policy.tries + 1)
    return right(longer, verdict, **more)


@replaces(recorder, "judge_pass")
def there_is_one_try_too_few(right: Any, policy: Any, verdict: Any, **more: Any) -> Any:
    shorter = policy if policy.tries in (None, 1) else replace(policy, tries=policy.tries - 1)
    return right(shorter, verdict, **more)


@replaces(recorder, "judge_pass")
def an_earlier_uncertainty_is_forgotten(
    right: Any, policy: Any, verdict: Any, *, uncertain: bool, **more: Any
) -> Any:
    return right(policy, verdict, **more)


@replaces(recorder, "judge_pass")
def what_is_uncertain_is_always_tried_again(right: Any, policy: Any, verdict: Any, **more: Any) -> Any:
    return right(replace(policy, on_uncertain="retry"), verdict, **more)


@replaces(recorder, "judge_pass")
def a_delivery_is_recorded_as_a_deferral(right: Any, policy: Any, verdict: Any, **more: Any) -> Any:
    state = "deferred" if verdict.state == "delivered" else verdict.state
    return right(policy, replace(verdict, state=state), **more)


@replaces(retry, "next_wait")
def the_next_try_is_at_once(right: Any, *args: Any) -> timedelta:
    return timedelta(0)


@replaces(retry, "next_wait")
def the_next_try_is_a_day_too_late(right: Any, *args: Any) -> timedelta:
    return right(*args) + timedelta(days=1)


@replaces(retry, "next_wait")
def waits_never_end(right: Any, *args: Any) -> timedelta:
    return timedelta(days=365)


@replaces(retry, "uncertain_wait")
def what_is_uncertain_is_tried_at_once(right: Any, *args: Any) -> timedelta:
    return timedelta(0)


@replaces(recorder, "gives_up_at")
def the_age_of_a_message_ends_nothing(right: Any, *args: Any) -> None:
    return None


@replaces(retry, "_deferred")
def who_is_deferred_is_not_told_the_reply(right: Any, *args: Any) -> Any:
    return replace(right(*args), reply=None)


@replaces(transaction, "judge_reply")
def the_reply_is_put_in_other_words(right: Any, phase: Any, reply: Any, host: str) -> Any:
    return right(phase, replace(reply, text=reply.text.upper()), host)
