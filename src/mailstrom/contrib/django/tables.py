"""The queue's tables in the default database: `manage.py migrate` makes them.

Elsewhere they are made at first use, and in PostgreSQL also here. In SQLite a transaction that has
written keeps everybody else from writing, also the storage's own connection, which makes them.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from ...errors import ConfigError
from ...storage.border import border
from ...storage.bound_sqlite import SqliteDriver
from ...storage.postgres import PostgresStorage
from ...storage.sql import schema
from ...storage.sql.dialect import SQLITE
from ...storage.sql.script import perform
from ...storage.urls import storage_from_url
from .settings import default_database, is_outbox

__all__ = ["check_tables", "make_tables"]


def make_tables(*, using: str, **_: object) -> None:
    """Brings them up to date after `migrate`; a receiver of the signal `post_migrate`."""
    if using != DEFAULT_DB_ALIAS or not is_outbox({}):
        return
    try:
        url = default_database()
    except ConfigError:
        return  # it can hold no queue, as who sends is told
    check_tables()
    with closing(storage_from_url(url)) as storage:  # in SQLite they are made now
        if isinstance(storage, PostgresStorage):
            storage.upgrade()


def check_tables() -> None:
    """Raises `ConfigError` in a transaction of SQLite's that does not find them made."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.vendor != "sqlite" or database.connection is None or database.get_autocommit():
        return
    if (found := _version(database)) < schema.VERSION:
        tables = f"tables for mail of version {found}" if found else "no tables for mail"
        raise ConfigError(
            f"the default database has {tables}, and this mailstrom works with version {schema.VERSION}; "
            "inside of a transaction they cannot be made: run `manage.py migrate`, with "
            '"mailstrom.contrib.django" in INSTALLED_APPS'
        )


def _version(database: Any) -> int:
    """By another connection: what the transaction reads before it writes may keep it from writing."""
    with border("look for its tables"), closing(database.copy()) as other:
        other.ensure_connection()
        return perform(schema.installed(SQLITE), SqliteDriver(other.connection).execute)
