"""What falls due when, fair over route keys, and within each over streams. Pure: no lock, clock, storage.

    ready       route keys with something due, taking turns
    timetable   the other route keys, by when they next have something due
       └── each route key: its streams, ready by priority and taking turns, or in a timetable
              └── each stream: its groups, by due time
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

from .turns import PRIORITIES, Stream, levels_at

SWEPT_AT = 64  # entries that do not count, beyond as many as do

Item = TypeVar("Item", bound=Hashable)


class Waiting(Protocol):
    """A message with recipients that wait."""

    @property
    def stream(self) -> Stream:
        """Where they take turns; always the same."""

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

    def bring_forward(self, item: Item, due_at: datetime) -> None:
        """Makes the item due then, unless it is due before."""
        if item not in self._due or self._due[item][0] > due_at:
            self.put(item, due_at)

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


_Head = tuple[datetime, _Group[Message]]  # what is due first, and when


class _Route(Generic[Message]):
    """The groups of one route key. `_Group`s that are empty are dropped on the way, from `groups`, too."""

    __slots__ = ("_groups", "_key", "_ready", "_streams", "_timetable", "_turn")

    def __init__(self, key: str, groups: dict[tuple[str, Message], _Group[Message]]) -> None:
        self._key = key
        self._groups = groups
        self._streams: dict[Stream, Agenda[_Group[Message]]] = {}
        self._ready: dict[int, OrderedDict[Stream, None]] = {level: OrderedDict() for level in PRIORITIES}
        self._timetable: Agenda[Stream] = Agenda()
        self._turn = 0

    def put(self, group: _Group[Message], due_at: datetime) -> None:
        """The group is due then."""
        stream = group.message.stream
        if stream not in self._streams:
            self._streams[stream] = Agenda()
        self._streams[stream].put(group, due_at)
        if stream not in self._ready[stream[0]] and (first := self._streams[stream].first()) is not None:
            self._timetable.put(stream, first[0])

    def remove(self, group: _Group[Message]) -> None:
        """Forgets the group."""
        if (stream := self._streams.get(group.message.stream)) is not None:
            stream.remove(group)

    def first(self, now: datetime) -> _Head[Message] | None:
        """Of what is due that whose turn it is; else what falls due first."""
        self._wake(now)
        for level in levels_at(self._turn):
            while (stream := next(iter(self._ready[level]), None)) is not None:
                head = self._head(stream)
                if head is not None and head[0] <= now:
                    return head
                self._place(stream, now)
        return self._first_of_timetable()

    def end_turn(self, stream: Stream, now: datetime) -> None:
        """The next turn is another stream's, if another has something."""
        self._turn += 1
        self._place(stream, now)

    def _head(self, stream: Stream) -> _Head[Message] | None:
        agenda = self._streams[stream]
        while (first := agenda.first()) is not None:
            due_at, group = first
            actual = group.next_due()
            if actual == due_at:
                return first
            if actual is None:
                agenda.remove(group)
                del self._groups[self._key, group.message]
            else:
                agenda.put(group, actual)
        return None

    def _place(self, stream: Stream, now: datetime) -> None:
        """Puts the stream where it belongs: at the end of those that take turns, or to wait."""
        head = self._head(stream)
        self._ready[stream[0]].pop(stream, None)
        if head is None:
            del self._streams[stream]
            self._timetable.remove(stream)
        elif head[0] <= now:
            self._ready[stream[0]][stream] = None
        else:
            self._timetable.put(stream, head[0])

    def _wake(self, now: datetime) -> None:
        while (first := self._timetable.first()) is not None and first[0] <= now:
            self._timetable.remove(first[1])
            self._place(first[1], now)

    def _first_of_timetable(self) -> _Head[Message] | None:
        while (first := self._timetable.first()) is not None:
            due_at, stream = first
            head = self._head(stream)
            if head is not None and head[0] == due_at:
                return head
            if head is None:
                self._timetable.remove(stream)
                del self._streams[stream]
            else:
                self._timetable.put(stream, head[0])
        return None


class DueQueue(Generic[Message]):
    """The waiting recipients of all messages. Its owner sees to it that one thread is in it at a time."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, Message], _Group[Message]] = {}
        self._routes: dict[str, _Route[Message]] = {}
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
            route = self._routes[route_key] = _Route(route_key, self._groups)
        route.put(group, due_at)
        if route_key not in self._ready:
            self._timetable.bring_forward(route_key, due_at)

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
            head = self._routes[route_key].first(now)
            if head is not None and head[0] <= now:
                return head[0]
            self._place(route_key, now)
        return self._first_of_timetable(now, skip)

    def _take_from(self, route_key: str, now: datetime, limit: int) -> tuple[Message, list[int]] | None:
        route = self._routes[route_key]
        head = route.first(now)
        if head is None or head[0] > now:
            return None
        message, positions = head[1].message, head[1].take(limit)
        route.end_turn(message.stream, now)
        return message, positions

    def _place(self, route_key: str, now: datetime) -> None:
        """Puts the route key where it belongs: at the end of those that take turns, or to wait."""
        head = self._routes[route_key].first(now)
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

    def _first_of_timetable(self, now: datetime, skip: Collection[str]) -> datetime | None:
        skipped = []
        found = None
        while (first := self._timetable.first()) is not None:
            due_at, route_key = first
            head = self._routes[route_key].first(now)
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
