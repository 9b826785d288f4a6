"""Writing to a SQLite queue: shared commits, and what goes wrong."""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mailstrom.errors import ClosedError, DuplicateMessage, MailstromError, StorageError, StorageFull
from mailstrom.storage.sql.script import Batch, Row, Script, Statement
from mailstrom.storage.sqlite_life import Life
from tests.unit.storage.sqlite_kit import a_life, asks, in_threads, read, until, write

MakeScript = Callable[[], Script[object]]

INSERT = "INSERT INTO t VALUES (:x)"


def commits(path: Path) -> int:
    """How many transactions stand in the write-ahead log.

    https://sqlite.org/fileformat2.html#walformat: a frame that commits has the database's size.
    """
    log = path.with_name(f"{path.name}-wal").read_bytes()
    page_size = struct.unpack(">I", log[8:12])[0]
    salt = log[16:24]
    frames = [log[at : at + 24] for at in range(32, len(log), 24 + page_size)]
    return sum(frame[8:16] == salt and frame[4:8] != b"\0\0\0\0" for frame in frames)


@contextmanager
def waiting_behind(
    life: Life, *scripts: MakeScript, repeated: Mapping[MakeScript, MakeScript] | None = None
) -> Iterator[list[object]]:
    """Calls that all wait for one that is under way; in the block it ends, then all of them have.

    The list has the result of each, or what it raised.
    """
    under_way, go_on = threading.Event(), threading.Event()
    results: list[object] = [None] * len(scripts)

    def first() -> Script[None]:
        yield Statement(INSERT, {"x": "first"})
        under_way.set()
        go_on.wait()

    def call(index: int) -> None:
        try:
            script = scripts[index]
            results[index] = life.writer.run(script, synced=True, repeated=(repeated or {}).get(script))
        except MailstromError as error:
            results[index] = error

    threads = in_threads(lambda: life.writer.run(first, synced=True, repeated=None))
    under_way.wait()
    for index in range(len(scripts)):
        threads += in_threads(lambda index=index: call(index))
        until(lambda index=index: len(life.writer._waiting) == index + 2)
    go_on.set()
    for thread in threads:
        thread.join()
    yield results


def test_calls_that_wait_share_one_commit(tmp_path: Path) -> None:
    """Row W4: results that are there when the committer is free."""
    with a_life(tmp_path / "mail.db") as life:
        before = commits(tmp_path / "mail.db")

        with waiting_behind(life, *[asks(f"{INSERT} RETURNING x", x=x) for x in range(16)]) as results:
            assert results == [[(x,)] for x in range(16)]

        assert commits(tmp_path / "mail.db") - before == 2
        assert read(life, "SELECT count(*) FROM t") == [(17,)]


def test_the_error_of_one_is_nobody_elses(tmp_path: Path) -> None:
    def fails() -> Script[None]:
        yield Statement(INSERT, {"x": "not kept"})
        raise DuplicateMessage("one@sender.example")

    scripts = (asks(INSERT, x=1), fails, asks("INSERT INTO nowhere VALUES (1)"), asks(INSERT, x=2))
    with a_life(tmp_path / "mail.db") as life, waiting_behind(life, *scripts) as results:
        assert [type(each) for each in results] == [list, DuplicateMessage, StorageError, list]
        assert read(life, "SELECT x FROM t") == [("first",), (1,), (2,)]


def test_one_that_finds_no_room_takes_no_room_from_the_others(tmp_path: Path) -> None:
    """Row 46."""
    too_large = asks(INSERT, x=b"x" * 1_000_000)
    with a_life(tmp_path / "mail.db") as life:
        write(life, "PRAGMA max_page_count = 20")

        with waiting_behind(life, asks(INSERT, x=1), too_large, asks(INSERT, x=2)) as results:
            assert [type(each) for each in results] == [list, StorageFull, list]

        assert read(life, "SELECT x FROM t") == [("first",), (1,), (2,)]


def test_a_disk_that_was_full_takes_more_when_there_is_room_again(tmp_path: Path) -> None:
    """Row 46."""
    with a_life(tmp_path / "mail.db") as life:
        write(life, "PRAGMA max_page_count = 5")
        with pytest.raises(StorageFull, match="no room"):
            write(life, INSERT, x=b"x" * 100_000)

        write(life, "PRAGMA max_page_count = 1000")
        write(life, INSERT, x=b"x" * 100_000)

        assert read(life, "SELECT length(x) FROM t") == [(100_000,)]


