"""What happened, in an order in which nobody misses anything.

SQLite has one writer at a time: a later id commits later, and is the cursor.

PostgreSQL has many: who reads up to an id may pass over a smaller one that commits later. So there
an event gets its number, which is its cursor, only once it is there for all to see: whoever reads
numbers what has none yet, under a lock. What commits late gets a later number, and a
transaction that is left open holds up nothing.
"""

from __future__ import annotations

from ...abc import Event
from ...event import EventKind
from . import rows
from .dialect import Dialect
from .script import Script, Statement

_KINDS = ", ".join(f"'{kind}'" for kind in EventKind)  # a newer version may write others


class Events:
    """The statements about events; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        cursor = "e.id" if dialect.commits_in_order else "e.number"
        self._numbers = not dialect.commits_in_order
        self._told = f"""
            SELECT {cursor}, e.kind, e.at, m.message_id, e.address, e.result
            FROM {t}events AS e JOIN {t}messages AS m ON m.seq = e.seq
            WHERE {cursor} > :after AND e.kind IN ({_KINDS}) ORDER BY {cursor} LIMIT :limit"""
        self._untold = f"SELECT 1 FROM {t}events WHERE number IS NULL AND kind IN ({_KINDS}) LIMIT 1"
        # whoever numbers too waits here, and sees what this one has numbered
        self._lock = f"""
            SELECT c.value FROM {t}counters AS c WHERE c.name = 'event' {dialect.for_update.format("c")}"""
        self._number = f"""
            UPDATE {t}events AS e SET number = :last + n.place
            FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM (
                SELECT id FROM {t}events WHERE number IS NULL AND kind IN ({_KINDS})
                ORDER BY id LIMIT :limit) AS u) AS n
            WHERE e.id = n.id RETURNING number"""
        self._count = f"UPDATE {t}counters SET value = :last WHERE name = 'event'"

    def told(self, after: int | None, limit: int) -> Script[list[Event]]:
        """The numbered events behind the cursor."""
        found = yield Statement(self._told, {"after": -1 if after is None else after, "limit": limit})
        return [rows.event_of(row) for row in found]

    def has_untold(self) -> Script[bool]:
        """There are events that have no number, and need one."""
        return self._numbers and bool((yield Statement(self._untold, {})))

    def number(self, limit: int) -> Script[None]:
        """Numbers at most so many of those that are there and have none."""
        [(last,)] = yield Statement(self._lock, {})
        numbered = yield Statement(self._number, {"last": last, "limit": limit})
        if numbered:
            yield Statement(self._count, {"last": max(number for (number,) in numbered)})
