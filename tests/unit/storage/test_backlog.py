"""How full the queue is, counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mailstrom.abc import Backlog, InternalMessageStatus, InternalRecipientStatus, Overview
from mailstrom.status import Deferred, Delivered
from mailstrom.storage.backlog import overview
from mailstrom.testing.storage_kit import EXPIRES_AT, LATER, NOW, an_entry, queued

EARLIER = NOW - timedelta(hours=1)


def a_message(*recipients: InternalRecipientStatus, submitted_at: object = NOW) -> InternalMessageStatus:
    return replace(an_entry()[1], recipients=recipients, submitted_at=submitted_at)


def deferred(reason: str) -> InternalRecipientStatus:
    return replace(queued("a@dest.example", LATER), result=Deferred(reason=reason, next_attempt_at=LATER))


def test_an_empty_queue_has_no_backlog() -> None:
    assert overview([], NOW, last_delivered_at=EARLIER) == Overview(
        backlog=(), oldest_due_at=None, last_delivered_at=EARLIER
    )


def test_recipients_are_counted_by_destination_and_state() -> None:
    held = replace(queued("h@dest.example", EXPIRES_AT), result=Deferred(reason="held"))
    done = replace(queued("x@dest.example", None), result=Delivered())
    waiting = queued("q@dest.example", EARLIER)
    messages = [
        (a_message(held, done, waiting, queued("c@other.example", NOW)), {3}),
        (a_message(deferred("busy"), queued("q@dest.example", NOW), submitted_at=EARLIER), ()),
    ]

    found = overview(messages, NOW, last_delivered_at=None)

    assert [(each.destination, each.state, each.recipients, each.next_due_at) for each in found.backlog] == [
        ("dest.example", "deferred", 1, LATER),
        ("dest.example", "held", 1, EXPIRES_AT),
        ("dest.example", "queued", 2, EARLIER),
        ("other.example", "claimed", 1, NOW),
    ]
    assert found.backlog[2] == Backlog(
        destination="dest.example",
        state="queued",
        recipients=2,
        oldest_submitted_at=EARLIER,
        next_due_at=EARLIER,
        last_reason=None,
    )


def test_the_reason_is_that_of_what_was_submitted_last() -> None:
    messages = [(a_message(deferred("new")), ()), (a_message(deferred("old"), submitted_at=EARLIER), ())]

    [backlog] = overview(messages, NOW, last_delivered_at=None).backlog

    assert (backlog.last_reason, backlog.oldest_submitted_at) == ("new", EARLIER)


def test_what_is_held_without_an_end_is_due_never() -> None:
    [backlog] = overview(
        [(a_message(queued("a@dest.example", None)), ())], NOW, last_delivered_at=None
    ).backlog

    assert (backlog.state, backlog.next_due_at) == ("held", None)


def test_the_oldest_due_time_is_of_what_is_due_and_neither_claimed_nor_held() -> None:
    expired = replace(queued("h@dest.example", EARLIER), result=Deferred(reason="held"))
    messages = [(a_message(expired, queued("c@dest.example", EARLIER), queued("q@x.example", LATER)), {1})]

    found = [overview(messages, now, last_delivered_at=None).oldest_due_at for now in (NOW, LATER)]

    assert found == [None, LATER]
