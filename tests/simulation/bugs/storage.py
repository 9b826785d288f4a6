"""Slips in the storage that is lifted from a plain one: claims, leases, marks, due times, events."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from mailstrom.abc import EVERYTHING, Order
from mailstrom.event import EventKind
from mailstrom.storage import changes
from mailstrom.storage.claims import Claims
from mailstrom.storage.due_queue import DueQueue
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.index import LeaseIndex, Message
from mailstrom.storage.journal import Journal

from . import replaces

# --- claims and leases


@replaces(Message, "is_claimed")
def a_lease_keeps_nobody_off(right: Any, self: Any, position: int) -> bool:
    return False


@replaces(Claims, "_write_ahead")
def a_lease_ends_long_before_its_time(right: Any, self: Any, message: Any, *more: Any) -> Any:
    *before, asked = more
    return right(self, message, *before, replace(asked, lease=timedelta(seconds=0.1)))


@replaces(LeaseIndex, "lapse")
def a_lease_never_ends(right: Any, self: Any, instant: float) -> None:
    pass


@replaces(LeaseIndex, "next_lease_end")
def nobody_looks_when_a_lease_ends(right: Any, self: Any, skip: Any) -> None:
    return None


@replaces(LeaseIndex, "lease")
def a_token_is_not_compared(right: Any, self: Any, claim: Any) -> Any:
    """Any claim of that message, as long as some claim of it lasts."""
    those = [lease for lease in self._leases.values() if lease.route_key == claim.route_key]
    message_id = claim.email.message_id
    return next((lease for lease in those if lease.message.status.message_id == message_id), None)


@replaces(Claims, "mark_dot_sent")
def the_mark_is_written_for_who_has_no_claim(right: Any, self: Any, *args: Any) -> bool:
    right(self, *args)
    return True


@replaces(changes, "claimed")
def crashes_are_not_counted(right: Any, recipient: Any, *more: Any) -> Any:
    return replace(right(recipient, *more), crashes=recipient.crashes)


@replaces(changes, "claimed")
def a_claim_forgets_the_mark_of_the_one_before(right: Any, recipient: Any, *more: Any) -> Any:
    return replace(right(recipient, *more), dot_sent=False)


@replaces(changes, "given_back")
def what_is_given_back_counts_as_a_try(right: Any, before: Any, *more: Any, **options: Any) -> Any:
    after = right(before, *more, **options)
    return replace(after, result=replace(after.result, tries=after.result.tries + 1))


@replaces(changes, "given_back")
def what_is_given_back_is_never_due(right: Any, *args: Any, **options: Any) -> Any:
    return replace(right(*args, **options), due_at=None)


@replaces(changes, "settled")
def what_is_deferred_is_never_due(right: Any, *args: Any, **options: Any) -> Any:
    return replace(right(*args, **options), due_at=None)


@replaces(changes, "settled")
def the_mark_stays_when_the_result_is_there(right: Any, recipient: Any, *more: Any, **options: Any) -> Any:
    return replace(right(recipient, *more, **options), dot_sent=recipient.dot_sent)


# --- due times


@replaces(LeaseIndex, "next_due")
def the_storage_names_the_next_due_time_too_late(right: Any, self: Any, *args: Any) -> Any:
    due_at = right(self, *args)
    return None if due_at is None else due_at + timedelta(hours=2)


@replaces(DueQueue, "take")
def one_key_keeps_its_turn(right: Any, self: Any, *args: Any) -> Any:
    taken = right(self, *args)
    if taken is not None and taken[1] in self._ready:
        self._ready.move_to_end(taken[1], last=False)
    return taken


@replaces(DueQueue, "drop")
def what_is_ended_leaves_others_out(right: Any, self: Any, message: Any, route_key: str) -> None:
    """With the last of a message all that waits for that route goes."""
    right(self, message, route_key)
    for each, key in [(each, key) for key, each in self._groups if key == route_key]:
        right(self, each, key)


# --- orders


@replaces(LeaseIndex, "mark")
def a_cancel_forgets_who_is_claimed(right: Any, self: Any, message: Any, position: int, *more: Any) -> None:
    if more[0] is not Order.CANCEL:
        right(self, message, position, *more)


@replaces(ExclusiveStorage, "order")
def an_order_for_one_is_carried_out_for_all(
    right: Any, self: Any, order: Any, *more: Any, **options: Any
) -> Any:
    _, *others = more
    return right(self, order, EVERYTHING, *others, **options)


@replaces(changes, "lapsed")
def a_hold_is_forgotten_when_the_claim_ends(right: Any, recipient: Any, *, mark: Any, expires_at: Any) -> Any:
    return right(recipient, mark=None if mark is Order.HOLD else mark, expires_at=expires_at)


@replaces(changes, "cancelled")
def what_is_cancelled_stays_due(right: Any, recipient: Any) -> Any:
    return replace(right(recipient), due_at=recipient.due_at)


@replaces(changes, "cancelled")
def a_cancel_denies_what_may_be_delivered(right: Any, recipient: Any) -> Any:
    after = right(recipient)
    return replace(after, result=replace(after.result, uncertain=False))


@replaces(changes, "held")
def what_is_held_stays_due(right: Any, recipient: Any, *more: Any) -> Any:
    return replace(right(recipient, *more), due_at=recipient.due_at)


@replaces(changes, "released")
def a_release_releases_nothing(right: Any, recipient: Any, *more: Any) -> Any:
    return recipient


@replaces(changes, "retried")
def a_retry_forgets_the_recipient(right: Any, recipient: Any, *more: Any) -> Any:
    return replace(right(recipient, *more), due_at=None)


@replaces(changes, "settled")
def what_is_deferred_is_due_an_hour_late(right: Any, *args: Any, **options: Any) -> Any:
    return _an_hour_late(right(*args, **options))


@replaces(changes, "released")
def what_is_released_is_due_an_hour_late(right: Any, *args: Any) -> Any:
    return _an_hour_late(right(*args))


@replaces(changes, "retried")
def what_is_retried_is_due_an_hour_late(right: Any, *args: Any) -> Any:
    return _an_hour_late(right(*args))


@replaces(changes, "held")
def what_is_held_never_expires(right: Any, recipient: Any, expires_at: Any) -> Any:
    return replace(right(recipient, expires_at), due_at=None)


def _an_hour_late(recipient: Any) -> Any:
    """Though it is told to be in time."""
    if recipient.due_at is None:
        return recipient
    return replace(recipient, due_at=recipient.due_at + timedelta(hours=1))


# --- storing, telling


@replaces(LeaseIndex, "first_with_key")
def the_storage_forgets_idempotency_keys(right: Any, self: Any, key: Any) -> None:
    return None


@replaces(Journal, "tell")
def what_ends_is_told_twice(right: Any, self: Any, event: Any) -> None:
    right(self, event)
    if event.kind is EventKind.DELIVERED:
        right(self, event)


@replaces(Journal, "tell")
def deferrals_are_not_told(right: Any, self: Any, event: Any) -> None:
    if event.kind is not EventKind.DEFERRED:
        right(self, event)


@replaces(Journal, "tell")
def acceptance_is_not_told(right: Any, self: Any, event: Any) -> None:
    if event.kind is not EventKind.ACCEPTED:
        right(self, event)


@replaces(Journal, "tell")
def events_are_told_in_the_wrong_order(right: Any, self: Any, event: Any) -> None:
    right(self, event)
    self._events.rotate(len(self._events) > 1)
