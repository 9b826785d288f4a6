"""What a claim, its end, and a cancel make of a recipient. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ..abc import InternalMessageStatus, InternalRecipientStatus, Outcome
from ..status import Cause, DeliveryResult, Failed

ATTEMPTS_KEPT = 50  # per recipient, the latest


def with_recipients(
    status: InternalMessageStatus, changed: Mapping[int, InternalRecipientStatus]
) -> InternalMessageStatus:
    """The status with the recipients at these positions replaced."""
    recipients = list(status.recipients)
    for position, recipient in changed.items():
        recipients[position] = recipient
    return replace(status, recipients=tuple(recipients))


def claimed(recipient: InternalRecipientStatus) -> InternalRecipientStatus:
    """Written ahead: should the claim never end, it ended in a crash."""
    return replace(recipient, crashes=recipient.crashes + 1)


def given_back(before: InternalRecipientStatus, not_before: datetime | None) -> InternalRecipientStatus:
    """As before the claim, due at once or at `not_before`."""
    return before if not_before is None else replace(before, due_at=not_before)


def settled(
    recipient: InternalRecipientStatus, outcome: Outcome, *, cancelled: bool, expires_at: datetime | None
) -> InternalRecipientStatus:
    """With the outcome of the pass; what would be tried again is failed where cancel came in between.

    What is held falls due once more when the message expires, so that it is ended.
    """
    result = outcome.result
    if cancelled and not result.completed:
        result = as_cancelled(result)
    return replace(
        recipient,
        result=result,
        attempts=(*recipient.attempts, *outcome.attempts)[-ATTEMPTS_KEPT:],
        due_at=None if result.completed else result.next_attempt_at or expires_at,
        crashes=0 if result.completed else outcome.crashes,
        dot_sent=False,
    )


def is_held(recipient: InternalRecipientStatus) -> bool:
    """Nobody will try it."""
    result = recipient.result
    return recipient.due_at is None or (result.state == "deferred" and result.next_attempt_at is None)


def cancelled(recipient: InternalRecipientStatus) -> InternalRecipientStatus:
    """Failed because of cancel; uncertain where an earlier claim died after the final dot."""
    result = as_cancelled(recipient.result)
    if recipient.dot_sent:
        result = replace(result, uncertain=True)
    return replace(recipient, result=result, due_at=None, crashes=0, dot_sent=False)


def as_cancelled(result: DeliveryResult) -> Failed:
    """The end that cancel puts to a recipient, with what was known of it before."""
    reason = "cancelled" if result.reason is None else f"cancelled; before that: {result.reason}"
    return Failed(
        tries=result.tries,
        reason=reason,
        reply=result.reply,
        enhanced_code=result.enhanced_code,
        uncertain=result.uncertain,
        cause=Cause.CANCELLED,
    )


def never_accepted(status: InternalMessageStatus) -> InternalMessageStatus:
    """All recipients failed: the message was stored, but not accepted."""
    reason = "never accepted: another email of the same call could not be stored"
    failed = Failed(reason=reason, cause=Cause.CANCELLED)
    recipients = tuple(replace(recipient, result=failed, due_at=None) for recipient in status.recipients)
    return replace(status, recipients=recipients, completed_at=status.submitted_at)
