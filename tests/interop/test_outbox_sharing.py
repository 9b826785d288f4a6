"""Emails through one connection from several tasks or threads, and tasks that are cancelled meanwhile.

What a call has returned an id for is in the transaction, whatever becomes of the others.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import aiosqlite
import psycopg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from mailstrom import IdempotencyConflict, SharedStorage
from mailstrom.testing.storage_kit import Entry, a_keyed, an_entry, id_of
from tests.interop.outbox_callers import AsyncPsycopg, AsyncSqlAlchemy, Caller
from tests.interop.outbox_desk import Desk, on_postgres, on_sqlite
from tests.interop.outbox_kinds import KINDS, Kind

CALLS = 6
WAITS = 9  # more than once, and less often than a call waits for the server
AWAITED = [name for name in KINDS if KINDS[name].is_awaited]


@pytest.fixture
def sqlite_desk(tmp_path: Path) -> Iterator[Desk]:
    with on_sqlite(tmp_path / "app.db") as desk:
        yield desk


@pytest.fixture
def postgres_desk(database: str) -> Iterator[Desk]:
    with on_postgres(database) as desk:
        yield desk


@pytest.fixture(params=AWAITED)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def desk(request: pytest.FixtureRequest, kind: Kind) -> Desk:
    made: Desk = request.getfixturevalue(f"{kind.database}_desk")
    return made


def some_refused(storage: SharedStorage) -> list[Entry]:
    """As many as `CALLS`; every other conflicts with what the storage has."""
    storage.store([a_keyed("known", key="invoice 1")])
    return [
        an_entry(f"{number}") if number % 2 else a_keyed(f"{number}", key="invoice 1", fingerprint="another")
        for number in range(CALLS)
    ]


SENT = sorted([id_of("known"), *(id_of(f"{number}") for number in range(1, CALLS, 2))])


# --- side by side


def test_of_tasks_that_share_a_connection_none_takes_back_what_another_stored(desk: Desk, kind: Kind) -> None:
    entries = some_refused(desk.storage)

    async def story(caller: Caller, storage: SharedStorage) -> None:
        await caller.insert(1)
        told = await asyncio.gather(
            *(caller.send(storage, entry) for entry in entries), return_exceptions=True
        )
        assert [type(each) for each in told] == [IdempotencyConflict, list] * (CALLS // 2)
        await caller.commit()

    desk.play(kind, story)

    assert (desk.sent(), desk.orders()) == (SENT, 1)


@pytest.mark.parametrize(
    "kind",
    [name for name in AWAITED if KINDS[name].autocommitting and "SQLAlchemy" not in name],
    indirect=True,
)
def test_nor_where_each_commits_by_itself(desk: Desk, kind: Kind) -> None:
    entries = some_refused(desk.storage)

    async def story(caller: Caller, storage: SharedStorage) -> None:
        told = await asyncio.gather(
            *(caller.send(storage, entry) for entry in entries), return_exceptions=True
        )
        assert [type(each) for each in told] == [IdempotencyConflict, list] * (CALLS // 2)
        await caller.insert(1)

    desk.play(kind, story, autocommit=True)

    assert (desk.sent(), desk.orders()) == (SENT, 1)


def connected_by_sqlite3(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, check_same_thread=False)


@pytest.mark.parametrize(
    ("name", "connect"), [("sqlite", connected_by_sqlite3), ("postgres", psycopg.connect)]
)
def test_of_threads_that_share_a_connection_none_takes_back_what_another_stored(
    request: pytest.FixtureRequest, name: str, connect: Callable[[str], Any]
) -> None:
    desk: Desk = request.getfixturevalue(f"{name}_desk")
    entries = some_refused(desk.storage)
    told: list[list[str] | Exception] = []
    with closing(connect(desk.place)) as connection:
        connection.execute("INSERT INTO orders (number) VALUES (1)")
        together = Barrier(CALLS)

        def send(entry: Entry) -> None:
            together.wait()
            try:
                told.append(desk.storage.bind(connection).store([entry]))
            except IdempotencyConflict as error:
                told.append(error)

        threads = [Thread(target=send, args=(entry,)) for entry in entries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        connection.commit()

    assert sorted(type(each).__name__ for each in told) == ["IdempotencyConflict"] * 3 + ["list"] * 3
    assert (desk.sent(), desk.orders()) == (SENT, 1)


# --- cancelled


class Interrupted(psycopg.AsyncConnection[Any]):
    """Cancels a task when it has to wait for the server the n-th time."""

    task: asyncio.Task[Any] | None = None
    waits = 0

    async def wait(self, *args: Any, **options: Any) -> Any:
        self.waits -= 1
        if self.waits == 0 and self.task is not None:
            self.task.cancel()
        return await super().wait(*args, **options)

    def interrupt(self, task: asyncio.Task[Any], waits: int) -> None:
        self.task, self.waits = task, waits


async def cancelled_at_each_wait(desk: Desk, caller: Caller, driver: Interrupted) -> None:
    """Calls that are cancelled, one at each time that a call waits for the server."""
    await caller.insert(0)
    await caller.send(desk.storage, an_entry("whole"))
    for waits in range(1, WAITS):
        task = asyncio.create_task(caller.send(desk.storage, an_entry(f"cancelled {waits}")))
        driver.interrupt(task, waits)
        before = driver.info.transaction_status
        with pytest.raises(asyncio.CancelledError):
            await task
        assert driver.info.transaction_status == before
        await caller.insert(waits)


def test_a_transaction_goes_on_wherever_a_call_in_it_was_cancelled(postgres_desk: Desk) -> None:
    async def story() -> None:
        async with await Interrupted.connect(postgres_desk.place) as connection:
            await cancelled_at_each_wait(postgres_desk, AsyncPsycopg(connection), connection)
            await connection.commit()

    asyncio.run(story())

    assert postgres_desk.orders() == WAITS
    assert id_of("whole") in postgres_desk.sent()


def test_nor_does_one_through_sqlalchemy_end_its_transaction(postgres_desk: Desk) -> None:
    async def story() -> None:
        engine = create_async_engine(
            "postgresql+psycopg://", async_creator=lambda: Interrupted.connect(postgres_desk.place)
        )
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, Interrupted)
            await cancelled_at_each_wait(postgres_desk, AsyncSqlAlchemy(connection), driver)
            await connection.commit()
        await engine.dispose()

    asyncio.run(story())

    assert postgres_desk.orders() == WAITS


def test_with_autocommit_a_call_that_was_cancelled_leaves_no_transaction_open(postgres_desk: Desk) -> None:
    async def story() -> None:
        async with await Interrupted.connect(postgres_desk.place, autocommit=True) as connection:
            await cancelled_at_each_wait(postgres_desk, AsyncPsycopg(connection), connection)

    asyncio.run(story())

    assert postgres_desk.orders() == WAITS


def test_nor_one_that_was_cancelled_while_it_waited_for_another_writer(sqlite_desk: Desk) -> None:
    async def story() -> bool:
        begins, loop = asyncio.Event(), asyncio.get_running_loop()

        def seen(statement: str) -> None:
            if statement == "BEGIN IMMEDIATE":
                loop.call_soon_threadsafe(begins.set)

        async with aiosqlite.connect(sqlite_desk.place, isolation_level=None) as connection:
            await connection.set_trace_callback(seen)
            with closing(sqlite3.connect(sqlite_desk.place, isolation_level=None)) as another:
                another.execute("BEGIN IMMEDIATE")
                task = asyncio.create_task(sqlite_desk.storage.bind_async(connection).store([an_entry()]))
                await begins.wait()
                task.cancel()
                another.execute("ROLLBACK")
            with pytest.raises(asyncio.CancelledError):
                await task
            await connection.execute("SELECT 1")  # behind all that was left to do
            return connection.in_transaction

    assert not asyncio.run(story())
    assert sqlite_desk.sent() == []
