"""What the tests of the storage contract share: a lease clock, empty queues, and the clauses one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailstrom.abc import Storage
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.storage_contract import Bench, Need, clauses_for
from tests.postgres import query


class LeaseClock:
    """A lease clock that only the test moves."""

    def __init__(self) -> None:
        self.secs = 1000.0

    def __call__(self) -> float:
        return self.secs

    def advance(self, secs: float) -> None:
        self.secs += secs


def each_clause(*needs: Need) -> pytest.MarkDecorator:
    """The test is run with each `clause` that a bench with these fields can try."""
    return pytest.mark.parametrize("clause", clauses_for(*needs), ids=lambda clause: clause.__name__)


def lifted(plain: Storage) -> Bench:
    """A plain storage behind the adapter; where it is durable, the next process finds it again."""
    clock = LeaseClock()

    def opened() -> ExclusiveStorage:
        return ExclusiveStorage(plain, lease_clock=clock)

    reopen: Callable[[], ExclusiveStorage] | None = opened if plain.durable else None
    return Bench(storage=opened(), advance_lease_clock=clock.advance, reopen=reopen)


def emptied(dsn: str) -> str:
    """The same DSN, the queue there empty: a new database takes ten times as long."""
    tables = ("messages", "bodies", "blocks", "recipients", "events", "notes")
    query(dsn, ";".join(f"DELETE FROM mailstrom.{table}" for table in tables))
    return dsn
