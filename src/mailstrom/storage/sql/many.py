"""Statements for many rows of values at once.

PostgreSQL gets them all in one statement, as JSON: executed once for each, it would be planned as often.
SQLite binds them to one statement, row after row, which takes it half the time that reading JSON does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import rows
from .dialect import Dialect
from .script import Batch, Statement

_VALUE = re.compile(r":(\w+)")


@dataclass(frozen=True, slots=True)
class Many:
    """Such a statement; it is made once."""

    sql: str
    at_once: bool

    def of(self, given: Sequence[Mapping[str, object]]) -> Statement | Batch:
        """The statement for these rows of values, each by column."""
        return Statement(self.sql, {"rows": rows.as_json(given)}) if self.at_once else Batch(self.sql, given)


def listing(dialect: Dialect, table: str, columns: Sequence[str]) -> str:
    """What `listed` made of :rows as rows of this table, or of what of it these columns are."""
    if dialect.at_once:
        return dialect.rows_of.format(table=table)
    values = ", ".join(f"json_extract(value, '$[{at}]') AS {column}" for at, column in enumerate(columns))
    return f"(SELECT {values} FROM {dialect.each.format(':rows')})"


def listed(dialect: Dialect, given: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Rows of values as JSON: objects; for SQLite, which reads them a third more quickly, arrays."""
    if dialect.at_once:
        return rows.as_json(given)
    return rows.as_json([[each[column] for column in columns] for each in given])


def inserting(dialect: Dialect, table: str, columns: Sequence[str]) -> Many:
    """Inserts rows with these columns."""
    into = f"INSERT INTO {dialect.prefix}{table} ({', '.join(columns)})"
    if not dialect.at_once:
        return Many(f"{into} VALUES ({', '.join(f':{each}' for each in columns)})", at_once=False)
    given = listing(dialect, table, columns)
    return Many(f"{into} SELECT {rows.columns(columns, 'given')} FROM {given} AS given", at_once=True)


def updating(dialect: Dialect, table: str, assigned: Mapping[str, str], key: Sequence[str]) -> Many:
    """Assigns what the expressions say where the key is the row's; `:name` is its value for that column.

    In the order of the key, in which everybody locks: SQLite has one writer, and has the rows in it.
    """
    whole = f"{dialect.prefix}{table}"
    sets = f"UPDATE {whole} SET {', '.join(f'{column} = {each}' for column, each in assigned.items())}"
    where = " AND ".join(f"{whole}.{each} = :{each}" for each in key)
    if not dialect.at_once:
        return Many(f"{sets} WHERE {where}", at_once=False)
    same = " AND ".join(f"u.{each} = listed.{each}" for each in key)
    given = f"""(
        SELECT listed.* FROM {listing(dialect, table, list(assigned))} AS listed JOIN {whole} AS u ON {same}
        ORDER BY {rows.columns(key, "u")} {dialect.for_update.format("u")}) AS given"""
    return Many(f"{_of_given(sets)} FROM {given} WHERE {_of_given(where)}", at_once=True)


def _of_given(sql: str) -> str:
    return _VALUE.sub(r"given.\1", sql)
