"""What an order, a mark, and forgetting make of a recipient."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mailstrom.abc import InternalMessageStatus, InternalRecipientStatus, Order, Outcome
from mailstrom.event import EventKind
from mailstrom.status import Cause, Deferred, Delivered, DeliveryResult, EnhancedCode, Failed, Queued, Reply
from mailstrom.storage import changes
from mailstrom.testing.storage_kit import EXPIRES_AT, LATER, NOW, an_attempt, an_entry, queued

BUSY = Deferred(
    tries=2,
    reason="busy",
    reply=Reply(code=451, text="try again, you@dest.example"),
    enhanced_code=EnhancedCode(4, 2, 1),
    next_attempt_at=LATER,
    uncertain=True,
)
HELD = replace(BUSY, reason="held; before that: busy", next_attempt_at=None)


def standing(result: DeliveryResult, due_at: datetime | None) -> InternalRecipientStatus:
    return replace(
        queued("you@dest.example", due_at),
        result=result,
        attempts=(an_attempt("mx.dest.example"),),
        crashes=2,
    )


UNTRIED = queued("you@dest.example", LATER)
WAITING = standing(BUSY, LATER)
DUE = standing(replace(BUSY, next_attempt_at=NOW), NOW)
STOPPED = standing(HELD, EXPIRES_AT)
DONE = standing(Delivered(tries=1), None)


#: No field has its default, so that none can be dropped unseen where a change writes all of them out.
FULL = replace(WAITING, dot_sent=True)
MESSAGE = InternalMessageStatus(
    message_id="1@dest.example",
    recipients=(FULL,),
    submitted_at=NOW,
    send_at=NOW,
    completed_at=LATER,
    expires_at=EXPIRES_AT,
    metadata={"order": "17"},
    idempotency_key="receipt 17",
    fingerprint="4711",
    stream="receipts",
    priority="high",
)


def ordered(order: Order, recipient: InternalRecipientStatus) -> InternalRecipientStatus | None:
    return changes.ordered(order, recipient, NOW, expires_at=EXPIRES_AT)


@pytest.mark.parametrize("value", [FULL, MESSAGE], ids=["recipient", "message"])
def test_the_values_that_are_changed_here_have_no_field_with_its_default(value: Any) -> None:
    defaults = {field.name: field.default for field in fields(value) if field.default is not MISSING}

    assert [name for name, default in defaults.items() if getattr(value, name) == default] == []


def test_a_claim_counts_a_crash_ahead_and_moves_the_due_time_and_nothing_else() -> None:
    backoff = (timedelta(), timedelta(), timedelta(minutes=1))

    assert changes.claimed(FULL, NOW, backoff) == replace(FULL, crashes=3, due_at=NOW + backoff[2])


def test_a_final_dot_is_marked_and_nothing_else() -> None:
    assert changes.dot_sent(replace(FULL, dot_sent=False)) == FULL


def test_an_outcome_has_its_result_and_its_attempts_and_leaves_the_address() -> None:
    result, attempt = replace(BUSY, next_attempt_at=EXPIRES_AT), an_attempt("mx2.dest.example")
    outcome = Outcome(address=FULL.address, result=result, attempts=(attempt,), crashes=1)

    assert changes.settled(FULL, outcome, expires_at=None) == replace(
        FULL,
        result=result,
        attempts=(*FULL.attempts, attempt),
        due_at=EXPIRES_AT,
        crashes=1,
        dot_sent=False,
    )


def test_a_message_keeps_all_but_its_recipients() -> None:
    assert changes.restated(MESSAGE, (DONE,)) == replace(MESSAGE, recipients=(DONE,))
    assert changes.restated(MESSAGE, (DONE,), completed_at=NOW) == replace(
        MESSAGE, recipients=(DONE,), completed_at=NOW
    )


def test_a_hold_keeps_what_was_known_and_ends_when_the_message_expires() -> None:
    assert ordered(Order.HOLD, WAITING) == replace(WAITING, result=HELD, due_at=EXPIRES_AT)


def test_a_release_is_due_now_for_the_former_reason_with_no_crash_counted() -> None:
    assert ordered(Order.RELEASE, STOPPED) == replace(
        WAITING, result=replace(BUSY, next_attempt_at=NOW), due_at=NOW, crashes=0
    )


def test_what_was_held_before_its_first_try_is_queued_again_without_a_reason() -> None:
    held = changes.held(UNTRIED, EXPIRES_AT)

    assert held.result == Deferred(reason="held")
    assert changes.released(held, NOW).result == Queued(next_attempt_at=NOW)


@pytest.mark.parametrize(
    "tried",
    [
        replace(UNTRIED, result=Deferred(tries=1)),
        replace(UNTRIED, result=Deferred(uncertain=True)),
        replace(UNTRIED, result=Deferred(), attempts=(an_attempt("mx.dest.example"),)),
    ],
    ids=["a whole pass", "up to the final dot", "a visit that is not counted"],
)
def test_what_was_tried_somehow_is_deferred_when_it_is_released(tried: InternalRecipientStatus) -> None:
    after = changes.released(changes.held(tried, EXPIRES_AT), NOW)

    assert after.result == replace(tried.result, next_attempt_at=NOW)


def test_a_reason_of_the_engine_for_a_hold_stays_when_it_is_released() -> None:
    held = standing(Deferred(reason="held: perhaps delivered"), EXPIRES_AT)

    assert changes.released(held, NOW).result.reason == "held: perhaps delivered"


def test_a_retry_moves_the_due_time_and_nothing_else() -> None:
    assert ordered(Order.RETRY, WAITING) == replace(
        WAITING, result=replace(BUSY, next_attempt_at=NOW), due_at=NOW
    )
    assert ordered(Order.RETRY, queued("you@dest.example", LATER)) == queued("you@dest.example", NOW)


def test_a_cancel_ends_what_waits_and_what_is_held() -> None:
    ends = [changes.ordered(Order.CANCEL, each, NOW, expires_at=None) for each in (WAITING, STOPPED)]

    assert [each and (each.result.cause, each.due_at) for each in ends] == [(Cause.CANCELLED, None)] * 2


@pytest.mark.parametrize(
    ("order", "recipient"),
    [
        (Order.HOLD, STOPPED),
        (Order.HOLD, queued("you@dest.example", None)),
        (Order.RELEASE, WAITING),
        (Order.RETRY, DUE),
        (Order.RETRY, STOPPED),
        (Order.RETRY, queued("you@dest.example", None)),
        *((order, DONE) for order in Order),
    ],
)
def test_an_order_that_does_not_apply_changes_nothing(
    order: Order, recipient: InternalRecipientStatus
) -> None:
    assert ordered(order, recipient) is None


@pytest.mark.parametrize(
    ("order", "mark", "after"),
    [
        (Order.CANCEL, None, Order.CANCEL),
        (Order.CANCEL, Order.HOLD, Order.CANCEL),
        (Order.HOLD, None, Order.HOLD),
        (Order.HOLD, Order.CANCEL, Order.CANCEL),
        (Order.RELEASE, Order.HOLD, None),
        (Order.RELEASE, Order.CANCEL, Order.CANCEL),
        (Order.RELEASE, None, None),
        (Order.RETRY, Order.HOLD, Order.HOLD),
        (Order.RETRY, None, None),
    ],
)
def test_the_mark_of_a_claimed_recipient(order: Order, mark: Order | None, after: Order | None) -> None:
    assert changes.marked(order, mark) is after


@pytest.mark.parametrize(
    ("result", "mark", "after"),
    [
        (BUSY, Order.HOLD, HELD),
        (replace(BUSY, next_attempt_at=None), Order.HOLD, replace(BUSY, next_attempt_at=None)),
        (BUSY, Order.CANCEL, changes.as_cancelled(BUSY)),
        (Queued(), Order.HOLD, Deferred(reason="held")),
        (Delivered(tries=3), Order.CANCEL, Delivered(tries=3)),
        (Failed(tries=3), Order.HOLD, Failed(tries=3)),
        (BUSY, None, BUSY),
    ],
)
def test_a_mark_decides_over_what_a_pass_did_not_complete(
    result: DeliveryResult, mark: Order | None, after: DeliveryResult
) -> None:
    outcome = Outcome(address="you@dest.example", result=result)

    settled = changes.settled(WAITING, outcome, mark=mark, expires_at=EXPIRES_AT)

    assert settled.result == after
    assert settled.due_at == (None if after.completed else after.next_attempt_at or EXPIRES_AT)


def test_a_claim_given_back_after_a_hold_is_held() -> None:
    later = NOW + timedelta(minutes=9)

    given_back = changes.given_back(DUE, later, mark=Order.HOLD, expires_at=EXPIRES_AT)

    assert given_back == replace(DUE, result=HELD, due_at=EXPIRES_AT)
    assert changes.given_back(DUE, later) == replace(DUE, due_at=later)


def test_a_hold_leaves_the_mark_of_a_final_dot() -> None:
    """An attempt that may have been delivered is judged when the hold is over."""
    perhaps = replace(DUE, dot_sent=True)

    held = changes.lapsed(perhaps, mark=Order.HOLD, expires_at=EXPIRES_AT)

    assert (held.dot_sent, held.crashes) == (True, 2)


def test_a_forgotten_recipient_is_not_shown() -> None:
    _, status = an_entry("one", "a@dest.example", "b@dest.example")
    first, second = status.recipients
    half = changes.with_recipients(status, {0: changes.forgotten(first)})

    assert changes.shown(status) == status
    assert changes.shown(half) == replace(status, recipients=(second,))
    assert changes.shown(changes.with_recipients(half, {1: changes.forgotten(second)})) is None


def test_what_is_forgotten_keeps_how_it_ended_and_not_whose_it_was() -> None:
    refused = Reply(code=550, enhanced=EnhancedCode(5, 1, 1), text="no such user: you@dest.example")
    failed = Failed(tries=1, cause=Cause.REFUSED, reason="you@dest.example is refused", reply=refused)

    forgotten = changes.forgotten(standing(failed, None))

    assert "you" not in repr(forgotten)
    assert "dest.example" not in repr(forgotten)
    assert forgotten.result == replace(
        failed, reason=None, reply=Reply(code=550, enhanced=EnhancedCode(5, 1, 1))
    )


@pytest.mark.parametrize(
    ("result", "kind"),
    [(BUSY, EventKind.DEFERRED), (Delivered(), EventKind.DELIVERED), (Failed(), EventKind.FAILED)],
)
def test_each_result_of_a_try_is_told(result: DeliveryResult, kind: EventKind) -> None:
    recipient = standing(result, None)

    assert changes.event_of("one@sender.example", recipient, NOW) == changes.Told(
        kind=kind, at=NOW, message_id="one@sender.example", address="you@dest.example", result=result
    )


def test_nothing_is_told_of_what_was_not_tried() -> None:
    assert changes.event_of("one@sender.example", queued("you@dest.example", NOW), NOW) is None
