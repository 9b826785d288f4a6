"""Notes in memory: compare and set, and their end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mailstrom.abc import Note
from mailstrom.storage.notebook import Notebook
from mailstrom.testing.storage_kit import LATER, NOW

NOTE = Note(namespace="mta-sts", key="dest.example", value="policy", expires_at=LATER)


def kept(notebook: Notebook, note: Note = NOTE) -> Note:
    found = notebook.put(note, NOW)
    assert found is not None
    return found


def test_a_note_is_replaced_only_by_who_knows_its_version() -> None:
    notebook = Notebook()
    first = kept(notebook)

    assert notebook.put(NOTE, NOW) is None
    second = kept(notebook, replace(first, value="another"))

    assert notebook.put(replace(first, value="too late"), NOW) is None
    assert notebook.read("mta-sts", "dest.example", NOW) == second
    assert second == replace(first, value="another", version=second.version)


def test_an_expired_note_is_none_and_makes_room_for_a_new_one() -> None:
    notebook = Notebook()
    expired = kept(notebook)

    assert notebook.read("mta-sts", "dest.example", LATER) is None
    assert notebook.put(replace(expired, expires_at=LATER + timedelta(days=1)), LATER) is None
    again = notebook.put(replace(NOTE, expires_at=LATER + timedelta(days=1)), LATER)

    assert again is not None
    assert again.version > expired.version


def test_a_note_is_taken_away_by_one_that_has_expired() -> None:
    notebook = Notebook()
    standing = kept(notebook)

    gone = kept(notebook, replace(standing, expires_at=NOW))

    assert notebook.read("mta-sts", "dest.example", NOW) is None
    assert kept(notebook).version > gone.version > standing.version


def test_a_note_that_was_prolonged_outlives_its_first_end() -> None:
    notebook = Notebook()
    longer = kept(notebook, replace(kept(notebook), expires_at=LATER + timedelta(days=1)))

    notebook.put(replace(NOTE, key="other.example", expires_at=LATER + timedelta(days=1)), LATER)

    assert notebook.read("mta-sts", "dest.example", LATER) == longer


def test_expired_notes_take_no_room() -> None:
    notebook = Notebook()
    for number in range(1000):
        at = NOW + timedelta(minutes=number)
        notebook.put(replace(NOTE, key=str(number), expires_at=at + timedelta(minutes=5)), at)

    assert (len(notebook._notes), len(notebook._ends)) == (5, 5)
