"""Scripts on PostgreSQL: one transaction each, and what follows when it comes to no good end.

    before COMMIT was sent     nothing was done: the same again at once, on a new connection where
                               that one broke, three times in all
    COMMIT was sent            all was done, or nothing: `repeated` on a new connection tells, and
                               does what is missing. Worth some seconds of waiting for the server
    no connection              `Unreachable` at once: whoever called decides when to try again
    a server that is silent    the same after `reply_timeout_secs`
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from ..errors import MailstromError
from .bound_postgres import PsycopgDriver
from .postgres_connections import Connections
from .postgres_errors import OutcomeUnknown, RolledBack, Unreachable, is_cut, translated
from .postgres_silence import never_silent_for
from .sql.script import Script, perform

__all__ = ["Transactions"]

T = TypeVar("T")

# A process that was stopped in a transaction, or whose network is gone, must not keep its locks; and
# nobody waits long for somebody else's transaction, such as an outbox's that was left open. And the
# planner thinks so badly of recursion that it would compile for half a second what takes a millisecond.
_SETTINGS = "; ".join(
    f"SET LOCAL {setting}"
    for setting in ("idle_in_transaction_session_timeout TO '20s'", "lock_timeout TO '10s'", "jit TO off")
)
# Who writes names a few rows by their keys: without statistics a planner would read a table to join them.
_BY_KEYS = "SET LOCAL enable_hashjoin TO off; SET LOCAL enable_mergejoin TO off"
_SYNCED = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {_SETTINGS}; {_BY_KEYS}"
_UNSYNCED = f"{_SYNCED}; SET LOCAL synchronous_commit TO off"
_SNAPSHOT = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_SETTINGS}"

_TRIES = 3
_OUTCOME_SECS = 5.0  # how long to wait for the server that knows what became of a COMMIT
_PAUSE_SECS = 0.1

_log = logging.getLogger("mailstrom.storage")


class Transactions:
    """Performs scripts. Any thread."""

    def __init__(self, connections: Connections, reply_timeout_secs: float) -> None:
        self._connections = connections
        self._reply_timeout_secs = reply_timeout_secs

    def write(
        self,
        script: Callable[[], Script[T]],
        *,
        synced: bool = True,
        repeated: Callable[[], Script[T]] | None = None,
        reply_timeout_secs: float | None = None,
    ) -> T:
        """The script's result, committed."""
        secs = self._reply_timeout_secs if reply_timeout_secs is None else reply_timeout_secs
        return self._ended(_SYNCED if synced else _UNSYNCED, script, repeated or script, secs)

    def read(self, script: Callable[[], Script[T]]) -> T:
        """The script's result, from one snapshot."""
        return self._ended(_SNAPSHOT, script, script, self._reply_timeout_secs)

    def tell(self, channel: str) -> None:
        """Wakes whoever listens there; raises nothing, since a notification only saves waiting.

        In a transaction of its own. PostgreSQL has one lock for all that notify, and it is kept
        until the commit is on the disk: those that store would go through it one by one.
        """
        try:
            with self._connections.connection() as connection, never_silent_for(connection, self._shortly):
                connection.execute(f"{_UNSYNCED}; NOTIFY {channel}; COMMIT")
        except (MailstromError, psycopg.Error) as error:
            _log.debug("nobody was notified that something is stored: %s", translated(error))

    @property
    def _shortly(self) -> float:
        return min(_OUTCOME_SECS, self._reply_timeout_secs)

    def _ended(
        self, begin: str, script: Callable[[], Script[T]], repeated: Callable[[], Script[T]], secs: float
    ) -> T:
        try:
            return self._tried(begin, script, secs)
        except OutcomeUnknown as unknown:
            return self._told(begin, repeated, unknown)

    def _tried(self, begin: str, script: Callable[[], Script[T]], secs: float) -> T:
        for _ in range(_TRIES - 1):
            try:
                return self._once(begin, script, secs)
            except RolledBack:
                continue
        return self._once(begin, script, secs)

    def _told(self, begin: str, repeated: Callable[[], Script[T]], unknown: OutcomeUnknown) -> T:
        """What `repeated` makes of a COMMIT that may have been performed."""
        deadline = time.monotonic() + self._shortly
        while time.monotonic() < deadline:
            try:
                return self._tried(begin, repeated, self._shortly)
            except (OutcomeUnknown, RolledBack, Unreachable):
                time.sleep(_PAUSE_SECS)
        raise unknown

    def _once(self, begin: str, script: Callable[[], Script[T]], secs: float) -> T:
        with self._connections.connection() as connection, never_silent_for(connection, secs):
            return _performed(connection, begin, script())


def _performed(connection: psycopg.Connection[Any], begin: str, script: Script[T]) -> T:
    commit_sent = False
    try:
        connection.execute(begin)
        result = perform(script, PsycopgDriver(connection).execute)
        commit_sent = True
        connection.execute("COMMIT")
    except Exception as error:
        was_cut = is_cut(error, connection)
        _leave(connection, was_cut)
        raise translated(error, was_cut=was_cut, commit_sent=commit_sent) from error
    return result


def _leave(connection: psycopg.Connection[Any], was_cut: bool) -> None:
    """Rolls back; a connection that cannot is closed."""
    try:
        if not was_cut and connection.info.transaction_status is not TransactionStatus.IDLE:
            connection.execute("ROLLBACK")
    except psycopg.Error:
        was_cut = True
    if was_cut:
        connection.close()
