"""The parameters of a script as the drivers of PostgreSQL want them."""

from __future__ import annotations

from mailstrom.storage.bound_postgres import numbered, pyformat

SQL = "UPDATE t SET a = :a, b = CAST(:b_2 AS json), c = a::text WHERE a = :a AND d LIKE '%x'"


def test_psycopg_has_names() -> None:
    expected = (
        b"UPDATE t SET a = %(a)s, b = CAST(%(b_2)s AS json), c = a::text WHERE a = %(a)s AND d LIKE '%%x'"
    )

    assert pyformat(SQL) == expected


def test_asyncpg_has_numbers_the_same_for_the_same_name() -> None:
    expected = "UPDATE t SET a = $1, b = CAST($2 AS json), c = a::text WHERE a = $1 AND d LIKE '%x'"

    assert numbered(SQL) == (expected, ("a", "b_2"))
