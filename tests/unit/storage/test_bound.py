"""Storing through a caller's connection, with a script of a table of our own on a real SQLite file."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mailstrom.abc import InternalMessageStatus, PreparedEmail
from mailstrom.errors import ConfigError, DuplicateMessage, StorageError, StorageFull
from mailstrom.storage.bound import bind, bind_async
from mailstrom.storage.bound_sqlite import check_connection
from mailstrom.storage.sql.dialect import SQLITE, postgres
from mailstrom.storage.sql.script import Batch, Script, Statement
from mailstrom.testing.storage_kit import an_entry, id_of

FULL = 2


def storing(entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> Script[list[str]]:
    """Keeps the ids; one that is there already is seen only after the others were written."""
    ids = [email.message_id for email, _ in entries]
    rows = yield Statement("SELECT id FROM queue", {})
    new = [each for each in ids if (each,) not in rows]
    yield Batch("INSERT INTO queue (id) VALUES (:id)", [{"id": each} for each in new])
    for repeated in set(ids) - set(new):
        raise DuplicateMessage(repeated)
    return ids


@pytest.fixture
def path(tmp_path: Path) -> str:
    place = str(tmp_path / "app.db")
    with closing(sqlite3.connect(place)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE queue (id TEXT PRIMARY KEY)")
        made.execute("CREATE TABLE orders (number INTEGER)")
    return place


@pytest.fixture
def connection(path: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection


NEW = sys.version_info >= (3, 12)  # the attribute autocommit
BEGINS = [{}, {"isolation_level": "EXCLUSIVE"}, *([{"autocommit": False}] if NEW else [])]
COMMITS = [{"isolation_level": None}, *([{"autocommit": True}] if NEW else [])]


def store(connection: sqlite3.Connection, *names: str) -> list[str]:
    return bind(SQLITE, connection, storing).store([an_entry(name) for name in names])


def committed(path: str, table: str = "queue") -> int:
    """How many rows anybody else sees."""
    with closing(sqlite3.connect(path)) as another:
        return another.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


# --- whose transaction it is


@pytest.mark.parametrize("options", BEGINS, ids=str)
def test_before_the_first_statement_a_transaction_is_begun_that_the_caller_commits(
    path: str, options: dict[str, Any]
) -> None:
    with closing(sqlite3.connect(path, **options)) as connection:
        assert store(connection, "one") == [id_of("one")]

        assert (connection.in_transaction, committed(path)) == (True, 0)
        connection.commit()
        assert committed(path) == 1


def test_rolled_back_with_the_callers_own_rows(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("INSERT INTO orders VALUES (1)")
    store(connection, "one")

    connection.rollback()

    assert (committed(path), committed(path, "orders")) == (0, 0)


def test_a_savepoint_of_the_callers_takes_it_away(connection: sqlite3.Connection, path: str) -> None:
    store(connection, "one")
    connection.execute("SAVEPOINT theirs")
    store(connection, "two")

    connection.execute("ROLLBACK TO theirs")
    connection.commit()

    assert committed(path) == 1


@pytest.mark.parametrize("options", COMMITS, ids=str)
def test_with_autocommit_it_is_committed_at_once(path: str, options: dict[str, Any]) -> None:
    with closing(sqlite3.connect(path, **options)) as connection:
        store(connection, "one")

        assert (connection.in_transaction, committed(path)) == (False, 1)


def test_with_autocommit_a_transaction_that_is_open_decides(
    connection: sqlite3.Connection, path: str
) -> None:
    connection.isolation_level = None
    connection.execute("BEGIN")

    store(connection, "one")
    connection.execute("ROLLBACK")

    assert committed(path) == 0


# --- what fails


def test_of_a_call_that_fails_nothing_stays_and_the_transaction_goes_on(
    connection: sqlite3.Connection, path: str
) -> None:
    connection.execute("INSERT INTO orders VALUES (1)")
    store(connection, "one")

    with pytest.raises(DuplicateMessage):
        store(connection, "two", "one")

    connection.execute("INSERT INTO orders VALUES (2)")
    connection.commit()
    assert (committed(path), committed(path, "orders")) == (1, 2)


@pytest.mark.parametrize("isolation_level", ["", None])
def test_a_call_that_fails_leaves_no_transaction_that_was_not_there(
    connection: sqlite3.Connection, isolation_level: str | None
) -> None:
    connection.isolation_level = isolation_level
    store(connection, "one")
    connection.commit()

    with pytest.raises(DuplicateMessage):
        store(connection, "one")

    assert not connection.in_transaction


def test_a_lock_that_another_keeps_is_a_storage_error(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("PRAGMA busy_timeout=0")
    with closing(sqlite3.connect(path, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")

        with pytest.raises(StorageError, match="locked"):
            store(connection, "one")


def test_a_full_database_is_said_to_be_full(connection: sqlite3.Connection) -> None:
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count={pages}")

    with pytest.raises(StorageFull) as told:
        store(connection, *(f"{number:0500}" for number in range(100)))

    assert not told.value.transaction_lost  # there was none


def test_where_the_callers_rows_went_with_what_failed_that_is_told(
    connection: sqlite3.Connection, path: str
) -> None:
    """https://sqlite.org/lang_transaction.html 2.3: SQLITE_FULL may roll back all of a transaction."""
    connection.execute("INSERT INTO orders VALUES (1)")
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count={pages}")
    connection.execute("PRAGMA cache_size=1")

    with pytest.raises(StorageFull, match="your whole transaction is lost: roll it back") as told:
        store(connection, *(f"{number:0500}" for number in range(1000)))

    assert (told.value.transaction_lost, connection.in_transaction) == (True, False)
    assert committed(path, "orders") == 0


