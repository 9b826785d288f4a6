"""Connections to PostgreSQL, one for each call: ours by a DSN, or those of a caller's pool.

They are used the same way: autocommit, so that each BEGIN is ours; nothing prepared on the server
and nothing set for the session, so that PgBouncer may give each transaction another one
(https://www.pgbouncer.org/features.html). A connection that a call leaves in a transaction, or that
broke, is not used again.

A connection belongs to the process that made it. Python tells of its own forks only, so the process
is looked at with each call: uWSGI's workers, for one, are forked without its knowledge.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
_KEPT_FREE = 2  # connections that those who store leave to claims, renewals and results


class Connections(ABC):
    """Hands out connections. Any thread."""

    @abstractmethod
    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """One for this thread alone; raises `Unreachable` where there is none to be had."""

    @abstractmethod
    def storing(self) -> AbstractContextManager[None]:
        """Around a call that stores: so many at once that room is left for others."""

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
        self._leave_what_is_not_ours()
        with _taken(self._places, f"all {self._limit} connections were in use"):
            connection = self._take()
            try:
                yield connection
            finally:
                self._put_back(connection)

    def storing(self) -> AbstractContextManager[None]:
        """At most `limit - 2` at once: a transaction left open may hold up all of them."""
        self._leave_what_is_not_ours()
        return _taken(self._places_to_store, "all connections that may store were in use")

    def close(self) -> None:
        """Closes those that are idle now, and each other one after its call."""
        self._leave_what_is_not_ours()
        self._is_closed = True
        self._close_idle()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self._limit)
        self._places_to_store = threading.BoundedSemaphore(max(1, self._limit - _KEPT_FREE))
        self._pid = os.getpid()  # last: who sees it finds the rest

    def _leave_what_is_not_ours(self) -> None:
        if self._pid != os.getpid():
            self._leave_to_parent()

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
        self._pid = os.getpid()
        self._is_closed = False

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

    def storing(self) -> AbstractContextManager[None]:
        """As many at once as the pool has connections: how many those are, is its owner's to say."""
        return nullcontext()

    def close(self) -> None:
        """Leaves the pool to its owner."""
        self._is_closed = True

    def _check_usable(self) -> None:
        if self._is_closed:
            raise ClosedError("this PostgresStorage is closed: make a new one")
        if self._pid != os.getpid():
            raise StorageError(
                "the connections of this pool belong to the process that was forked: make pool and "
                "storage after the fork, or give PostgresStorage a DSN"
            )


@contextmanager
def _taken(places: threading.Semaphore, none_left: str) -> Iterator[None]:
    if not places.acquire(timeout=_WAIT_SECS):
        raise StorageError(f"{none_left} for {_WAIT_SECS:.0f} s")
    try:
        yield
    finally:
        places.release()


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
