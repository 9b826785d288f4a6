"""SQLite keeps the contract, whatever the disk is waited for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from mailstrom.storage.sql.queue import SqlStorage
from mailstrom.storage.sqlite import Durability, SqliteStorage
from mailstrom.testing.storage_contract import Bench, Transaction
from tests.contract.subjects import LeaseClock, each_clause

RETENTION = timedelta(days=30)


@pytest.mark.parametrize("durability", ["full", "normal"])
@each_clause("another", "reopen", "in_transaction", "status_retention")
def test_sqlite_keeps_the_clause(
    tmp_path: Path, durability: Durability, clause: Callable[[Bench], None]
) -> None:
    with bench_on(tmp_path / "mail.db", durability) as bench:
        clause(bench)


def bench_on(path: Path, durability: Durability, opening: Callable[..., SqlStorage] = SqliteStorage) -> Bench:
    """A storage in this file, and any number of others in the same."""
    clock = LeaseClock()

    def opened() -> SqlStorage:
        return opening(path, durability=durability, status_retention=RETENTION, lease_clock=clock)

    @contextmanager
    def in_transaction() -> Iterator[Transaction]:
        with closing(sqlite3.connect(path)) as connection:
            binding = storage.bind(connection)
            yield Transaction(binding=binding, commit=connection.commit, rollback=connection.rollback)
            connection.rollback()

    storage = opened()
    return Bench(
        storage=storage,
        advance_lease_clock=clock.advance,
        another=opened,
        reopen=opened,
        in_transaction=in_transaction,
        status_retention=RETENTION,
    )
