"""Whose turn is next in a step: over route keys, in each over priorities, in these over streams. Pure.

What is not known is asked for: so many turns of each stream as it will need if no other ends. Where one
does, the others need more, and are asked again.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeAlias

from ..turns import PRIORITIES, levels_at

KEYS_KEPT = 10_000

Past: TypeAlias = tuple[int, Mapping[int, str]]  # how many turns; at each level whose was the last

START = "[-4611686018427387904,-1,-1]"  # before everything that is due: due_at, seq, position


class Turn(NamedTuple):
    """A claim's worth of rows of one message, which are locked now; none: others are taking them."""

    route_key: str
    seq: int | None = None
    positions: tuple[int, ...] = ()
    stream: Stream | None = None  # where the key has several


@dataclass(slots=True, eq=False)
class Stream:
    """What is ready of one stream for one route key, as far as it is known."""

    level: int
    name: str
    found: deque[Turn] = field(default_factory=deque)
    behind: str = START  # the place of the last that was found
    rows_a_turn: int = 1  # about, as far as it is known; where rows are looked for
    is_dry: bool = False  # nothing is behind that
    is_alone: bool = False  # the key has no other
    is_cut: bool = False  # it stands for those that come behind, which are not known yet

    @property
    def is_over(self) -> bool:
        """It has no other turn."""
        return self.is_dry and not self.found


@dataclass(slots=True, eq=False)
class Key:
    """A route key: its streams by level, those whose turn comes first in front."""

    route_key: str
    turn: int
    levels: Mapping[int, deque[Stream]]
    is_served: bool = False

    @classmethod
    def of(cls, route_key: str, turn: int = 0, *streams: Stream) -> Self:
        """One with these streams."""
        levels = {at: deque(each for each in streams if each.level == at) for at in PRIORITIES}
        return cls(route_key, turn, levels)

    def next(self) -> Stream | None:
        """Whose turn it is."""
        for level in levels_at(self.turn):
            streams = self.levels[level]
            while streams and streams[0].is_over:
                streams.popleft()
            if streams:
                return streams[0]
        return None

    def end_turn(self, stream: Stream) -> None:
        """The next turn is another stream's, if there is another."""
        self.turn += 1
        self.levels[stream.level].rotate(-1)

    def needs(self, count: int) -> Counter[Stream]:
        """How many of the next turns are whose, if none ends."""
        if (first := self.next()) is not None and first.is_alone:
            return Counter({first: count})
        ahead = Key(self.route_key, self.turn, {level: deque(of) for level, of in self.levels.items()})
        needed: Counter[Stream] = Counter()
        for _ in range(count):
            if (stream := ahead.next()) is None or stream.is_cut:
                break
            needed[stream] += 1
            ahead.end_turn(stream)
        return needed


class Rotation:
    """The next turns of these keys, up to `count`: each has one, then each that has more another."""

    def __init__(self, keys: Iterable[Key], count: int) -> None:
        self.turns: list[Turn] = []
        self.is_cut = False  # it ends where the streams are not known
        self._keys = deque(keys)
        self._count = count

    def wanted(self) -> list[tuple[Stream, str, int]]:
        """Of which stream, for which key, how many turns must be known to go on; none: all are."""
        self._go_on()
        left, keys = self._count - len(self.turns), len(self._keys)
        if not left or not keys:
            return []
        shares = ((key, left // keys + (at < left % keys)) for at, key in enumerate(self._keys))
        return [
            (stream, key.route_key, number - len(stream.found))
            for key, share in shares
            for stream, number in key.needs(share).items()
            if number > len(stream.found) and not stream.is_dry
        ]

    def _go_on(self) -> None:
        """Up to a turn that is not known."""
        while self._keys and len(self.turns) < self._count:
            key = self._keys[0]
            stream = key.next()
            if stream is None or (stream.is_cut and not key.is_served):
                self._end(key)
            elif stream.is_cut:
                self.is_cut = True
                self._keys.clear()
            elif stream.found:
                self._give(key, stream)
            else:
                return

    def _end(self, key: Key) -> None:
        self._keys.popleft()
        if not key.is_served:  # its turn is over all the same
            self.turns.append(Turn(key.route_key))

    def _give(self, key: Key, stream: Stream) -> None:
        key.is_served = True
        if stream.is_alone and len(self._keys) == 1:  # nobody else has a turn
            count = min(len(stream.found), self._count - len(self.turns))
            self.turns += [stream.found.popleft() for _ in range(count)]
            return
        self.turns.append(stream.found.popleft())
        key.end_turn(stream)
        self._keys.rotate(-1)


class Served:
    """How many turns each route key with several streams has had, and whose they were last. Any thread.

    Of the latest keys; another goes on where the one came to that was forgotten last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Past] = OrderedDict()
        self._forgotten: Past = 0, {}

    def of(self, route_keys: Iterable[str], turns: Iterable[Turn] = ()) -> dict[str, Past]:
        """What is over for these keys, with these turns, which are not noted yet."""
        with self._lock:
            past = {key: self._kept.get(key, self._forgotten) for key in route_keys}
        for turn in turns:
            if turn.stream is not None and turn.route_key in past:
                past[turn.route_key] = _with(past[turn.route_key], turn.stream)
        return past

    def note(self, turns: Iterable[Turn]) -> None:
        """They came to claims, which are committed."""
        with self._lock:
            for turn in turns:
                if turn.stream is not None:
                    past = self._kept.pop(turn.route_key, self._forgotten)
                    self._kept[turn.route_key] = _with(past, turn.stream)
            while len(self._kept) > KEYS_KEPT:
                _, self._forgotten = self._kept.popitem(last=False)


def _with(past: Past, stream: Stream) -> Past:
    count, last = past
    return count + 1, {**last, stream.level: stream.name}
