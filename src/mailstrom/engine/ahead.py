"""Claims that wait for a place in their lane: its next delivery begins without asking the storage.

    storage ──claim──► waiting ──place──► trying        lanes.py, in_hand.py
                          │
                          └──► given back, where nothing more is begun

Who asks for one claim whenever a delivery ends asks often, and each time costs the storage a transaction.
So a lane may have as many more as it sent in half a second, and asks again when half of these are begun.
What a slow lane does not send soon stays in the queue, where other workers may take it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .job import Job

LOOK_SECS = 0.5  # so long is counted what a lane sends
PER_PLACE = 4  # at most so many wait for each place of the lane


class _Sent:
    """What one lane sent of late."""

    __slots__ = ("before", "count", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.count = 0  # since then
        self.before = 0  # in the time before that

    def add(self, now: float) -> None:
        passed = now - self.since
        if passed >= LOOK_SECS:
            self.before = self.count if passed < 2 * LOOK_SECS else 0
            self.since, self.count = now, 0
        self.count += 1

    @property
    def most(self) -> int:
        return max(self.before, self.count)


class Ahead:
    """Who waits in which lane, in the order of the claims. Used in the worker's loop; `room` anywhere."""

    def __init__(self, now: Callable[[], float], per_place: int = PER_PLACE) -> None:
        self._now = now
        self._per_place = per_place
        self.count = 0  # who waits, in all lanes
        self._waiting: dict[str, deque[Job]] = {}
        self._apart: dict[Job, None] = {}  # who waits for one session, and not for any place
        self._sent: dict[str, _Sent] = {}

    def room(self, lane: str, places: int, free: int) -> int:
        """How many may be claimed for a lane of so many places; 0 while it has enough that wait."""
        sent, waiting = self._sent.get(lane), self._waiting.get(lane)
        most = 0 if sent is None else min(sent.most, self._per_place * places)
        room = free + most - (0 if waiting is None else len(waiting))
        return room if 2 * room >= most else 0

    def sent(self, lane: str) -> None:
        """A delivery in the lane has ended."""
        sent = self._sent.get(lane)
        if sent is None:
            sent = self._sent[lane] = _Sent(self._now())
        sent.add(self._now())

    def forget_unused(self, busy: Container[str]) -> None:
        """What lanes sent in which nothing is under way any more."""
        self._sent = {lane: sent for lane, sent in self._sent.items() if lane in busy}

    def add(self, lane: str, job: Job) -> None:
        """It waits for a place in the lane."""
        self._waiting.setdefault(lane, deque()).append(job)
        self.count += 1

    def first(self, lane: str) -> Job | None:
        """Who came first in the lane."""
        waiting = self._waiting.get(lane)
        return None if waiting is None else waiting[0]

    def next(self, lane: str) -> Job | None:
        """Who came first in the lane waits no more."""
        waiting = self._waiting.get(lane)
        if waiting is None:
            return None
        job = waiting.popleft()
        self.count -= 1
        if not waiting:
            del self._waiting[lane]
        return job

    def set_apart(self, lane: str) -> None:
        """Who came first in the lane begins in no other place than that which it is kept for."""
        if (job := self.next(lane)) is not None:
            self._apart[job] = None
            self.count += 1

    def put_back(self, lane: str, job: Job) -> bool:
        """Who was set apart is the first in the lane again; False: it is not here any more."""
        if job not in self._apart:
            return False
        del self._apart[job]
        self._waiting.setdefault(lane, deque()).appendleft(job)
        return True

    @property
    def lanes(self) -> list[str]:
        """Those in which somebody waits."""
        return list(self._waiting)

    def all(self) -> list[Job]:
        """Whoever waits."""
        return [*self._apart, *(job for waiting in self._waiting.values() for job in waiting)]

    def take_all(self) -> list[Job]:
        """Whoever waits; nobody does any more."""
        jobs, self.count = self.all(), 0
        self._waiting.clear()
        self._apart.clear()
        return jobs
