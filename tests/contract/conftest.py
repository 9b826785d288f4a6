"""A queue in PostgreSQL for the tests of the storage contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailstrom.storage.postgres import PostgresStorage
from tests.contract.subjects import emptied
from tests.postgres import PostgresServer


@pytest.fixture(scope="module")
def database_of_module(postgres_server: PostgresServer) -> Iterator[str]:
    """The DSN of a database with the tables."""
    dsn = postgres_server.new_database()
    storage = PostgresStorage(dsn)
    storage.upgrade()
    storage.close()
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.fixture
def queue(database_of_module: str) -> str:
    """The same, the queue in it empty."""
    return emptied(database_of_module)
