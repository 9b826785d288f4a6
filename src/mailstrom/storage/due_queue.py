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
from collections.abc import Container, Hashable
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

    __slots__ = ("_entries", "_heap", "_serial")

    def __init__(self) -> None:
        self._entries: dict[Item, tuple[datetime, int, Item]] = {}  # those that count
        self._heap: list[tuple[datetime, int, Item]] = []
        self._serial = 0  # equal times: first put, first out; items are never compared

    def put(self, item: Item, due_at: datetime) -> None:
        """Makes the item due then."""
        before = self._entries.get(item)
        if before is not None and before[0] == due_at:
            return
        self._serial += 1
        entry = self._entries[item] = due_at, self._serial, item
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + SWEPT_AT:
            self._sweep()

    def bring_forward(self, item: Item, due_at: datetime) -> None:
        """Makes the item due then, unless it is due before."""
        before = self._entries.get(item)
        if before is None or before[0] > due_at:
            self.put(item, due_at)

    def remove(self, item: Item) -> None:
        """Forgets the item, if it is there."""
        if self._entries.pop(item, None) is not None and len(self._heap) > 2 * len(self._entries) + SWEPT_AT:
            self._sweep()

    def first(self) -> tuple[datetime, Item] | None:
        """The item that is due first, and when."""
        heap, entries = self._heap, self._entries
        while heap:
            entry = heap[0]
            if entries.get(entry[2]) is entry:
                return entry[0], entry[2]
            heappop(heap)
        return None

    def pop_due(self, now: datetime) -> Item | None:
        """Takes out the item that is due first, where it is due by now."""
        if not self._heap or (first := self.first()) is None or first[0] > now:
            return None
        item = heappop(self._heap)[2]
        del self._entries[item]
        return item

    def _sweep(self) -> None:
        self._heap = list(self._entries.values())
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

    def take(self, together: datetime, limit: int) -> list[int]:
        """Those that are due then, which is what `next_due` said."""
        heap = self.heap
        taken = {heappop(heap)[1]: None}
        while len(taken) < limit and heap and heap[0][0] == together:
            position = heappop(heap)[1]
            if self.message.is_waiting(position, together):
                taken[position] = None
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
        agenda = self._streams.get(stream)
        if agenda is None:
            agenda = self._streams[stream] = Agenda()
        agenda.put(group, due_at)
        if stream not in self._ready[stream[0]]:
            self._timetable.bring_forward(stream, due_at)

    def remove(self, group: _Group[Message]) -> None:
        """Forgets the group."""
        if (stream := self._streams.get(group.message.stream)) is not None:
            stream.remove(group)

    def first(self, now: datetime) -> _Head[Message] | None:
        """Of what is due that whose turn it is; else what falls due first."""
        while (woken := self._timetable.pop_due(now)) is not None:
            self._place(woken, now)
        for level in levels_at(self._turn):
            ready = self._ready[level]
            while ready:
                stream = next(iter(ready))
                head = self._head(stream)
                if head is not None and head[0] <= now:
                    return head
                self._place(stream, now)
        return self._first_of_timetable()

    def end_turn(self, group: _Group[Message], now: datetime) -> bool:
        """The next turn is another stream's, if another has something; whether this one has more now."""
        stream = group.message.stream
        if not group.heap:
            self._streams[stream].remove(group)
            del self._groups[self._key, group.message]
        self._turn += 1
        return self._place(stream, now)

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

    def _place(self, stream: Stream, now: datetime) -> bool:
        """Puts the stream where it belongs: at the end of those that take turns (True), or to wait."""
        head = self._head(stream)
        ready = self._ready[stream[0]]
        ready.pop(stream, None)
        if head is None:
            del self._streams[stream]
            self._timetable.remove(stream)
        elif head[0] <= now:
            ready[stream] = None
            return True
        else:
            self._timetable.put(stream, head[0])
        return False

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
        while (woken := self._timetable.pop_due(now)) is not None:
            self._place(woken, now)
        while (route_key := self._first_ready(skip)) is not None:
            route = self._routes[route_key]
            head = route.first(now)
            if head is None or head[0] > now:
                self._place(route_key, now)
                continue
            due_at, group = head
            positions = group.take(due_at, limit)
            if route.end_turn(group, now):
                self._ready.move_to_end(route_key)
            else:
                self._place(route_key, now)
            return group.message, route_key, positions
        return None

    def next_due(self, now: datetime, skip: Container[str]) -> datetime | None:
        """When the first recipient falls due whose route key is not in `skip`.

        Where something is due already, the due time of one that is.
        """
        while (woken := self._timetable.pop_due(now)) is not None:
            self._place(woken, now)
        while (route_key := self._first_ready(skip)) is not None:
            head = self._routes[route_key].first(now)
            if head is not None and head[0] <= now:
                return head[0]
            self._place(route_key, now)
        return self._first_of_timetable(now, skip)

    def _first_ready(self, skip: Container[str]) -> str | None:
        for route_key in self._ready:
            if route_key not in skip:
                return route_key
        return None

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

    def _first_of_timetable(self, now: datetime, skip: Container[str]) -> datetime | None:
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
