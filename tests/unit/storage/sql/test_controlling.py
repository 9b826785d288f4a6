"""Orders, due times and reports beyond the contract: how long anybody waits, and a COMMIT without reply."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from mailstrom.abc import EVERYTHING, Order
from mailstrom.errors import StorageError
from mailstrom.status import Delivered
from mailstrom.storage.sql.controlling import PULLED_AT_ONCE
from mailstrom.storage.sql.script import Batch
from mailstrom.testing.storage_kit import LATER, NOW, an_entry, deferred_until, id_of, settlement
from tests.unit.storage.sql.memory import MemorySqlStorage

FAR = NOW + timedelta(days=999)


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


def test_an_order_of_which_nobody_knows_does_not_say_that_none_was_left(storage: MemorySqlStorage) -> None:
    """Row 49."""
    storage.store([an_entry()])
    storage.lost_replies = 1

    with pytest.raises(StorageError, match="may have been carried out"):
        storage.order(Order.HOLD, EVERYTHING, NOW)

    assert [each.state for each in storage.overview(NOW).backlog] == ["held"]


def test_a_forget_of_which_nobody_knows_does_not_say_that_nobody_was_there(
    storage: MemorySqlStorage,
) -> None:
    """Row 49."""
    storage.store([an_entry()])
    storage.settle([settlement(storage.claimed(), Delivered(tries=1))], NOW)
    storage.lost_replies = 1

    with pytest.raises(StorageError, match="may have been carried out"):
        storage.forget("you@dest.example", NOW)


def test_what_is_pulled_in_is_written_a_part_at_a_time(storage: MemorySqlStorage) -> None:
    defer(storage, *(f"u{number}@dest.example" for number in range(2 * PULLED_AT_ONCE + 500)))
    storage.transactions.clear()

    storage.pull_in(LATER)

    written = [
        [len(each.params) for each in asked if isinstance(each, Batch)] for asked in storage.transactions
    ]
    assert written == [[PULLED_AT_ONCE], [PULLED_AT_ONCE], [500], []]


def test_the_whole_queue_is_read_where_nobody_waits_for_it(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("done"), an_entry("open")])
    storage.settle([settlement(storage.claimed(), Delivered(tries=1))], NOW)
    storage.transactions.clear()

    found = storage.retrieve_all_recent()

    assert [each.message_id for each in found] == [id_of("done"), id_of("open")]
    [reading, [marking]] = storage.transactions
    assert [each.sql.split()[0] for each in reading] == ["SELECT"] * 3
    assert marking.sql.split()[0] == "UPDATE"


def test_what_completes_while_the_queue_is_read_is_reported_by_the_next_call(
    storage: MemorySqlStorage,
) -> None:
    storage.store([an_entry()])
    claim = storage.claimed()
    found = storage.retrieve_all_recent()
    storage.settle([settlement(claim, Delivered(tries=1))], NOW)

    found += storage.retrieve_all_recent()

    assert [each.completed_at for each in found] == [None, NOW]


def defer(storage: MemorySqlStorage, *addresses: str) -> None:
    """They wait very long."""
    storage.store([an_entry("one", *addresses)])
    while (claim := storage.claim(NOW, owner="one", lease=timedelta(minutes=1))) is not None:
        storage.settle([settlement(claim, deferred_until(FAR))], NOW)
