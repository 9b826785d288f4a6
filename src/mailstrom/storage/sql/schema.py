"""The version of the tables: numbered steps that lead from one to the next, each done once.

A step that adds tables, indexes, and columns with a default leaves older versions at work. Which is
the oldest that may use what it leaves is written down beside the version: a process of an older one
finds it there when it is started again. One that has the tables open asks no more, so a step that
takes something away comes a version after the one that has ceased to use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...errors import ConfigError
from .dialect import Dialect
from .script import Script, Statement
from .tables import first_tables, streams, tables_of_blocks

__all__ = ["VERSION", "check_installed", "installed", "upgrade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What leads from one version of the tables to the next."""

    statements: Callable[[Dialect], list[str]]
    works_from: int  # the oldest version whose code may use the tables that it leaves


STEPS = (
    Step(statements=first_tables, works_from=1),
    Step(statements=streams, works_from=1),
    Step(statements=tables_of_blocks, works_from=3),  # who does not look there takes the content for gone
)
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

    In one transaction, with others kept from doing the same meanwhile. Newer ones stay as they are;
    raises `ConfigError` where this version may not use them.
    """
    before = yield from installed(dialect)
    yield from _check_newer(dialect, before)
    if before == 0:
        yield from _begin(dialect)
    for version, step in enumerate(STEPS[before:], before + 1):
        for sql in step.statements(dialect):
            yield Statement(sql, {})
        yield Statement(
            f"INSERT INTO {dialect.prefix}schema (version, works_from) VALUES (:version, :works_from)",
            {"version": version, "works_from": step.works_from},
        )
    return before


def check_installed(dialect: Dialect) -> Script[None]:
    """Raises `ConfigError` where the tables are older, or newer and not for this version."""
    version = yield from installed(dialect)
    yield from _check_newer(dialect, version)
    if version < VERSION:
        found = "are not there yet" if version == 0 else f"are of version {version}"
        raise ConfigError(
            f"storage: the queue's tables {found}, this mailstrom works with version {VERSION}: "
            "run `mailstrom db upgrade`"
        )


def _check_newer(dialect: Dialect, version: int) -> Script[None]:
    if version <= VERSION:
        return
    # of all steps beyond: a later one may not allow what an earlier one did not
    ((works_from,),) = yield Statement(
        f"SELECT max(works_from) FROM {dialect.prefix}schema WHERE version > :version", {"version": VERSION}
    )
    if works_from > VERSION:
        raise ConfigError(
            f"storage: the queue's tables are of version {version}, and no mailstrom older than version "
            f"{works_from} may use them; this one is of version {VERSION}: install the mailstrom that "
            "upgraded them, or a newer one"
        )


def _begin(dialect: Dialect) -> Script[None]:
    if dialect.schema is not None:
        # asked first: CREATE SCHEMA IF NOT EXISTS needs a right that its owner may not have
        there = yield Statement(
            "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name", {"name": dialect.schema}
        )
        if not there:
            yield Statement(f"CREATE SCHEMA {dialect.schema}", {})
    yield Statement(
        f"CREATE TABLE {dialect.prefix}schema (version INTEGER PRIMARY KEY, works_from INTEGER NOT NULL)", {}
    )
