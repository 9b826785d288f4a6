"""Row 53: what a fork makes of a SQLite queue."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailstrom.errors import ClosedError, StorageError
from mailstrom.storage.fork import call_around_fork, call_in_forked_child
from mailstrom.storage.sql.script import Row, Script, Statement
from mailstrom.storage.sqlite_file import private_file
from mailstrom.storage.sqlite_life import Life
from tests.unit.storage.sqlite_kit import Program, a_life, forked, in_threads, read, write

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

INSERT = "INSERT INTO t VALUES (:x)"


class Queue:
    """Does with a life what the storage does, at each fork."""

    def __init__(self, life: Life) -> None:
        self.life = life
        call_around_fork(self._before, self._after)
        call_in_forked_child(self._in_child)

    def store(self, x: object) -> None:
        self.life.check()
        write(self.life, INSERT, x=x)

    def all(self) -> list[Row]:
        return read(self.life, "SELECT x FROM t")

    def _before(self) -> None:
        self.life.before_fork()

    def _after(self) -> None:
        self.life.after_fork()

    def _in_child(self) -> None:
        self.life = self.life.of_child(told=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mail.db"


@pytest.fixture
def queue(path: Path) -> Iterator[Queue]:
    with a_life(path) as life:
        yield Queue(life)


def test_nothing_is_open_in_a_child(queue: Queue, path: Path) -> None:
    file = private_file(path)

    def child(pause: Callable[[], None]) -> None:
        pause()
        assert not file.is_open_here()

    queue.store("before")
    assert queue.all() == [("before",)]
    assert file.is_open_here()

    with forked(child):
        pass


def test_parent_and_child_go_on_beside_each_other(queue: Queue) -> None:
    def child(pause: Callable[[], None]) -> None:
        queue.store("child")
        pause()
        queue.store("child again")
        queue.life.close()

    queue.store("before")
    with forked(child):
        queue.store("parent")

    assert queue.all() == [("before",), ("child",), ("parent",), ("child again",)]
    assert read(queue.life, "PRAGMA integrity_check") == [("ok",)]


def test_what_a_child_commits_after_its_parent_has_closed_is_kept(queue: Queue, path: Path) -> None:
    """With a connection of the parent's open at the fork, the log would be removed under the child."""

    def child(pause: Callable[[], None]) -> None:
        queue.store("early")
        pause()
        queue.store("late")

    queue.store("before")
    with forked(child):
        queue.life.close()

    with a_life(path) as life:
        assert read(life, "SELECT x FROM t") == [("before",), ("early",), ("late",)]


def test_a_fork_waits_for_what_is_being_committed(queue: Queue) -> None:
    under_way = threading.Event()

    def slow() -> Script[None]:
        yield Statement(INSERT, {"x": "slow"})
        under_way.set()
        for _ in range(100):
            yield Statement("SELECT count(*) FROM t", {})

    def child(pause: Callable[[], None]) -> None:
        assert queue.all() == [("slow",)]
        queue.store("child")
        pause()

    threads = in_threads(lambda: queue.life.writer.run(slow, synced=True, repeated=None))
    under_way.wait()
    with forked(child):
        pass
    for thread in threads:
        thread.join()

    assert queue.all() == [("slow",), ("child",)]


def test_a_fork_waits_for_what_is_being_asked(queue: Queue) -> None:
    under_way = threading.Event()

    def slow() -> Script[None]:
        under_way.set()
        for _ in range(100):
            yield Statement("SELECT count(*) FROM t", {})

    def child(pause: Callable[[], None]) -> None:
        queue.store("child")
        pause()

    threads = in_threads(lambda: queue.life.readers.run(slow))
    under_way.wait()
    with forked(child):
        assert queue.all() == [("child",)]
    for thread in threads:
        thread.join()


