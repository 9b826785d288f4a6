"""The version of the tables: numbered steps that lead from one to the next, each done once.

A step never changes what the version before it relies on: it adds tables, indexes, and columns
with a default. So a worker of the version before goes on beside new ones.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import ConfigError
from .dialect import Dialect
from .script import Script, Statement
from .tables import first_tables

__all__ = ["VERSION", "check_installed", "installed", "upgrade"]


STEPS: tuple[Callable[[Dialect], list[str]], ...] = (first_tables,)  # from version to version
VERSION = len(STEPS)  # that this code works with


def installed(dialect: Dialect) -> Script[int]:
    """The version that is installed; 0: none."""
    table = f"{dialect.prefix}schema"
    if not (yield Statement(dialect.has_table, {"name": table})):
        return 0
    rows = yield Statement(f"SELECT max(version) FROM {table}", {})
    return int(rows[0][0])


def upgrade(dialect: Dialect) -> Script[int]:
    """Brings the tables to `VERSION`, step by step; the version that they had.

    In one transaction, with others kept from doing the same meanwhile. Raises `ConfigError`
    where they are newer.
    """
    before = yield from installed(dialect)
    _refuse_newer(before)
    if before == 0:
        yield from _begin(dialect)
    for version, step in enumerate(STEPS[before:], before + 1):
        for sql in step(dialect):
            yield Statement(sql, {})
        yield Statement(
            f"INSERT INTO {dialect.prefix}schema (version) VALUES (:version)", {"version": version}
        )
    return before


def check_installed(dialect: Dialect) -> Script[None]:
    """Raises `ConfigError` where the tables are of another version."""
    version = yield from installed(dialect)
    _refuse_newer(version)
    if version < VERSION:
        found = "are not there yet" if version == 0 else f"are of version {version}"
        raise ConfigError(
            f"storage: the queue's tables {found}, this mailstrom works with version {VERSION}: "
            "run `mailstrom db upgrade`"
        )


def _refuse_newer(version: int) -> None:
    if version > VERSION:
        raise ConfigError(
            f"storage: the queue's tables are of version {version}, this mailstrom works with "
            f"version {VERSION} and older: install the mailstrom that made them, or a newer one"
        )


def _begin(dialect: Dialect) -> Script[None]:
    if dialect.schema is not None:
        # asked first: CREATE SCHEMA IF NOT EXISTS needs a right that its owner may not have
        there = yield Statement(
            "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name", {"name": dialect.schema}
        )
        if not there:
            yield Statement(f"CREATE SCHEMA {dialect.schema}", {})
    yield Statement(f"CREATE TABLE {dialect.prefix}schema (version INTEGER PRIMARY KEY)", {})
