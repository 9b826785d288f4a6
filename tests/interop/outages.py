"""Ways for a storage to fail for a while: real servers, files and connections that fail.

outage = ServerGone(server, dsn)
with Mailstrom(config, outage.storage()) as m:
    with outage.going_on():
        ...                        m.send_email() raises outage.error
"""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from mailstrom import StorageError, StorageFull
from mailstrom.abc import Settlement, SharedStorage
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sqlite import SqliteStorage
from tests.interop.mailbox import until
from tests.pg_proxy import PostgresProxy
from tests.postgres import PostgresServer, query
from tests.unit.storage.sqlite_kit import UNBOUNDED, Bounded

_MARGIN_SECS = 5.0  # for a machine that has other things to do


class Outage(ABC):
    """A storage, and how it ceases to work."""

    error: ClassVar[type[StorageError]] = StorageError  # what a caller gets meanwhile ...
    answer_secs = _MARGIN_SECS  # ... after that long at the latest
    takes_claims: ClassVar[bool] = False  # what needs no more room than there is

    @abstractmethod
    def storage(self) -> SharedStorage:
        """Opens the storage."""

    @abstractmethod
    def going_on(self) -> AbstractContextManager[None]:
        """It lasts until the end of the block."""


class Locked(Outage):
    """Another program keeps the database file locked."""

    def __init__(self, path: Path, *, busy_timeout_secs: float) -> None:
        self._path = path
        self._busy_timeout_secs = busy_timeout_secs
        # a call waits for the turn of another, which waits for the file, and then for the file itself
        self.answer_secs = 2 * busy_timeout_secs + _MARGIN_SECS

    def storage(self) -> SharedStorage:
        return SqliteStorage(self._path, busy_timeout_secs=self._busy_timeout_secs)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield


class FileFull(Outage):
    """The database file may not grow."""

    error = StorageFull
    takes_claims = True

    def __init__(self, path: Path) -> None:
        self._storage = Bounded(path)

    def storage(self) -> SharedStorage:
        return self._storage

    @contextmanager
    def going_on(self) -> Iterator[None]:
        self._storage.max_pages = 1  # no less than it has
        try:
            yield
        finally:
            self._storage.max_pages = UNBOUNDED


class ServerGone(Outage):
    """The server has crashed, and is started again."""

    def __init__(self, server: PostgresServer, dsn: str) -> None:
        self._server = server
        self._dsn = dsn

    def storage(self) -> SharedStorage:
        return PostgresStorage(self._dsn)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        self._server.stop("immediate")
        try:
            yield
        finally:
            self._server.start()


class ServerFull(Outage):
    """The server has no room for any change of the queue."""

    error = StorageFull

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def storage(self) -> SharedStorage:
        return PostgresStorage(self._dsn)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        query(
            self._dsn,
            """CREATE FUNCTION find_no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$""",
        )
        for table in ("bodies", "recipients"):
            query(
                self._dsn,
                f"""CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON mailstrom.{table}
                    FOR EACH ROW EXECUTE FUNCTION find_no_room()""",
            )
        try:
            yield
        finally:
            query(self._dsn, "DROP FUNCTION find_no_room CASCADE")


class ReplyLost(Outage):
    """The next results are committed, the reply is lost, and after that nobody gets through."""

    def __init__(self, proxy: PostgresProxy) -> None:
        self._proxy = proxy
        self._cuts = threading.Event()

    def storage(self) -> SharedStorage:
        return _CutAtSettle(self._proxy, self._cuts)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        over = threading.Event()
        closer = threading.Thread(target=self._close_once_cut, args=(over,))
        closer.start()
        self._cuts.set()
        try:
            yield
        finally:
            over.set()
            closer.join()

    def _close_once_cut(self, over: threading.Event) -> None:
        until(lambda: self._proxy.commits_cut == 1 or over.is_set(), 20.0, "the COMMIT of results")
        with self._proxy.closed():
            over.wait()


class _CutAtSettle(PostgresStorage):
    """Loses the reply to the COMMIT of the next results, once it is told to."""

    def __init__(self, proxy: PostgresProxy, cuts: threading.Event) -> None:
        self._proxy = proxy
        self._cuts = cuts
        super().__init__(proxy.dsn)

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        if self._cuts.is_set():
            self._cuts.clear()
            self._proxy.cut_commit(refused=10)  # a second's tries, until nobody gets through
        return super().settle(settlements, now)
