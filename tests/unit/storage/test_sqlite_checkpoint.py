"""Checkpoints where those of SQLite itself are not safe (https://sqlite.org/wal.html#walresetbug)."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailstrom.errors import ConfigError
from mailstrom.storage.sqlite_checkpoint import GROWTH, Checkpoints
from mailstrom.storage.sqlite_connection import Database, check_version, is_reset_unsafe
from mailstrom.storage.sqlite_file import private_file
from tests.unit.storage.sqlite_kit import Program, a_life, read, write

PAGE = b"x" * 4000
INSERT = "INSERT INTO t VALUES (:x)"


@pytest.mark.parametrize(
    ("version", "unsafe"),
    [
        ((3, 35, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_the_versions_that_need_it_are_known(version: tuple[int, int, int], unsafe: bool) -> None:
    assert is_reset_unsafe(version) is unsafe


def test_a_version_without_returning_is_refused() -> None:
    check_version((3, 35, 0))
    with pytest.raises(ConfigError, match=r"3\.35\.0 or later, this Python has 3\.34\.1"):
        check_version((3, 34, 1))


def test_no_connection_makes_checkpoints_by_itself_where_that_is_not_safe(tmp_path: Path) -> None:
    usual_pages = 1000
    with a_life(tmp_path / "mail.db") as life:
        found = [each(life, "PRAGMA wal_autocheckpoint") for each in (write, read)]

    assert found == [[(0 if is_reset_unsafe() else usual_pages,)]] * 2


OPENS_TWO = """
    import logging, sys
    from contextlib import closing
    from mailstrom.storage.sqlite import SqliteStorage
    logging.basicConfig(level="INFO", stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
    for name in ("one.db", "two.db"):
        with closing(SqliteStorage(f"{sys.argv[1]}/{name}")) as storage:
            storage.is_idle()
"""


def test_one_line_of_the_log_says_so_in_each_process(tmp_path: Path) -> None:
    """At INFO: all is taken care of, and whoever has such a version has it for years."""
    with Program(OPENS_TWO, tmp_path) as program:
        told = program.end().splitlines()

    said = f"INFO mailstrom.storage SQLite {sqlite3.sqlite_version} has the WAL-reset bug"
    assert [line.partition(":")[0] for line in told] == ([said] if is_reset_unsafe() else [])


def connection(path: Path) -> sqlite3.Connection:
    found = sqlite3.connect(path, isolation_level=None, timeout=0)
    found.execute("PRAGMA wal_autocheckpoint = 0")
    found.execute("PRAGMA journal_size_limit = 0")
    found.execute("PRAGMA synchronous = NORMAL")
    return found


@dataclass(frozen=True, kw_only=True)
class Watched(Database):
    """Tells each statement of a connection that makes checkpoints."""

    see: Callable[[str], object]

    def reader(self) -> sqlite3.Connection:
        found = super().reader()
        found.set_trace_callback(self.see)
        return found


class Copying:
    """A writer, and checkpoints that are counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen = 0
        self.meanwhile: Callable[[], object] = bool
        self.file = private_file(path)
        self.writer = connection(path)
        self.writer.execute("PRAGMA journal_mode = WAL")
        self.writer.execute("CREATE TABLE t (x)")
        self.checkpoints = Checkpoints(
            Watched(file=self.file, busy_timeout_secs=0.01, lease_clock=time.monotonic, see=self._see)
        )

    def commit(self, pages: int = 100) -> None:
        self.writer.execute("BEGIN")
        self.writer.executemany(INSERT, [{"x": PAGE}] * pages)
        self.writer.execute("COMMIT")
        self.checkpoints.after_commit(self.writer)

    @property
    def size(self) -> int:
        return os.stat(self.file.wal).st_size

    def _see(self, _: str) -> None:
        self.seen += 1
        self.meanwhile()


@pytest.fixture
def copying(tmp_path: Path) -> Iterator[Copying]:
    found = Copying(tmp_path / "mail.db")
    yield found
    found.checkpoints.close()
    found.writer.close()


def test_a_log_that_has_grown_is_copied_back_and_begun_anew(copying: Copying) -> None:
    for _ in range(50):
        copying.commit()
        assert copying.size < GROWTH + 150 * 4096

    assert 5 < copying.seen <= 10


def test_nobody_commits_during_a_checkpoint(copying: Copying) -> None:
    refused: list[str] = []

    def try_to_commit() -> None:
        with closing(connection(copying.path)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                refused.append(str(error))

    copying.meanwhile = try_to_commit
    copying.commit(pages=600)

    assert refused == ["database is locked"]


def test_a_reader_that_never_ends_lets_the_log_grow_and_breaks_nothing(copying: Copying) -> None:
    with closing(connection(copying.path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
        for _ in range(20):
            copying.commit()
        assert copying.size > 2000 * 4096
        assert copying.seen == 4  # and not with each commit
        assert reader.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
        reader.execute("COMMIT")
    for _ in range(10):
        copying.commit()

    assert copying.size < GROWTH + 150 * 4096
    assert copying.writer.execute("SELECT count(*) FROM t").fetchall() == [(3000,)]


def test_a_checkpoint_that_fails_is_logged_and_the_commit_stands(
    copying: Copying, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(connection(copying.path)) as other, caplog.at_level(logging.WARNING, "mailstrom"):
        copying.writer.execute("BEGIN")
        copying.writer.executemany(INSERT, [{"x": PAGE}] * 600)
        copying.writer.execute("COMMIT")
        other.execute("BEGIN IMMEDIATE")

        copying.checkpoints.after_commit(copying.writer)
        copying.checkpoints.after_commit(copying.writer)

        assert other.execute("SELECT count(*) FROM t").fetchall() == [(600,)]
    assert ["could not be copied back" in record.getMessage() for record in caplog.records] == [True]


def test_the_log_of_a_queue_stays_short_on_every_version(tmp_path: Path) -> None:
    with a_life(tmp_path / "mail.db", syncs=False) as life:
        for _ in range(2000):
            write(life, INSERT, x=PAGE)
            assert (tmp_path / "mail.db-wal").stat().st_size < 1100 * 4096


WRITES = """
    import sys
    from pathlib import Path
    from tests.unit.storage.sqlite_kit import a_life, write
    with a_life(Path(sys.argv[1]), busy_timeout_secs=30, syncs=False) as life:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(400):
            write(life, "INSERT INTO t VALUES (:x)", x=b"x" * 9000)
            if number % 100 == 50:
                life.rest()  # the last one to close makes a checkpoint, too
"""


def test_processes_that_write_and_make_checkpoints_at_once_leave_the_database_sound(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    with ExitStack() as stack:
        writers = [stack.enter_context(Program(WRITES, path)) for _ in range(3)]
        for writer in writers:
            assert writer.told() == "ready"
        for writer in writers:
            writer.tell()
        for writer in writers:
            writer.end()

    with a_life(path) as life:
        assert read(life, "PRAGMA integrity_check") == [("ok",)]
        assert read(life, "SELECT count(*), sum(length(x)) FROM t") == [(1200, 1200 * 9000)]
