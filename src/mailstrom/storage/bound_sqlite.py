"""Callers' connections to SQLite: `sqlite3` and aiosqlite, and what such a connection must be.

A connection of its caller's writes to the storage's file with its own settings. So its main
database must be that file, and its commits must be as durable as the storage's own: a message
that vanishes with the power would have been promised all the same.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .bound_bracket import SAVEPOINT, Bracket
from .sql.script import Batch, Row, Script, Statement

if TYPE_CHECKING:
    import sqlite3

    import aiosqlite

__all__ = ["AiosqliteDriver", "SqliteDriver", "check_connection"]

LEVELS = ("OFF", "NORMAL", "FULL", "EXTRA")  # of PRAGMA synchronous, by number

# A write will follow. IMMEDIATE waits for other writers as long as the connection's timeout says; a
# deferred transaction that has read already would be refused at once where another wrote meanwhile.
CALLERS_TO_COMMIT = Bracket(enter=("BEGIN IMMEDIATE",), leave=(), undo=("ROLLBACK",))
BY_ITSELF = Bracket(enter=("BEGIN IMMEDIATE",), leave=("COMMIT",), undo=("ROLLBACK",))


def check_connection(path: str, *, synchronous: int, checkpoints: bool) -> Script[None]:
    """Raises `ConfigError` where the connection's main file is another, or it commits less durably.

    `path` is the storage's file, `synchronous` the lowest level that will do, by number.
    Without `checkpoints` the connection is told to leave those to the storage.
    """
    databases = yield Statement("PRAGMA database_list", {})
    _check_file(path, next(file for _, name, file in databases if name == "main"))
    ((level,),) = yield Statement("PRAGMA main.synchronous", {})
    if level < synchronous:
        wanted = LEVELS[synchronous]
        raise ConfigError(
            f"connection: PRAGMA synchronous is {LEVELS[level]}, the storage needs {wanted}: execute "
            f'"PRAGMA synchronous={wanted}" when you connect, before any transaction'
        )
    if not checkpoints:
        yield Statement("PRAGMA wal_autocheckpoint=0", {})


class SqliteDriver:
    """A `sqlite3.Connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def bracket(self) -> Bracket:
        """As the connection's isolation_level, or its autocommit, would have it."""
        return _bracket(self.connection)

    def in_transaction(self) -> bool:
        """Some errors end it, such as SQLITE_FULL, SQLITE_IOERR and SQLITE_INTERRUPT."""
        return self.connection.in_transaction

    def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        """Its rows; the caller's row_factory and text_factory are not asked."""
        cursor = self.connection.cursor()
        cursor.row_factory = None
        if isinstance(statement, Batch):
            cursor.executemany(statement.sql, statement.params)
            return ()
        with _plain_texts(self.connection):
            return cursor.execute(statement.sql, statement.params).fetchall()


class AiosqliteDriver:
    """An `aiosqlite.Connection`, as SQLAlchemy uses it."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self.connection = connection

    async def bracket(self) -> Bracket:
        """As for the connection of sqlite3 behind it."""
        cursor = await self.connection.cursor()
        run: Callable[..., Awaitable[Bracket]] = self.connection._execute
        return await run(_bracket, cursor.connection)  # `autocommit` is told in its own thread only

    def in_transaction(self) -> bool:
        """As `SqliteDriver.in_transaction`."""
        return self.connection.in_transaction

    async def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        """As `SqliteDriver.execute`."""
        cursor = await self.connection.cursor()
        cursor.row_factory = None
        if isinstance(statement, Batch):
            await cursor.executemany(statement.sql, statement.params)
            return ()
        with _plain_texts(cursor.connection):
            await cursor.execute(statement.sql, statement.params)
            return [tuple(row) for row in await cursor.fetchall()]


def _check_file(path: str, main: str) -> None:
    try:
        is_same = os.path.samefile(path, main)
    except OSError:  # one in memory has no name
        is_same = False
    if not is_same:
        raise ConfigError(
            f"connection: its main database is {main or 'in memory'!a}, the storage is {path!a}: "
            "make the connection to the storage's file, or a storage for the connection's file"
        )


def _bracket(connection: sqlite3.Connection) -> Bracket:
    if connection.in_transaction:
        return SAVEPOINT
    # Python 3.12: True commits by itself; where it is neither True nor False, isolation_level decides
    commits_by_itself = getattr(connection, "autocommit", None) is True or connection.isolation_level is None
    return BY_ITSELF if commits_by_itself else CALLERS_TO_COMMIT


@contextmanager
def _plain_texts(connection: sqlite3.Connection) -> Iterator[None]:
    given, connection.text_factory = connection.text_factory, str
    try:
        yield
    finally:
        connection.text_factory = given
