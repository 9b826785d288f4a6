"""What needs no host: which claimed recipients are settled before anything is sent. Pure rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..abc import Claim, InternalRecipientStatus, Outcome
from ..route.mx import failed
from ..schedule.retry import (
    CRASHES_UNTIL_HELD,
    RetryPolicy,
    expired,
    gives_up_at,
    uncertain_wait,
    wait_after_crash,
)
from ..status import Cause, Deferred, EnhancedCode, Failed

# RFC 3463 3.8: delivery not authorized
DOMAIN_NOT_ALLOWED = failed("5.7.1", "the domain is not in Config.allow_domains", Cause.POLICY)
DOT_LOST = EnhancedCode(4, 4, 2)  # RFC 3463 3.5: bad connection
CONGESTION = EnhancedCode(4, 3, 0)  # RFC 3463 3.4: other mail system status


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """A claim's recipients: those that already have an outcome, and those to try."""

    settled: tuple[Outcome, ...]
    to_try: tuple[InternalRecipientStatus, ...]


def sort_out(
    claim: Claim, policy: RetryPolicy, allow_domains: Sequence[str] | None, now: datetime
) -> Sorted:
    """Which recipients of the claim need a host, and what becomes of the others."""
    gives_up = gives_up_at(policy, claim.waits_since, claim.expires_at)
    settled, to_try = [], []
    for recipient in claim.recipients:
        outcome = _without_a_host(recipient, policy, allow_domains, gives_up, now)
        if outcome is None:
            to_try.append(recipient)
        else:
            settled.append(outcome)
    return Sorted(settled=tuple(settled), to_try=tuple(to_try))


def after_crash(
    recipient: InternalRecipientStatus,
    policy: RetryPolicy,
    now: datetime,
    *,
    gives_up: datetime | None = None,
    dot_sent: bool = False,
) -> Outcome:
    """A pass that ended in a crash of ours: no try, but tried again later and later, then held.

    It falls due at `gives_up` at the latest. With `dot_sent` it may have been delivered, and the
    policy's `on_uncertain` has its say too.
    """
    crashes = recipient.crashes + 1
    if dot_sent:
        return _uncertain(recipient, policy, gives_up, now, crashes)
    wait = wait_after_crash(policy, crashes)
    reason = f"an internal error ended the try ({crashes} in a row); see the log"
    if wait is None:
        reason = f"held after {crashes} internal errors in a row; see the log"
    return _kept(recipient, reason, None if wait is None else _due(now + wait, gives_up), crashes)


def is_allowed(address: str, allow_domains: Sequence[str] | None) -> bool:
    """Mail may go to that address; else it ends in `DOMAIN_NOT_ALLOWED`."""
    return allow_domains is None or address.rpartition("@")[2].lower() in allow_domains


def is_newly_delayed(
    claim: Claim, recipient: InternalRecipientStatus, after: timedelta, now: datetime
) -> bool:
    """The first deferral past `after`: the sender should hear of it, once."""
    last = recipient.attempts[-1].at if recipient.attempts else claim.waits_since
    return last - claim.waits_since < after <= now - claim.waits_since


def _without_a_host(
    recipient: InternalRecipientStatus,
    policy: RetryPolicy,
    allow_domains: Sequence[str] | None,
    gives_up: datetime | None,
    now: datetime,
) -> Outcome | None:
    if recipient.dot_sent:
        return _uncertain(recipient, policy, gives_up, now, recipient.crashes)
    if gives_up is not None and now >= gives_up:
        return Outcome(address=recipient.address, result=expired(recipient.result))
    if recipient.crashes >= CRASHES_UNTIL_HELD:
        return after_crash(replace(recipient, crashes=recipient.crashes - 1), policy, now)
    if allow_domains is not None and not is_allowed(recipient.address, allow_domains):
        return Outcome(address=recipient.address, result=_forbidden(recipient))
    return None


def _forbidden(recipient: InternalRecipientStatus) -> Failed:
    why = DOMAIN_NOT_ALLOWED
    return Failed(
        tries=recipient.result.tries,
        reason=f"{why.reason} ({why.enhanced_code})",
        enhanced_code=why.enhanced_code,
        uncertain=recipient.result.uncertain,
        cause=why.cause,
    )


def _uncertain(
    recipient: InternalRecipientStatus,
    policy: RetryPolicy,
    gives_up: datetime | None,
    now: datetime,
    crashes: int,
) -> Outcome:
    """The worker went down between the final dot and the record of its reply."""
    reason = "the worker crashed after the final dot was sent: it may have been delivered"
    perhaps = replace(recipient, result=replace(recipient.result, uncertain=True))
    if policy.on_uncertain == "fail":
        failed = Failed(
            tries=recipient.result.tries,
            reason=reason,
            enhanced_code=DOT_LOST,
            uncertain=True,
            cause=Cause.UNCERTAIN,
        )
        return Outcome(address=recipient.address, result=failed)
    wait = wait_after_crash(policy, crashes)
    if policy.on_uncertain == "hold" or wait is None:
        return _kept(perhaps, f"held: {reason}", None, crashes)
    return _kept(perhaps, reason, _due(now + max(wait, uncertain_wait(policy)), gives_up), crashes)


def _due(due: datetime, gives_up: datetime | None) -> datetime:
    """Not later than when the message is given up."""
    return due if gives_up is None else min(due, gives_up)


def _kept(
    recipient: InternalRecipientStatus, reason: str, due: datetime | None, crashes: int
) -> Outcome:
    result = Deferred(
        tries=recipient.result.tries,
        reason=reason,
        reply=recipient.result.reply,
        enhanced_code=DOT_LOST if recipient.result.uncertain else CONGESTION,
        next_attempt_at=due,
        uncertain=recipient.result.uncertain,
    )
    return Outcome(address=recipient.address, result=result, crashes=crashes)
