"""The latest status changes, in memory, for whoever asks what happened since a cursor.

A cursor is the instant of the event in microseconds since 1970, or one more than the cursor
before it. So a process that starts later goes on behind the cursors of the one before it, and
a consumer that kept one of those waits for nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import islice

from ..abc import Event
from ..event import EventKind
from .changes import Told
from .picking import is_same_address

EVENTS_KEPT = 100_000  # the latest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Journal:
    """Events in the order they were told. One thread at a time."""

    def __init__(self) -> None:
        self.last_delivered_at: datetime | None = None
        self._events: deque[tuple[int, Told]] = deque(maxlen=EVENTS_KEPT)  # behind their cursors
        self._last_cursor = 0

    def tell(self, event: Told) -> None:
        """Keeps the event, behind all that was told before it."""
        if event.kind is EventKind.DELIVERED:
            self.last_delivered_at = event.at
        self._last_cursor = max(self._last_cursor + 1, (event.at - _EPOCH) // _MICROSECOND)
        self._events.append((self._last_cursor, event))

    def after(self, cursor: int | None, limit: int) -> list[Event]:
        """At most `limit` events behind the cursor; None: from the oldest that is kept."""
        start = 0 if cursor is None else bisect_right(self._events, cursor, key=_cursor)
        found = islice(self._events, start, start + limit)
        return [_as_event(cursor, told) for cursor, told in found]

    def forget(self, address: str, but_of: Collection[str]) -> None:
        """Drops what was told of this address, but for the messages named."""
        kept = [
            (cursor, event)
            for cursor, event in self._events
            if event.message_id in but_of or not is_same_address(address, event.address)
        ]
        self._events = deque(kept, maxlen=EVENTS_KEPT)


def _cursor(told: tuple[int, Told]) -> int:
    return told[0]


def _as_event(cursor: int, told: Told) -> Event:
    return Event(
        kind=told.kind,
        at=told.at,
        message_id=told.message_id,
        address=told.address,
        result=told.result,
        cursor=cursor,
    )
