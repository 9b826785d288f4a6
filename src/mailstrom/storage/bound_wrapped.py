"""Connections that stand before a driver's: SQLAlchemy's and Django's.

What is stored goes through the driver's connection behind them, in the transaction that they
began and will end. So it works with any savepoint, isolation level and pool, and neither sees
a statement of ours: no ORM state is flushed or expired.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

__all__ = [
    "AsyncBehind",
    "Behind",
    "behind_async_connection",
    "behind_async_session",
    "behind_connection",
    "behind_django",
    "behind_session",
]

# Where nothing was executed yet, SQLAlchemy has begun nothing that its commit() could commit.
BEGIN_AS_ANY_STATEMENT = "SELECT 1"


def _nothing(is_begun: bool) -> None:
    """A driver's own connection needs none to begin for it."""


async def _nothing_async(is_begun: bool) -> None:
    """The same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The driver's connection, and what begins the transaction that the one before it is to end.

    In one that is open already it executes nothing: that could be cancelled, and the end of it.
    """

    connection: object
    begin: Callable[[bool], None] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncBehind:
    """The same where the driver is asyncio's."""

    connection: object
    begin: Callable[[bool], Awaitable[None]] = _nothing_async


def behind_connection(connection: Connection) -> Behind:
    """What is behind SQLAlchemy's."""

    def begin(is_begun: bool) -> None:
        if is_begun and connection.in_transaction():
            return
        connection.exec_driver_sql(BEGIN_AS_ANY_STATEMENT).close()

    return Behind(connection=connection.connection.driver_connection, begin=begin)


def behind_session(session: Session | scoped_session[Session]) -> Behind:
    """What is behind a session, whose transaction begins with it."""
    with _remedies(session):
        connection = session.connection()
    return behind_connection(connection)


async def behind_async_connection(connection: AsyncConnection) -> AsyncBehind:
    """What is behind SQLAlchemy's for asyncio."""

    async def begin(is_begun: bool) -> None:
        if is_begun and connection.in_transaction():
            return
        (await connection.exec_driver_sql(BEGIN_AS_ANY_STATEMENT)).close()

    raw = await connection.get_raw_connection()
    return AsyncBehind(connection=raw.driver_connection, begin=begin)


async def behind_async_session(session: AsyncSession | async_scoped_session[AsyncSession]) -> AsyncBehind:
    """The same of a session."""
    with _remedies(session):
        connection = await session.connection()
    return await behind_async_connection(connection)


def behind_django(wrapper: Any) -> Behind:
    """What is behind `django.db.connection`; refused in an atomic block that is broken."""
    wrapper.ensure_connection()
    wrapper.validate_no_broken_transaction()
    return Behind(connection=wrapper.connection)


@contextmanager
def _remedies(session: object) -> Iterator[None]:
    """Names them for sessions that give no connection as they are."""
    from sqlalchemy.exc import UnboundExecutionError  # whoever has a session has loaded it

    if _must_be_begun(session):
        raise ConfigError("connection: the session has autobegin=False: call its begin() first")
    try:
        yield
    except UnboundExecutionError as error:
        raise ConfigError(
            "connection: the session has no engine, or one for each model: pass "
            "session.connection(bind_arguments={'mapper': Order}), of a model in the storage's database"
        ) from error


def _must_be_begun(session: Any) -> bool:
    one = session.registry() if hasattr(session, "registry") else session
    blocking = getattr(one, "sync_session", one)
    return not getattr(blocking, "autobegin", True) and not blocking.in_transaction()
