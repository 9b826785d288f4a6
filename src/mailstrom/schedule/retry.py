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
from functools import lru_cache
from typing import Literal, Self

from ..errors import ConfigError
from ..status import Cause, Deferred, Delivered, DeliveryResult, EnhancedCode, Failed
from .verdict import AUTH_RETRY_AFTER, Verdict

CRASHES_UNTIL_HELD = 5
DEFAULT_BASE_SECS = 60.0
YEAR_SECS = 31_536_000.0  # no wait is longer, whatever the factor makes of it
LONGEST_AGE = timedelta(days=36_500)  # keeps sums of instants within what datetime can hold
_AT_ONCE = timedelta(0)
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
    return timedelta(seconds=_wait_secs(policy, tries) * (1 + policy.jitter * chance))


def longest_wait(policy: RetryPolicy) -> timedelta:
    """No due time lies further ahead than this by the schedule, unless the wall clock was wrong."""
    last_try = 1_000_000 if policy.tries is None else policy.tries
    crash = max(waits_after_death(policy, chance=1.0))
    longest = max(_wait_secs(policy, last_try), min(policy.uncertain_delay_secs, YEAR_SECS))
    return max(timedelta(seconds=longest * (1 + policy.jitter)), crash, AUTH_RETRY_AFTER)


def wait_after_crash(policy: RetryPolicy, crashes: int) -> timedelta | None:
    """The wait after so many crashes in a row; None: hold it for a person."""
    if crashes >= CRASHES_UNTIL_HELD:
        return None
    return _wait_after_crash(_base_secs(policy), crashes)


def waits_after_death(policy: RetryPolicy, chance: float) -> tuple[timedelta, ...]:
    """The waits after a first, second ... crash in a row that the process did not outlive; then none.

    After the first at once. Later ones are made up to twice as long; `chance` in [0, 1) picks the
    point. So what was in flight together comes back apart, and what is at fault dies alone.
    """
    longer = 1 + chance
    return (_AT_ONCE, *[timedelta(0, secs * longer) for secs in _secs_after_deaths(_base_secs(policy))])


@lru_cache(maxsize=16)
def _secs_after_deaths(base_secs: float) -> tuple[float, ...]:
    waits = [_wait_after_crash(base_secs, crashes) for crashes in range(2, CRASHES_UNTIL_HELD)]
    return tuple(wait.total_seconds() for wait in waits)


def _wait_after_crash(base_secs: float, crashes: int) -> timedelta:
    return timedelta(seconds=min(base_secs, 60.0) * 2 ** (max(crashes, 1) - 1))


def uncertain_wait(policy: RetryPolicy) -> timedelta:
    """The least wait of what may have been delivered."""
    return timedelta(seconds=min(policy.uncertain_delay_secs, YEAR_SECS))


def gives_up_at(policy: RetryPolicy, since: datetime, expires_at: datetime | None) -> datetime | None:
    """When the message is failed whatever is left to try: its own expiry, or the policy's age."""
    if policy.max_age is None:
        return expires_at
    too_old_at = since + min(policy.max_age, LONGEST_AGE)
    return too_old_at if expires_at is None else min(too_old_at, expires_at)


def judge_pass(
    policy: RetryPolicy,
    verdict: Verdict,
    *,
    tries: int,
    now: datetime,
    gives_up: datetime | None,
    chance: float,
    uncertain: bool = False,
) -> DeliveryResult:
    """What a recipient becomes after a pass that ended in `verdict`; `tries` counts earlier ones.

    `uncertain` is what an earlier pass left: once it may have been delivered, only a delivery
    says more.
    """
    tries += verdict.counts_as_try
    if verdict.state == "delivered":
        return Delivered(
            tries=tries, reply=verdict.reply, enhanced_code=verdict.enhanced_code, reason=verdict.reason
        )
    known = replace(verdict, uncertain=verdict.uncertain or uncertain)
    if verdict.state == "failed":
        return _failed(known, tries, verdict.cause or Cause.REFUSED)
    if verdict.uncertain and policy.on_uncertain != "retry":
        holds = policy.on_uncertain == "hold"
        return _held(known, tries) if holds else _failed(known, tries, Cause.UNCERTAIN)
    if policy.tries is not None and tries >= policy.tries and verdict.counts_as_try:
        return _failed(known, tries, Cause.TRIES_EXHAUSTED)
    if gives_up is not None and now >= gives_up:
        return _failed(known, tries, Cause.EXPIRED)
    return _deferred(known, tries, _next_attempt(policy, verdict, tries, now, gives_up, chance))


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
        wait = max(wait, uncertain_wait(policy))
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
    why = "it may have been delivered" if verdict.reason is None else verdict.reason
    return replace(_deferred(verdict, tries, None), reason=f"{why}; held because on_uncertain is 'hold'")


def _failed(verdict: Verdict, tries: int, cause: Cause) -> Failed:
    return Failed(
        tries=tries,
        reason=verdict.reason,
        reply=verdict.reply,
        enhanced_code=DELIVERY_TIME_EXPIRED if cause is Cause.EXPIRED else verdict.enhanced_code,
        uncertain=verdict.uncertain,
        cause=cause,
    )


def _wait_secs(policy: RetryPolicy, tries: int) -> float:
    """The wait without jitter."""
    base = _base_secs(policy)
    longest = 86_400.0 if policy.tries is None else YEAR_SECS
    if policy.max_delay_secs is not None:
        longest = min(policy.max_delay_secs, YEAR_SECS)
    try:
        return min(base * policy.factor**tries, longest)
    except OverflowError:
        return longest


def _base_secs(policy: RetryPolicy) -> float:
    return DEFAULT_BASE_SECS if policy.base_delay_secs is None else policy.base_delay_secs


def _problems(policy: RetryPolicy) -> list[str]:
    tries, max_age, uncertain = policy.tries, policy.max_age, policy.uncertain_delay_secs
    actions = ("retry", "hold", "fail")
    bounds = [
        (tries is None or _is_count(tries), "tries", "1 or more, or None", tries),
        (_within(policy.factor, 1, 1e9), "factor", "a number, 1 or more", policy.factor),
        (_within(policy.jitter, 0, 1), "jitter", "a number from 0 to 1", policy.jitter),
        (policy.on_uncertain in actions, "on_uncertain", "'retry', 'hold' or 'fail'", policy.on_uncertain),
        (max_age is None or _is_age(max_age), "max_age", "a timedelta above 0, or None", max_age),
        (tries or max_age, "tries", "a bound, or max_age: mail would be tried for ever", tries),
        (_is_duration(uncertain), "uncertain_delay_secs", "seconds above 0", uncertain),
    ]
    for name in ("base_delay_secs", "max_delay_secs"):
        secs = getattr(policy, name)
        bounds.append((secs is None or _is_duration(secs), name, "seconds above 0, or None", secs))
    return [f"{name}: expected {what}, got {given!a}" for holds, name, what, given in bounds if not holds]


def _is_age(given: object) -> bool:
    return isinstance(given, timedelta) and given > timedelta(0)


def _is_count(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 1


def _is_duration(given: object) -> bool:
    return _within(given, 0, 1e11) and given != 0


def _within(given: object, least: float, most: float) -> bool:
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    return is_number and least <= given <= most  # type: ignore[operator]
