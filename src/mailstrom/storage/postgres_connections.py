"""Connections to PostgreSQL, one for each call: ours by a DSN, or those of a caller's pool.

They are used the same way: autocommit, so that each BEGIN is ours; nothing prepared on the server
and nothing set for the session, so that PgBouncer may give each transaction another one
(https://www.pgbouncer.org/features.html). A connection that a call leaves in a transaction, or that
broke, is not used again.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from inspect import isasyncgenfunction, unwrap
from typing import Any, Protocol, runtime_checkable

import psycopg
from psycopg.pq import TransactionStatus

from ..errors import ClosedError, ConfigError, MailstromError, StorageError
from ..secret import Secret
from .fork import call_in_forked_child
from .postgres_errors import Unreachable, translated

__all__ = ["Connections", "OwnConnections", "Pool", "PooledConnections"]

_WAIT_SECS = 30.0  # for a connection that another thread has


class Connections(ABC):
    """Hands out connections. Any thread."""

    @abstractmethod
    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """One for this thread alone; raises `Unreachable` where there is none to be had."""

    @abstractmethod
    def close(self) -> None:
        """Gives up its own ones; `ClosedError` from then on."""


class OwnConnections(Connections):
    """At most `limit`, made when they are needed; the one used last is used next.

    A forked child leaves those of its parent untouched: closing one would end the parent's.
    """

    def __init__(self, conninfo: Secret, limit: int) -> None:
        self._conninfo = conninfo
        self._limit = limit
        self._is_closed = False
        self._inherited: list[list[psycopg.Connection[Any]]] = []  # kept, so that nobody ends them
        self._idle: list[psycopg.Connection[Any]] = []
        self._begin()
        call_in_forked_child(self._leave_to_parent)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """An idle one, or a new one; waits where all are in use."""
        places = self._places
        if not places.acquire(timeout=_WAIT_SECS):
            raise StorageError(f"all {self._limit} connections were in use for {_WAIT_SECS:.0f} s")
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._put_back(connection)
        finally:
            places.release()

    def close(self) -> None:
        """Closes those that are idle now, and each other one after its call."""
        self._is_closed = True
        self._close_idle()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self._limit)

    def _leave_to_parent(self) -> None:
        self._inherited.append(self._idle)
        self._idle = []
        self._begin()

    def _take(self) -> psycopg.Connection[Any]:
        with self._lock:
            if self._is_closed:
                raise ClosedError("this PostgresStorage is closed: make a new one")
            if self._idle:
                return self._idle.pop()
        return _connected(self._conninfo)

    def _put_back(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            if connection.info.transaction_status is TransactionStatus.IDLE and not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()
        self._close_idle()  # what broke one may have broken all

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


@runtime_checkable
class Pool(Protocol):
    """A `psycopg_pool.ConnectionPool`, or what lends connections as it does."""

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """One for the block."""


class PooledConnections(Connections):
    """A caller's pool; each connection goes back with the settings it came with."""

    def __init__(self, pool: Pool) -> None:
        if isasyncgenfunction(unwrap(pool.connection)):
            raise ConfigError("pool: expected a psycopg_pool.ConnectionPool, got one for asyncio")
        self._pool = pool
        self._is_closed = False
        self._is_inherited = False
        call_in_forked_child(self._leave_to_parent)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """One of the pool's, which decides how long to wait for it."""
        self._check_usable()
        try:
            with self._pool.connection() as connection, _as_ours(connection):
                yield connection
        except MailstromError:
            raise
        except Exception as error:  # of the pool's, such as PoolTimeout
            raise _unreachable(error) from error

    def close(self) -> None:
        """Leaves the pool to its owner."""
        self._is_closed = True

    def _leave_to_parent(self) -> None:
        self._is_inherited = True

    def _check_usable(self) -> None:
        if self._is_closed:
            raise ClosedError("this PostgresStorage is closed: make a new one")
        if self._is_inherited:
            raise StorageError(
                "the connections of this pool belong to the process that was forked: make pool and "
                "storage after the fork, or give PostgresStorage a DSN"
            )


@contextmanager
def _as_ours(connection: psycopg.Connection[Any]) -> Iterator[None]:
    autocommit, prepare_threshold = connection.autocommit, connection.prepare_threshold
    connection.autocommit, connection.prepare_threshold = True, None
    try:
        yield
    finally:
        connection.prepare_threshold = prepare_threshold
        if connection.info.transaction_status is TransactionStatus.IDLE:
            connection.autocommit = autocommit
        else:
            connection.close()


def _connected(conninfo: Secret) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(conninfo.reveal(), autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> MailstromError:
    return Unreachable(str(translated(error)))
