"""When a recipient is tried again, and when we give up.

RFC 5321 section 4.5.4.1: a message that could not be sent is kept and tried again after a
delay; the interval should be at least 30 minutes, the give-up time 4 to 5 days. The default
here is the mailstrom crate's: three tries, 3 and 9 minutes apart, good for sign-up links;
`RetryPolicy.rfc5321()` is the mail server's.

A try is one pass of the worker over one recipient, however many hosts it visits. A pass that
ended in a crash is counted apart: it says nothing of the recipient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, Self

from mailstrom.errors import ConfigError
from mailstrom.status import Cause, Deferred, Delivered, DeliveryResult, EnhancedCode, Failed

from .verdict import Verdict

CRASHES_UNTIL_HELD = 5
DELIVERY_TIME_EXPIRED = EnhancedCode(4, 4, 7)  # RFC 3463 3.5


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, how long, and with which waits a recipient is tried.

    After try n the wait is `base_delay_secs * factor**n`, at most `max_delay_secs`, made up to
    `jitter` (a share) longer. `base_delay_secs=None` takes `Config.base_resend_delay_secs`;
    `tries=None` sets no bound but `max_age`. `on_uncertain` says what becomes of mail that may
    have been delivered (the connection died after the final dot): tried again after
    `uncertain_delay_secs`, held for a person, or failed.
    """

    tries: int | None = 3
    base_delay_secs: float | None = None
    factor: float = 3.0
    jitter: float = 0.1
    max_age: timedelta | None = None
    uncertain_delay_secs: float = 900.0
    on_uncertain: Literal["retry", "hold", "fail"] = "retry"
    max_delay_secs: float | None = None

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ConfigError(f"RetryPolicy.{problem}")

    @classmethod
    def rfc5321(cls) -> Self:
        """Goes on for 5 days: after 30 minutes, an hour, two, then every three hours."""
        return cls(
            tries=None, base_delay_secs=900.0, factor=2.0, max_delay_secs=10_800.0, max_age=timedelta(days=5)
        )


def next_wait(policy: RetryPolicy, tries: int, chance: float) -> timedelta:
    """The wait after the `tries`-th try; `chance` in [0, 1) picks the point in the jitter."""
    base = policy.base_delay_secs or 60.0
    longest = policy.max_delay_secs or _longest(policy)
    exponent = min(tries, 64)
    return timedelta(seconds=min(base * policy.factor**exponent, longest) * (1 + policy.jitter * chance))


def longest_wait(policy: RetryPolicy) -> timedelta:
    """No due time lies further ahead than this, unless the wall clock was wrong."""
    longest = max(policy.max_delay_secs or _longest(policy), policy.uncertain_delay_secs)
    return timedelta(seconds=longest * (1 + policy.jitter))


def wait_after_crash(policy: RetryPolicy, crashes: int) -> timedelta | None:
    """The wait after so many crashes in a row; None: hold it for a person."""
    if crashes >= CRASHES_UNTIL_HELD:
        return None
    return timedelta(seconds=min(policy.base_delay_secs or 60.0, 60.0) * 2 ** (crashes - 1))


def gives_up_at(policy: RetryPolicy, submitted_at: datetime, expires_at: datetime | None) -> datetime | None:
    """When the message is failed whatever is left to try: its own expiry or the policy's age."""
    ends = [] if expires_at is None else [expires_at]
    if policy.max_age is not None:
        ends.append(submitted_at + policy.max_age)
    return min(ends, default=None)


