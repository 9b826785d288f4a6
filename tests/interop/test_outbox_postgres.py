"""What the outbox makes of connections to PostgreSQL: where they lead, and what their owners have set."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.adapt import Buffer, Dumper, Loader

from mailstrom import DuplicateMessage, SharedStorage
from mailstrom.errors import ConfigError, StorageError
from mailstrom.testing.storage_kit import a_keyed, an_entry, id_of
from tests.interop.outbox_callers import Caller
from tests.interop.outbox_desk import Desk, on_postgres
from tests.interop.outbox_kinds import KINDS
from tests.postgres import Bouncer, PostgresServer, query

DRIVERS = ["psycopg", "psycopg asyncio", "asyncpg"]


@pytest.fixture
def desk(database: str) -> Iterator[Desk]:
    with on_postgres(database) as desk:
        yield desk


@pytest.fixture
def other(postgres_server: PostgresServer) -> Iterator[Desk]:
    """Another database, with another queue."""
    dsn = postgres_server.new_database()
    with on_postgres(dsn) as desk:
        yield desk
    postgres_server.drop_database(dsn)


# --- where a connection leads


@pytest.mark.parametrize("name", DRIVERS)
def test_another_database_is_refused_though_it_has_a_queue(desk: Desk, other: Desk, name: str) -> None:
    async def story(caller: Caller, _: SharedStorage) -> None:
        await caller.insert(1)
        with pytest.raises(ConfigError, match="another database than the storage"):
            await caller.send(desk.storage, an_entry("lost"))
        await caller.commit()

    other.play(KINDS[name], story)

    assert (desk.sent(), other.sent(), other.orders()) == ([], [], 1)


def test_the_way_to_the_database_makes_no_difference(desk: Desk, postgres_bouncer: Bouncer) -> None:
    with psycopg.connect(postgres_bouncer.through(desk.place), prepare_threshold=None) as connection:
        desk.storage.bind(connection).store([an_entry("one")])

    assert desk.sent() == [id_of("one")]


def test_a_queue_that_has_moved_is_found_again_by_the_next_call(
    desk: Desk, other: Desk, postgres_server: PostgresServer
) -> None:
    with closing(psycopg.connect(desk.place)) as connection:
        desk.storage.bind(connection).store([an_entry("before")])
    here, there = (place.rpartition("/")[2] for place in (desk.place, other.place))
    other.storage.close()
    query(
        postgres_server.dsn(),
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('{here}', '{there}')",
    )
    query(postgres_server.dsn(), f"ALTER DATABASE {here} RENAME TO away")
    query(postgres_server.dsn(), f"ALTER DATABASE {there} RENAME TO {here}")

    with psycopg.connect(desk.place) as connection:
        with pytest.raises(ConfigError, match="another database"):
            desk.storage.bind(connection).store([an_entry("one")])
        desk.storage.bind(connection).store([an_entry("two")])

    assert desk.sent() == [id_of("two")]
    query(postgres_server.dsn(), f"ALTER DATABASE away RENAME TO {there}")


def test_where_no_role_is_told_the_cluster_the_database_tells(desk: Desk, other: Desk) -> None:
    for place in (desk.place, other.place):
        query(place, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    with psycopg.connect(desk.place) as connection:
        desk.storage.bind(connection).store([an_entry("one")])

    with (
        psycopg.connect(other.place) as connection,
        pytest.raises(ConfigError, match="another database than the storage"),
    ):
        desk.storage.bind(connection).store([an_entry("two")])

    assert desk.sent() == [id_of("one")]


# --- what a connection is doing


@pytest.mark.parametrize("autocommit", [False, True])
def test_in_pipeline_mode_it_is_refused(desk: Desk, autocommit: bool) -> None:
    with (
        psycopg.connect(desk.place, autocommit=autocommit) as connection,
        connection.pipeline(),
        pytest.raises(ConfigError, match="pipeline mode"),
    ):
        desk.storage.bind(connection).store([an_entry()])

    assert desk.sent() == []


def test_beside_a_statement_that_is_under_way_it_is_refused(desk: Desk) -> None:
    with psycopg.connect(desk.place) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY orders FROM STDIN") as copy:
            copy.write_row([1])
            with pytest.raises(StorageError, match="under way"):
                desk.storage.bind(connection).store([an_entry()])
        connection.commit()

    assert (desk.sent(), desk.orders()) == ([], 1)


def test_a_first_call_that_is_refused_begins_no_transaction(desk: Desk) -> None:
    desk.storage.store([an_entry("known")])

    with psycopg.connect(desk.place) as connection:
        with pytest.raises(DuplicateMessage):
            desk.storage.bind(connection).store([an_entry("known")])

        assert connection.info.transaction_status.name == "IDLE"


def test_a_transaction_that_went_with_its_connection_is_said_to_be_lost(desk: Desk) -> None:
    with closing(psycopg.connect(desk.place)) as connection:
        connection.execute("INSERT INTO orders (number) VALUES (1)")
        query(desk.place, f"SELECT pg_terminate_backend({connection.info.backend_pid})")

        with pytest.raises(StorageError, match="your whole transaction is lost") as told:
            desk.storage.bind(connection).store([an_entry()])

    assert told.value.transaction_lost


# --- what its owner has made of it


class Wrapping(Loader):
    def load(self, data: Buffer) -> str:
        return f"wrapped {bytes(data).decode()}"


class Shouting(Dumper):
    def dump(self, obj: str) -> bytes:
        return obj.upper().encode()


def strange(connection: Any) -> Any:
    """The connection, with adapters and factories that nobody would expect."""
    for kind in ("text", "int8", "int4", "bytea"):
        connection.adapters.register_loader(kind, Wrapping)
    connection.adapters.register_dumper(str, Shouting)
    connection.row_factory = psycopg.rows.dict_row
    return connection


def test_nothing_that_is_registered_on_the_connection_changes_what_is_stored(desk: Desk) -> None:
    with psycopg.connect(desk.place) as connection:
        for _ in range(2):
            ids = desk.storage.bind(strange(connection)).store([a_keyed("first", key="invoice 1")])

            assert ids == [id_of("first")]

    assert desk.sent() == [id_of("first")]


def test_nor_with_asyncio(desk: Desk) -> None:
    async def story() -> list[str]:
        async with await psycopg.AsyncConnection.connect(desk.place) as connection:
            return await desk.storage.bind_async(strange(connection)).store([an_entry("one")])

    assert asyncio.run(story()) == desk.sent() == [id_of("one")]


def test_no_prepared_statement_is_left_on_it(desk: Desk) -> None:
    with psycopg.connect(desk.place, prepare_threshold=1) as connection:
        for number in range(3):
            desk.storage.bind(connection).store([an_entry(f"{number}", "a@dest.example", "b@dest.example")])

        assert connection.execute("SELECT * FROM pg_prepared_statements").fetchall() == []
        assert connection.prepare_threshold == 1