def test_threads_that_write_lose_nothing_to_forks(queue: Queue) -> None:
    def child(pause: Callable[[], None]) -> None:
        queue.store("child")
        pause()

    def writes() -> None:
        for number in range(50):
            queue.store(number)
            queue.all()

    threads = in_threads(writes, writes)
    for _ in range(5):
        with forked(child):
            pass
    for thread in threads:
        thread.join()

    found = [x for (x,) in queue.all()]
    assert (len(found), found.count("child")) == (105, 5)
    assert read(queue.life, "PRAGMA integrity_check") == [("ok",)]


def test_a_child_whose_parent_forked_in_the_middle_of_a_call_is_refused(queue: Queue) -> None:
    """A signal's handler may fork: nobody can wait there for the call that it interrupts."""

    def child(pause: Callable[[], None]) -> None:
        pause()
        with pytest.raises(StorageError, match=r"open when this process was forked.*lazy-apps"):
            queue.store("child")

    def forks() -> Script[None]:
        yield Statement(INSERT, {"x": "parent"})
        with forked(child):
            pass

    queue.life.fork_wait_secs = 0.01
    queue.life.writer.run(forks, synced=True, repeated=None)

    assert queue.all() == [("parent",)]


def test_a_child_that_inherits_the_applications_own_connection_is_refused(queue: Queue, path: Path) -> None:
    """That connection spoils SQLite's memory of its locks for all others in the child."""

    def child(pause: Callable[[], None]) -> None:
        pause()
        with pytest.raises(StorageError, match="open when this process was forked"):
            queue.store("child")

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT count(*) FROM t").fetchall()
        with forked(child):
            pass
        queue.store("parent")

    with forked(lambda pause: (queue.store("child"), pause())):
        pass
    assert queue.all() == [("parent",), ("child",)]


def test_a_child_of_a_closed_queue_finds_it_closed(queue: Queue) -> None:
    def child(pause: Callable[[], None]) -> None:
        pause()
        with pytest.raises(ClosedError):
            queue.store("child")

    queue.life.close()
    with forked(child):
        pass


def test_children_of_children_go_on_too(queue: Queue) -> None:
    def grandchild(pause: Callable[[], None]) -> None:
        queue.store("grandchild")
        pause()

    def child(pause: Callable[[], None]) -> None:
        queue.store("child")
        with forked(grandchild):
            queue.store("child again")
        pause()

    with forked(child):
        pass

    assert queue.all() == [("child",), ("grandchild",), ("child again",)]


UNTOLD = """
    import ctypes, gc, os, sys
    from pathlib import Path
    from mailstrom.storage.sqlite_file import private_file
    from tests.unit.storage.sqlite_kit import a_life, read, write

    opened = a_life(Path(sys.argv[1]))
    life = opened.__enter__()
    file = private_file(sys.argv[1])
    {before}
    if ctypes.PyDLL(None).fork() == 0:  # no hook of Python's is called
        life = life.of_child(told=False)
        gc.collect()
        try:
            life.check()
            print("goes on", flush=True)
        except Exception as error:
            print(type(error).__name__, file.is_open_here(), flush=True)
        os._exit(0)
    os.wait()
    write(life, "INSERT INTO t VALUES (2)")
    opened.__exit__(None, None, None)
"""


@pytest.mark.parametrize(
    ("before", "childs_end"),
    [("life.rest()", "goes on"), ("write(life, 'INSERT INTO t VALUES (1)')", "StorageError True")],
    ids=["nothing was open", "it was in use, and stays so"],
)
def test_a_child_that_was_forked_behind_pythons_back_goes_on_only_if_nothing_was_open(
    path: Path, before: str, childs_end: str
) -> None:
    with Program(UNTOLD.format(before=before), path) as program:
        assert program.told() == childs_end
        program.end()

    with a_life(path) as life:
        assert read(life, "SELECT x FROM t WHERE x = 2") == [(2,)]
        assert read(life, "PRAGMA integrity_check") == [("ok",)]
