"""How many deliveries run at once: in all, and per lane (one MX set, whatever domains lead to it).

The engine learns a route key's lane at its first look-up. From then on the keys of a full or
held lane are named to the storage, which passes them over: their mail waits in the queue, not
in a task.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

KEYS_KNOWN = 50_000  # route keys whose lane is remembered

_UNTIL_PROVED = float("-inf")  # no hold, but one delivery alone goes first


class Lanes:
    """The slots of each lane. Used in the worker's loop only.

    `opened` is called when a lane that let in one delivery alone is open for all again.
    """

    def __init__(self, per_lane: int, opened: Callable[[], object] = lambda: None) -> None:
        self._per_lane = per_lane
        self._opened = opened
        self._lane_of: dict[str, str] = {}
        self._keys_of: defaultdict[str, set[str]] = defaultdict(set)
        self._busy: Counter[str] = Counter()
        self._held_until: dict[str, float] = {}
        self._closed_keys: set[str] = set()

    @property
    def closed_keys(self) -> frozenset[str]:
        """The route keys whose lane takes no more work now."""
        return frozenset(self._closed_keys)

    def learn(self, route_key: str, lane: str) -> None:
        """Notes that `route_key` leads to `lane` (from now on)."""
        before = self._lane_of.get(route_key)
        if before == lane:
            return
        if before is not None:
            self._keys_of[before].discard(route_key)
        elif len(self._lane_of) >= KEYS_KNOWN:
            self._forget_idle()
        self._lane_of[route_key] = lane
        self._keys_of[lane].add(route_key)
        self._refresh(lane)

    def take(self, lane: str, now: float) -> bool:
        """A slot in the lane, if it is open."""
        if not self._is_open(lane, now):
            return False
        self._busy[lane] += 1
        self._refresh(lane)
        return True

    def release(self, lane: str) -> None:
        """Gives the slot back."""
        self._busy[lane] -= 1
        if not self._busy[lane]:
            del self._busy[lane]
        self._refresh(lane)

    def is_held(self, lane: str, now: float) -> bool:
        """The lane takes nothing at all."""
        return now < self._held_until.get(lane, _UNTIL_PROVED)

    def hold(self, lane: str, until: float) -> None:
        """Closes the lane until `until` (monotonic): it refused our credentials."""
        self._held_until[lane] = until
        self._refresh(lane)

    def send_one_ahead(self, lane: str) -> None:
        """Lets one delivery alone into the lane: nobody knows yet whether it takes our credentials."""
        self.hold(lane, _UNTIL_PROVED)

    def clear_hold(self, lane: str) -> None:
        """Opens the lane: the host accepts us."""
        if self._held_until.pop(lane, None) is not None:
            self._refresh(lane)
            self._opened()

    def clear_caution(self, lane: str) -> None:
        """Opens the lane where it was not held, and what went ahead met other trouble than a refusal."""
        if self._held_until.get(lane) == _UNTIL_PROVED:
            self.clear_hold(lane)

    def admit_probes(self, now: float) -> None:
        """Lets one delivery into each lane whose hold is over: it finds out for the others."""
        for lane, until in self._held_until.items():
            if until <= now and not self._busy[lane]:
                self._closed_keys -= self._keys_of[lane]

    def next_probe(self, now: float) -> float | None:
        """When the next held lane admits a probe (monotonic)."""
        return min((until for until in self._held_until.values() if until > now), default=None)

    def _is_open(self, lane: str, now: float) -> bool:
        if lane in self._held_until:
            return self._held_until[lane] <= now and not self._busy[lane]
        return self._busy[lane] < self._per_lane

    def _forget_idle(self) -> None:
        """What is forgotten is learned again at the next look-up."""
        for lane in [lane for lane in self._keys_of if not self._busy[lane] and lane not in self._held_until]:
            for key in self._keys_of.pop(lane):
                del self._lane_of[key]

    def _refresh(self, lane: str) -> None:
        keys = self._keys_of[lane]
        if lane in self._held_until or self._busy[lane] >= self._per_lane:
            self._closed_keys |= keys
        else:
            self._closed_keys -= keys
