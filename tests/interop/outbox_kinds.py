"""The kinds of connections to a database, and how a caller is connected by each.

    async with KINDS["psycopg"].connected(place) as caller:

`place` is a path for SQLite, a DSN for PostgreSQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

import aiosqlite
import asyncpg
import django
import psycopg
from django.apps import apps
from django.conf import settings
from django.db import connection, connections
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from tests.interop.outbox_callers import (
    Aiosqlite,
    Asyncpg,
    AsyncPsycopg,
    AsyncSqlAlchemy,
    Caller,
    Django,
    Psycopg,
    SqlAlchemy,
    Sqlite3,
)

Opening = Callable[[str], AbstractAsyncContextManager[Caller]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of connection, to one of the two databases."""

    database: str
    is_awaited: bool
    connected: Opening
    autocommitting: Opening | None = None  # with no transaction open, and none that begins by itself


def by_sqlite3(**options: Any) -> Opening:
    @asynccontextmanager
    async def connected(path: str) -> AsyncIterator[Caller]:
        with closing(sqlite3.connect(path, **options)) as connection:
            yield Sqlite3(connection)

    return connected


def by_aiosqlite(**options: Any) -> Opening:
    @asynccontextmanager
    async def connected(path: str) -> AsyncIterator[Caller]:
        async with aiosqlite.connect(path, **options) as connection:
            yield Aiosqlite(connection)

    return connected


def by_psycopg(*, autocommit: bool = False) -> Opening:
    @asynccontextmanager
    async def connected(dsn: str) -> AsyncIterator[Caller]:
        with closing(psycopg.connect(dsn, autocommit=autocommit)) as connection:
            yield Psycopg(connection)

    return connected


def by_async_psycopg(*, autocommit: bool = False) -> Opening:
    @asynccontextmanager
    async def connected(dsn: str) -> AsyncIterator[Caller]:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=autocommit) as connection:
            yield AsyncPsycopg(connection)

    return connected


def by_asyncpg(*, autocommit: bool = False) -> Opening:
    @asynccontextmanager
    async def connected(dsn: str) -> AsyncIterator[Caller]:
        connection = await asyncpg.connect(dsn)
        try:
            caller = Asyncpg(connection)
            if not autocommit:
                await caller.transaction.start()
            yield caller
        finally:
            await connection.close()

    return connected


@asynccontextmanager
async def by_asyncpg_pool(dsn: str) -> AsyncIterator[Caller]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        caller = Asyncpg(connection)
        await caller.transaction.start()
        yield caller


def by_sqlalchemy(driver: str, open_: Callable[[Engine], Any], **options: Any) -> Opening:
    """What `open_` makes of an engine: a connection or a session."""

    @asynccontextmanager
    async def connected(place: str) -> AsyncIterator[Caller]:
        engine = create_engine(url(driver, place), **options)
        with closing(open_(engine)) as opened:
            yield SqlAlchemy(opened)
        engine.dispose()

    return connected


def by_async_sqlalchemy(driver: str, open_: Callable[[AsyncEngine], Any], **options: Any) -> Opening:
    """The same for asyncio."""

    @asynccontextmanager
    async def connected(place: str) -> AsyncIterator[Caller]:
        engine = create_async_engine(url(driver, place), **options)
        async with open_(engine) as opened:
            yield AsyncSqlAlchemy(opened)
        await engine.dispose()

    return connected


def by_django(*, autocommit: bool = False) -> Opening:
    @asynccontextmanager
    async def connected(place: str) -> AsyncIterator[Caller]:
        if not apps.ready:
            settings.configure(LOGGING_CONFIG=None)
            django.setup()
        connections.settings = connections.configure_settings({"default": django_database(place)})
        caller = Django(connection)
        if not autocommit:
            caller.atomic.__enter__()
        try:
            yield caller
        finally:
            if connection.in_atomic_block:
                await caller.rollback()
            connections.close_all()
            del connections["default"]

    return connected


