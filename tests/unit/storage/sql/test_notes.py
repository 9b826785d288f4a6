"""Notes beyond the contract: a COMMIT that nobody answered, and what becomes of expired ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from mailstrom.abc import Note
from mailstrom.testing.storage_kit import LATER, NOW, there
from tests.unit.storage.sql.memory import MemorySqlStorage

NOTE = Note(namespace="test", key="a key", value="1", expires_at=LATER)


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


def test_what_a_lost_commit_has_kept_is_ours(storage: MemorySqlStorage) -> None:
    """Row 49."""
    storage.lost_replies = 2  # of the version, and of the note

    kept = there(storage.put_note(NOTE, NOW), "the note")

    assert storage.note("test", "a key", NOW) == kept


def test_after_a_lost_commit_the_note_of_another_is_not_ours(storage: MemorySqlStorage) -> None:
    """Row 49: another had written the same."""
    storage.put_note(NOTE, NOW)
    storage.lost_replies = 2  # of the version, and of the note

    assert storage.put_note(NOTE, NOW) is None


def test_purge_takes_expired_notes_away(storage: MemorySqlStorage) -> None:
    storage.put_note(NOTE, NOW)

    counts = [storage.purge(LATER - timedelta(microseconds=1)), storage.purge(LATER), storage.purge(LATER)]

    assert counts == [0, 1, 0]
    assert storage.rows("SELECT * FROM mailstrom_notes") == []
