"""One connection writes, and whoever finds it free commits for everyone who waits.

    A ──► takes the turn ──► BEGIN  A  COMMIT ──┐
    B ──► waits ────────────────────────────────┴─► takes the turn ──► BEGIN  B C  COMMIT ──┐
    C ──► waits ────────────────────────────────────────────────────────────────────────────┴─► it is over

So calls that come while a commit is under way share the next one, and its fsync; nobody waits for
a timer, and there is no thread. Where several share a transaction each has a savepoint: its own error
is nobody else's. One that is alone has none, for which SQLite would copy each page that it changes.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import ClosedError
from .sql.script import Script, perform
from .sqlite_checkpoint import Checkpoints
from .sqlite_connection import CLOSED, Database, executor, is_busy, is_reset_unsafe, translated

__all__ = ["Writer"]

T = TypeVar("T")

SEEN_SECS = 0.1  # so long a file that was in its place is taken to be there still, but for what must last


@dataclass(slots=True, eq=False, kw_only=True)
class _Call:
    script: Callable[[], Script[Any]]
    repeated: Callable[[], Script[Any]]  # once it may have been committed
    synced: bool
    result: Any = None
    error: Exception | None = None
    is_over: bool = False


class Writer:
    """The one connection of this process that writes. Any thread."""

    def __init__(self, database: Database, *, syncs: bool) -> None:
        self._database = database
        self._syncs = syncs  # at commits that ask for it
        self._changed = threading.Condition()
        self._is_taken = False  # whose turn it is has the connection
        self._going_first = 0  # who waits for the turn before all calls
        self._waiting: dict[_Call, None] = {}  # in the order of their coming
        self._connection: sqlite3.Connection | None = None
        self._level = ""  # of PRAGMA synchronous, as the connection has it
        self._checkpoints = Checkpoints(database) if is_reset_unsafe() else None
        self._is_closed = False
        self._seen_at = -math.inf  # the file, in its place

    def run(
        self, script: Callable[[], Script[T]], *, synced: bool, repeated: Callable[[], Script[T]] | None
    ) -> T:
        """The script's result, committed; raises what the script raised, or `StorageError`."""
        call = _Call(script=script, repeated=repeated or script, synced=synced)
        self._waiting[call] = None
        try:
            if self._take_turn(call):
                try:
                    self._commit([each for each in list(self._waiting) if not each.is_over])
                finally:
                    self._end_turn()
        finally:
            del self._waiting[call]
        if call.error is not None:
            error = translated(call.error, self._database.file)
            raise error from (None if error is call.error else call.error)
        result: T = call.result
        return result

    @property
    def connections(self) -> list[sqlite3.Connection]:
        """Those that are open."""
        copying = None if self._checkpoints is None else self._checkpoints.connection
        return [each for each in (self._connection, copying) if each is not None]

    def pause(self, timeout: float | None = None) -> bool:
        """Waits for what is under way, then closes the connections until `resume`; False: not in time."""
        if not self._take_turn_first(timeout):
            return False
        self._disconnect()
        return True

    def resume(self) -> None:
        """Lets calls through again, with new connections."""
        self._end_turn()

    def close(self) -> None:
        """Waits for what is under way; calls raise `ClosedError` from then on."""
        self._take_turn_first()
        self._is_closed = True
        self._disconnect()
        self._end_turn()

    def _take_turn(self, call: _Call) -> bool:
        """Waits for the turn; False where the call is over without it."""
        with self._changed:
            while not call.is_over and (self._is_taken or self._going_first):
                self._changed.wait()
            if call.is_over:
                return False
            self._is_taken = True
            return True

    def _take_turn_first(self, timeout: float | None = None) -> bool:
        """Waits for the turn, and no call takes it before; False: not in time."""
        with self._changed:
            self._going_first += 1
            try:
                if not self._changed.wait_for(lambda: not self._is_taken, timeout):
                    return False
                self._is_taken = True
                return True
            finally:
                self._going_first -= 1
                self._changed.notify_all()

    def _end_turn(self) -> None:
        with self._changed:
            self._is_taken = False
            self._changed.notify_all()

    def _commit(self, calls: Sequence[_Call]) -> None:
        try:
            is_synced = any(call.synced for call in calls)
            connection = self._connected(looks=is_synced)
            self._commit_together(connection, calls, is_synced=is_synced)
        except Exception as error:  # noqa: BLE001  each caller gets it
            if len(calls) > 1 and not is_busy(error):  # one that is too large for the disk, say
                for call in calls:
                    self._commit([call])
                return
            for call in calls:
                call.error, call.is_over = error, True
        else:
            if self._checkpoints is not None and is_synced:  # the others are small, and never long alone
                self._checkpoints.after_commit(connection)

    def _commit_together(
        self, connection: sqlite3.Connection, calls: Sequence[_Call], *, is_synced: bool
    ) -> None:
        level = "FULL" if self._syncs and is_synced else "NORMAL"
        if level != self._level:
            connection.execute(f"PRAGMA synchronous={level}")
            self._level = level
        try:
            self._database.begin(connection)
            if len(calls) == 1:
                self._perform(connection, calls[0])
            else:
                for call in calls:
                    self._perform_beside_others(connection, call)
            for call in calls:
                call.script = call.repeated
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.rollback()
        for call in calls:
            call.is_over = True
        if len(calls) > 1:  # one that is alone is whose turn it is
            with self._changed:
                self._changed.notify_all()  # who has a result need not wait for a checkpoint

    def _perform(self, connection: sqlite3.Connection, call: _Call) -> None:
        execute = executor(connection, self._database.lease_clock)
        call.result, call.error = perform(call.script(), execute), None

    def _perform_beside_others(self, connection: sqlite3.Connection, call: _Call) -> None:
        connection.execute("SAVEPOINT call")
        try:
            self._perform(connection, call)
        except Exception as error:
            if not connection.in_transaction:
                raise  # SQLite has given up the whole transaction
            connection.execute("ROLLBACK TO call")
            call.error = error
        connection.execute("RELEASE call")

    def _connected(self, *, looks: bool) -> sqlite3.Connection:
        """The connection; `looks` whether its file is still in place, where that was not seen just now."""
        if self._is_closed:
            raise ClosedError(CLOSED)
        now = time.monotonic()
        if looks or now - self._seen_at > SEEN_SECS:
            self._database.file.check_in_place()
            self._seen_at = now
        if self._connection is None:
            self._connection, self._level = self._database.writer(), ""
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if self._checkpoints is not None:
            self._checkpoints.close()
        if connection is not None:
            connection.close()
