"""A database or connection whose texts are no UTF-8 is refused before anything is stored or sent.

psycopg has octets in the place of texts where the encoding is SQL_ASCII, so that no id and no state
would be equal to anything: what was delivered would be sent again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from mailstrom import ConfigError
from mailstrom.status import Delivered
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.testing.storage_kit import LEASE, NOW, an_entry, id_of, settlement, there
from tests.postgres import Bouncer, PostgresServer, query


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def unfit(postgres_server: PostgresServer, encoding: str) -> Iterator[str]:
    """A database as `initdb` under LANG=C makes it."""
    name = f"unfit_{encoding.lower()}"
    query(
        postgres_server.dsn(), f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    )
    yield postgres_server.dsn(name)
    postgres_server.drop_database(postgres_server.dsn(name))


def tables(database: str) -> list[tuple[object, ...]]:
    return query(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'mailstrom'")


def test_a_database_with_another_encoding_is_refused(unfit: str, encoding: str) -> None:
    with closing(PostgresStorage(unfit)) as storage:
        with pytest.raises(ConfigError, match=f"{encoding}.*ENCODING 'UTF8' TEMPLATE template0"):
            storage.store([an_entry()])
        with pytest.raises(ConfigError, match=encoding):
            storage.upgrade()

    assert tables(unfit) == []


def test_it_is_refused_through_pgbouncer(unfit: str, encoding: str, postgres_bouncer: Bouncer) -> None:
    with (
        closing(PostgresStorage(postgres_bouncer.through(unfit))) as storage,
        pytest.raises(ConfigError, match=encoding),
    ):
        storage.is_idle()


@pytest.mark.parametrize("where", ["dsn", "PGCLIENTENCODING"])
def test_what_dsn_and_environment_say_of_it_makes_no_difference(
    database: str, encoding: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = database
    if where == "dsn":
        dsn = make_conninfo(database, client_encoding=encoding)
    else:
        monkeypatch.setenv("PGCLIENTENCODING", encoding)
    with closing(PostgresStorage(dsn)) as storage:
        storage.store([an_entry("one", "\u7528\u6237@dest.example")])
        claim = there(storage.claim(NOW, owner="w", lease=LEASE), "a claim")

        assert claim.recipients[0].address == "\u7528\u6237@dest.example"
        assert storage.settle([settlement(claim, Delivered(tries=1))], NOW) == [True]


def test_a_pool_whose_connections_have_another_encoding_is_refused(database: str, encoding: str) -> None:
    dsn = make_conninfo(database, client_encoding=encoding)
    with ConnectionPool(dsn, min_size=1, max_size=1, open=True) as pool:
        storage = PostgresStorage(pool)

        with pytest.raises(ConfigError, match=f"client_encoding is {encoding}.*client_encoding=utf8"):
            storage.store([an_entry()])

    assert tables(database) == []


def test_a_callers_connection_with_another_encoding_is_refused_and_goes_on(
    database: str, encoding: str
) -> None:
    with (
        closing(PostgresStorage(database)) as storage,
        psycopg.connect(database, client_encoding=encoding) as caller,
    ):
        binding = storage.bind(caller)
        caller.execute("CREATE TABLE orders ()")

        with pytest.raises(ConfigError, match=f"client_encoding is {encoding}"):
            binding.store([an_entry()])

        caller.commit()
        assert query(database, "SELECT count(*) FROM orders") == [(0,)]
        assert storage.is_idle()


def test_one_for_asyncio_is_refused_as_well(database: str, encoding: str) -> None:
    async def store(storage: PostgresStorage) -> None:
        async with await psycopg.AsyncConnection.connect(database, client_encoding=encoding) as caller:
            with pytest.raises(ConfigError, match=f"client_encoding is {encoding}"):
                await storage.bind_async(caller).store([an_entry()])
            await caller.execute("SET client_encoding TO 'UTF8'")
            assert await storage.bind_async(caller).store([an_entry()]) == [id_of("one")]

    with closing(PostgresStorage(database)) as storage:
        asyncio.run(store(storage))
