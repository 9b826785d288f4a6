"""Connections that stand before a driver's: SQLAlchemy's and Django's.

What is stored goes through the driver's connection behind them, in the transaction that they
began and will end. So it works with any savepoint, isolation level and pool, and neither sees
a statement of ours: no ORM state is flushed or expired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

__all__ = [
    "behind_async_connection",
    "behind_async_session",
    "behind_connection",
    "behind_django",
    "behind_session",
]

# Where nothing was executed yet, SQLAlchemy has begun nothing that its commit() could commit.
BEGIN_AS_ANY_STATEMENT = "SELECT 1"


def behind_connection(connection: Connection) -> object:
    """The driver's connection of SQLAlchemy's, with the transaction begun."""
    connection.exec_driver_sql(BEGIN_AS_ANY_STATEMENT).close()
    return connection.connection.driver_connection


def behind_session(session: Session | scoped_session[Session]) -> object:
    """The same of a session, whose transaction begins with it."""
    return behind_connection(session.connection())


async def behind_async_connection(connection: AsyncConnection) -> object:
    """The same where the driver is asyncio's."""
    (await connection.exec_driver_sql(BEGIN_AS_ANY_STATEMENT)).close()
    return (await connection.get_raw_connection()).driver_connection


async def behind_async_session(session: AsyncSession | async_scoped_session[AsyncSession]) -> object:
    """The same of a session."""
    return await behind_async_connection(await session.connection())


def behind_django(wrapper: Any) -> object:
    """The driver's connection of `django.db.connection`; refused in an atomic block that is broken."""
    wrapper.ensure_connection()
    wrapper.validate_no_broken_transaction()
    return wrapper.connection
