"""Callers' connections to PostgreSQL: psycopg 3 (blocking and asyncio) and asyncpg.

A script's parameters stand as `:name`; psycopg wants `%(name)s`, asyncpg `$1`.

psycopg hands out octets in the place of texts where the connection's encoding is SQL_ASCII, and
nothing compares equal to those: mail would be sent again and again. asyncpg has texts always.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import ConfigError, StorageError
from .bound_bracket import SAVEPOINT, Bracket
from .sql.script import Batch, Row, Statement

if TYPE_CHECKING:
    import psycopg

    PsycopgConnection: TypeAlias = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

__all__ = ["AsyncPsycopgDriver", "AsyncpgDriver", "PsycopgDriver", "numbered", "pyformat"]

CALLERS_TO_COMMIT = Bracket(enter=(), leave=(), undo=("ROLLBACK",))  # psycopg begins it by itself
BY_ITSELF = Bracket(enter=("BEGIN",), leave=("COMMIT",), undo=("ROLLBACK",))

_PARAMETER = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")  # and not the "::" of a cast


@lru_cache(maxsize=256)
def pyformat(sql: str) -> bytes:
    """The statement with `%(name)s` for `:name`."""
    return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%")).encode()


@lru_cache(maxsize=256)
def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1`, `$2` ... for `:name`, and the names in that order."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
    return _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", sql), names


class PsycopgDriver:
    """A `psycopg.Connection`. One without autocommit begins a transaction with any statement."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        _check_encodings(connection)
        self.connection = connection

    def bracket(self) -> Bracket:
        """A savepoint in a transaction; outside of one as the connection's autocommit would have it."""
        return _psycopg_bracket(self.connection)

    def in_transaction(self) -> bool:
        """One that has failed, or went with the connection, is none."""
        return _is_in_transaction(self.connection)

    def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        """Its rows; nothing that the caller has set or registered on the connection is asked."""
        from .bound_cursors import PlainCursor, unprepared

        with unprepared(self.connection), PlainCursor(self.connection) as cursor:
            if isinstance(statement, Batch):
                cursor.executemany(pyformat(statement.sql), statement.params)
                return ()
            cursor.execute(pyformat(statement.sql), statement.params)
            return cursor.fetchall() if cursor.description else ()


class AsyncPsycopgDriver:
    """A `psycopg.AsyncConnection`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        _check_encodings(connection)
        self.connection = connection

    async def bracket(self) -> Bracket:
        """As `PsycopgDriver.bracket`."""
        return _psycopg_bracket(self.connection)

    def in_transaction(self) -> bool:
        """As `PsycopgDriver.in_transaction`."""
        return _is_in_transaction(self.connection)

    async def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        """As `PsycopgDriver.execute`."""
        from .bound_cursors import AsyncPlainCursor, unprepared

        with unprepared(self.connection):
            async with AsyncPlainCursor(self.connection) as cursor:
                if isinstance(statement, Batch):
                    await cursor.executemany(pyformat(statement.sql), statement.params)
                    return ()
                await cursor.execute(pyformat(statement.sql), statement.params)
                return await cursor.fetchall() if cursor.description else ()


class AsyncpgDriver:
    """A connection of asyncpg or its pool's. Outside of a transaction each statement commits."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def bracket(self) -> Bracket:
        """A savepoint in a transaction, however that was begun."""
        return SAVEPOINT if self.connection.is_in_transaction() else BY_ITSELF

    def in_transaction(self) -> bool:
        """One that went with the connection is none; of one that has failed asyncpg does not tell."""
        return not self.connection.is_closed() and bool(self.connection.is_in_transaction())

    async def execute(self, statement: Statement | Batch) -> Sequence[Row]:
        """Its rows."""
        sql, names = numbered(statement.sql)
        if isinstance(statement, Batch):
            values = [[params[name] for name in names] for params in statement.params]
            await self.connection.executemany(sql, values)
            return ()
        records = await self.connection.fetch(sql, *(statement.params[name] for name in names))
        return [tuple(record) for record in records]


def _psycopg_bracket(connection: PsycopgConnection) -> Bracket:
    _check_free(connection)
    if connection.info.transaction_status.name != "IDLE":
        return SAVEPOINT
    return BY_ITSELF if connection.autocommit else CALLERS_TO_COMMIT


def _is_in_transaction(connection: PsycopgConnection) -> bool:
    return connection.info.transaction_status.name in ("INTRANS", "ACTIVE")


def _check_free(connection: PsycopgConnection) -> None:
    """Raises where a statement of the caller's own is under way, or rows and errors would come too late."""
    if connection.info.pipeline_status.name != "OFF":
        raise ConfigError("connection: it is in pipeline mode: send the email before pipeline() or after it")
    if connection.info.transaction_status.name == "ACTIVE":
        raise StorageError(
            "connection: a statement of yours is under way on it, such as a COPY, a stream or another "
            "thread's: send the email when that is done"
        )


def _check_encodings(connection: PsycopgConnection) -> None:
    """Raises `ConfigError` for any but UTF8; no round trip: the server told when it let us in."""
    of_server = connection.info.parameter_status("server_encoding")  # not every pooler hands it on
    if of_server not in (None, "UTF8"):
        raise ConfigError(
            f"PostgreSQL: the database's encoding is {of_server}, the queue needs UTF8: make another one "
            "(CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0)"
        )
    if connection.info.encoding != "utf-8":
        of_client = connection.info.parameter_status("client_encoding")
        raise ConfigError(
            f"PostgreSQL: the connection's client_encoding is {of_client}, the queue needs UTF8: "
            "connect with client_encoding=utf8"
        )