def url(driver: str, place: str) -> str:
    """As SQLAlchemy writes it."""
    return f"{driver}:///{place}" if driver.startswith("sqlite") else f"{driver}:{place.partition(':')[2]}"


def django_database(place: str) -> dict[str, object]:
    """As Django's DATABASES has it."""
    if "://" not in place:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": place}
    parts = conninfo_to_dict(place)
    named = {"NAME": "dbname", "USER": "user", "HOST": "host", "PORT": "port"}
    return {"ENGINE": "django.db.backends.postgresql", **{key: parts[name] for key, name in named.items()}}


def sqlalchemy_kinds(database: str, driver: str) -> dict[str, Kind]:
    """Its kinds over this driver."""
    opened = {
        "Connection": Kind(
            database=database,
            is_awaited=False,
            connected=by_sqlalchemy(driver, Engine.connect),
            autocommitting=by_sqlalchemy(driver, Engine.connect, isolation_level="AUTOCOMMIT"),
        ),
        "Session": Kind(database=database, is_awaited=False, connected=by_sqlalchemy(driver, Session)),
        "scoped_session": Kind(
            database=database,
            is_awaited=False,
            connected=by_sqlalchemy(driver, lambda engine: scoped_session(sessionmaker(engine))),
        ),
    }
    return {f"SQLAlchemy {name}, {driver}": kind for name, kind in opened.items()}


def async_sqlalchemy_kinds(database: str, driver: str) -> dict[str, Kind]:
    """Its kinds for asyncio over this driver."""
    opened = {
        "AsyncConnection": Kind(
            database=database,
            is_awaited=True,
            connected=by_async_sqlalchemy(driver, AsyncEngine.connect),
            autocommitting=by_async_sqlalchemy(driver, AsyncEngine.connect, isolation_level="AUTOCOMMIT"),
        ),
        "AsyncSession": Kind(
            database=database, is_awaited=True, connected=by_async_sqlalchemy(driver, AsyncSession)
        ),
    }
    return {f"SQLAlchemy {name}, {driver}": kind for name, kind in opened.items()}


def django_kind(database: str) -> Kind:
    """`django.db.connection` on this database."""
    return Kind(
        database=database, is_awaited=False, connected=by_django(), autocommitting=by_django(autocommit=True)
    )


KINDS = {
    "sqlite3": Kind(
        database="sqlite",
        is_awaited=False,
        connected=by_sqlite3(),
        autocommitting=by_sqlite3(isolation_level=None),
    ),
    "aiosqlite": Kind(
        database="sqlite",
        is_awaited=True,
        connected=by_aiosqlite(),
        autocommitting=by_aiosqlite(isolation_level=None),
    ),
    "psycopg": Kind(
        database="postgres",
        is_awaited=False,
        connected=by_psycopg(),
        autocommitting=by_psycopg(autocommit=True),
    ),
    "psycopg asyncio": Kind(
        database="postgres",
        is_awaited=True,
        connected=by_async_psycopg(),
        autocommitting=by_async_psycopg(autocommit=True),
    ),
    "asyncpg": Kind(
        database="postgres",
        is_awaited=True,
        connected=by_asyncpg(),
        autocommitting=by_asyncpg(autocommit=True),
    ),
    "asyncpg pool": Kind(database="postgres", is_awaited=True, connected=by_asyncpg_pool),
    **sqlalchemy_kinds("sqlite", "sqlite"),
    **sqlalchemy_kinds("postgres", "postgresql+psycopg"),
    **async_sqlalchemy_kinds("sqlite", "sqlite+aiosqlite"),
    **async_sqlalchemy_kinds("postgres", "postgresql+psycopg"),
    **async_sqlalchemy_kinds("postgres", "postgresql+asyncpg"),
    "Django, SQLite": django_kind("sqlite"),
    "Django, PostgreSQL": django_kind("postgres"),
}
