"""What a worker has claimed: each is tried in a task of its own, or waits for a place in its lane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..abc import Claim
from .gates import Visit
from .job import Job
from .lanes import Lanes


class InHand:
    """Begins what is claimed as soon as its lane has a place. Used in the worker's loop only.

    `ended` is called when a try is over. Who waits begins only when `may_begin`, and while no
    `max_sessions` are under way.
    """

    def __init__(
        self,
        lanes: Lanes,
        *,
        max_sessions: int,
        may_begin: Callable[[], bool],
        ended: Callable[[Job], object],
    ) -> None:
        self.is_some = asyncio.Event()
        self._lanes = lanes
        self._max_sessions = max_sessions
        self._may_begin = may_begin
        self._ended = ended
        self._start: Callable[[Job], asyncio.Task[None]] | None = None
        self._tried: dict[Job, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tried) + self._lanes.ahead.count

    @property
    def jobs(self) -> list[Job]:
        """All of them."""
        return [*self._tried, *self._lanes.ahead.all()]

    def visits(self, message_id: str) -> dict[str, Visit]:
        """How far the tries of a message have come, by address."""
        of_it = [job for job in self.jobs if job.claim.email.message_id == message_id]
        return {address: job.visit() for job in of_it for address in job.open}

    @contextmanager
    def beginning(
        self, group: asyncio.TaskGroup, work: Callable[[Job], Coroutine[Any, Any, None]]
    ) -> Iterator[None]:
        """Meanwhile jobs may begin: `work` tries each in a task of this group."""
        self._start = lambda job: group.create_task(work(job))
        try:
            yield
        finally:
            self._start = None

    def take(self, job: Job) -> None:
        """Tries the job now, or as soon as its lane has a place."""
        self.is_some.set()
        lane = self._lanes.lane_of(job.claim.route_key)
        if self._lanes.has_place(lane):
            self._begin(job)
        else:
            self._lanes.ahead.add(lane, job)

    def begin_waiting(self, lane: str | None = None) -> None:
        """Begins those who wait for a place that there is, in this lane or in any."""
        ahead = self._lanes.ahead
        for each in ahead.lanes if lane is None else (lane,):
            while self._is_room_in(each) and (job := ahead.next(each)) is not None:
                self._begin(job)

    def take_waiting(self) -> list[Claim]:
        """The claims that nobody has begun with; they are in hand no more."""
        return [job.claim for job in self._lanes.ahead.take_all()]

    def stop(self) -> None:
        """Nobody begins anything more; who has sent no final dot is cut off."""
        for job, task in list(self._tried.items()):
            job.stop()
            if job.may_be_cut_off:
                task.cancel()

    def end(self, job: Job) -> None:
        """The try is over."""
        del self._tried[job]
        job.drop_handed()
        if not len(self):
            self.is_some.clear()

    def _is_room_in(self, lane: str) -> bool:
        is_room = self._lanes.busy < self._max_sessions and self._lanes.has_place(lane)
        return is_room and self._start is not None and self._may_begin()

    def _begin(self, job: Job) -> None:
        assert self._start is not None
        claim = job.claim
        job.slot = self._lanes.enter(claim.route_key, claim.recipients[0].due_at)
        task = self._tried[job] = self._start(job)
        task.add_done_callback(partial(self._over, job))

    def _over(self, job: Job, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._start = None  # the group ends, and takes nothing any more
        self._ended(job)