def judge_pass(
    policy: RetryPolicy,
    verdict: Verdict,
    *,
    tries: int,
    now: datetime,
    gives_up: datetime | None,
    chance: float,
) -> DeliveryResult:
    """What a recipient becomes after a pass that ended in `verdict`; `tries` counts earlier ones."""
    tries += verdict.counts_as_try
    if verdict.state == "delivered":
        return Delivered(
            tries=tries, reply=verdict.reply, enhanced_code=verdict.enhanced_code, reason=verdict.reason
        )
    if verdict.state == "failed":
        return _failed(verdict, tries, verdict.cause or Cause.REFUSED)
    if verdict.uncertain and policy.on_uncertain != "retry":
        return _held(verdict, tries) if policy.on_uncertain == "hold" else _failed(verdict, tries, Cause.UNCERTAIN)
    if policy.tries is not None and tries >= policy.tries and verdict.counts_as_try:
        return _failed(verdict, tries, Cause.TRIES_EXHAUSTED)
    if gives_up is not None and now >= gives_up:
        return _failed(verdict, tries, Cause.EXPIRED)
    return _deferred(verdict, tries, _next_attempt(policy, verdict, tries, now, gives_up, chance))


def expired(earlier: DeliveryResult) -> Failed:
    """The result of a recipient whose time is over, with the last reason in it."""
    reason = earlier.reason or "its time was over before it could be delivered"
    return Failed(
        tries=earlier.tries,
        reason=reason,
        reply=earlier.reply,
        enhanced_code=DELIVERY_TIME_EXPIRED,
        uncertain=earlier.uncertain,
        cause=Cause.EXPIRED,
    )


def _next_attempt(
    policy: RetryPolicy,
    verdict: Verdict,
    tries: int,
    now: datetime,
    gives_up: datetime | None,
    chance: float,
) -> datetime:
    wait = next_wait(policy, max(tries, 1), chance)
    if verdict.retry_after is not None:
        wait = verdict.retry_after
    if verdict.uncertain:
        wait = max(wait, timedelta(seconds=policy.uncertain_delay_secs))
    due = now + wait
    return due if gives_up is None else min(due, gives_up)


def _deferred(verdict: Verdict, tries: int, due: datetime | None) -> Deferred:
    return Deferred(
        tries=tries,
        reason=verdict.reason,
        reply=verdict.reply,
        enhanced_code=verdict.enhanced_code,
        next_attempt_at=due,
        uncertain=verdict.uncertain,
    )


def _held(verdict: Verdict, tries: int) -> Deferred:
    return replace(_deferred(verdict, tries, None), reason=f"{verdict.reason}; held because on_uncertain is 'hold'")


def _failed(verdict: Verdict, tries: int, cause: Cause) -> Failed:
    return Failed(
        tries=tries,
        reason=verdict.reason,
        reply=verdict.reply,
        enhanced_code=DELIVERY_TIME_EXPIRED if cause is Cause.EXPIRED else verdict.enhanced_code,
        uncertain=verdict.uncertain,
        cause=cause,
    )


def _longest(policy: RetryPolicy) -> float:
    """The last wait that the number of tries allows; a day where nothing bounds it."""
    base = policy.base_delay_secs or 60.0
    return 86_400.0 if policy.tries is None else base * policy.factor ** min(policy.tries, 64)


def _problems(policy: RetryPolicy) -> list[str]:
    bounds = [
        (policy.tries is None or policy.tries >= 1, f"tries: expected 1 or more, or None, got {policy.tries!r}"),
        (policy.factor >= 1, f"factor: expected 1 or more, got {policy.factor!r}"),
        (0 <= policy.jitter <= 1, f"jitter: expected 0 to 1, got {policy.jitter!r}"),
        (
            policy.on_uncertain in ("retry", "hold", "fail"),
            f"on_uncertain: expected 'retry', 'hold' or 'fail', got {policy.on_uncertain!r}",
        ),
        (
            policy.max_age is None or policy.max_age > timedelta(0),
            f"max_age: expected a timedelta above 0, got {policy.max_age!r}",
        ),
        (
            policy.tries is not None or policy.max_age is not None,
            "tries: None needs max_age, or mail would be tried for ever",
        ),
    ]
    bounds += [
        (secs is None or secs > 0, f"{name}: expected seconds above 0, got {secs!r}")
        for name, secs in (
            ("base_delay_secs", policy.base_delay_secs),
            ("uncertain_delay_secs", policy.uncertain_delay_secs),
            ("max_delay_secs", policy.max_delay_secs),
        )
    ]
    return [problem for holds, problem in bounds if not holds]
