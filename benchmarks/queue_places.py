"""Where the measured queues rest: files of SQLite's, and a PostgreSQL server of our own with fsync on."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mailstrom.storage.sql.dialect import SQLITE, postgres
from mailstrom.storage.urls import sqlite_path
from tests.postgres import query, running_postgres, skip_unless_it_can_run

__all__ = ["POSTGRES", "Place", "Tables", "opened", "places", "sqlite_place"]

POSTGRES = "PostgreSQL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A kind of storage."""

    name: str
    version: str
    new_queue: Callable[[], str]  # the URL of one more


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """A queue's tables, for SQL that works on thousands of rows at once."""

    prefix: str
    execute: Callable[[str], Any]  # a cursor


@contextmanager
def places(folder: Path) -> Iterator[list[Place]]:
    """SQLite, and PostgreSQL where it is installed; queues last as long as the block and the folder."""
    try:
        skip_unless_it_can_run()
    except pytest.skip.Exception as missing:
        print(f"PostgreSQL is left out: {missing}", file=sys.stderr)
        yield [sqlite_place(folder)]
        return
    with running_postgres(fsync=True, settings={"max_wal_size": "8GB"}) as server:
        ((version,),) = query(server.dsn(), "SHOW server_version")
        yield [
            sqlite_place(folder),
            Place(name=POSTGRES, version=version.split()[0], new_queue=server.new_database),
        ]


def sqlite_place(folder: Path) -> Place:
    """Each queue is a file in this folder."""
    numbers = count(1)
    return Place(
        name="SQLite",
        version=sqlite3.sqlite_version,
        new_queue=lambda: f"sqlite:///{folder}/queue{next(numbers)}.db",
    )


@contextmanager
def opened(url: str) -> Iterator[Tables]:
    """The tables while nobody else uses them; they are tidy at the end, as they are after a while."""
    with _sqlite(url) if url.startswith("sqlite:") else _postgres(url) as tables:
        yield tables


@contextmanager
def _sqlite(url: str) -> Iterator[Tables]:
    with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        yield Tables(prefix=SQLITE.prefix, execute=connection.execute)
        connection.execute("PRAGMA journal_mode = WAL")


@contextmanager
def _postgres(url: str) -> Iterator[Tables]:
    with psycopg.connect(url, autocommit=True) as connection:
        tables = Tables(prefix=postgres("mailstrom").prefix, execute=connection.execute)
        yield tables
        messages = f"{tables.prefix}messages"
        connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{messages}', 'seq'), (SELECT max(seq) FROM {messages}))"
        )
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")  # else its writing falls into what is measured
