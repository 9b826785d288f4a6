"""Storing beyond the contract: what it touches, what it costs, and a COMMIT that nobody answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from mailstrom.errors import DuplicateMessage, IdempotencyConflict
from mailstrom.storage.sql.script import Batch
from mailstrom.storage.sql.storing import CHUNK
from mailstrom.testing.storage_kit import LATER, NOW, a_keyed, an_entry, id_of
from tests.unit.storage.sql.memory import MemorySqlStorage


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


def test_a_message_is_stored_in_four_statements_that_only_insert(storage: MemorySqlStorage) -> None:
    texts = storage.texts_of(lambda: storage.store([an_entry()]))

    assert [text.split()[:2] for text in texts] == [["INSERT", "INTO"]] * 4


def test_many_messages_take_no_more_statements_than_one(storage: MemorySqlStorage) -> None:
    texts = storage.texts_of(lambda: storage.store([an_entry(f"m{number}") for number in range(50)]))

    assert len(texts) == 4


def test_what_is_known_of_many_messages_is_asked_for_in_one_statement(storage: MemorySqlStorage) -> None:
    keyed = [a_keyed(f"m{number}", key=f"{number}") for number in range(50)]
    storage.store(keyed)
    again = [a_keyed(f"again{number}", key=f"{number}") for number in range(50)]
    storage.asked.clear()

    ids = storage.store([*again, an_entry("new")])

    assert ids == [*(id_of(f"m{number}") for number in range(50)), id_of("new")]
    assert len(storage.asked) == 2 + 3


def test_of_more_messages_than_one_statement_takes_a_later_one_is_refused_at_its_place(
    storage: MemorySqlStorage,
) -> None:
    entries = [an_entry(f"m{number}") for number in range(CHUNK + 2)]

    with pytest.raises(DuplicateMessage) as refused:
        storage.store([*entries, an_entry("m1")])

    assert refused.value.index == CHUNK + 2
    assert storage.rows("SELECT count(*) FROM mailstrom_messages") == [(0,)]


def test_an_entry_that_its_key_keeps_out_does_not_stand_for_another_with_its_id(
    storage: MemorySqlStorage,
) -> None:
    storage.store([a_keyed("first")])
    entries = [a_keyed("second"), an_entry("second")]

    assert storage.store(entries) == [id_of("first"), id_of("second")]

    assert storage.rows("SELECT content FROM mailstrom_bodies ORDER BY seq")[1:] == [(entries[1][0].content,)]


def test_a_message_to_many_is_never_in_memory_as_rows(storage: MemorySqlStorage) -> None:
    addresses = [f"u{number}@dest.example" for number in range(2 * CHUNK + 1)]

    storage.texts_of(lambda: storage.store([an_entry("one", *addresses)]))

    batches = [len(each.params) for each in storage.asked if isinstance(each, Batch)]
    assert batches == [1, CHUNK, CHUNK, 1]
    assert len(storage.retrieve_status(id_of("one")).recipients) == len(addresses)


def test_what_is_due_at_once_is_born_ready(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("now"), an_entry("later", due_at=LATER), an_entry("held", due_at=None)])

    places = storage.rows("SELECT place FROM mailstrom_recipients ORDER BY seq")
    assert places == [("ready",), ("later",), ("held",)]


@pytest.mark.parametrize("entry", [an_entry(), a_keyed("one")], ids=["without a key", "with a key"])
def test_what_a_lost_commit_has_stored_is_not_stored_again(storage: MemorySqlStorage, entry: object) -> None:
    """Row 49."""
    storage.lost_replies = 1

    assert storage.store([entry]) == [id_of("one")]  # type: ignore[list-item]

    assert storage.rows("SELECT count(*) FROM mailstrom_recipients") == [(1,)]
    assert [event.kind for event in storage.events()] == ["accepted"]


def test_what_a_lost_commit_has_not_stored_is_stored(storage: MemorySqlStorage) -> None:
    """Row 49."""
    assert storage.perform(storage._storing.store([an_entry()], repeated=True)) == [id_of("one")]

    assert storage.claimed().email == an_entry()[0]


def test_after_a_lost_commit_a_repeat_by_key_has_the_first_id(storage: MemorySqlStorage) -> None:
    """Row 49, 60."""
    storage.store([a_keyed("first")])
    storage.lost_replies = 1

    assert storage.store([a_keyed("second"), an_entry("new")]) == [id_of("first"), id_of("new")]


@pytest.mark.parametrize(
    "others",
    [{"fingerprint": "other"}, {"submitted_at": NOW + timedelta(microseconds=1)}],
    ids=["other content", "another instant"],
)
def test_after_a_lost_commit_what_somebody_else_stored_is_a_duplicate(
    storage: MemorySqlStorage, others: dict[str, object]
) -> None:
    """Row 49."""
    email, status = an_entry()
    storage.store([(email, replace(status, **others))])  # type: ignore[arg-type]

    with pytest.raises(DuplicateMessage) as caught:
        storage.perform(storage._storing.store([(email, status)], repeated=True))

    assert caught.value.index == 0


def test_a_conflict_of_keys_is_told_before_a_duplicate_id(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("one"), a_keyed("two", fingerprint="this")])

    with pytest.raises(IdempotencyConflict) as caught:
        storage.store([an_entry("new"), a_keyed("one", fingerprint="that")])

    assert (caught.value.index, caught.value.message_id) == (1, id_of("two"))
