"""Where callers meet a queue: a database with the queue and a table of the application's.

with on_sqlite(path) as desk:              or on_postgres(dsn)
    desk.play(KINDS["sqlite3"], story)     a caller with a connection of its own
    desk.sent(), desk.orders()             what came of it
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mailstrom import SharedStorage
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.storage_kit import LEASE, NOW
from tests.interop.outbox_callers import Caller, tell
from tests.interop.outbox_kinds import Kind
from tests.postgres import query

ORDERS = "CREATE TABLE orders (number INTEGER)"
Story = Callable[[Caller, SharedStorage], Awaitable[None]]


class Desk:
    """A database with the queue and a table of the application's."""

    def __init__(self, place: str, storage: SharedStorage) -> None:
        self.place = place
        self.storage = storage

    def play(self, kind: Kind, story: Story, *, autocommit: bool = False) -> None:
        """The story, told by a caller with a connection of its own."""
        opening = kind.autocommitting if autocommit else kind.connected
        assert opening is not None

        async def play() -> None:
            async with opening(self.place) as caller:
                await story(caller, self.storage)

        tell(play(), is_awaited=kind.is_awaited)

    def sent(self) -> list[str]:
        """The ids of what a worker finds to send."""
        found = []
        while (claim := self.storage.claim(NOW, owner="worker", lease=LEASE)) is not None:
            found.append(claim.email.message_id)
        return sorted(found)

    def orders(self) -> int:
        """How many rows of the application's were committed."""
        count = "SELECT count(*) FROM orders"
        if "://" in self.place:
            return query(self.place, count)[0][0]
        with closing(sqlite3.connect(self.place)) as connection:
            return connection.execute(count).fetchone()[0]


@contextmanager
def on_sqlite(path: Path) -> Iterator[Desk]:
    """In a new file."""
    with closing(SqliteStorage(path)) as storage:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(ORDERS)
        yield Desk(str(path), storage)


@contextmanager
def on_postgres(dsn: str) -> Iterator[Desk]:
    """In a database that is empty."""
    query(dsn, ORDERS)
    with closing(PostgresStorage(dsn)) as storage:
        assert storage.is_idle()  # makes the tables
        yield Desk(dsn, storage)
