"""Connections that only ask, so that no question waits for somebody's fsync."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..errors import ClosedError
from .sql.script import Script, perform
from .sqlite_connection import CLOSED, Database, executor, translated

__all__ = ["Readers"]

T = TypeVar("T")

KEPT = 2  # connections that stay open when nobody asks


class Readers:
    """As many connections as there are threads that ask at once. Any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._idle: list[sqlite3.Connection] = []
        self._busy: set[sqlite3.Connection] = set()
        self._going_first = 0  # who waits for the end of all questions
        self._is_closed = False

    def run(self, script: Callable[[], Script[T]]) -> T:
        """The script's result, from one snapshot."""
        try:
            with self._taken() as connection:
                return perform(script(), executor(connection, self._database.lease_clock))
        except Exception as error:
            if (ours := translated(error, self._database.file)) is error:
                raise
            raise ours from error

    @property
    def connections(self) -> list[sqlite3.Connection]:
        """Those that are open."""
        return [*self._idle, *self._busy]

    def pause(self, timeout: float | None = None) -> bool:
        """Waits for who is asking, then closes the connections until `resume`; False: not in time."""
        self._changed.acquire()
        self._going_first += 1
        is_free = self._changed.wait_for(lambda: not self._busy, timeout)
        self._going_first -= 1
        self._changed.notify_all()
        if is_free:
            self._disconnect()
        else:
            self._changed.release()
        return is_free

    def resume(self) -> None:
        """Lets questions through again, on new connections. Called by the thread that paused."""
        self._changed.release()

    def close(self) -> None:
        """Waits for who is asking; further questions raise `ClosedError`."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: not self._busy)
            self._disconnect()

    @contextmanager
    def _taken(self) -> Iterator[sqlite3.Connection]:
        connection = self._take()
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            self._give_back(connection)

    def _take(self) -> sqlite3.Connection:
        with self._changed:
            self._changed.wait_for(lambda: not self._going_first)
            if self._is_closed:
                raise ClosedError(CLOSED)
            connection = self._idle.pop() if self._idle else self._database.reader()
            self._busy.add(connection)
            return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        connection.rollback()
        with self._changed:
            self._busy.discard(connection)
            if len(self._idle) < KEPT:
                self._idle.append(connection)
            else:
                connection.close()
            self._changed.notify_all()

    def _disconnect(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
