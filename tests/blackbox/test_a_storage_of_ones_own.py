"""A storage with the six methods and nothing else, as a user writes it."""

from __future__ import annotations

from typing import Any

import pytest

from mailstrom import (
    Config,
    DuplicateMessage,
    Email,
    Mailstrom,
    MessageNotFound,
    PreparedEmail,
    Storage,
    StorageError,
    StorageFull,
)
from mailstrom.abc import InternalMessageStatus

CAPTURE = Config("h.example", mode="capture")


class Shelf(Storage):
    """Two dicts, and an error to raise from a method by name."""

    def __init__(self, *, durable: bool = False) -> None:
        self.durable = durable
        self.emails: dict[str, PreparedEmail] = {}
        self.statuses: dict[str, InternalMessageStatus] = {}
        self.broken: dict[str, Exception] = {}

    def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
        self._break("store")
        if status.message_id in self.statuses:
            raise DuplicateMessage(status.message_id)
        self.emails[status.message_id], self.statuses[status.message_id] = email, status

    def update_status(self, status: InternalMessageStatus) -> None:
        self._break("update_status")
        self.statuses[status.message_id] = status

    def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
        self._break("retrieve")
        return self.emails[message_id], self.retrieve_status(message_id)

    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        if message_id not in self.statuses:
            raise MessageNotFound(message_id)
        return self.statuses[message_id]

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        return [status for status in self.statuses.values() if status.completed_at is None]

    def retrieve_all_recent(self) -> list[InternalMessageStatus]:
        return list(self.statuses.values())

    def _break(self, method: str) -> None:
        if method in self.broken:
            raise self.broken[method]


def an_email(**fields: Any) -> Email:
    return Email(**{"from_": "me@s.example", "to": "you@dest.example", "text": "Hi.\n", **fields})


def test_mail_is_delivered_from_it_and_its_status_is_kept_in_it() -> None:
    shelf = Shelf()

    with Mailstrom(CAPTURE, shelf) as m:
        status = m.start().wait(m.send_email(an_email(), metadata={"order": "7"}), timeout=10)

    assert status.succeeded
    assert shelf.statuses[status.message_id].public() == status


def test_what_a_durable_one_holds_is_left_by_close_and_taken_up_by_the_next() -> None:
    shelf = Shelf(durable=True)
    with Mailstrom(CAPTURE, shelf) as first:
        first.start().pause()
        message_id = first.send_email(an_email())
    assert [status.message_id for status in first.close()] == [message_id]

    with Mailstrom(CAPTURE, shelf) as second:
        status = second.start().wait(message_id, timeout=10)

    assert status.succeeded
    assert [email.message_id for email in second.outbox] == [message_id]


@pytest.mark.parametrize(
    ("broken", "seen"),
    [
        (OSError("disk on fire"), StorageError),
        (KeyError("a bug of mine"), StorageError),
        (StorageFull("no room"), StorageFull),
    ],
)
def test_what_it_raises_comes_out_as_a_storage_error_and_nothing_is_accepted(
    broken: Exception, seen: type[StorageError]
) -> None:
    shelf = Shelf()
    shelf.broken["store"] = broken

    with Mailstrom(CAPTURE, shelf) as m:
        with pytest.raises(seen, match=str(broken.args[0])):
            m.send_email(an_email())

        assert m.query_recent() == []


def test_a_status_that_cannot_be_written_is_written_later_and_the_mail_is_sent_once() -> None:
    shelf = Shelf()
    shelf.broken["update_status"] = OSError("disk on fire")

    with Mailstrom(CAPTURE, shelf) as m:
        message_id = m.start().send_email(an_email())
        while m.worker_status() != "storage write failed":
            assert not m.wait(message_id, timeout=0.01).completed
        shelf.broken.clear()
        status = m.wait(message_id, timeout=30)

        assert status.succeeded
        assert m.worker_status() == "ok"
        assert (len(m.outbox), status.recipients[0].result.tries) == (1, 1)
