"""An email that is stored in its caller's transaction goes out if and only if that commits.

Each fact for each kind of connection, on real databases.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import psycopg.rows
import pytest

from mailstrom import DuplicateMessage, IdempotencyConflict, MessageNotFound, SharedStorage
from mailstrom.abc import Terms
from mailstrom.errors import ConfigError, StorageError
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.storage_kit import LEASE, NOW, a_keyed, an_entry, id_of
from tests.interop.outbox_callers import Caller
from tests.interop.outbox_desk import Desk, on_postgres, on_sqlite
from tests.interop.outbox_kinds import KINDS, Kind
from tests.postgres import query


@pytest.fixture
def sqlite_desk(tmp_path: Path) -> Iterator[Desk]:
    with on_sqlite(tmp_path / "app.db") as desk:
        yield desk


@pytest.fixture
def postgres_desk(database: str) -> Iterator[Desk]:
    with on_postgres(database) as desk:
        yield desk


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def desk(request: pytest.FixtureRequest, kind: Kind) -> Desk:
    made: Desk = request.getfixturevalue(f"{kind.database}_desk")
    return made


def test_commit_sends(desk: Desk, kind: Kind) -> None:
    async def story(caller: Caller, storage: SharedStorage) -> None:
        await caller.insert(1)
        assert await caller.send(storage, an_entry("one"), an_entry("two")) == [id_of("one"), id_of("two")]
        with pytest.raises(MessageNotFound):
            storage.retrieve_status(id_of("one"))
        await caller.commit()

    desk.play(kind, story)

    assert (desk.sent(), desk.orders()) == ([id_of("one"), id_of("two")], 1)


def test_a_large_content_is_stored_whole(desk: Desk, kind: Kind) -> None:
    email, status = an_entry("large")
    large = replace(email, content=bytes(range(256)) * 5000), status

    async def story(caller: Caller, storage: SharedStorage) -> None:
        await caller.insert(1)
        await caller.send(storage, an_entry("one"), large)
        await caller.commit()
        claims = storage.claim_many(NOW, Terms(owner="one", lease=LEASE, limit=2))
        assert [claim.email for claim in claims] == [an_entry("one")[0], large[0]]

    desk.play(kind, story)


def test_commit_sends_what_was_the_first_statement(desk: Desk, kind: Kind) -> None:
    async def story(caller: Caller, storage: SharedStorage) -> None:
        await caller.send(storage, an_entry("one"))
        with pytest.raises(MessageNotFound):
            storage.retrieve_status(id_of("one"))
        await caller.insert(1)
        await caller.commit()

    desk.play(kind, story)

    assert (desk.sent(), desk.orders()) == ([id_of("one")], 1)


def test_rollback_sends_nothing(desk: Desk, kind: Kind) -> None:
    async def story(caller: Caller, storage: SharedStorage) -> None:
        await caller.send(storage, an_entry("one"))
        await caller.insert(1)
        await caller.rollback()

    desk.play(kind, story)

    assert (desk.sent(), desk.orders()) == ([], 0)


def test_a_rolled_back_savepoint_sends_nothing(desk: Desk, kind: Kind) -> None:
    async def story(caller: Caller, storage: SharedStorage) -> None:
        await caller.send(storage, an_entry("before"))
        async with caller.undone():
            await caller.send(storage, an_entry("inside"))
            await caller.insert(1)
        await caller.insert(2)
        await caller.commit()

    desk.play(kind, story)

    assert (desk.sent(), desk.orders()) == ([id_of("before")], 1)


def test_the_transaction_goes_on_after_a_duplicate(desk: Desk, kind: Kind) -> None:
    desk.storage.store([an_entry("known")])

    async def story(caller: Caller, storage: SharedStorage) -> None:
        await caller.insert(1)
        with pytest.raises(DuplicateMessage) as refused:
            await caller.send(storage, an_entry("half"), an_entry("known"))
        assert refused.value.index == 1
        await caller.send(storage, an_entry("after"))
        await caller.insert(2)
        await caller.commit()

    desk.play(kind, story)

    assert (desk.sent(), desk.orders()) == ([id_of("after"), id_of("known")], 2)


def test_the_transaction_goes_on_after_a_conflict_of_keys(desk: Desk, kind: Kind) -> None:
    desk.storage.store([a_keyed("known", key="invoice 1")])

    async def story(caller: Caller, storage: SharedStorage) -> None:
        with pytest.raises(IdempotencyConflict):
            await caller.send(storage, a_keyed("other", key="invoice 1", fingerprint="another"))
        await caller.insert(1)
        await caller.commit()

    desk.play(kind, story)

    assert (desk.sent(), desk.orders()) == ([id_of("known")], 1)


def test_a_repeated_key_returns_the_first_id_and_sends_once(desk: Desk, kind: Kind) -> None:
    async def story(caller: Caller, storage: SharedStorage) -> None:
        first = await caller.send(storage, a_keyed("first", key="invoice 1"))
        assert await caller.send(storage, a_keyed("again", key="invoice 1")) == first
        await caller.commit()

    desk.play(kind, story)

    assert desk.sent() == [id_of("first")]


@pytest.mark.parametrize("kind", [name for name in KINDS if KINDS[name].autocommitting], indirect=True)
def test_with_autocommit_it_is_sent_without_a_commit(desk: Desk, kind: Kind) -> None:
    desk.storage.store([an_entry("known")])

    async def story(caller: Caller, storage: SharedStorage) -> None:
        await caller.send(storage, an_entry("one"))
        with pytest.raises(DuplicateMessage):
            await caller.send(storage, an_entry("half"), an_entry("known"))
        await caller.insert(1)
        assert desk.sent() == [id_of("known"), id_of("one")]
        assert desk.orders() == 1

    desk.play(kind, story, autocommit=True)


# --- which connection


def test_a_call_that_blocks_is_not_for_asyncio_and_the_reverse(desk: Desk, kind: Kind) -> None:
    async def story(caller: Caller, storage: SharedStorage) -> None:
        wrong = storage.bind if caller.is_awaited else storage.bind_async
        right = "await AsyncMailstrom.send_email" if caller.is_awaited else "use Mailstrom.send_email"
        with pytest.raises(ConfigError, match=right):
            wrong(caller.connection)
        await caller.rollback()

    desk.play(kind, story)


@pytest.mark.parametrize("name", ["sqlite3", "Django, SQLite", "SQLAlchemy AsyncSession, sqlite+aiosqlite"])
def test_a_connection_to_sqlite_is_not_for_a_queue_in_postgresql(
    sqlite_desk: Desk, postgres_desk: Desk, name: str
) -> None:
    async def story(caller: Caller, _: SharedStorage) -> None:
        with pytest.raises(ConfigError, match="the storage is on PostgreSQL"):
            await caller.send(postgres_desk.storage, an_entry())

    sqlite_desk.play(KINDS[name], story)


@pytest.mark.parametrize("name", ["psycopg", "asyncpg", "SQLAlchemy Session, postgresql+psycopg"])
def test_a_connection_to_postgresql_is_not_for_a_queue_in_sqlite(
    sqlite_desk: Desk, postgres_desk: Desk, name: str
) -> None:
    async def story(caller: Caller, _: SharedStorage) -> None:
        with pytest.raises(ConfigError, match="the storage is on SQLite"):
            await caller.send(sqlite_desk.storage, an_entry())

    postgres_desk.play(KINDS[name], story)


@pytest.mark.parametrize("name", ["psycopg", "psycopg asyncio", "asyncpg"])
def test_a_database_without_the_queue_is_told(postgres_desk: Desk, name: str) -> None:
    query(postgres_desk.place, "ALTER SCHEMA mailstrom RENAME TO elsewhere")

    async def story(caller: Caller, storage: SharedStorage) -> None:
        with pytest.raises(StorageError, match="no tables of mailstrom's"):
            await caller.send(storage, an_entry())
        await caller.insert(1)
        await caller.commit()

    postgres_desk.play(KINDS[name], story)

    assert postgres_desk.orders() == 1


def test_another_file_of_sqlite_is_refused(sqlite_desk: Desk, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        binding = sqlite_desk.storage.bind(connection)

        with pytest.raises(ConfigError, match=r"other\.db"):
            binding.store([an_entry()])


def test_commits_that_a_loss_of_power_undoes_are_refused(sqlite_desk: Desk) -> None:
    """Row 51."""
    with closing(sqlite3.connect(sqlite_desk.place)) as connection:
        connection.execute("PRAGMA synchronous=NORMAL")
        binding = sqlite_desk.storage.bind(connection)

        with pytest.raises(ConfigError, match="PRAGMA synchronous=FULL"):
            binding.store([an_entry()])


def test_they_will_do_where_the_storage_itself_makes_no_others(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with (
        closing(SqliteStorage(path, durability="normal")) as storage,
        closing(sqlite3.connect(path)) as connection,
    ):
        connection.execute("PRAGMA synchronous=NORMAL")

        assert storage.bind(connection).store([an_entry("one")]) == [id_of("one")]


# --- what else is at work


def test_a_transaction_that_stays_open_holds_up_nobody(postgres_desk: Desk) -> None:
    async def story(caller: Caller, storage: SharedStorage) -> None:
        await caller.send(storage, an_entry("open"))
        storage.store([an_entry("another")])
        assert postgres_desk.sent() == [id_of("another")]
        await caller.commit()

    postgres_desk.play(KINDS["psycopg"], story)

    assert postgres_desk.sent() == [id_of("open")]


def test_rows_that_the_caller_makes_into_something_else_change_nothing(postgres_desk: Desk) -> None:
    postgres_desk.storage.store([a_keyed("first", key="invoice 1")])

    with psycopg.connect(postgres_desk.place, row_factory=psycopg.rows.dict_row) as connection:
        assert postgres_desk.storage.bind(connection).store([a_keyed("again", key="invoice 1")]) == [
            id_of("first")
        ]


def test_a_role_that_may_read_and_insert_will_do(postgres_desk: Desk) -> None:
    query(
        postgres_desk.place,
        "DROP ROLE IF EXISTS shop; CREATE ROLE shop LOGIN; GRANT INSERT ON orders TO shop;"
        "GRANT USAGE ON SCHEMA mailstrom TO shop;"
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA mailstrom TO shop",
    )
    with closing(psycopg.connect(postgres_desk.place, user="shop")) as connection:
        postgres_desk.storage.bind(connection).store([an_entry("one")])
        connection.commit()

    assert postgres_desk.sent() == [id_of("one")]
    query(postgres_desk.place, "DROP OWNED BY shop; DROP ROLE shop")