def test_a_database_that_another_keeps_locked_is_a_storage_error_and_free_again_later(tmp_path: Path) -> None:
    """Row 47."""
    with (
        a_life(tmp_path / "mail.db", busy_timeout_secs=0.05) as life,
        closing(sqlite3.connect(tmp_path / "mail.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked longer"):
            write(life, INSERT, x=1)
        assert read(life, "SELECT x FROM t") == []
        other.execute("COMMIT")

        write(life, INSERT, x=2)

        assert read(life, "SELECT x FROM t") == [(2,)]


def test_a_process_that_commits_without_a_pause_lets_others_in(tmp_path: Path) -> None:
    """SQLite's own wait finds no gap between its transactions."""
    enough = threading.Event()

    def commits_on() -> None:
        while not enough.is_set():
            write(busy, INSERT, x=b"x" * 100_000)

    with a_life(tmp_path / "mail.db") as busy, a_life(tmp_path / "mail.db", busy_timeout_secs=2.0) as other:
        threads = in_threads(commits_on)
        try:
            for number in range(10):
                write(other, INSERT, x=number)
        finally:
            enough.set()
            for thread in threads:
                thread.join()


@contextmanager
def a_life_with_orphans(path: Path) -> Iterator[Life]:
    """A row in `child` makes the COMMIT fail: the tables say only then that they do not hold together."""
    with a_life(path) as life:
        write(life, "CREATE TABLE parent (id PRIMARY KEY)")
        write(life, "CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
        life.writer.connections[0].execute("PRAGMA foreign_keys = ON")
        yield life


ORPHAN = asks("INSERT INTO child VALUES (1)")


def test_a_commit_that_fails_keeps_nothing(tmp_path: Path) -> None:
    with a_life_with_orphans(tmp_path / "mail.db") as life:
        with pytest.raises(StorageError, match="FOREIGN KEY"):
            life.writer.run(ORPHAN, synced=True, repeated=None)

        assert read(life, "SELECT count(*) FROM child") == [(0,)]


def test_whose_commit_failed_with_anothers_is_committed_alone_and_as_a_repeat(tmp_path: Path) -> None:
    store, again = asks(INSERT, x="store"), asks(INSERT, x="again")
    with (
        a_life_with_orphans(tmp_path / "mail.db") as life,
        waiting_behind(life, store, ORPHAN, repeated={store: again}) as results,
    ):
        assert [type(each) for each in results] == [list, StorageError]
        assert read(life, "SELECT x FROM t") == [("first",), ("again",)]


def test_an_interrupt_in_the_middle_ends_the_transaction_and_the_call(tmp_path: Path) -> None:
    def interrupted() -> Script[None]:
        yield Statement(INSERT, {"x": 1})
        raise KeyboardInterrupt

    with a_life(tmp_path / "mail.db") as life:
        with pytest.raises(KeyboardInterrupt):
            life.writer.run(interrupted, synced=True, repeated=None)

        write(life, INSERT, x=2)

        assert read(life, "SELECT x FROM t") == [(2,)]


def test_a_batch_is_executed_for_each_of_its_parameters(tmp_path: Path) -> None:
    def batch() -> Script[list[Row]]:
        return list((yield Batch(INSERT, [{"x": 1}, {"x": 2}])))

    with a_life(tmp_path / "mail.db") as life:
        assert life.writer.run(batch, synced=True, repeated=None) == []
        assert read(life, "SELECT x FROM t") == [(1,), (2,)]


def test_a_question_does_not_wait_for_a_commit(tmp_path: Path) -> None:
    def asking() -> Script[list[Row]]:
        yield Statement(INSERT, {"x": 1})
        return read(life, "SELECT count(*) FROM t")

    with a_life(tmp_path / "mail.db") as life:
        assert life.writer.run(asking, synced=True, repeated=None) == [(0,)]


def test_a_question_is_answered_from_one_snapshot(tmp_path: Path) -> None:
    def asking() -> Script[list[object]]:
        before = yield Statement("SELECT count(*) FROM t", {})
        write(life, INSERT, x=1)
        return [before, (yield Statement("SELECT count(*) FROM t", {}))]

    with a_life(tmp_path / "mail.db") as life:
        assert life.readers.run(asking) == [[(0,)], [(0,)]]


def test_a_question_changes_nothing(tmp_path: Path) -> None:
    with a_life(tmp_path / "mail.db") as life, pytest.raises(StorageError, match="readonly"):
        read(life, INSERT, x=1)


def test_connections_that_asked_at_once_are_not_all_kept(tmp_path: Path) -> None:
    together = threading.Barrier(5)

    def asking() -> Script[None]:
        yield Statement("SELECT 1", {})
        together.wait(20)

    with a_life(tmp_path / "mail.db") as life:
        for thread in in_threads(*[lambda: life.readers.run(asking)] * 5):
            thread.join()

        assert len(life.readers.connections) == 2


def is_closed(life: Life) -> bool:
    try:
        life.check()
    except ClosedError:
        return True
    return False


def test_closing_waits_for_what_is_under_way(tmp_path: Path) -> None:
    under_way, go_on = threading.Event(), threading.Event()

    def slow() -> Script[None]:
        under_way.set()
        go_on.wait()
        yield Statement(INSERT, {"x": 1})

    with a_life(tmp_path / "mail.db") as life:
        writing = in_threads(lambda: life.writer.run(slow, synced=True, repeated=None))
        under_way.wait()
        closing_ = in_threads(life.close)
        until(lambda: is_closed(life))
        go_on.set()
        for thread in (*writing, *closing_):
            thread.join()

        with pytest.raises(ClosedError):
            write(life, INSERT, x=2)
        with pytest.raises(ClosedError):
            read(life, "SELECT 1")
    with a_life(tmp_path / "mail.db") as life:
        assert read(life, "SELECT x FROM t") == [(1,)]
