"""Checkpoints of our own, where those of SQLite itself are not safe.

A checkpoint copies what stands in the write-ahead log back into the database; when all of it has
been copied, the next commit begins the log anew ("resets" it). In SQLite 3.7.0 to 3.51.2 a
checkpoint that runs while another connection's commit resets the log may take pages of the new
log for copied, and the database is corrupt (https://sqlite.org/wal.html#walresetbug). There our
connections make no checkpoints by themselves; one is made while the writer holds the write lock,
so that nobody, in whatever process, commits meanwhile. A caller's connection that stores in its own
transaction is told to make none either (`bound_sqlite.py`). The checkpoint in the closing of the last
connection is safe: SQLite makes it only where nobody else has the database open.

A log that is begun anew keeps its file up to `KEPT_OCTETS`, to be overwritten: to cut it off and let it grow
again takes the file system longer than all else that it does for a commit. So a log is behind that size, or
nobody knows how long it is.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from functools import cache

from .sqlite_connection import KEPT_OCTETS, Database

__all__ = ["Checkpoints"]

# In octets. Short of the 1000 pages after which a connection with SQLite's defaults, another
# program's, would make a checkpoint of its own: with ours there is hardly ever a need for that.
GROWTH = KEPT_OCTETS

_log = logging.getLogger("mailstrom.storage")


class Checkpoints:
    """Keeps the write-ahead log short. Used by whoever has the writer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.connection: sqlite3.Connection | None = None
        self._due_size = KEPT_OCTETS  # of the log, for the next checkpoint
        _tell_once(sqlite3.sqlite_version)

    def after_commit(self, writer: sqlite3.Connection) -> None:
        """Makes a checkpoint if the log has grown enough; raises nothing, the commit stands."""
        try:
            size = os.stat(self._database.file.wal).st_size
            if size <= KEPT_OCTETS:  # or it was begun anew
                self._due_size = KEPT_OCTETS
            elif size >= self._due_size:
                self._due_size = size + GROWTH
                self._checkpoint(writer)
        except (sqlite3.Error, OSError) as error:
            _log.warning("the write-ahead log grows, it could not be copied back: %s", error)

    def close(self) -> None:
        """Gives up its connection; the next checkpoint takes a new one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def _checkpoint(self, writer: sqlite3.Connection) -> None:
        if self.connection is None:
            self.connection = self._database.reader()
        self._database.begin(writer)
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            writer.rollback()


@cache
def _tell_once(version: str) -> None:
    _log.info(
        "SQLite %s has the WAL-reset bug: mailstrom makes its checkpoints itself, one at a time; "
        "SQLite 3.51.3 and later do not need that",
        version,
    )
