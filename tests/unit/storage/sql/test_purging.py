"""What goes when, in which portions, and what is left."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mailstrom.errors import MessageNotFound
from mailstrom.status import Delivered
from mailstrom.testing.storage_kit import NOW, an_entry, id_of, settlement
from tests.unit.storage.sql.memory import MemorySqlStorage

DAY = timedelta(days=1)


def deliver(storage: MemorySqlStorage, name: str, *addresses: str, at: datetime = NOW) -> None:
    storage.store([an_entry(name, *addresses)])
    storage.settle([settlement(storage.claimed(), Delivered(tries=1))], at)


def counts(storage: MemorySqlStorage) -> tuple[int, ...]:
    tables = ("bodies", "messages", "recipients", "events")
    return tuple(storage.rows(f"SELECT count(*) FROM mailstrom_{table}")[0][0] for table in tables)


def purge_all(storage: MemorySqlStorage, now: datetime, limit: int = 1000) -> list[int]:
    removed = [storage.purge(now, limit=limit)]
    while removed[-1]:
        removed.append(storage.purge(now, limit=limit))
    return removed


def test_a_body_goes_at_completion_and_all_else_after_thirty_days() -> None:
    with MemorySqlStorage() as storage:
        deliver(storage, "done")
        storage.store([an_entry("open", due_at=None)])

        found = []
        for now in (NOW, NOW + 30 * DAY - timedelta(microseconds=1), NOW + 30 * DAY):
            purge_all(storage, now)
            found.append(counts(storage))

        assert found == [(1, 2, 2, 3), (1, 2, 2, 3), (1, 1, 1, 1)]
        with pytest.raises(MessageNotFound):
            storage.retrieve_status(id_of("done"))


def test_bodies_are_kept_for_their_retention() -> None:
    with MemorySqlStorage(retention=DAY) as storage:
        deliver(storage, "done")

        found = []
        for now in (NOW + DAY - timedelta(microseconds=1), NOW + DAY):
            purge_all(storage, now)
            found.append(counts(storage)[0])

        assert found == [1, 0]


def test_a_retention_without_end_keeps_everything() -> None:
    with MemorySqlStorage(retention=timedelta.max, status_retention=timedelta.max) as storage:
        deliver(storage, "done")

        assert storage.purge(datetime.max.replace(tzinfo=NOW.tzinfo)) == 0
        assert counts(storage) == (1, 1, 1, 2)


def test_where_statuses_go_first_bodies_go_with_them() -> None:
    with MemorySqlStorage(retention=30 * DAY, status_retention=DAY) as storage:
        deliver(storage, "done")

        purge_all(storage, NOW + DAY)

        assert counts(storage) == (0, 0, 0, 0)


def test_a_message_to_many_goes_in_portions() -> None:
    with MemorySqlStorage() as storage:
        deliver(storage, "big", *(f"u{number}@dest.example" for number in range(25)))

        removed = purge_all(storage, NOW + 30 * DAY, limit=10)

        assert max(removed) == 10
        assert counts(storage) == (0, 0, 0, 0)


def test_the_longest_completed_goes_first() -> None:
    with MemorySqlStorage() as storage:
        for name, hours in (("late", 2), ("early", 1)):
            deliver(storage, name, at=NOW + timedelta(hours=hours))

        storage.purge(NOW + DAY, limit=1)

        left = storage.rows(
            "SELECT m.message_id FROM mailstrom_messages m JOIN mailstrom_bodies b ON b.seq = m.seq"
        )
        assert left == [(id_of("late"),)]


def test_what_is_forgotten_leaves_no_trace_in_any_table() -> None:
    with MemorySqlStorage(retention=DAY) as storage:
        deliver(storage, "one", "gone@dest.example")
        deliver(storage, "two", "gone@dest.example", "kept@dest.example")

        assert storage.forget("Gone@dest.example", NOW) == 2

        assert not any("gone@" in line for line in storage.dump())
        assert [each.address for each in storage.retrieve_status(id_of("two")).recipients] == [
            "kept@dest.example"
        ]
