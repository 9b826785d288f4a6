"""`SqliteStorage` beyond the contract: opening, settings, room."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mailstrom.errors import ClosedError, ConfigError, MessageNotFound, StorageError, StorageFull
from mailstrom.status import Delivered
from mailstrom.storage.sql import schema
from mailstrom.storage.sqlite import SqliteStorage, schema_version
from mailstrom.testing.storage_kit import LEASE, NOW, an_entry, settlement, there
from tests.unit.storage.sqlite_kit import Bounded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mail.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SqliteStorage]:
    with closing(SqliteStorage(path)) as found:
        yield found


def test_every_process_knows_it_by_the_same_name(storage: SqliteStorage, path: Path) -> None:
    (path.parent / "link").symlink_to(path.parent)
    with closing(SqliteStorage(str(path.parent / "link" / "mail.db"))) as other:
        assert other.identity == storage.identity == f"sqlite:{path}"


def test_its_repr_names_the_file(storage: SqliteStorage, path: Path) -> None:
    assert repr(storage) == f"SqliteStorage({str(path)!r})"


def test_making_it_leaves_nothing_open(path: Path) -> None:
    """A server that loads the application before it forks only makes it."""
    with closing(SqliteStorage(path)):
        assert os.listdir(path.parent) == ["mail.db"]


def test_the_file_of_another_application_will_do(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE messages (x); CREATE INDEX messages_open ON messages (x)")

    with closing(SqliteStorage(path)) as storage:
        storage.store([an_entry()])

        assert storage.retrieve_status("one@sender.example").message_id == "one@sender.example"


def test_a_file_that_is_no_database_is_a_storage_error(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)
    path.chmod(0o600)

    with pytest.raises(StorageError, match="not a database"):
        SqliteStorage(path)


def test_tables_that_are_newer_are_refused(path: Path) -> None:
    SqliteStorage(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        newer = schema.VERSION + 1
        connection.execute("INSERT INTO mailstrom_schema (version, works_from) VALUES (?, ?)", (newer, newer))

    with pytest.raises(ConfigError, match="newer"):
        SqliteStorage(path)


def test_newer_tables_that_allow_it_are_used_by_who_has_them_open_and_by_who_comes(path: Path) -> None:
    with closing(SqliteStorage(path)) as storage:
        with closing(sqlite3.connect(path)) as connection, connection:
            newer = (schema.VERSION + 1, schema.VERSION)
            connection.execute("INSERT INTO mailstrom_schema (version, works_from) VALUES (?, ?)", newer)
        storage.store([an_entry("one")])

    with closing(SqliteStorage(path)) as restarted:
        restarted.store([an_entry("two")])

        assert len(restarted.retrieve_all_incomplete()) == 2
    assert schema_version(path) == schema.VERSION + 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"durability": "none"}, "durability: expected 'full' or 'normal', got 'none'"),
        ({"poll_secs": 0}, "poll_secs: expected more than 0"),
        ({"busy_timeout_secs": float("inf")}, "busy_timeout_secs: expected more than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    path: Path, settings: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        SqliteStorage(path, **settings)  # type: ignore[arg-type]


def test_after_close_every_call_says_so(storage: SqliteStorage) -> None:
    storage.close()
    storage.close()

    with pytest.raises(ClosedError):
        storage.store([an_entry()])
    with pytest.raises(ClosedError):
        storage.claim(NOW, owner="one", lease=LEASE)
    with pytest.raises(ClosedError):
        storage.is_idle()


def test_a_full_disk_is_told_and_what_fits_goes_on(path: Path) -> None:
    """Row 46."""
    email, status = an_entry("two")
    large = replace(email, content=b"x" * 1_000_000)
    with closing(Bounded(path)) as storage:
        storage.store([an_entry("one")])
        claim = there(storage.claim(NOW, owner="one", lease=LEASE), "a claim")
        storage.max_pages = 1  # no less than it has

        with pytest.raises(StorageFull):
            storage.store([(large, status)])
        assert storage.settle([settlement(claim, Delivered(tries=1))], NOW) == [True]

        with pytest.raises(MessageNotFound):
            storage.retrieve_status("two@sender.example")
