"""The pace of each lane, as long as it is used; and which lanes are down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterator
from dataclasses import dataclass

from .down import Down
from .pace import INITIAL, Pace

KEPT_SECS = 900.0  # unused; then a lane begins anew
LANES_KEPT = 10_000


@dataclass(slots=True, eq=False)
class _Paced:
    pace: Pace
    used_at: float
    down: Down | None = None


class Paces:
    """What is learned of lanes, the latest used last. Used in the worker's loop; `room`, `down` anywhere."""

    def __init__(self, most: int, initial: int = INITIAL) -> None:
        self._most = most
        self._first = Pace(min(initial, most))
        self._of: OrderedDict[str, _Paced] = OrderedDict()

    def room(self, lane: str) -> int:
        """How many deliveries it takes at once, where it is not down."""
        paced = self._of.get(lane)
        return (self._first if paced is None else paced.pace).room

    def down(self, lane: str) -> Down | None:
        """The lane's state where it is down."""
        paced = self._of.get(lane)
        return None if paced is None else paced.down

    def all_down(self) -> Iterator[tuple[str, Down]]:
        """Those that are down."""
        return ((lane, paced.down) for lane, paced in list(self._of.items()) if paced.down is not None)

    def succeeded(self, lane: str, now: float) -> bool:
        """A host of the lane spoke with us. Whether there is more room than before."""
        paced = self._used(lane, now)
        if paced.down is not None:
            del self._of[lane]  # it opens as one that was never used
            return True
        before, paced.pace = paced.pace, paced.pace.after_success(self._most)
        return paced.pace.room > before.room

    def failed(self, lane: str, now: float) -> Down | None:
        """A pass reached nobody. The lane's state where that brings it down."""
        paced = self._used(lane, now)
        if paced.down is not None:
            return None
        paced.pace = paced.pace.after_failure()
        if paced.pace.is_down:
            paced.down = Down(now)
        return paced.down

    def forget(self, lane: str) -> bool:
        """The lane begins anew; whether that opens it."""
        paced = self._of.pop(lane, None)
        return paced is not None and paced.down is not None

    def forget_all(self) -> None:
        """Every lane begins anew."""
        self._of.clear()

    def forget_unused(self, now: float, busy: Container[str]) -> None:
        """Lanes that were not used for a while begin anew."""
        for lane, paced in list(self._of.items()):
            if now - paced.used_at < KEPT_SECS:
                break
            if lane not in busy:
                del self._of[lane]

    def _used(self, lane: str, now: float) -> _Paced:
        paced = self._of.get(lane)
        if paced is None:
            paced = self._of[lane] = _Paced(self._first, now)
            if len(self._of) > LANES_KEPT:
                self._of.popitem(last=False)
        else:
            self._of.move_to_end(lane)
            paced.used_at = now
        return paced
