"""Callers with a transaction of their own, one for each kind of connection.

    async with KINDS["psycopg"].connected(dsn) as caller:         in a story; see `tell`
        await caller.insert(1)                    a row of the caller's
        await caller.send(storage, entry)         an email beside it
        async with caller.undone():               a savepoint that is rolled back
            ...
        await caller.commit()                     or rollback()

Each ends its transactions and savepoints as its users do, not by SQL where there is a method.
One story fits all kinds: what blocks is a coroutine that never waits, and needs no event loop.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, ClassVar

from django.db import transaction
from sqlalchemy import text

from mailstrom import SharedStorage
from mailstrom.testing.storage_kit import Entry

INSERT = "INSERT INTO orders (number) VALUES ({})"


class Caller(ABC):
    """An application with a connection."""

    is_awaited: ClassVar[bool]

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def send(self, storage: SharedStorage, *entries: Entry) -> list[str]:
        """Stores the emails through the connection."""
        if self.is_awaited:
            return await storage.bind_async(self.connection).store(entries)
        return storage.bind(self.connection).store(entries)

    async def insert(self, number: int) -> None:
        """A row of the application's own."""
        await self.execute(INSERT.format(number))

    @abstractmethod
    async def execute(self, sql: str) -> None: ...

    async def commit(self) -> None:
        ended = self.connection.commit()
        await ended if self.is_awaited else None

    async def rollback(self) -> None:
        ended = self.connection.rollback()
        await ended if self.is_awaited else None

    @abstractmethod
    def undone(self) -> AbstractAsyncContextManager[object]:
        """A savepoint that is rolled back at the end of the block."""


class Sqlite3(Caller):
    is_awaited = False

    async def execute(self, sql: str) -> None:
        self.connection.execute(sql)

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        self.connection.execute("SAVEPOINT theirs")
        yield
        self.connection.execute("ROLLBACK TO theirs")


class Aiosqlite(Caller):
    is_awaited = True

    async def execute(self, sql: str) -> None:
        await self.connection.execute(sql)

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        await self.connection.execute("SAVEPOINT theirs")
        yield
        await self.connection.execute("ROLLBACK TO theirs")


class Psycopg(Caller):
    is_awaited = False

    async def execute(self, sql: str) -> None:
        self.connection.execute(sql)

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        with self.connection.transaction(force_rollback=True):
            yield


class AsyncPsycopg(Caller):
    is_awaited = True

    async def execute(self, sql: str) -> None:
        await self.connection.execute(sql)

    def undone(self) -> AbstractAsyncContextManager[object]:
        return self.connection.transaction(force_rollback=True)


class Asyncpg(Caller):
    """Its transaction is begun when it is connected."""

    is_awaited = True

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.transaction = connection.transaction()

    async def execute(self, sql: str) -> None:
        await self.connection.execute(sql)

    async def commit(self) -> None:
        await self.transaction.commit()

    async def rollback(self) -> None:
        await self.transaction.rollback()

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        savepoint = self.connection.transaction()
        await savepoint.start()
        yield
        await savepoint.rollback()


class SqlAlchemy(Caller):
    is_awaited = False

    async def execute(self, sql: str) -> None:
        self.connection.execute(text(sql))

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        savepoint = self.connection.begin_nested()
        yield
        savepoint.rollback()


class AsyncSqlAlchemy(Caller):
    is_awaited = True

    async def execute(self, sql: str) -> None:
        await self.connection.execute(text(sql))

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        savepoint = await self.connection.begin_nested()
        yield
        await savepoint.rollback()


class Django(Caller):
    """`django.db.connection`, inside `atomic()` or outside."""

    is_awaited = False

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.atomic = transaction.atomic()

    async def execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    async def commit(self) -> None:
        self.atomic.__exit__(None, None, None)

    async def rollback(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        with transaction.atomic():
            yield
            transaction.set_rollback(True)


def tell(story: Coroutine[Any, Any, None], *, is_awaited: bool) -> None:
    """Runs it to its end; without an event loop, which Django refuses to be in, where nothing is awaited."""
    if is_awaited:
        asyncio.run(story)
        return
    with suppress(StopIteration):
        story.send(None)
        raise AssertionError("a blocking story has awaited something")
