"""What a claim, its end, and an order make of a recipient. Pure: values in, values out.

What an order does depends on where the recipient is (completed ones never change):

               waiting                         held          claimed
    CANCEL     `cancelled`                     `cancelled`   the mark CANCEL
    HOLD       `held`                          -             the mark HOLD, unless CANCEL is there
    RELEASE    -                               `released`    takes the mark HOLD away
    RETRY      `retried`, if due after now     -             -

`ordered` is the table for those that nobody has claimed, `marked` for the others. A mark takes
effect when the claim ends without completing the recipient: in `settled`, in `given_back`, and
in `lapsed` where its lease ran out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, TypeAlias, assert_never

from ..abc import InternalMessageStatus, InternalRecipientStatus, Order, Outcome
from ..event import EventKind
from ..records import Waits
from ..status import Attempt, Cause, Deferred, DeliveryResult, Failed, Queued, Reply

Recipients: TypeAlias = tuple[InternalRecipientStatus, ...]

ATTEMPTS_KEPT = 50  # per recipient, the latest
FORGOTTEN = "forgotten"  # stands where an address was erased
HELD = "held"  # the reason of what an order holds that had none before

_HELD_AFTER = "held; before that: "
_TOLD_AS = {kind.value: kind for kind in (EventKind.DELIVERED, EventKind.DEFERRED, EventKind.FAILED)}


def in_place(recipients: Recipients, changed: Mapping[int, InternalRecipientStatus]) -> Recipients:
    """The recipients with those at these positions replaced."""
    after = list(recipients)
    for position, recipient in changed.items():
        after[position] = recipient
    return tuple(after)


def with_recipients(
    status: InternalMessageStatus, changed: Mapping[int, InternalRecipientStatus]
) -> InternalMessageStatus:
    """The status with the recipients at these positions replaced."""
    return restated(status, in_place(status.recipients, changed))


def restated(
    status: InternalMessageStatus, recipients: Recipients, *, completed_at: datetime | None = None
) -> InternalMessageStatus:
    """The status with these recipients."""
    # `replace` takes three times as long; this is done for each message
    return InternalMessageStatus(
        message_id=status.message_id,
        recipients=recipients,
        submitted_at=status.submitted_at,
        send_at=status.send_at,
        completed_at=status.completed_at if completed_at is None else completed_at,
        expires_at=status.expires_at,
        metadata=status.metadata,
        idempotency_key=status.idempotency_key,
        fingerprint=status.fingerprint,
        stream=status.stream,
        priority=status.priority,
    )


def claimed(recipient: InternalRecipientStatus, now: datetime, backoff: Waits) -> InternalRecipientStatus:
    """Written ahead: should the claim never end, it ended in a crash, with a wait after it."""
    crashes = recipient.crashes
    wait = backoff[crashes] if crashes < len(backoff) else None
    due_at = now + wait if wait else recipient.due_at  # without one it keeps its turn
    return InternalRecipientStatus(
        recipient=recipient.recipient,
        address=recipient.address,
        route_key=recipient.route_key,
        result=recipient.result,
        attempts=recipient.attempts,
        due_at=due_at,
        crashes=crashes + 1,
        dot_sent=recipient.dot_sent,
    )


def dot_sent(recipient: InternalRecipientStatus) -> InternalRecipientStatus:
    """Its claim is about to send the final dot."""
    return InternalRecipientStatus(
        recipient=recipient.recipient,
        address=recipient.address,
        route_key=recipient.route_key,
        result=recipient.result,
        attempts=recipient.attempts,
        due_at=recipient.due_at,
        crashes=recipient.crashes,
        dot_sent=True,
    )


def settled(
    recipient: InternalRecipientStatus,
    outcome: Outcome,
    *,
    mark: Order | None = None,
    expires_at: datetime | None,
) -> InternalRecipientStatus:
    """With the outcome of the pass; the mark decides over what is not completed by it.

    What is held falls due once more when the message expires, so that it is ended.
    """
    result = outcome.result
    after = InternalRecipientStatus(
        recipient=recipient.recipient,
        address=recipient.address,
        route_key=recipient.route_key,
        result=result,
        attempts=attempts_after(recipient.attempts, outcome),
        due_at=None if result.completed else result.next_attempt_at or expires_at,
        crashes=0 if result.completed else outcome.crashes,
    )
    return after if result.completed else lapsed(after, mark=mark, expires_at=expires_at)


def attempts_after(before: tuple[Attempt, ...], outcome: Outcome) -> tuple[Attempt, ...]:
    """All attempts of the recipient, of which the latest are kept."""
    return (*before, *outcome.attempts)[-ATTEMPTS_KEPT:] if before else outcome.attempts[-ATTEMPTS_KEPT:]


def given_back(
    before: InternalRecipientStatus,
    not_before: datetime | None,
    *,
    mark: Order | None = None,
    expires_at: datetime | None = None,
) -> InternalRecipientStatus:
    """As before the claim, due at once or at `not_before`, but for what the mark asks."""
    after = before if not_before is None else replace(before, due_at=not_before)
    return lapsed(after, mark=mark, expires_at=expires_at)


def lapsed(
    recipient: InternalRecipientStatus, *, mark: Order | None, expires_at: datetime | None
) -> InternalRecipientStatus:
    """As it stands when its claim is over, but for what the mark asks."""
    if recipient.result.completed:
        return recipient
    if mark is Order.CANCEL:
        return cancelled(recipient)
    if mark is Order.HOLD and not is_held(recipient):
        return held(recipient, expires_at)
    return recipient


def ordered(
    order: Order,
    recipient: InternalRecipientStatus,
    now: datetime,
    *,
    mark: Order | None = None,
    expires_at: datetime | None,
) -> InternalRecipientStatus | None:
    """What the order makes of a recipient that nobody has claimed; None: it does not apply.

    The mark is that of a claim whose lease ran out: what was asked first comes first.
    """
    if order is not Order.CANCEL:
        recipient = lapsed(recipient, mark=mark, expires_at=expires_at)
    if recipient.result.completed:
        return None
    match order:
        case Order.CANCEL:
            return cancelled(recipient)
        case Order.HOLD:
            return None if is_held(recipient) else held(recipient, expires_at)
        case Order.RELEASE:
            return released(recipient, now) if is_held(recipient) else None
        case Order.RETRY:
            return retried(recipient, now) if waits_beyond(recipient, now) else None
    assert_never(order)


def marked(order: Order, mark: Order | None) -> Order | None:
    """The mark of a claimed recipient after the order; the same: it does not apply."""
    match order:
        case Order.CANCEL:
            return Order.CANCEL
        case Order.HOLD:
            return mark or Order.HOLD
        case Order.RELEASE:
            return None if mark is Order.HOLD else mark
        case Order.RETRY:
            return mark
    assert_never(order)


def is_held(recipient: InternalRecipientStatus) -> bool:
    """Nobody will try it."""
    result = recipient.result
    return recipient.due_at is None or (result.state == "deferred" and result.next_attempt_at is None)


def waits_beyond(recipient: InternalRecipientStatus, instant: datetime) -> bool:
    """It is not held, and due later than that."""
    return recipient.due_at is not None and recipient.due_at > instant and not is_held(recipient)


def is_deferred_beyond(recipient: InternalRecipientStatus, instant: datetime) -> bool:
    """It was claimed, and waits longer than that: a clock that stood far ahead may have said so."""
    was_claimed = recipient.result.state == "deferred" or recipient.crashes > 0
    return was_claimed and waits_beyond(recipient, instant)


def cancelled(recipient: InternalRecipientStatus) -> InternalRecipientStatus:
    """Failed by an order; uncertain where an earlier claim died after the final dot."""
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


def held(recipient: InternalRecipientStatus, expires_at: datetime | None) -> InternalRecipientStatus:
    """Deferred without a next try, with what was known of it; due once when the message expires.

    Uncertain where a claim died after the final dot; the next claim will still find that out.
    """
    result = recipient.result
    reason = HELD if result.reason is None else _HELD_AFTER + result.reason
    after = _deferred(result, reason, None)
    if recipient.dot_sent:
        after = replace(after, uncertain=True)
    return replace(recipient, result=after, due_at=expires_at)


def released(recipient: InternalRecipientStatus, now: datetime) -> InternalRecipientStatus:
    """Due now, with no crash counted, for the reason it had before it was held; queued if never tried."""
    reason = recipient.result.reason
    if reason is not None:
        reason = None if reason == HELD else reason.removeprefix(_HELD_AFTER)
    result = _deferred(recipient.result, reason, now) if _was_tried(recipient) else _queued(reason, now)
    return replace(recipient, result=result, due_at=now, crashes=0)


def retried(recipient: InternalRecipientStatus, now: datetime) -> InternalRecipientStatus:
    """Due now instead of later."""
    result = recipient.result
    if result.next_attempt_at is not None:
        result = replace(result, next_attempt_at=now)
    return replace(recipient, result=result, due_at=now)


def forgotten(recipient: InternalRecipientStatus) -> InternalRecipientStatus:
    """Its place, for a storage that cannot take it away: how it ended, and nothing else."""
    result, reply = recipient.result, recipient.result.reply
    silent = None if reply is None else Reply(code=reply.code, enhanced=reply.enhanced)
    return replace(
        recipient,
        recipient=FORGOTTEN,
        address=FORGOTTEN,
        route_key=FORGOTTEN,
        result=replace(result, reason=None, reply=silent),
        attempts=(),
    )


def shown(status: InternalMessageStatus) -> InternalMessageStatus | None:
    """The status without those that were forgotten; None: nobody is left."""
    if not any(recipient.address == FORGOTTEN for recipient in status.recipients):
        return status
    left = tuple(recipient for recipient in status.recipients if recipient.address != FORGOTTEN)
    return replace(status, recipients=left) if left else None


class Told(NamedTuple):
    """What an `Event` of a recipient or a message says; a tuple, since few are ever asked for."""

    kind: EventKind
    at: datetime
    message_id: str
    address: str | None = None
    result: DeliveryResult | None = None


def event_of(message_id: str, recipient: InternalRecipientStatus, at: datetime) -> Told | None:
    """What is told of a recipient's new result; nothing as long as it is queued.

    Told is each settled result, and whatever completes a recipient. That it is held, released,
    due sooner, claimed or given back is told to nobody.
    """
    kind = _TOLD_AS.get(recipient.result.state)
    return None if kind is None else Told(kind, at, message_id, recipient.address, recipient.result)


def never_accepted(status: InternalMessageStatus) -> InternalMessageStatus:
    """All recipients failed: the message was stored, but not accepted."""
    reason = "never accepted: another email of the same call could not be stored"
    failed = Failed(reason=reason, cause=Cause.CANCELLED)
    recipients = tuple(replace(recipient, result=failed, due_at=None) for recipient in status.recipients)
    return replace(status, recipients=recipients, completed_at=status.submitted_at)


def _was_tried(recipient: InternalRecipientStatus) -> bool:
    """A host has been visited for it, or may have been."""
    result = recipient.result
    return result.tries > 0 or bool(recipient.attempts) or result.uncertain


def _queued(reason: str | None, next_attempt_at: datetime) -> Queued:
    return Queued(reason=reason, next_attempt_at=next_attempt_at)


def _deferred(result: DeliveryResult, reason: str | None, next_attempt_at: datetime | None) -> Deferred:
    return Deferred(
        tries=result.tries,
        reason=reason,
        reply=result.reply,
        enhanced_code=result.enhanced_code,
        next_attempt_at=next_attempt_at,
        uncertain=result.uncertain,
    )
