"""Cursors of psycopg that know nothing of what a connection's owner has made of it.

Neither its row_factory and cursor_factory, nor the loaders and dumpers that were registered on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.rows import TupleRow, tuple_row

__all__ = ["AsyncPlainCursor", "PlainCursor", "unprepared"]


class PlainCursor(psycopg.Cursor[TupleRow]):
    """Rows are tuples."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection, row_factory=tuple_row)

    @property
    def adapters(self) -> AdaptersMap:
        """Those of psycopg, not the connection's."""
        return psycopg.adapters


class AsyncPlainCursor(psycopg.AsyncCursor[TupleRow]):
    """The same for asyncio."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        super().__init__(connection, row_factory=tuple_row)

    @property
    def adapters(self) -> AdaptersMap:
        """As `PlainCursor.adapters`."""
        return psycopg.adapters


@contextmanager
def unprepared(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> Iterator[None]:
    """No prepared statement is left on the connection; executemany() makes one whatever it is told."""
    given, connection.prepare_threshold = connection.prepare_threshold, None
    try:
        yield
    finally:
        connection.prepare_threshold = given
