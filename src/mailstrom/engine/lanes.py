"""How many deliveries run at once per lane (one MX set, whatever domains lead to it).

A claim takes its slot at once, before anything is looked up: in the lane its route key is known
to lead to, else in one of the key's own, so that neither slow look-ups nor a long queue for one
domain fill the worker. When the route is known the slot moves to the true lane. The keys of a
full or held lane are named to the storage, which passes them over: their mail waits in the
queue, not in a task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar

from .gates import LaneGate

T = TypeVar("T")

KEYS_KNOWN = 50_000  # route keys whose lane is remembered

_UNTIL_PROVED = float("-inf")  # no hold, but one delivery alone goes first


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one delivery: the lane in which it counts now."""

    route_key: str
    lane: str


class Lanes:
    """The slots of each lane. Used in the worker's loop only.

    `opened` is called when a lane that let in one delivery alone is open for all again.
    """

    def __init__(self, per_lane: int, opened: Callable[[], object] = lambda: None) -> None:
        self._per_lane = per_lane
        self._opened = opened
        self._lane_of: dict[str, str] = {}
        self._keys_of: dict[str, set[str]] = {}
        self._busy: Counter[str] = Counter()
        self._held_until: dict[str, float] = {}
        self._admitting: set[str] = set()  # held lanes that wait for the one to go first
        self.closed_keys: AbstractSet[str] = _ClosedKeys(self)  # of lanes that take no more work now

    @property
    def busy(self) -> int:
        """Slots that are taken, in all lanes."""
        return self._busy.total()

    def enter(self, route_key: str) -> Slot:
        """A slot for a claim with this key."""
        lane = self._lane(route_key)
        self._learn(route_key, lane)
        self._add(lane)
        return Slot(route_key, lane)

    def move(self, slot: Slot, lane: str, now: float) -> bool:
        """Moves the slot to the lane to which its key turned out to lead; False: there is no room."""
        self._learn(slot.route_key, lane)
        if not self._has_room(lane, self._busy[lane] - (slot.lane == lane), now):
            return False
        self._remove(slot.lane)
        slot.lane = lane
        self._add(lane)
        return True

    def leave(self, slot: Slot) -> None:
        """Gives the slot back."""
        self._remove(slot.lane)

    def is_closed(self, route_key: str) -> bool:
        """The lane of this key takes no more work now."""
        lane = self._lane_of.get(route_key)
        return lane is not None and self._is_full(lane)

    def admits(self, route_key: str, before: Sequence[str]) -> bool:
        """The lane of this key takes one more beside those that come with the keys before it. Any thread."""
        lane = self._lane(route_key)
        return [self._lane(each) for each in before].count(lane) < self._room(lane)

    def keys_of_full_lanes(self) -> list[str]:
        """Every key that `is_closed`."""
        full = [lane for lane in {*self._busy, *self._held_until} if self._is_full(lane)]
        return [key for lane in full for key in list(self._keys_of.get(lane, ()))]

    def gate(self, route_key: str, now: float) -> LaneGate | None:
        """How the lane of this key stands; None: it is not known yet, and takes work."""
        lane = self._lane_of.get(route_key)
        if lane is None:
            return None
        until = self._held_until.get(lane)
        return LaneGate(
            lane=lane,
            in_use=self._busy[lane],
            limit=self._per_lane,
            is_shut=self._is_full(lane),
            held_secs=None if until is None else max(until - now, 0.0),
        )

    def is_held(self, lane: str, now: float) -> bool:
        """The lane takes nothing at all."""
        return now < self._held_until.get(lane, _UNTIL_PROVED)

    def hold(self, lane: str, until: float) -> None:
        """Closes the lane until `until` (monotonic): it refused our credentials."""
        self._held_until[lane] = until
        self._admitting.discard(lane)

    def send_one_ahead(self, lane: str) -> None:
        """Lets one delivery alone into the lane: nobody knows yet whether it takes our credentials."""
        self.hold(lane, _UNTIL_PROVED)

    def clear_hold(self, lane: str) -> None:
        """Opens the lane: the host accepts us."""
        if self._held_until.pop(lane, None) is not None:
            self._admitting.discard(lane)
            self._opened()

    def clear_caution(self, lane: str) -> None:
        """Opens the lane where it was not held, and what went ahead met other trouble than a refusal."""
        if self._held_until.get(lane) == _UNTIL_PROVED:
            self.clear_hold(lane)

    def admit_probes(self, now: float) -> None:
        """Lets one delivery into each lane whose hold is over: it finds out for the others."""
        over = (lane for lane, until in self._held_until.items() if until <= now)
        self._admitting = {lane for lane in over if not self._busy[lane]}

    def next_probe(self, now: float) -> float | None:
        """When the next held lane admits a probe (monotonic)."""
        return min((until for until in self._held_until.values() if until > now), default=None)

    def _lane(self, route_key: str) -> str:
        return self._lane_of.get(route_key) or f"key:{route_key}"  # no lane of hosts has a name like that

    def _has_room(self, lane: str, others: int, now: float) -> bool:
        if lane in self._held_until:
            return self._held_until[lane] <= now and not others
        return others < self._per_lane

    def _is_full(self, lane: str) -> bool:
        return self._room(lane) <= 0

    def _room(self, lane: str) -> int:
        if lane in self._held_until:
            return int(lane in self._admitting)
        return self._per_lane - self._busy[lane]

    def _add(self, lane: str) -> None:
        self._busy[lane] += 1
        self._admitting.discard(lane)

    def _remove(self, lane: str) -> None:
        self._busy[lane] -= 1
        if not self._busy[lane]:
            del self._busy[lane]

    def _learn(self, route_key: str, lane: str) -> None:
        before = self._lane_of.get(route_key)
        if before == lane:
            return
        if before is not None:
            self._forget_key(route_key, before)
        elif len(self._lane_of) >= KEYS_KNOWN:
            self._forget_idle()
        self._lane_of[route_key] = lane
        self._keys_of.setdefault(lane, set()).add(route_key)

    def _forget_key(self, route_key: str, lane: str) -> None:
        keys = self._keys_of[lane]
        keys.discard(route_key)
        if not keys:
            del self._keys_of[lane]

    def _forget_idle(self) -> None:
        """What is forgotten is learned again at the next look-up."""
        for lane in [lane for lane in self._keys_of if not self._busy[lane] and lane not in self._held_until]:
            for key in self._keys_of.pop(lane):
                del self._lane_of[key]


class _ClosedKeys(AbstractSet[str]):
    """The closed keys as they are at the moment: one look each, however many domains share a lane."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    @classmethod
    def _from_iterable(cls, it: Iterable[T]) -> frozenset[T]:
        return frozenset(it)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._lanes.is_closed(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lanes.keys_of_full_lanes())

    def __len__(self) -> int:
        return len(self._lanes.keys_of_full_lanes())