# --- what the caller has made of the connection


def test_rows_and_texts_are_read_as_they_are(connection: sqlite3.Connection) -> None:
    connection.row_factory = lambda cursor, row: {"no": "tuple"}
    connection.text_factory = bytes
    seen: list[object] = []

    def reading(entries: object) -> Script[list[str]]:
        seen.extend((yield Statement("SELECT 'text', 1", {})))
        return []

    bind(SQLITE, connection, reading).store([])

    assert seen == [("text", 1)]
    assert connection.text_factory is bytes


# --- which connections will do


def check(path: str, connection: sqlite3.Connection, *, synchronous: int = FULL, safe: bool = True) -> None:
    def checking() -> Script[None]:
        return check_connection(path, synchronous=synchronous, checkpoints=safe)

    bind(SQLITE, connection, storing, checking).store([])


def test_the_storages_file_by_any_name_will_do(
    connection: sqlite3.Connection, path: str, tmp_path: Path
) -> None:
    os.symlink(path, tmp_path / "alias.db")

    check(str(tmp_path / "alias.db"), connection)


def test_another_file_is_refused(connection: sqlite3.Connection, tmp_path: Path) -> None:
    (tmp_path / "mail.db").touch()

    with pytest.raises(ConfigError) as refused:
        check(str(tmp_path / "mail.db"), connection)

    assert "app.db" in str(refused.value)
    assert "mail.db" in str(refused.value)


def test_an_attached_file_is_not_the_main_one(connection: sqlite3.Connection, path: str) -> None:
    with closing(sqlite3.connect(":memory:")) as another:
        another.execute("ATTACH ? AS main_too", [path])

        with pytest.raises(ConfigError, match="in memory"):
            check(path, another)


@pytest.mark.parametrize(
    ("level", "needed", "is_enough"),
    [("OFF", 1, False), ("NORMAL", 1, True), ("NORMAL", 2, False), ("FULL", 2, True), ("EXTRA", 2, True)],
)
def test_its_commits_are_as_durable_as_the_storage_needs(
    connection: sqlite3.Connection, path: str, level: str, needed: int, is_enough: bool
) -> None:
    connection.execute(f"PRAGMA synchronous={level}")

    if is_enough:
        check(path, connection, synchronous=needed)
        return
    with pytest.raises(ConfigError, match=f"synchronous is {level}.*PRAGMA synchronous="):
        check(path, connection, synchronous=needed)


@pytest.mark.parametrize(("safe", "pages"), [(True, 1000), (False, 0)])
def test_checkpoints_are_left_to_the_storage_where_those_of_sqlite_are_not_safe(
    connection: sqlite3.Connection, path: str, safe: bool, pages: int
) -> None:
    check(path, connection, safe=safe)

    assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (pages,)


def test_a_connection_to_the_other_database_is_refused(connection: sqlite3.Connection) -> None:
    with pytest.raises(ConfigError, match=r"storage is on PostgreSQL.*got sqlite3\.Connection"):
        bind(postgres("mailstrom"), connection, storing)


def test_a_blocking_connection_names_the_blocking_call(connection: sqlite3.Connection) -> None:
    with pytest.raises(ConfigError, match=r"use Mailstrom\.send_email\(.*connection="):
        bind_async(SQLITE, connection, storing)


def test_what_is_no_connection_is_refused_with_what_is() -> None:
    with pytest.raises(ConfigError) as refused:
        bind(SQLITE, "sqlite:///app.db", storing)

    assert "sqlite3.Connection" in str(refused.value)
    assert "sqlalchemy.Session" in str(refused.value)
    assert "got builtins.str" in str(refused.value)


def test_a_subclass_is_known(path: str) -> None:
    class Traced(sqlite3.Connection):
        pass

    with closing(sqlite3.connect(path, factory=Traced)) as connection:
        assert store(connection, "one") == [id_of("one")]
