"""The limits of single destinations, as one worker heeds them: whose mail it may claim, who may begin.

    claim ──► enters: counted      too many for what is left: its keys are closed, till a time or a leave
      │
    route ──► moves
      │
    admits ──► a place among the sessions, then a permit of the rate        quota_notes.py
      │            none: given back, and closed until there may be one
    leaves

What this worker has of each is had from all workers' notes: permits in blocks, sessions as a share that
grows as they are used and shrinks when they are not. So a message seldom costs a call of the storage, and one
that no limit concerns never does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from ..abc import Clock, SharedStorage
from ..config import Config
from .allotments import Metered, Shared
from .bounds import Bounds, BoundsTable, Cap, Meter
from .gates import CapGate, MeterGate
from .patience import PatientCalls
from .quota_notes import RENEW_SECS, QuotaNotes
from .slot import Slot

TROUBLE_SECS = 1.0  # until we ask again where the storage does not answer

ANY_NUMBER = 1_000_000

Limit = Metered | Shared


class Quotas:
    """All limits that this worker has to do with. Used in the worker's loop; what `Lanes` asks, anywhere.

    Without a table nothing is limited. `opened` is called when more may come than before.
    """

    def __init__(
        self,
        table: BoundsTable | None = None,
        notes: QuotaNotes | None = None,
        now: Callable[[], float] = lambda: 0.0,
        opened: Callable[[], object] = lambda: None,
    ) -> None:
        self._bounds = _no_bounds if table is None or table.is_empty else table.of
        self._notes = notes
        self._now = now
        self._opened = opened
        self._metered: dict[str, Metered] = {}
        self._shared: dict[str, Shared] = {}
        self._lanes_of: defaultdict[str, set[str]] = defaultdict(set)
        self._names_of: dict[str, set[str]] = {}
        self._holds_some = asyncio.Event()
        self.is_by_key = table is not None and table.names_single_destinations

    # --- what Lanes asks and tells

    def room(self, route_key: str, lane: str) -> int:
        """How many claims more with this key may come to the lane."""
        bounds = self._bounds(route_key, lane)
        if bounds is None:
            return ANY_NUMBER
        return min((limit.room for limit in self._all_of(bounds)), default=ANY_NUMBER)

    def bind(self, route_key: str, lane: str) -> bool:
        """Some limit holds for this key in the lane."""
        return self._bounds(route_key, lane) is not None

    def admits(
        self, route_key: str, lane: str, before: Sequence[str], lane_of: Callable[[str], str]
    ) -> bool:
        """One more may come beside those that come with the keys before it, to their lanes."""
        bounds = self._bounds(route_key, lane)
        if bounds is None:
            return True
        of_others = [limit for other in before for limit in self._of(other, lane_of(other))]
        return all(of_others.count(limit) < limit.room for limit in self._all_of(bounds))

    def takes(self, slot: Slot, lane: str) -> bool:
        """The slot may come to this lane from another."""
        before = () if slot.bounds is None else self._all_of(slot.bounds)
        return all(limit.room + (limit in before) > 0 for limit in self._of(slot.route_key, lane))

    def enters(self, slot: Slot) -> None:
        """Counts the slot in its lane."""
        slot.bounds = self._bounds(slot.route_key, slot.lane)
        if slot.bounds is not None:
            for limit in self._all_of(slot.bounds):
                limit.enters(slot)

    def leaves(self, slot: Slot) -> None:
        """The slot is not in its lane any more."""
        if slot.bounds is not None:
            for limit in self._all_of(slot.bounds):
                limit.leaves(slot)
            slot.bounds = None

    def closed_lanes(self) -> set[str]:
        """The lanes in which a key may be closed."""
        known: list[tuple[str, Limit]] = [*self._metered.items(), *self._shared.items()]
        closed = [name for name, limit in known if limit.room <= 0]
        return {lane for name in closed for lane in tuple(self._lanes_of.get(name, ()))}

    def learn(self, route_key: str, lane: str) -> None:
        """The key leads to the lane."""
        bounds = self._bounds(route_key, lane)
        for limit in () if bounds is None else (bounds.cap, bounds.meter):
            if limit is not None:
                self._names_of.setdefault(lane, set()).add(limit.name)
                self._lanes_of[limit.name].add(lane)

    def forget(self, lane: str) -> None:
        """No key is known to lead there any more."""
        for name in self._names_of.pop(lane, ()):
            self._lanes_of[name].discard(lane)
            if not self._lanes_of[name]:
                del self._lanes_of[name]

    def pass_time(self, now: float) -> None:
        """Opens what was closed till now."""
        for limit in self._all():
            limit.passes_time(now)

    def next_openings(self) -> Iterator[float]:
        """When what is closed opens by itself (monotonic)."""
        return (limit.closed_until for limit in self._all() if limit.closed_until is not None)

    def forget_idle(self) -> None:
        """Drops what would be asked for again."""
        self._metered = {name: each for name, each in [*self._metered.items()] if not each.is_idle}
        self._shared = {name: each for name, each in [*self._shared.items()] if not each.is_idle}

    def gates(self, route_key: str, lane: str, now: float) -> tuple[CapGate | MeterGate, ...]:
        """The limits that are shut."""
        gates = (limit.gate(now) for limit in self._of(route_key, lane))
        return tuple(gate for gate in gates if gate is not None)

    # --- who may begin

    async def admit(self, slot: Slot) -> bool:
        """Whether the slot's delivery may begin now; False: it is to be given back."""
        bounds = slot.bounds
        if bounds is None:
            return True
        if bounds.cap is not None and not await self._place(self._shared_of(bounds.cap), slot):
            return False
        return bounds.meter is None or await self._permit(self._metered_of(bounds.meter), slot)

    def spare(self, cap: Cap) -> int:
        """How many sessions may stand idle beside those in use."""
        return self._shared_of(cap).spare

    async def _place(self, shared: Shared, slot: Slot) -> bool:
        async with shared.lock:
            if slot.is_placed or shared.takes(slot, self._now()):
                return True
            if shared.closed_until is None and shared.sessions < shared.cap.most:
                await self._grow(shared)
            return shared.takes(slot, self._now())

    async def _grow(self, shared: Shared) -> None:
        most, before = shared.cap.most, shared.sessions
        wanted = most if self._asked().is_alone else min(max(2 * before, shared.placed + 1), most)
        share = await self._asked().hold(shared.cap, wanted)
        if share is not None:
            shared.holds(share.sessions, share.until)
            self._holds_some.set()
        if shared.sessions <= before:
            shared.closed_until = self._now() + (TROUBLE_SECS if share is None else RENEW_SECS)
        else:
            self._opened()

    async def _permit(self, metered: Metered, slot: Slot) -> bool:
        async with metered.lock:
            if slot.is_permitted or metered.takes(slot, self._now()):
                return True
            return metered.closed_until is None and await self._draw(metered, slot)

    async def _draw(self, metered: Metered, slot: Slot) -> bool:
        asked_at = self._now()
        drawn = await self._asked().draw(metered.meter)
        if drawn is None:
            return metered.drew(slot, 0, asked_at, self._now() + TROUBLE_SECS)
        opens_at = asked_at + drawn.wait_ns / 1e9 if drawn.wait_ns else None
        kept_until = asked_at + metered.meter.rate.kept_ns / 1e9
        if drawn.count > 1:
            self._opened()
        return metered.drew(slot, drawn.count, kept_until, opens_at)

    # --- what is ours of the sessions

    async def run(self) -> None:
        """Says now and then which sessions are still in use, until it is cancelled."""
        while True:
            await self._holds_some.wait()
            await asyncio.sleep(RENEW_SECS)
            for shared in list(self._shared.values()):
                if shared.sessions:
                    await self._renew(shared)
            if not any(shared.sessions for shared in self._shared.values()):
                self._holds_some.clear()

    async def close(self) -> None:
        """Gives back what is ours."""
        for shared in list(self._shared.values()):
            if shared.sessions and await self._asked().hold(shared.cap, 0) is None:
                return  # they end by themselves

    async def _renew(self, shared: Shared) -> None:
        async with shared.lock:
            share = await self._asked().hold(shared.cap, shared.wanted)
            if share is not None:
                shared.holds(share.sessions, share.until)
            shared.forget_peak()

    # --- small things

    def _asked(self) -> QuotaNotes:
        assert self._notes is not None, "limits need a storage"
        return self._notes

    def _of(self, route_key: str, lane: str) -> Sequence[Limit]:
        bounds = self._bounds(route_key, lane)
        return () if bounds is None else self._all_of(bounds)

    def _all_of(self, bounds: Bounds) -> list[Limit]:
        found: list[Limit] = []
        if bounds.cap is not None:
            found.append(self._shared_of(bounds.cap))
        if bounds.meter is not None:
            found.append(self._metered_of(bounds.meter))
        return found

    def _shared_of(self, cap: Cap) -> Shared:
        return self._shared.get(cap.name) or self._shared.setdefault(cap.name, Shared(cap))

    def _metered_of(self, meter: Meter) -> Metered:
        return self._metered.get(meter.name) or self._metered.setdefault(meter.name, Metered(meter))

    def _all(self) -> list[Limit]:
        return [*self._metered.values(), *self._shared.values()]


def _no_bounds(route_key: str, lane: str) -> Bounds | None:
    return None


def quotas_for(
    config: Config,
    storage: SharedStorage,
    calls: PatientCalls,
    clock: Clock,
    owner: str,
    opened: Callable[[], object],
) -> Quotas:
    """The limits of one worker, `owner`, as configured."""
    notes = QuotaNotes(storage, calls, clock, owner)
    return Quotas(BoundsTable(config), notes, clock.monotonic, opened)
