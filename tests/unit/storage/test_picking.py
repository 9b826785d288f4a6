"""Whom a selection means."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mailstrom.abc import EVERYTHING, InternalRecipientStatus, Selection
from mailstrom.status import Deferred, Delivered
from mailstrom.storage.picking import picks_message, picks_recipient
from mailstrom.testing.storage_kit import EXPIRES_AT, NOW, an_entry, queued

_, STATUS = an_entry("one")
QUEUED = replace(queued("You@dest.example", NOW), route_key="relay:smart")
HELD = replace(QUEUED, result=Deferred(), due_at=EXPIRES_AT)
DELIVERED = replace(QUEUED, result=Delivered(), due_at=None)


@pytest.mark.parametrize(
    ("selection", "picked"),
    [
        (EVERYTHING, True),
        (Selection(message_id="one@sender.example"), True),
        (Selection(message_id="two@sender.example"), False),
        (Selection(sender="ME@sender.example"), True),
        (Selection(sender=""), False),
        (Selection(submitted_before=NOW), False),
        (Selection(submitted_before=NOW + timedelta(microseconds=1)), True),
        (Selection(message_id="one@sender.example", sender="other@sender.example"), False),
    ],
)
def test_all_that_a_selection_says_of_the_message_must_apply(selection: Selection, picked: bool) -> None:
    assert picks_message(selection, STATUS, lambda: "me@sender.example") is picked


def test_the_null_reverse_path_can_be_asked_for() -> None:
    assert picks_message(Selection(sender=""), STATUS, lambda: "")
    assert not picks_message(Selection(sender=""), STATUS, lambda: None)


def test_the_reverse_path_is_not_asked_for_without_need() -> None:
    def unread() -> str:
        raise AssertionError

    assert picks_message(EVERYTHING, STATUS, unread)
    assert not picks_message(Selection(sender="a@b.example", submitted_before=NOW), STATUS, unread)


@pytest.mark.parametrize(
    ("selection", "recipient", "picked"),
    [
        (EVERYTHING, QUEUED, True),
        (EVERYTHING, DELIVERED, False),
        (Selection(address="you@DEST.example"), QUEUED, True),
        (Selection(address="me@dest.example"), QUEUED, False),
        (Selection(domain="dest.example"), QUEUED, True),
        (Selection(domain="example"), QUEUED, False),
        (Selection(destination="relay:smart"), QUEUED, True),
        (Selection(destination="dest.example"), QUEUED, False),
        (Selection(state="queued"), QUEUED, True),
        (Selection(state="queued"), HELD, False),
        (Selection(state="deferred"), HELD, True),
        (Selection(held=True), HELD, True),
        (Selection(held=False), HELD, False),
        (Selection(held=False), QUEUED, True),
        (Selection(held=True), QUEUED, False),
        (Selection(domain="dest.example", state="deferred"), QUEUED, False),
    ],
)
def test_all_that_a_selection_says_of_the_recipient_must_apply(
    selection: Selection, recipient: InternalRecipientStatus, picked: bool
) -> None:
    assert picks_recipient(selection, recipient) is picked
