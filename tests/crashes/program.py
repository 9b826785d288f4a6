"""Processes that die at their point: one sends a mail and delivers it, others make a single call."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg

from mailstrom import Config, Email, Mailstrom, RelayConfig
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.queue import SqlStorage
from mailstrom.storage.sqlite import SqliteStorage
from tests.crashes.dying import DyingConnections, die, dying
from tests.crashes.points import Point, Side
from tests.torture import program as torture

MESSAGE_ID = "one@sender.example"
LEASE_SECS = 2.0
LONGEST_SECS = 40  # then it has missed its point

_LARGE = "So it goes.\n" * 10_000


class UnheardPostgres(PostgresStorage):
    """Hears nothing of what others store: its end need not wait for who listens."""

    def listen(self, wake: Callable[[], object], is_over: Callable[[], bool]) -> None:
        """Returns at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a queue rests."""

    storage_class: type[SqliteStorage | PostgresStorage]
    path_or_dsn: str

    def storage(self, *, retention: timedelta = timedelta(0)) -> SqlStorage:
        """The queue, for one process."""
        return self.storage_class(self.path_or_dsn, retention=retention)

    def dying(self, point: Point) -> SqlStorage:
        """The same, up to that point."""
        return dying(self.storage_class, point)(self.path_or_dsn)

    def connection(self) -> sqlite3.Connection | psycopg.Connection:
        """An application's own, to the same database."""
        if issubclass(self.storage_class, SqliteStorage):
            return sqlite3.connect(self.path_or_dsn)
        return psycopg.connect(self.path_or_dsn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process: sends its mail, if it is to, and delivers what it finds."""

    place: Place
    port: int
    point: Point
    folder: Path  # where it leaves a file `promised`, once send_email has returned, and `complaints`
    sends: bool = True

    def live(self) -> None:
        """Up to its point; a child's whole life."""
        _begin(self.folder)
        connections = DyingConnections(self.point)
        asyncio.set_event_loop_policy(connections)
        m = Mailstrom(config(self.port), self.place.dying(self.point))
        if self.sends:
            send(m, large=self.point.call == "block")
            (self.folder / "promised").touch()
        m.start(role="always")
        if self.point.call == "give_back_many":
            connections.mail_written.wait()
            m.close(timeout=0)
        threading.Event().wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLife:
    """One process that hands in its mail through a transaction of its own, and commits that."""

    place: Place
    port: int
    side: Side  # of the commit
    folder: Path  # as in `Life`; the promise is kept once the transaction is committed

    def live(self) -> None:
        """Up to its point; a child's whole life."""
        _begin(self.folder)
        m, connection = Mailstrom(config(self.port), self.place.storage()), self.place.connection()
        send(m, connection=connection)
        if self.side is Side.BEFORE:
            die()
        connection.commit()
        (self.folder / "promised").touch()
        die()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLife:
    """One process that makes one call of the storage."""

    place: Place
    point: Point
    perform: Callable[[SqlStorage], object]
    folder: Path  # as in `Life`

    def live(self) -> None:
        """Up to its point; a child's whole life."""
        _begin(self.folder)
        self.perform(self.place.dying(self.point))


def _begin(folder: Path) -> None:
    signal.alarm(LONGEST_SECS)
    os.dup2(os.open(folder / "complaints", os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)


def config(port: int) -> Config:
    """Tries again soon; the host is on this machine."""
    relay = RelayConfig("127.0.0.1", port, tls="none")
    # the points are writes to asyncio's own transports
    return replace(torture.config, delivery=relay, lease_secs=LEASE_SECS, event_loop="asyncio")


def send(m: Mailstrom, *, large: bool = False, connection: object = None) -> str:
    """Hands in the one mail, again if it was before."""
    mail = Email(
        from_="me@sender.example",
        to="you@dest.example",
        subject="Hello",
        text=_LARGE if large else "So it goes.\n",
        message_id=MESSAGE_ID,
    )
    return m.send_email(mail, idempotency_key="one", connection=connection)
