"""Connections to a SQLite queue: how they are opened, how they execute, what their errors mean."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ConfigError, MailstromError, StorageError, StorageFull
from .sql.script import Batch, Row, Statement
from .sqlite_file import PrivateFile
from .unusable import Unusable

__all__ = ["CLOSED", "Database", "check_version", "executor", "is_busy", "is_reset_unsafe", "translated"]

CLOSED = "this SqliteStorage is closed: make a new one"
LOOK_EVERY_SECS = 0.001  # for the end of another's transaction
KEPT_OCTETS = 500 * 4096  # of the log's file; see `sqlite_checkpoint`
OLDEST = (3, 35, 0)  # RETURNING
Version = tuple[int, int, int]

# The series in which it is mended, from the first version to the end of the series.
RESET_SAFE: tuple[tuple[Version, Version], ...] = (
    ((3, 44, 6), (3, 45, 0)),
    ((3, 50, 7), (3, 51, 0)),
    ((3, 51, 3), (4, 0, 0)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A queue's file and the way to open it."""

    file: PrivateFile
    busy_timeout_secs: float
    lease_clock: Callable[[], float]

    def writer(self) -> sqlite3.Connection:
        """A connection that writes; the database is in WAL mode from then on."""
        connection = self._connect()
        try:
            ((mode,),) = connection.execute("PRAGMA journal_mode=WAL").fetchall()
            if mode != "wal":
                raise StorageError(
                    f"{self.file.path}: SQLite keeps no write-ahead log here (journal_mode is {mode}): "
                    "the queue has to be on a local file system"
                )
            # A "-wal" that a connection has found there, it does not secure the name of.
            self.file.sync_directory()
            connection.execute("PRAGMA busy_timeout=0")  # from now on begin() waits
            # what is purged or forgotten stands in the file no more; off in most builds of SQLite
            connection.execute("PRAGMA secure_delete=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self, writer: sqlite3.Connection) -> None:
        """Begins a transaction that writes, as soon as no other process has one.

        SQLite's own way to wait looks every 100 ms, and between the short transactions of a busy
        process finds no gap for seconds.
        """
        deadline = time.monotonic() + self.busy_timeout_secs
        while True:
            try:
                writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() >= deadline:
                    raise
            else:
                return
            time.sleep(LOOK_EVERY_SECS)

    def reader(self) -> sqlite3.Connection:
        """A connection that changes nothing."""
        return self._connect("PRAGMA query_only=ON")

    def _connect(self, *settings: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.file.uri,
            uri=True,
            timeout=self.busy_timeout_secs,
            isolation_level=None,  # each BEGIN is ours
            check_same_thread=False,
        )
        settings += (
            "PRAGMA fullfsync=ON",  # macOS: fsync() alone leaves it in the drive's cache
            "PRAGMA checkpoint_fullfsync=ON",
        )
        if is_reset_unsafe():
            settings += ("PRAGMA wal_autocheckpoint=0", f"PRAGMA journal_size_limit={KEPT_OCTETS}")
        try:
            for setting in settings:
                connection.execute(setting)
        except BaseException:
            connection.close()
            raise
        return connection


def executor(
    connection: sqlite3.Connection, lease_clock: Callable[[], float]
) -> Callable[[Statement | Batch], Sequence[Row]]:
    """Executes a script's statements, one after the other."""

    def filled(params: Mapping[str, object]) -> Mapping[str, object]:
        return {**params, "lease_now": int(lease_clock() * 1_000_000)}

    def execute(asked: Statement | Batch) -> Sequence[Row]:
        by_leases = ":lease_now" in asked.sql
        if isinstance(asked, Statement):
            given = filled(asked.params) if by_leases else asked.params
            return connection.execute(asked.sql, given).fetchall()
        connection.executemany(asked.sql, map(filled, asked.params) if by_leases else asked.params)
        return ()

    return execute


def translated(error: Exception, file: PrivateFile) -> MailstromError:
    """What the error means for whoever called the storage; ours are left as they are."""
    if isinstance(error, MailstromError):
        return error
    if _code(error) == sqlite3.SQLITE_FULL:
        return StorageFull(f"SQLite: {error}: there is no room for it on the disk, or under max_page_count")
    if is_busy(error):
        return StorageError(f"SQLite: {error}: another program kept it locked longer than busy_timeout_secs")
    if _code(error) == sqlite3.SQLITE_NOTADB:
        return Unusable(f"{file.path}: {error} of SQLite's: give the path of one, or of none yet")
    if _code(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return Unusable(
            f"{file.path}: {error}: this process has to be able to write to it, and to make files in "
            f"{os.path.dirname(file.path)}"
        )
    return StorageError(f"SQLite: {type(error).__name__}: {error}")


def is_busy(error: Exception) -> bool:
    """Another connection kept its lock too long."""
    return _code(error) == sqlite3.SQLITE_BUSY


def check_version(version: Version = sqlite3.sqlite_version_info) -> None:
    """Raises `ConfigError` where this SQLite is too old."""
    if version < OLDEST:
        have, need = (".".join(map(str, each)) for each in (version, OLDEST))
        raise ConfigError(f"SqliteStorage needs SQLite {need} or later, this Python has {have}")


def is_reset_unsafe(version: Version = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite may corrupt a database when its WAL is reset during a checkpoint.

    https://sqlite.org/wal.html#walresetbug
    """
    return not any(first <= version < end for first, end in RESET_SAFE)


def _code(error: Exception) -> int:
    """The primary result code; 0 where it is no error of SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
