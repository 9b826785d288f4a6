"""When a recipient is tried again, and when we give up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.schedule.retry import (
    CRASHES_UNTIL_HELD,
    RetryPolicy,
    expired,
    gives_up_at,
    judge_pass,
    longest_wait,
    next_wait,
    wait_after_crash,
    waits_after_death,
)
from mailstrom.schedule.verdict import Scope, Verdict
from mailstrom.status import (
    Cause,
    Deferred,
    Delivered,
    DeliveryResult,
    EnhancedCode,
    Failed,
    Phase,
    Queued,
    Reply,
)

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
BUSY = Reply(code=450, enhanced=EnhancedCode(4, 2, 0), text="busy")
UNKNOWN = Reply(code=550, enhanced=EnhancedCode(5, 1, 1), text="no such user")
MINUTE = timedelta(minutes=1)


def a_verdict(state: Literal["delivered", "deferred", "failed"] = "deferred", **parts: Any) -> Verdict:
    given: dict[str, Any] = {"scope": Scope.RECIPIENT, "phase": Phase.RCPT, "reason": "busy", "reply": BUSY}
    return Verdict(state=state, enhanced_code=EnhancedCode(4, 2, 0), **{**given, **parts})


def judged(
    policy: RetryPolicy | None = None, verdict: Verdict | None = None, **circumstances: Any
) -> DeliveryResult:
    given: dict[str, Any] = {"tries": 0, "now": NOW, "gives_up": None, "chance": 0.0}
    return judge_pass(policy or RetryPolicy(), verdict or a_verdict(), **{**given, **circumstances})


def waits(policy: RetryPolicy, count: int) -> list[float]:
    return [next_wait(policy, tries, 0.0).total_seconds() / 60 for tries in range(1, count + 1)]


# The schedule


def test_the_crates_waits_are_three_and_nine_minutes() -> None:
    assert waits(RetryPolicy(), 2) == [3.0, 9.0]


def test_the_base_may_be_another() -> None:
    assert waits(RetryPolicy(base_delay_secs=20.0), 2) == [1.0, 3.0]


def test_a_mail_servers_waits_reach_three_hours_and_stay_there() -> None:
    """RFC 5321 4.5.4.1: at least 30 minutes between tries, 4 to 5 days until giving up."""
    policy = RetryPolicy.rfc5321()

    assert waits(policy, 6) == [30.0, 60.0, 120.0, 180.0, 180.0, 180.0]
    assert (policy.tries, policy.max_age) == (None, timedelta(days=5))


def test_jitter_only_makes_a_wait_longer() -> None:
    policy = RetryPolicy(jitter=0.5)

    assert [next_wait(policy, 1, chance) / MINUTE for chance in (0.0, 0.5, 1.0)] == [3.0, 3.75, 4.5]


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy(tries=10**9),
        RetryPolicy(tries=5000, factor=1e9, base_delay_secs=1e10),
        RetryPolicy(tries=None, max_age=timedelta.max),
        RetryPolicy(tries=None, factor=1e9, base_delay_secs=1e11, max_age=timedelta(days=1)),
        RetryPolicy(max_delay_secs=1e11, uncertain_delay_secs=1e11, factor=100.0),
    ],
)
def test_no_wait_overflows(policy: RetryPolicy) -> None:
    for tries in (1, 63, 64, 65, 100_000):
        assert timedelta(0) < next_wait(policy, tries, 1.0) <= timedelta(days=730)
    assert longest_wait(policy) <= timedelta(days=730)
    assert judged(policy, a_verdict(uncertain=True), tries=64) is not None
    assert gives_up_at(policy, NOW, None) is None or gives_up_at(policy, NOW, None) > NOW  # type: ignore[operator]


POLICIES = st.builds(
    RetryPolicy,
    tries=st.integers(1, 50),
    base_delay_secs=st.none() | st.floats(0.01, 1e6),
    factor=st.floats(1, 100),
    jitter=st.floats(0, 1),
    max_age=st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
    uncertain_delay_secs=st.floats(0.01, 1e6),
    on_uncertain=st.sampled_from(["retry", "hold", "fail"]),
    max_delay_secs=st.none() | st.floats(0.01, 1e6),
)
CHANCE = st.floats(0, 1, exclude_max=True)


@given(POLICIES, st.integers(1, 60), CHANCE)
def test_waits_never_shrink_and_never_pass_the_longest(
    policy: RetryPolicy, tries: int, chance: float
) -> None:
    """Row 45: what lies further ahead than `longest_wait` was made by a wrong clock."""
    wait = next_wait(policy, tries, chance)

    assert next_wait(policy, tries, 0.0) <= wait <= next_wait(policy, tries + 1, 1.0)
    if tries <= policy.tries:  # type: ignore[operator]
        assert wait <= longest_wait(policy)


@given(POLICIES, st.integers(1, CRASHES_UNTIL_HELD - 1))
def test_a_wait_after_a_crash_never_passes_the_longest(policy: RetryPolicy, crashes: int) -> None:
    """Rows 45, 56."""
    wait = wait_after_crash(policy, crashes)

    assert wait is not None
    assert timedelta(0) < wait <= longest_wait(policy)


def test_crashes_double_the_wait_and_five_hold() -> None:
    """Row 56."""
    found = [wait_after_crash(RetryPolicy(), crashes) for crashes in range(1, 7)]

    assert found == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, None, None]


@given(POLICIES, CHANCE)
def test_a_wait_after_the_process_died_never_passes_the_longest(policy: RetryPolicy, chance: float) -> None:
    """Rows 45, 56."""
    assert max(waits_after_death(policy, chance)) <= longest_wait(policy)


@pytest.mark.parametrize(("chance", "times"), [(0.0, 1), (0.5, 1.5)])
def test_after_one_death_there_is_no_wait_and_later_on_chance_has_a_say(chance: float, times: float) -> None:
    """Row 56: of many that died together the one at fault comes back alone."""
    found = waits_after_death(RetryPolicy(), chance)

    assert found == (timedelta(0), 2 * MINUTE * times, 4 * MINUTE * times, 8 * MINUTE * times)


def test_a_short_base_makes_the_wait_after_a_crash_short_a_long_one_does_not_make_it_long() -> None:
    """Row 56: min(base, 60)."""
    found = [wait_after_crash(RetryPolicy(base_delay_secs=base), 1) for base in (0.5, 60.0, 3600.0)]

    assert found == [timedelta(seconds=0.5), MINUTE, MINUTE]


# When we give up


@pytest.mark.parametrize(
    ("max_age", "expires_at", "gives_up"),
    [
        (None, None, None),
        (timedelta(days=1), None, NOW + timedelta(days=1)),
        (None, NOW + MINUTE, NOW + MINUTE),
        (timedelta(days=1), NOW + MINUTE, NOW + MINUTE),
        (MINUTE, NOW + timedelta(days=1), NOW + MINUTE),
    ],
)
def test_the_earlier_of_age_and_expiry_ends_it(
    max_age: timedelta | None, expires_at: datetime | None, gives_up: datetime | None
) -> None:
    assert gives_up_at(RetryPolicy(max_age=max_age), NOW, expires_at) == gives_up


def test_a_deferral_is_due_after_the_wait_of_its_try() -> None:
    results = [judged(tries=tries) for tries in range(2)]

    assert results == [
        Deferred(
            tries=tries,
            reason="busy",
            reply=BUSY,
            enhanced_code=EnhancedCode(4, 2, 0),
            next_attempt_at=NOW + wait,
        )
        for tries, wait in ((1, 3 * MINUTE), (2, 9 * MINUTE))
    ]


def test_the_last_try_fails_with_the_last_reason_in_it() -> None:
    """The crate left such recipients deferred for ever."""
    assert judged(tries=2) == Failed(
        tries=3, reason="busy", reply=BUSY, enhanced_code=EnhancedCode(4, 2, 0), cause=Cause.TRIES_EXHAUSTED
    )


def test_a_lowered_bound_ends_what_is_past_it() -> None:
    """A restart with a stricter policy."""
    assert judged(tries=7).cause is Cause.TRIES_EXHAUSTED


def test_a_pass_that_is_no_try_costs_none() -> None:
    """A relay that refuses our credentials holds the queue, it does not fail the mail."""
    verdict = a_verdict(counts_as_try=False, retry_after=timedelta(minutes=30))

    results = [judged(verdict=verdict, tries=tries) for tries in (0, 2, 9)]

    assert [(each.state, each.tries, each.next_attempt_at) for each in results] == [
        ("deferred", tries, NOW + timedelta(minutes=30)) for tries in (0, 2, 9)
    ]


def test_when_its_time_is_over_it_is_failed_as_expired() -> None:
    """RFC 3463 3.5: X.4.7, delivery time expired."""
    result = judged(gives_up=NOW)

    assert (result.cause, result.enhanced_code, result.reason) == (
        Cause.EXPIRED,
        EnhancedCode(4, 4, 7),
        "busy",
    )


def test_no_try_is_planned_past_the_end() -> None:
    """The failure comes when the time is over, not when the next try would have been."""
    assert judged(gives_up=NOW + MINUTE).next_attempt_at == NOW + MINUTE


def test_a_delivery_counts_whatever_the_time() -> None:
    """A 2xx is never overwritten."""
    reply = Reply(code=250, text="ok")
    verdict = a_verdict("delivered", reply=reply, reason=None)

    result = judged(
        verdict=replace(verdict, enhanced_code=None), tries=9, gives_up=NOW - MINUTE, uncertain=True
    )

    assert result == Delivered(tries=10, reply=reply)


def test_a_refusal_is_final_at_the_first_try() -> None:
    verdict = a_verdict("failed", reply=UNKNOWN, reason="no such user")

    assert judged(verdict=verdict) == Failed(
        tries=1,
        reason="no such user",
        reply=UNKNOWN,
        enhanced_code=EnhancedCode(4, 2, 0),
        cause=Cause.REFUSED,
    )


def test_a_verdicts_own_cause_is_kept() -> None:
    assert judged(verdict=a_verdict("failed", cause=Cause.NO_SUCH_DOMAIN)).cause is Cause.NO_SUCH_DOMAIN


# Perhaps delivered


def test_an_uncertain_try_waits_a_quarter_of_an_hour_at_least() -> None:
    """A receiver that is still busy with the message must not get it twice."""
    policies = [RetryPolicy(), RetryPolicy(base_delay_secs=3600.0), RetryPolicy(uncertain_delay_secs=60.0)]

    results = [judged(policy, a_verdict(uncertain=True)) for policy in policies]

    assert [(each.uncertain, each.next_attempt_at) for each in results] == [
        (True, NOW + wait) for wait in (15 * MINUTE, 180 * MINUTE, 3 * MINUTE)
    ]


def test_an_uncertain_try_may_be_held_or_failed() -> None:
    held, failed = (
        judged(RetryPolicy(on_uncertain=choice), a_verdict(uncertain=True)) for choice in ("hold", "fail")
    )

    assert (held.state, held.next_attempt_at, held.uncertain) == ("deferred", None, True)
    assert (failed.cause, failed.uncertain) == (Cause.UNCERTAIN, True)


def test_a_held_recipient_says_why() -> None:
    reasons = [
        judged(RetryPolicy(on_uncertain="hold"), a_verdict(uncertain=True, reason=reason)).reason
        for reason in ("timed out", None)
    ]

    assert reasons == [
        "timed out; held because on_uncertain is 'hold'",
        "it may have been delivered; held because on_uncertain is 'hold'",
    ]


def test_what_may_have_been_delivered_stays_so_until_it_is() -> None:
    """A later refusal does not prove that the uncertain try delivered nothing."""
    later = [
        judged(uncertain=True),
        judged(uncertain=True, tries=2),
        judged(uncertain=True, gives_up=NOW),
        judged(verdict=a_verdict("failed"), uncertain=True),
    ]

    assert [each.uncertain for each in later] == [True] * 4


def test_an_earlier_uncertain_try_changes_neither_the_wait_nor_the_policy() -> None:
    """on_uncertain speaks of the try that was uncertain."""
    results = [
        judged(RetryPolicy(on_uncertain=choice), uncertain=True) for choice in ("retry", "hold", "fail")
    ]

    assert [each.next_attempt_at for each in results] == [NOW + 3 * MINUTE] * 3


def test_what_expires_unasked_keeps_its_last_reason() -> None:
    earlier = Deferred(tries=2, reason="busy", reply=BUSY, next_attempt_at=NOW, uncertain=True)

    assert expired(earlier) == Failed(
        tries=2,
        reason="busy",
        reply=BUSY,
        enhanced_code=EnhancedCode(4, 4, 7),
        uncertain=True,
        cause=Cause.EXPIRED,
    )
    assert "before it could be delivered" in (expired(Queued()).reason or "")


@given(
    POLICIES,
    st.sampled_from(["delivered", "deferred", "failed"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 60),
    st.none() | st.timedeltas(timedelta(days=-1), timedelta(days=9)),
    CHANCE,
)
def test_every_pass_ends_in_a_state_that_goes_on_or_is_final(
    policy: RetryPolicy,
    state: Literal["delivered", "deferred", "failed"],
    uncertain: bool,
    counts: bool,
    tries: int,
    until: timedelta | None,
    chance: float,
) -> None:
    """Nothing stays deferred without a next try, but what is held on purpose."""
    gives_up = None if until is None else NOW + until
    verdict = a_verdict(state, uncertain=uncertain and state == "deferred", counts_as_try=counts)

    result = judge_pass(policy, verdict, tries=tries, now=NOW, gives_up=gives_up, chance=chance)

    assert result.tries == tries + counts
    assert result.completed is (result.next_attempt_at is None and result.state != "deferred")
    assert (result.cause is not None) is (result.state == "failed")
    if result.next_attempt_at is not None:
        assert NOW < result.next_attempt_at <= (gives_up or datetime.max.replace(tzinfo=UTC))
    elif not result.completed:
        assert policy.on_uncertain == "hold"
    if counts and result.state == "deferred" and result.next_attempt_at is not None:
        assert result.tries < policy.tries  # type: ignore[operator]
