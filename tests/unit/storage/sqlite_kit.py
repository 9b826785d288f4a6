"""What the tests of the SQLite storage are written with: scripts, connections, waiting."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar

import pytest

from mailstrom.storage.sql.script import Row, Script, Statement
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.storage.sqlite_connection import Database
from mailstrom.storage.sqlite_file import private_file
from mailstrom.storage.sqlite_life import Life

T = TypeVar("T")

UNBOUNDED = 1_073_741_823  # https://sqlite.org/limits.html: the default of max_page_count, once


class LeaseClock:
    """A lease clock that only the test moves."""

    def __init__(self, secs: float = 1000.0) -> None:
        self.secs = secs

    def __call__(self) -> float:
        return self.secs

    def advance(self, secs: float) -> None:
        self.secs += secs


class Bounded(SqliteStorage):
    """A storage whose file may not grow beyond `max_pages`, or beyond what it has."""

    max_pages = UNBOUNDED

    def _write(self, script: Callable[[], Script[T]], **how: Any) -> T:
        def bounded() -> Script[T]:
            yield Statement(f"PRAGMA max_page_count = {self.max_pages}", {})
            return (yield from script())

        return super()._write(bounded, **how)


@contextmanager
def keeping_what_is_deleted() -> Iterator[None]:
    """New connections overwrite nothing that is deleted, as in most builds of SQLite; Debian's is another."""
    connect = sqlite3.connect

    def connected(*given: Any, **settings: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*given, **settings)
        connection.execute("PRAGMA secure_delete=OFF")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connected)
        yield


@contextmanager
def a_life(path: Path, *, busy_timeout_secs: float = 5.0, syncs: bool = True) -> Iterator[Life]:
    """Connections to the file, in which there is a table `t (x)`."""
    database = Database(
        file=private_file(path), busy_timeout_secs=busy_timeout_secs, lease_clock=time.monotonic
    )
    life = Life(database, syncs=syncs)
    write(life, "CREATE TABLE IF NOT EXISTS t (x)")
    try:
        yield life
    finally:
        life.close()


def asks(sql: str, **params: object) -> Callable[[], Script[list[Row]]]:
    """A script of one statement, with its rows as result."""

    def script() -> Script[list[Row]]:
        return list((yield Statement(sql, params)))

    return script


def write(life: Life, sql: str, **params: object) -> list[Row]:
    """The rows of a statement that is committed."""
    return life.writer.run(asks(sql, **params), synced=True, repeated=None)


def read(life: Life, sql: str, **params: object) -> list[Row]:
    """The rows of a statement that only asks."""
    return life.readers.run(asks(sql, **params))


def until(reached: Callable[[], bool], timeout: float = 20.0) -> None:
    """Lets others run until it is so."""
    deadline = time.monotonic() + timeout
    while not reached():
        assert time.monotonic() < deadline, "it never came to that"
        os.sched_yield()


def in_threads(*calls: Callable[[], object]) -> list[threading.Thread]:
    """A thread for each call, started."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    return threads


@contextmanager
def forked(child: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """A forked child beside the block, from its `pause()` to the end of the block.

    It has to come to its end without an exception.
    """
    paused, go_on = os.pipe(), os.pipe()

    def pause() -> None:
        os.write(paused[1], b".")
        assert os.read(go_on[0], 1)

    pid = os.fork()
    if pid == 0:
        _run_and_exit(lambda: child(pause))
    os.close(paused[1])
    try:
        assert os.read(paused[0], 1), "it ended before it came to its pause"
        yield
    finally:
        os.write(go_on[1], b".")
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for end in (paused[0], *go_on):
            os.close(end)
    assert code == 0


def _run_and_exit(child: Callable[[], None]) -> NoReturn:
    try:
        child()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


class Program:
    """A Python program of its own, beside the block; it is killed at its end if it still runs."""

    def __init__(self, script: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.communicate()

    def told(self) -> str:
        """The next line that it tells."""
        line = self._from.readline()
        assert line, self._process.communicate()[1]
        return line.rstrip("\n")

    def tell(self) -> None:
        """Lets it go on."""
        self._to.write("\n")
        self._to.flush()

    def kill(self) -> None:
        """Ends it at once; children of its own go on until the end of the block."""
        self._process.kill()
        self._process.wait()

    def end(self) -> str:
        """What else it tells until its good end."""
        out, errors = self._process.communicate(timeout=50)
        assert self._process.returncode == 0, errors
        return out
