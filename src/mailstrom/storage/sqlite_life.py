"""What of a SQLite queue belongs to one process: connections, and the locks of its workers.

SQLite keeps its locks in the kernel's name for the process, and notes in the process's memory
which it has. A forked child inherits the notes and not the locks: a connection that it opens
while one of the parent's stands in the notes takes none, and others may remove the write-ahead
log under it, with all that it commits after that. (https://sqlite.org/howtocorrupt.html 2.6 has
a milder view.) So nothing is open while the process forks, and a child that was forked
otherwise is refused.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from typing import TYPE_CHECKING

from ..errors import ClosedError, StorageError
from .sqlite_connection import CLOSED, Database
from .sqlite_readers import Readers
from .sqlite_writer import Writer

if TYPE_CHECKING:
    from .sqlite_workers import WorkerLocks

__all__ = ["Life"]

FORK_WAIT_SECS = 10.0  # for who reads and writes to come to an end


class Life:
    """A queue's life in one process. Any thread."""

    fork_wait_secs = FORK_WAIT_SECS

    def __init__(self, database: Database, *, syncs: bool) -> None:
        self.pid = os.getpid()
        self.writer = Writer(database, syncs=syncs)
        self.readers = Readers(database)
        self.workers = _worker_locks(database.file.path)
        self._database = database
        self._syncs = syncs
        self._is_closed = False
        self._refuses = False
        self._paused_by: int | None = None  # the thread that forks

    def check(self) -> None:
        """Raises `ClosedError`, or `StorageError` where SQLite cannot be used in this process."""
        if self._is_closed:
            raise ClosedError(CLOSED)
        if self._refuses:
            raise StorageError(
                f"{self._database.file.path} was open when this process was forked, and SQLite would lose "
                "mail here: close what has it open before the fork, or open it after that "
                "(uWSGI: lazy-apps = true)"
            )

    def rest(self) -> None:
        """Closes the connections; the next call opens what it needs."""
        self.writer.pause()
        self.writer.resume()
        self.readers.pause()
        self.readers.resume()

    def close(self) -> None:
        """Waits for what is under way and gives up everything; again: without effect."""
        self._is_closed = True
        self.readers.close()
        self.writer.close()
        if self.workers is not None:
            self.workers.close()

    def before_fork(self) -> None:
        """Nothing is open, and nobody can open anything, until `after_fork` in the same thread."""
        if not self.writer.pause(self.fork_wait_secs):
            return
        if self.readers.pause(self.fork_wait_secs):
            self._paused_by = threading.get_ident()
        else:
            self.writer.resume()

    def after_fork(self) -> None:
        """In the parent: goes on."""
        if self._paused_by == threading.get_ident():
            self._paused_by = None
            self.readers.resume()
            self.writer.resume()

    def of_child(self, *, told: bool) -> Life:
        """In a forked child: a life of its own. `told`: nothing has run in the child before this."""
        if self.workers is not None:
            self.workers.leave_to_parent()
        left_open = [*self.writer.connections, *self.readers.connections]
        for connection in left_open:
            _keep_open(connection)
        life = Life(self._database, syncs=self._syncs)
        life._is_closed = self._is_closed
        life._refuses = self._refuses or bool(left_open) or (told and self._database.file.is_open_here())
        return life


def _keep_open(connection: sqlite3.Connection) -> None:
    """It is never closed, not even when the interpreter ends: that is its owner's to do."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _worker_locks(path: str) -> WorkerLocks | None:
    if sys.platform == "win32":
        return None
    from .sqlite_workers import WorkerLocks

    return WorkerLocks(path)
