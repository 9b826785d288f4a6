"""The queue in a file of SQLite's: nothing to install, any number of processes on one machine.

    storage = SqliteStorage("mail.db")

What it is made of, from the file upwards:

    sqlite_file.py         the file is private, and nobody else's
    sqlite_connection.py   how connections are opened and execute, and what their errors mean
    sqlite_writer.py       one connection writes; calls that wait share a commit
    sqlite_readers.py      others only ask
    sqlite_checkpoint.py   where SQLite's own checkpoints are not safe
    sqlite_life.py         what belongs to one process, and what becomes of it in a fork
    sqlite_workers.py      which owners of claims are alive
    sqlite_abandoned.py    the claims of those that are not
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from ..abc import AsyncBinding, Binding, Claim, Terms
from ..errors import ConfigError
from . import bound
from .bound_sqlite import LEVELS, check_connection
from .fork import call_around_fork, call_in_forked_child
from .sql import schema
from .sql.dialect import SQLITE
from .sql.queue import STATUS_RETENTION, SqlStorage
from .sql.script import Script
from .sqlite_abandoned import AbandonedClaims
from .sqlite_connection import Database, check_version, is_reset_unsafe
from .sqlite_file import private_file
from .sqlite_life import Life
from .sqlite_readers import Readers

__all__ = ["SqliteStorage", "schema_version"]

T = TypeVar("T")

Durability = Literal["full", "normal"]


class SqliteStorage(SqlStorage):
    """A queue in the file `path`. Any thread, any process of one machine and one user; fork-safe.

    The file is made with mode 0600, and its tables with it; that of another application will do,
    and is put into WAL mode. It has to be on a local file system.

    `durability="full"`: what `store` and `settle` have returned from outlives a loss of power.
    `"normal"` waits for no disk: it outlives the process and no more; a loss of power takes the
    latest messages and results, so that mail is lost or sent twice, and leaves the file sound.

    `busy_timeout_secs`: how long to wait for another program's transaction. `poll_secs`: how
    often a worker looks for what other processes stored. Bodies are kept for `retention` after
    their message is completed, all else for `status_retention`. `lease_clock` is the same for
    all processes; seconds that never go back.
    """

    # A kill keeps an unsynced claim; a loss of power ends its worker, too.
    claims_synced = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "full",
        retention: timedelta = timedelta(0),
        status_retention: timedelta = STATUS_RETENTION,
        busy_timeout_secs: float = 5.0,
        poll_secs: float = 1.0,
        lease_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_version()
        _check(durability, busy_timeout_secs=busy_timeout_secs, poll_secs=poll_secs)
        super().__init__(SQLITE, retention=retention, status_retention=status_retention)
        self.durability = durability
        self.poll_secs = poll_secs
        self._lease_clock = lease_clock
        self._database = Database(
            file=private_file(path), busy_timeout_secs=busy_timeout_secs, lease_clock=lease_clock
        )
        self.identity = f"sqlite:{self.main_file}"
        self._begin(Life(self._database, syncs=durability == "full"))
        try:
            self._make_tables()
        except BaseException:
            self._life.close()
            raise
        self._life.rest()
        call_around_fork(self._before_fork, self._after_fork)
        call_in_forked_child(self._in_child)

    def __repr__(self) -> str:
        return f"SqliteStorage({self.main_file!r})"

    @property
    def main_file(self) -> str:
        """The file's absolute path."""
        return self._database.file.path

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        """The next due work; claims of workers that are dead come back at once."""
        life = self._living()
        if life.workers is not None:
            life.workers.hold(terms.owner)
        self._abandoned.end()
        return super().claim_many(now, terms)

    def next_due(self, now: datetime, skip: Collection[str] = ()) -> datetime | None:
        """When the next work that is not in `skip` falls due or its lease ends; None: no work waits."""
        self._abandoned.end()
        return super().next_due(now, skip)

    def bind(self, connection: object) -> Binding:
        """Stores through a connection of sqlite3, SQLAlchemy or Django, in its transaction."""
        return bound.bind(self.dialect, connection, self._storing.store, self._checking)

    def bind_async(self, connection: object) -> AsyncBinding:
        """The same through one of SQLAlchemy for asyncio."""
        return bound.bind_async(self.dialect, connection, self._storing.store, self._checking)

    def close(self) -> None:
        """Waits for what is under way; calls raise `ClosedError` from then on."""
        self._life.close()

    def _write(
        self,
        script: Callable[[], Script[T]],
        *,
        synced: bool = True,
        repeated: Callable[[], Script[T]] | None = None,
    ) -> T:
        return self._living().writer.run(script, synced=synced, repeated=repeated)

    def _write_unsynced(self, script: Callable[[], Script[T]]) -> T:
        return self._write(script, synced=False)

    def _read(self, script: Callable[[], Script[T]]) -> T:
        return self._living().readers.run(script)

    def _checking(self) -> Script[None]:
        level = "FULL" if self.durability == "full" else "NORMAL"
        return check_connection(
            self.main_file, synchronous=LEVELS.index(level), checkpoints=not is_reset_unsafe()
        )

    def _make_tables(self) -> None:
        version = self._read(lambda: schema.installed(self.dialect))
        if version < schema.VERSION:
            self._write(lambda: schema.upgrade(self.dialect))
        elif version > schema.VERSION:
            self._read(lambda: schema.check_installed(self.dialect))

    # --- processes

    def _begin(self, life: Life) -> None:
        self._life = life
        self._abandoned = AbandonedClaims(
            life.workers, read=self._read, write=self._write_unsynced, clock=self._lease_clock
        )

    def _living(self) -> Life:
        """This process's life, where it can be used."""
        if self._life.pid != os.getpid():  # forked by something that does not tell Python
            self._begin(self._life.of_child(told=False))
        self._life.check()
        return self._life

    def _before_fork(self) -> None:
        self._life.before_fork()

    def _after_fork(self) -> None:
        self._life.after_fork()

    def _in_child(self) -> None:
        self._begin(self._life.of_child(told=True))


def schema_version(path: str | os.PathLike[str]) -> int:
    """The version of the tables in a file that is there, and stays as it is; 0: there are none."""
    if not os.path.getsize(path):
        return 0
    database = Database(file=private_file(path), busy_timeout_secs=5.0, lease_clock=time.monotonic)
    readers = Readers(database)
    try:
        return readers.run(lambda: schema.installed(SQLITE))
    finally:
        readers.close()


def _check(durability: object, **secs: object) -> None:
    if durability not in ("full", "normal"):
        raise ConfigError(f"SqliteStorage.durability: expected 'full' or 'normal', got {durability!r}")
    for name, value in secs.items():
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ConfigError(f"SqliteStorage.{name}: expected more than 0 seconds, got {value!r}")
