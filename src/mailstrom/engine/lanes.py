"""How many deliveries run at once per lane (one MX set, whatever domains lead to it).

A claim takes its slot at once, before anything is looked up: in the lane its route key is known
to lead to, else in one of the key's own, so that neither slow look-ups nor a long queue for one
domain fill the worker. When the route is known the slot moves to the true lane. The keys of a
full or held lane are named to the storage, which passes them over: their mail waits in the
queue, not in a task.

    in its pace    room for a few, more with each success                            pace.py, paces.py
    ahead of it    claims wait for a place where it sends fast                   ahead.py
    down           nobody answers there: one asks, its answer holds for others       down.py
    held           its host refuses our credentials: closed, then one asks
    resting        nobody at all could be reached: closed, then one asks             reach.py
    limited        no session is left for its destination, or no permit of the rate  quotas.py

Who has no route at all (its DNS does not answer) is in the lane of its key, which may be down as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TypeVar

from .ahead import Ahead
from .down import Down
from .gates import DownGate, LaneGate
from .pace import INITIAL
from .paces import Paces
from .quotas import Quotas
from .slot import OF_ONE_KEY, Answer, Slot

__all__ = ["KEYS_KNOWN", "Lanes", "Slot"]

T = TypeVar("T")

KEYS_KNOWN = 50_000  # route keys whose lane is remembered
TIDIED_SECS = 10.0
BELIEVED_SECS = 300.0  # that a key leads to a lane that is down; then it is looked up again

_UNTIL_PROVED = float("-inf")  # no hold, but one delivery alone goes first


class Lanes:
    """The slots of each lane. Used in the worker's loop only.

    `opened` is called when a lane takes more than before. `initial`: how many deliveries a lane takes
    at first. `quotas`: the limits of single destinations. `ahead`: who waits for a place, if anybody may.
    """

    def __init__(
        self,
        per_lane: int,
        opened: Callable[[], object] = lambda: None,
        *,
        initial: int = INITIAL,
        quotas: Quotas | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self.wake = opened  # who waits for a place looks again
        self.quotas = quotas or Quotas()
        self.ahead = ahead or Ahead(lambda: 0.0, per_place=0)
        self._paces = Paces(per_lane, initial)
        self._lane_of: dict[str, str] = {}
        self._keys_of: dict[str, set[str]] = {}
        self._busy: Counter[str] = Counter()
        self.busy = 0  # slots that are taken, in all lanes
        self._held_until: dict[str, float] = {}
        self._resting_until: dict[str, float] = {}
        self._admitting: set[str] = set()  # held and resting lanes that wait for the one to go first
        self._tidied_at = 0.0
        self.closed_keys: AbstractSet[str] = _ClosedKeys(self)  # of lanes that take no more work now

    def enter(self, route_key: str, due_at: datetime | None = None) -> Slot:
        """A slot for a claim with this key, which fell due then."""
        lane = self._lane(route_key)
        self._learn(route_key, lane)
        self._add(lane)
        slot = Slot(route_key, lane, due_at)
        self.quotas.enters(slot)
        if (down := self._paces.down(lane)) is not None:
            down.takes(slot)  # if not, it is refused when it comes to `move`
        return slot

    def move(self, slot: Slot, lane: str, now: float) -> bool:
        """Moves the slot to the lane to which its key turned out to lead; False: there is no room."""
        self._learn(slot.route_key, lane)
        if slot.lane != lane and slot.lane == _lane_of_its_own(slot.route_key):
            self._forget_pace(slot.lane)  # its DNS answers
        if not self._takes(slot, lane, now):
            return False
        self._go(slot, lane)
        return True

    def leave(self, slot: Slot) -> bool:
        """Gives the slot back; False where the lane takes no more claims all the same."""
        lane, is_bound = slot.lane, slot.bounds is not None
        self.ahead.sent(lane)
        self._remove(slot)
        return is_bound or self._is_special(lane) or self._room_of_hosts(lane, slot.route_key) > 0

    def lane_of(self, route_key: str) -> str:
        """The lane to which the key leads, as far as is known."""
        return self._lane(route_key)

    def has_place(self, lane: str) -> bool:
        """Whoever waits for this lane may begin: there is a place, or `move` tells what to do instead."""
        return self._is_special(lane) or self._busy[lane] < self._paces.room(lane)

    def stray(self, slot: Slot) -> None:
        """Where its key leads is not known now: the slot counts in the key's own lane."""
        lane = _lane_of_its_own(slot.route_key)
        self._learn(slot.route_key, lane)
        if slot.lane != lane:
            self._go(slot, lane)

    def is_closed(self, route_key: str) -> bool:
        """The lane of this key takes no more work now."""
        return self._room(self._lane(route_key), route_key) <= 0

    def admits(self, route_key: str, before: Sequence[str]) -> bool:
        """The lane of this key takes one more beside those that come with the keys before it. Any thread."""
        lane = self._lane(route_key)
        room = self._room(lane, route_key)
        if len(before) >= room and [self._lane(each) for each in before].count(lane) >= room:
            return False
        return self.quotas.admits(route_key, lane, before, self._lane)

    def keys_of_full_lanes(self) -> list[str]:
        """Every key that `is_closed`."""
        lanes = {*self._busy, *self._held_until, *self._resting_until, *self.quotas.closed_lanes()}
        return [key for lane in lanes for key in self._closed_keys_of(lane)]

    def gate(self, route_key: str, now: float) -> LaneGate | None:
        """How the lane of this key stands; None: it is not known yet, and takes work."""
        lane = self._lane_of.get(route_key)
        if lane is None:
            return None
        return LaneGate(
            lane=lane,
            in_use=self._busy[lane],
            limit=self._paces.room(lane),
            is_shut=self.is_closed(route_key),
            held_secs=_secs_until(self._held_until.get(lane), now),
            rests_secs=_secs_until(self._resting_until.get(lane), now),
            down=_down_gate(self._paces.down(lane), now),
            limits=self.quotas.gates(route_key, lane, now),
        )

    # --- what came of deliveries

    def succeeded(self, lane: str, now: float) -> bool:
        """A host of the lane spoke with us; whether it was down before."""
        was_down = self._paces.down(lane) is not None
        was_full = self._busy[lane] >= self._paces.room(lane)
        if self._paces.succeeded(lane, now) and (was_full or was_down):
            self.wake()
        return was_down

    def failed(self, slot: Slot, answer: Answer, now: float) -> bool:
        """A pass reached nobody in the lane; whether that brings it down."""
        if (down := self._paces.down(slot.lane)) is not None:
            down.hears(slot, answer, now)
        return self._paces.failed(slot.lane, now) is not None

    # --- lanes whose host refuses our credentials

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
            self.wake()

    def clear_caution(self, lane: str) -> None:
        """Opens the lane where it was not held, and what went ahead met other trouble than a refusal."""
        if self._held_until.get(lane) == _UNTIL_PROVED:
            self.clear_hold(lane)

    # --- lanes that rest, since the fault may be ours

    def rest(self, lane: str, until: float) -> None:
        """Closes the lane until `until` (monotonic); what was heard of it before holds no more."""
        if len(self._resting_until) >= KEYS_KNOWN:
            del self._resting_until[next(iter(self._resting_until))]
        self._resting_until[lane] = until
        self._admitting.discard(lane)
        if (down := self._paces.down(lane)) is not None:
            down.forget_answer()

    def wake_all(self) -> None:
        """Opens what rests; every lane begins anew, since its failures were perhaps ours."""
        self._resting_until.clear()
        self._paces.forget_all()
        self.wake()

    # --- as time goes by

    def admit_probes(self, now: float) -> None:
        """Lets one delivery into each lane whose hold or rest is over: it finds out for the others."""
        closed = (*self._held_until.items(), *self._resting_until.items())
        self._admitting = {lane for lane, until in closed if until <= now and not self._busy[lane]}
        self.quotas.pass_time(now)
        if now - self._tidied_at >= TIDIED_SECS:
            self._tidied_at = now
            self._tidy(now)

    def next_probe(self, now: float) -> float | None:
        """When the next held or resting lane admits a probe, or a limit opens (monotonic)."""
        closed = (*self._held_until.values(), *self._resting_until.values(), *self.quotas.next_openings())
        return min((until for until in closed if until > now), default=None)

    def _tidy(self, now: float) -> None:
        """What is old is not believed any more."""
        self._paces.forget_unused(now, self._busy)
        self.ahead.forget_unused(self._busy)
        self.quotas.forget_idle()
        for lane, down in self._paces.all_down():
            down.forget_answer(now)
            if not _is_of_one_key(lane) and down.is_to_be_looked_up(now, BELIEVED_SECS):
                self._forget_keys(lane)

    # --- the room in a lane

    def _takes(self, slot: Slot, lane: str, now: float) -> bool:
        """Whether the lane has a place for this slot, beside the others."""
        if slot.lane != lane and not self.quotas.takes(slot, lane):
            return False
        others = self._busy[lane] - (slot.lane == lane)
        for closed in (self._held_until, self._resting_until):
            if lane in closed and (closed[lane] > now or others):
                return False
        if (down := self._paces.down(lane)) is not None:
            return down.takes(slot)
        is_first = lane in self._held_until or lane in self._resting_until
        return is_first or others < self._paces.room(lane)

    def _room(self, lane: str, route_key: str) -> int:
        return min(self._room_of_hosts(lane, route_key), self.quotas.room(route_key, lane))

    def _room_of_hosts(self, lane: str, route_key: str) -> int:
        if lane in self._held_until or lane in self._resting_until:
            return int(lane in self._admitting)
        if (down := self._paces.down(lane)) is not None:
            return down.room(route_key)
        places = self._paces.room(lane)
        free = places - self._busy[lane]
        return free if self.quotas.bind(route_key, lane) else self.ahead.room(lane, places, free)

    def _is_special(self, lane: str) -> bool:
        """Its places are not those of its pace."""
        is_closed = lane in self._held_until or lane in self._resting_until
        return is_closed or self._paces.down(lane) is not None

    def _closed_keys_of(self, lane: str) -> Iterator[str]:
        keys = list(self._keys_of.get(lane, ()))
        if self._paces.down(lane) is not None or self.quotas.is_by_key:
            return (key for key in keys if self._room(lane, key) <= 0)
        return iter(keys if keys and self._room(lane, keys[0]) <= 0 else ())

    def _go(self, slot: Slot, lane: str) -> None:
        if lane != slot.lane:
            self._remove(slot)
            slot.lane = lane
            self._add(lane)
            self.quotas.enters(slot)

    def _add(self, lane: str) -> None:
        self.busy += 1
        self._busy[lane] += 1
        self._admitting.discard(lane)

    def _remove(self, slot: Slot) -> None:
        lane = slot.lane
        if (down := self._paces.down(lane)) is not None:
            down.leaves(slot)
        self.quotas.leaves(slot)
        self.busy -= 1
        self._busy[lane] -= 1
        if not self._busy[lane]:
            del self._busy[lane]

    def _forget_pace(self, lane: str) -> None:
        self._resting_until.pop(lane, None)
        if self._paces.forget(lane):
            self.wake()

    # --- where route keys lead

    def _lane(self, route_key: str) -> str:
        return self._lane_of.get(route_key) or _lane_of_its_own(route_key)

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
        self.quotas.learn(route_key, lane)

    def _forget_key(self, route_key: str, lane: str) -> None:
        keys = self._keys_of[lane]
        keys.discard(route_key)
        if not keys:
            del self._keys_of[lane]
            self.quotas.forget(lane)

    def _forget_keys(self, lane: str) -> None:
        for key in self._keys_of.pop(lane, ()):
            del self._lane_of[key]
        self.quotas.forget(lane)

    def _forget_idle(self) -> None:
        """What is forgotten is learned again at the next look-up."""
        limited = self.quotas.closed_lanes()
        for lane in [lane for lane in self._keys_of if not self._busy[lane] and not self._is_shut(lane)]:
            if lane not in limited:
                self._forget_keys(lane)

    def _is_shut(self, lane: str) -> bool:
        """Its keys have to be told to the storage though no delivery is under way."""
        if lane in self._held_until:
            return True
        return _is_of_one_key(lane) and (lane in self._resting_until or self._paces.down(lane) is not None)


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


def _lane_of_its_own(route_key: str) -> str:
    return f"{OF_ONE_KEY}{route_key}"


def _is_of_one_key(lane: str) -> bool:
    return lane.startswith(OF_ONE_KEY)


def _secs_until(until: float | None, now: float) -> float | None:
    return None if until is None else max(until - now, 0.0)


def _down_gate(down: Down | None, now: float) -> DownGate | None:
    if down is None:
        return None
    return DownGate(secs=now - down.since, is_asked=down.is_asked, heard=down.heard)
