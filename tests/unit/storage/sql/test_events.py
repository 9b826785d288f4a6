"""Events that get their number when they are read: what commits late is told late, and never missed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailstrom.testing.storage_kit import an_entry, id_of
from tests.unit.storage.sql.memory import NUMBERING, MemorySqlStorage


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage(NUMBERING) as storage:
        yield storage


def test_a_smaller_id_that_commits_later_is_told_later(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("late"), an_entry("early")])
    hidden = storage.rows("DELETE FROM mailstrom_events WHERE seq = 1 RETURNING id, seq, at, kind")[0]
    told = [storage.events()]

    id_, seq, at, kind = hidden
    insert = "INSERT INTO mailstrom_events (id, seq, at, kind) VALUES (:id, :seq, :at, :kind)"
    storage.rows(insert, id=id_, seq=seq, at=at, kind=kind)
    told.append(storage.events(told[0][-1].cursor))

    assert [[event.message_id for event in part] for part in told] == [[id_of("early")], [id_of("late")]]
    assert [*told[0], *told[1]] == storage.events()


def test_no_more_are_numbered_than_are_asked_for(storage: MemorySqlStorage) -> None:
    storage.store([an_entry(f"m{number}") for number in range(10)])

    storage.events(limit=4)

    untold = storage.rows("SELECT count(*) FROM mailstrom_events WHERE number IS NULL")
    assert untold == [(6,)]


def test_where_nothing_is_new_nothing_is_written(storage: MemorySqlStorage) -> None:
    storage.store([an_entry()])
    storage.events()

    texts = storage.texts_of(storage.events)

    assert [text for text in texts if "UPDATE" in text] == []


def test_an_event_of_a_newer_version_hides_no_others(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("one"), an_entry("two")])
    storage.rows("UPDATE mailstrom_events SET kind = 'forwarded' WHERE seq = 1")

    assert [event.message_id for event in storage.events(limit=1)] == [id_of("two")]
