"""What the queue tells of its messages to whoever asks, in order, from any place on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from mailstrom import AsyncMailstrom, Config, Event, EventKind, Mailstrom, SqliteStorage
from tests.builders import an_email
from tests.unit.storage.sqlite_kit import keeping_what_is_deleted

CAPTURE = Config(helo_name="sender.example", mode="capture")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the queue rests."""
    return tmp_path / "mail.db"


def told(events: Iterable[Event]) -> list[tuple[EventKind, str | None]]:
    return [(event.kind, event.address) for event in events]


def test_each_message_is_accepted_and_each_recipient_ends(file: Path) -> None:
    with Mailstrom(CAPTURE, SqliteStorage(file)) as m:
        message_id = m.send_email(an_email(to=["a@one.example", "b@two.example"]))
        m.cancel(message_id, address="b@two.example")
        m.start().wait(message_id, timeout=30)

        events = list(m.events())

        assert told(events) == [
            (EventKind.ACCEPTED, None),
            (EventKind.FAILED, "b@two.example"),
            (EventKind.DELIVERED, "a@one.example"),
        ]
        assert {event.message_id for event in events} == {message_id}


def test_they_are_told_to_a_later_process_too_and_again_from_each_cursor(file: Path) -> None:
    with Mailstrom(CAPTURE, SqliteStorage(file)) as m:
        m.start().wait(m.send_email(an_email()), timeout=30)

    with Mailstrom(CAPTURE, SqliteStorage(file)) as m:
        accepted, delivered = m.events()

        assert list(m.events(after=accepted.cursor)) == [delivered]
        assert list(m.events(after=delivered.cursor)) == []
        m.send_email(an_email())
        assert told(m.events(after=delivered.cursor)) == [(EventKind.ACCEPTED, None)]


def test_more_than_the_storage_hands_out_at_once_come_in_one_go(file: Path) -> None:
    with Mailstrom(CAPTURE, SqliteStorage(file)) as m:
        ids = m.send_emails([an_email() for _ in range(2100)])

        assert [event.message_id for event in m.events()] == ids


def test_the_asyncio_face_has_them_in_an_async_for(file: Path) -> None:
    async def main() -> None:
        async with AsyncMailstrom(CAPTURE, SqliteStorage(file)) as m:
            await m.start()
            await m.wait(await m.send_email(an_email()), timeout=30)

            kinds = [event.kind async for event in m.events()]

            assert kinds == [EventKind.ACCEPTED, EventKind.DELIVERED]

    asyncio.run(main())


def test_a_person_who_is_forgotten_is_told_of_no_more(file: Path) -> None:
    with keeping_what_is_deleted(), Mailstrom(CAPTURE, SqliteStorage(file)) as m:
        m.start().wait(m.send_email(an_email(to=["a@one.example", "b@two.example"])), timeout=30)

        assert m.forget("The First <A@one.example>") == 1

        assert "a@one.example" not in {event.address for event in m.events()}
        assert m.forget("a@one.example") == 0
    assert b"a@one.example" not in file.read_bytes()
