"""The scripts on a database in memory: a driver of a few lines, and what it saw."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from mailstrom.abc import Claim
from mailstrom.errors import StorageError
from mailstrom.storage.sql import schema
from mailstrom.storage.sql.dialect import SQLITE, Dialect
from mailstrom.storage.sql.queue import STATUS_RETENTION, SqlStorage
from mailstrom.storage.sql.script import Batch, Script, Statement, perform
from mailstrom.testing.storage_kit import LEASE, NOW, there

T = TypeVar("T")

#: SQLite with what PostgreSQL needs: events that get their number when they are read.
NUMBERING = replace(
    SQLITE,
    commits_in_order=False,
    own_tables=(
        *SQLITE.own_tables,
        "INSERT INTO mailstrom_counters (name, value) VALUES ('event', 0)",
    ),
)


class MemorySqlStorage(SqlStorage):
    """A queue in memory. `asked` is what was asked of it, and `transactions` the same by transaction.

    `lost_replies` COMMITs are answered by nobody; after `lost_ends` nobody can be asked, either.
    `failing_commits` are answered with an error, and undone.
    """

    def __init__(
        self,
        dialect: Dialect = SQLITE,
        *,
        retention: timedelta = timedelta(0),
        status_retention: timedelta = STATUS_RETENTION,
    ) -> None:
        super().__init__(dialect, retention=retention, status_retention=status_retention)
        self.asked: list[Statement | Batch] = []
        self.transactions: list[list[Statement | Batch]] = []
        self.lost_replies = 0
        self.lost_ends = 0
        self.failing_commits = 0
        self._lease_now = 1_000_000
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.perform(schema.upgrade(dialect))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def advance_lease_clock(self, secs: float) -> None:
        """So many seconds pass for leases."""
        self._lease_now += int(secs * 1_000_000)

    def claimed(self, now: datetime = NOW, **options: Any) -> Claim:
        """A claim that must be there."""
        return there(self.claim(now, owner="one", lease=LEASE, **options), "a claim")

    def rows(self, sql: str, **given: object) -> list[tuple[Any, ...]]:
        """What the query finds, or the statement changes."""
        return self._connection.execute(sql, given).fetchall()

    def dump(self) -> list[str]:
        """All that is stored, as SQL."""
        return list(self._connection.iterdump())

    def texts_of(self, call: Callable[[], object]) -> list[str]:
        """The statements that the call takes."""
        self.asked.clear()
        call()
        return [each.sql for each in self.asked]

    def effort_of(self, call: Callable[[], object]) -> int:
        """How many instructions of its machine SQLite executes for the call."""
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        self._connection.set_progress_handler(count, 1)
        call()
        self._connection.set_progress_handler(None, 1)
        return steps

    def perform(self, script: Script[T]) -> T:
        """The script's result, in one transaction."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self.transactions.append([])
            try:
                result = perform(script, self._execute)
                self._fail_perhaps()
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
            return result

    def close(self) -> None:
        self._connection.close()

    def _write(
        self,
        script: Callable[[], Script[T]],
        *,
        synced: bool = True,
        repeated: Callable[[], Script[T]] | None = None,
    ) -> T:
        result = self.perform(script())
        if self.lost_ends:
            self.lost_ends -= 1
            raise StorageError("whether it was performed is not known")
        if self.lost_replies:
            self.lost_replies -= 1
            return self.perform((repeated or script)())
        return result

    def _read(self, script: Callable[[], Script[T]]) -> T:
        return self.perform(script())

    def _fail_perhaps(self) -> None:
        if self.failing_commits:
            self.failing_commits -= 1
            raise StorageError("the disk is full")

    def _execute(self, asked: Statement | Batch) -> Sequence[tuple[Any, ...]]:
        self.asked.append(asked)
        self.transactions[-1].append(asked)
        if isinstance(asked, Batch):
            self._connection.executemany(asked.sql, [self._given(each) for each in asked.params])
            return []
        return self._connection.execute(asked.sql, self._given(asked.params)).fetchall()

    def _given(self, params: Any) -> dict[str, object]:
        return {**params, "lease_now": self._lease_now}
