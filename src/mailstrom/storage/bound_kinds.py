"""The kinds of connections that a caller's transaction may be on, known by the names of their classes.

No driver is loaded to know its connections: who has one has loaded it. A class counts by the
package it comes from and its name, so that subclasses and proxies are known as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import ConfigError
from .bound_bracket import AsyncDriver, Driver
from .bound_postgres import AsyncpgDriver, AsyncPsycopgDriver, PsycopgDriver
from .bound_sqlite import AiosqliteDriver, SqliteDriver
from .bound_wrapped import (
    AsyncBehind,
    Behind,
    behind_async_connection,
    behind_async_session,
    behind_connection,
    behind_django,
    behind_session,
)
from .sql.dialect import Dialect

__all__ = ["AsyncWay", "Way", "async_way_of", "check_async_kind", "check_kind", "way_of"]

V = TypeVar("V")

DATABASES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}  # these three by the name of the dialect
DRIVERS: Mapping[str, Mapping[str, Callable[[Any], Driver]]] = {
    "sqlite": {"sqlite3.Connection": SqliteDriver},
    "postgres": {"psycopg.Connection": PsycopgDriver},
}
ASYNC_DRIVERS: Mapping[str, Mapping[str, Callable[[Any], AsyncDriver]]] = {
    "sqlite": {"aiosqlite.Connection": AiosqliteDriver},
    "postgres": {
        "psycopg.AsyncConnection": AsyncPsycopgDriver,
        "asyncpg.Connection": AsyncpgDriver,
        "asyncpg.PoolConnectionProxy": AsyncpgDriver,
    },
}
WRAPPERS: Mapping[str, Callable[[Any], Behind]] = {
    "sqlalchemy.Connection": behind_connection,
    "sqlalchemy.Session": behind_session,
    "sqlalchemy.scoped_session": behind_session,
    "django.BaseDatabaseWrapper": behind_django,
    "django.ConnectionProxy": behind_django,
}
ASYNC_WRAPPERS: Mapping[str, Callable[[Any], Awaitable[AsyncBehind]]] = {
    "sqlalchemy.AsyncConnection": behind_async_connection,
    "sqlalchemy.AsyncSession": behind_async_session,
    "sqlalchemy.async_scoped_session": behind_async_session,
}
BLOCKING = {*WRAPPERS}.union(*DRIVERS.values())
AWAITED = {*ASYNC_WRAPPERS}.union(*ASYNC_DRIVERS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What executes, after `begin`, which is told whether the driver is in a transaction."""

    driver: Driver
    begin: Callable[[bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncWay:
    """The same for a connection that is awaited."""

    driver: AsyncDriver
    begin: Callable[[bool], Awaitable[None]]


def check_kind(dialect: Dialect, connection: object) -> None:
    """Raises `ConfigError` where no blocking call can store through this connection."""
    if not {*WRAPPERS, *DRIVERS[dialect.name]} & _names(connection):
        raise _refusal(dialect, connection)


def check_async_kind(dialect: Dialect, connection: object) -> None:
    """The same for a connection that is awaited."""
    if not {*ASYNC_WRAPPERS, *ASYNC_DRIVERS[dialect.name]} & _names(connection):
        raise _async_refusal(dialect, connection)


def way_of(dialect: Dialect, connection: object) -> Way:
    """The way through a connection that `check_kind` has let pass; nothing is executed yet."""
    wrapper = _known(WRAPPERS, connection)
    behind = Behind(connection=connection) if wrapper is None else wrapper(connection)
    make = _known(DRIVERS[dialect.name], behind.connection)
    if make is None:
        raise _refusal(dialect, behind.connection)
    return Way(driver=make(behind.connection), begin=behind.begin)


async def async_way_of(dialect: Dialect, connection: object) -> AsyncWay:
    """The same through a connection that is awaited."""
    wrapper = _known(ASYNC_WRAPPERS, connection)
    behind = AsyncBehind(connection=connection) if wrapper is None else await wrapper(connection)
    make = _known(ASYNC_DRIVERS[dialect.name], behind.connection)
    if make is None:
        raise _async_refusal(dialect, behind.connection)
    return AsyncWay(driver=make(behind.connection), begin=behind.begin)


def _known(kinds: Mapping[str, V], connection: object) -> V | None:
    return next((kinds[name] for name in _names(connection) if name in kinds), None)


def _names(connection: object) -> set[str]:
    """`psycopg.Connection` for a class of that name from anywhere in psycopg, and its subclasses."""
    return {f"{each.__module__.partition('.')[0]}.{each.__name__}" for each in type(connection).__mro__}


def _refusal(dialect: Dialect, connection: object) -> ConfigError:
    if AWAITED & _names(connection):
        call = "await AsyncMailstrom.send_email(..., connection=...)"
        return ConfigError(f"connection: {_shown(connection)} is for asyncio: use {call}")
    return _unfit(dialect, connection, DRIVERS[dialect.name], WRAPPERS)


def _async_refusal(dialect: Dialect, connection: object) -> ConfigError:
    if BLOCKING & _names(connection):
        call = "Mailstrom.send_email(..., connection=...)"
        return ConfigError(f"connection: {_shown(connection)} is not for asyncio: use {call}")
    return _unfit(dialect, connection, ASYNC_DRIVERS[dialect.name], ASYNC_WRAPPERS)


def _unfit(
    dialect: Dialect, connection: object, drivers: Iterable[str], wrappers: Iterable[str]
) -> ConfigError:
    own, over = ", ".join(drivers), ", ".join(wrappers)
    return ConfigError(
        f"connection: the storage is on {DATABASES[dialect.name]}: expected {own}, or over that "
        f"{over}; got {_shown(connection)}"
    )


def _shown(connection: object) -> str:
    return f"{type(connection).__module__}.{type(connection).__qualname__}"
