"""What one worker has of a limit: permits of a rate, a share of a destination's sessions.

    Metered   permits, drawn in blocks and lost where they are not used soon
    Shared    sessions: ours for a while, more as they are used, fewer when they are not

Whose claim has none yet is on his way: he draws a block, or has the share grow, for those behind him, too. So
where nothing is left and more may be had, there is room for one.
"""

from __future__ import annotations

import asyncio

from .bounds import Cap, Meter
from .gates import CapGate, MeterGate
from .slot import Slot


class Metered:
    """What this worker has of a rate. Used in the worker's loop, but for `room`: any thread."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.closed_until: float | None = None
        self.lock = asyncio.Lock()
        self._coming = 0  # claims that have no permit yet
        self._permits = 0  # drawn, and not used yet
        self._kept_until = 0.0

    @property
    def room(self) -> int:
        """How many claims more may come."""
        drawable = 0 if self.closed_until is not None else 1  # who comes where none is left draws a block
        return max(self._permits, drawable) - self._coming

    @property
    def is_idle(self) -> bool:
        """Nothing is known of it that would not be asked for again."""
        return not self._coming and not self._permits and self.closed_until is None

    def enters(self, slot: Slot) -> None:
        """The slot will want a permit."""
        self._coming += not slot.is_permitted

    def leaves(self, slot: Slot) -> None:
        """The slot wants none any more; one that it has is used."""
        self._coming -= not slot.is_permitted
        slot.is_permitted = False

    def passes_time(self, now: float) -> None:
        """What was drawn long ago is lost; what was closed till now is open."""
        if self._permits and now >= self._kept_until:
            self._permits = 0
        if self.closed_until is not None and now >= self.closed_until:
            self.closed_until = None

    def takes(self, slot: Slot, now: float) -> bool:
        """Gives the slot one of the permits that are left."""
        self.passes_time(now)
        return self._gives(slot)

    def drew(self, slot: Slot, permits: int, kept_until: float, closed_until: float | None) -> bool:
        """What a draw gave for this slot and others, and when the next gives something."""
        self._permits, self._kept_until, self.closed_until = permits, kept_until, closed_until
        return self._gives(slot)

    def gate(self, now: float) -> MeterGate | None:
        """How it stands where it is shut."""
        if self.room > 0:
            return None
        secs = _secs_until(self.closed_until, now)
        return MeterGate(name=self.meter.name, rate=str(self.meter.rate), secs=secs)

    def _gives(self, slot: Slot) -> bool:
        if not self._permits:
            return False
        self._permits -= 1
        self._coming -= 1
        slot.is_permitted = True
        return True


class Shared:
    """What this worker has of a destination's sessions. Used in the worker's loop; `room` anywhere."""

    def __init__(self, cap: Cap) -> None:
        self.cap = cap
        self.closed_until: float | None = None
        self.lock = asyncio.Lock()
        self.sessions = 0  # ours
        self.placed = 0  # deliveries that have one
        self._until = 0.0
        self._busy = 0  # with those that have none yet
        self._peak = 0  # of those placed, since they were renewed last

    @property
    def room(self) -> int:
        """How many claims more may come."""
        may_grow = self.sessions < self.cap.most and self.closed_until is None
        return self.sessions + may_grow - self._busy

    @property
    def is_idle(self) -> bool:
        """Nobody uses it, nothing is ours."""
        return not self._busy and not self.sessions and self.closed_until is None

    @property
    def wanted(self) -> int:
        """As many as were used lately: what was used last may still stand idle."""
        return max(self.placed, self._peak)

    @property
    def spare(self) -> int:
        """How many may stand idle beside those in use."""
        return max(self.sessions - self.placed, 0)

    def enters(self, slot: Slot) -> None:
        """The slot will want a session."""
        self._busy += 1

    def leaves(self, slot: Slot) -> None:
        """The slot wants none any more."""
        self._busy -= 1
        self.placed -= slot.is_placed
        slot.is_placed = False

    def passes_time(self, now: float) -> None:
        """What was ours until now is no more."""
        if self.sessions and now >= self._until:
            self.sessions = 0
        if self.closed_until is not None and now >= self.closed_until:
            self.closed_until = None

    def takes(self, slot: Slot, now: float) -> bool:
        """Gives the slot one of the sessions that are ours."""
        self.passes_time(now)
        if self.placed >= self.sessions:
            return False
        self.placed += 1
        self._peak = max(self._peak, self.placed)
        slot.is_placed = True
        return True

    def holds(self, sessions: int, until: float) -> None:
        """So many are ours."""
        self.sessions, self._until = sessions, until

    def forget_peak(self) -> None:
        """What was used until now is not wanted any more, but for what is in use."""
        self._peak = self.placed

    def gate(self, now: float) -> CapGate | None:
        """How it stands where it is shut."""
        if self.room > 0:
            return None
        secs = _secs_until(self.closed_until, now)
        return CapGate(name=self.cap.name, in_use=self._busy, most=self.cap.most, secs=secs)


def _secs_until(until: float | None, now: float) -> float | None:
    return None if until is None else max(until - now, 0.0)
