"""What falls due when, fair over route keys. Pure: no lock, no clock, no storage.

    ready       route keys with something due, taking turns
    timetable   the other route keys, by when they next have something due
       └── each route key: its groups, by due time
              └── each group (one message, one route key): its recipients, by due time

Each step costs O(log n). Recipients are known by their position in the message; an entry
whose recipient no longer waits for that time is dropped when it comes up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Container, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

SWEPT_AT = 64  # entries that do not count, beyond as many as do

Item = TypeVar("Item", bound=Hashable)


class Waiting(Protocol):
    """A message with recipients that wait."""

    def is_waiting(self, position: int, due_at: datetime) -> bool:
        """The recipient is not completed, not claimed, and due at that time."""


Message = TypeVar("Message", bound=Waiting)


class Agenda(Generic[Item]):
    """Items by due time; putting one again replaces its time.

    Of entries that were replaced or removed there are never many more than of those that count.
    """

    __slots__ = ("_due", "_heap", "_serial")

    def __init__(self) -> None:
        self._due: dict[Item, tuple[datetime, int]] = {}
        self._heap: list[tuple[datetime, int, Item]] = []
        self._serial = 0  # equal times: first put, first out; items are never compared

    def put(self, item: Item, due_at: datetime) -> None:
        """Makes the item due then."""
        if item in self._due and self._due[item][0] == due_at:
            return
        self._serial += 1
        self._due[item] = due_at, self._serial
        heappush(self._heap, (due_at, self._serial, item))
        self._sweep()

    def remove(self, item: Item) -> None:
        """Forgets the item, if it is there."""
        if self._due.pop(item, None) is not None:
            self._sweep()

    def first(self) -> tuple[datetime, Item] | None:
        """The item that is due first, and when."""
        while self._heap:
            if self._counts(self._heap[0]):
                due_at, _, item = self._heap[0]
                return due_at, item
            heappop(self._heap)
        return None

    def _counts(self, entry: tuple[datetime, int, Item]) -> bool:
        due_at, serial, item = entry
        return self._due.get(item) == (due_at, serial)

    def _sweep(self) -> None:
        if len(self._heap) > 2 * len(self._due) + SWEPT_AT:
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapify(self._heap)


@dataclass(slots=True, eq=False)
class _Group(Generic[Message]):
    """The waiting recipients of one message with one route key."""

    message: Message
    heap: list[tuple[datetime, int]] = field(default_factory=list)

    def next_due(self) -> datetime | None:
        while self.heap:
            due_at, position = self.heap[0]
            if self.message.is_waiting(position, due_at):
                return due_at
            heappop(self.heap)
        return None

    def take(self, limit: int) -> list[int]:
        """Those that are due first; only what falls due together."""
        together = self.next_due()
        taken: dict[int, None] = {}
        while together is not None and len(taken) < limit and self.next_due() == together:
            taken[heappop(self.heap)[1]] = None
        return list(taken)


class DueQueue(Generic[Message]):
    """The waiting recipients of all messages. Its owner sees to it that one thread is in it at a time."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, Message], _Group[Message]] = {}
        self._routes: dict[str, Agenda[_Group[Message]]] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._timetable: Agenda[str] = Agenda()

    def add(self, message: Message, route_key: str, position: int, due_at: datetime) -> None:
        """The recipient waits until then."""
        group = self._groups.get((route_key, message))
        if group is None:
            group = self._groups[route_key, message] = _Group(message)
        heappush(group.heap, (due_at, position))
        if group.heap[0][0] < due_at:
            return
        route = self._routes.get(route_key)
        if route is None:
            route = self._routes[route_key] = Agenda()
        route.put(group, due_at)
        if route_key not in self._ready:
            self._schedule(route_key, route)

    def drop(self, message: Message, route_key: str) -> None:
        """Nobody of the message waits with this route key any more."""
        group = self._groups.pop((route_key, message), None)
        if group is not None:
            self._routes[route_key].remove(group)

    def take(self, now: datetime, skip: Container[str], limit: int) -> tuple[Message, str, list[int]] | None:
        """Up to `limit` recipients of one message with one route key that fell due together.

        They wait no more. The route keys take turns; those in `skip` keep their place.
        """
        self._wake(now)
        while (route_key := next((key for key in self._ready if key not in skip), None)) is not None:
            taken = self._take_from(route_key, now, limit)
            self._place(route_key, now)
            if taken is not None:
                return taken[0], route_key, taken[1]
        return None

    def next_due(self, now: datetime, skip: Collection[str]) -> datetime | None:
        """When the first recipient falls due whose route key is not in `skip`.

        Where something is due already, the due time of one that is.
        """
        self._wake(now)
        for route_key in [key for key in self._ready if key not in skip]:
            head = self._head(route_key)
            if head is not None and head[0] <= now:
                return head[0]
            self._place(route_key, now)
        return self._first_of_timetable(skip)

    def _take_from(self, route_key: str, now: datetime, limit: int) -> tuple[Message, list[int]] | None:
        head = self._head(route_key)
        if head is None or head[0] > now:
            return None
        return head[1].message, head[1].take(limit)

    def _head(self, route_key: str) -> tuple[datetime, _Group[Message]] | None:
        """The group of this route key that is due first; what waits no more is dropped on the way."""
        route = self._routes[route_key]
        while (first := route.first()) is not None:
            due_at, group = first
            actual = group.next_due()
            if actual == due_at:
                return first
            if actual is None:
                route.remove(group)
                del self._groups[route_key, group.message]
            else:
                route.put(group, actual)
        return None

    def _place(self, route_key: str, now: datetime) -> None:
        """Puts the route key where it belongs: at the end of those that take turns, or to wait."""
        head = self._head(route_key)
        self._ready.pop(route_key, None)
        if head is None:
            del self._routes[route_key]
            self._timetable.remove(route_key)
        elif head[0] <= now:
            self._ready[route_key] = None
        else:
            self._timetable.put(route_key, head[0])

    def _wake(self, now: datetime) -> None:
        while (first := self._timetable.first()) is not None and first[0] <= now:
            self._timetable.remove(first[1])
            self._place(first[1], now)

    def _first_of_timetable(self, skip: Collection[str]) -> datetime | None:
        skipped = []
        found = None
        while (first := self._timetable.first()) is not None:
            due_at, route_key = first
            head = self._head(route_key)
            if head is not None and head[0] == due_at:
                if route_key not in skip:
                    found = due_at
                    break
                skipped.append(first)
                self._timetable.remove(route_key)
            elif head is None:
                self._timetable.remove(route_key)
                del self._routes[route_key]
            else:
                self._timetable.put(route_key, head[0])
        for due_at, route_key in skipped:
            self._timetable.put(route_key, due_at)
        return found

    def _schedule(self, route_key: str, route: Agenda[_Group[Message]]) -> None:
        first = route.first()
        assert first is not None
        self._timetable.put(route_key, first[0])
