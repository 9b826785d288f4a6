"""The worker's loop: claim what is due, try it, settle what came of it.

    storage ──claim──► Job ──carry──► hosts
       ▲                │
       └────settle──────┘   recorder.py, committer.py

One `Engine` runs in one event loop. Its public methods are called in that loop; the facade
gets there through `LoopThread.call_soon`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, cast

from ..abc import Claim, SharedStorage
from ..config import Config
from ..event import Event
from ..schedule.retry import longest_wait
from ..status import WorkerStatus, printable
from .announce import Announcer
from .committer import Committer
from .housekeeping import Housekeeping
from .job import HEARTBEATS, Carrier, Job, MakeCarrier
from .lanes import Lanes
from .patience import PatientCalls, backoff, sleep
from .recorder import Recorder
from .triage import sort_out
from .world import World

CLAIMS_IN_A_ROW = 10  # before results that have come since are committed
OTHERS_CLAIM_SECS = 0.05  # what looks due and cannot be had is being claimed by another process

_log = logging.getLogger("mailstrom")


class Engine:
    """Works off a storage until it is told to stop. Lives in one event loop."""

    def __init__(
        self,
        config: Config,
        storage: SharedStorage,
        world: World,
        make_carrier: MakeCarrier,
        *,
        owner: str,
        tell: Callable[[Event], None],
        changed: Callable[[str], None],
    ) -> None:
        self.status = WorkerStatus.NOT_STARTED
        self._config = config
        self._policy = config.retry_policy
        self._lease = timedelta(seconds=config.lease_secs)
        self._storage = storage
        self._world = world
        self._make_carrier = make_carrier
        self._owner = owner
        clock = world.clock
        self._announcer = Announcer(clock, timedelta(seconds=config.delayed_after_secs), tell, changed)
        self._calls = PatientCalls(world.run_storage, self._in_trouble, self._recovered)
        self._committer = Committer(storage, self._calls, clock.now, self.wake)
        self._recorder = Recorder(self._policy, storage, clock, self._calls, self._committer, self._announcer)
        self._lanes = Lanes(config.max_sessions_per_lane, self.wake)
        self._jobs: dict[int, tuple[Job, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self._takes_nothing = asyncio.Event()  # paused, or ending without what is due
        self._ending = asyncio.Event()
        self._paused = False
        self._stopping = False
        self._aborted = False
        self._serving = False
        self._take_due = False
        self._main: asyncio.Task[Any] | None = None

    # --- called by the facade, in the loop

    def wake(self) -> None:
        """Something new may be due."""
        self._wake.set()

    def pause(self) -> None:
        """Takes no new work; what is in flight goes on."""
        self._paused = True
        self._takes_nothing.set()
        self._set_status(WorkerStatus.PAUSED)

    def resume(self) -> None:
        """Takes work again."""
        self._paused = False
        if not self._stopping:
            self._takes_nothing.clear()
        self._set_status(self._ordinary_status())
        self._wake.set()

    def finish(self, *, take_due: bool) -> None:
        """Ends when nothing is in flight (and, with `take_due`, nothing is due)."""
        self._take_due = take_due and not self._paused
        self._set_status(WorkerStatus.STOPPING)
        self._end()

    def abort_before_dot(self) -> None:
        """Gives up every delivery that has not sent its final dot; waits for the other replies."""
        self._take_due = False
        for job, task in list(self._jobs.values()):
            if not job.awaiting_dot:
                task.cancel()
        self._end()

    def abort(self) -> None:
        """Ends at once; connections are aborted."""
        self._stopping = self._aborted = True
        self._takes_nothing.set()
        if self._main is not None:
            self._main.cancel()

    def _end(self) -> None:
        self._stopping = True
        if not self._take_due:
            self._takes_nothing.set()
        self._ending.set()
        self._wake.set()
        if not self._serving and not self._take_due:
            self.abort()  # nothing was begun that is to be finished

    # --- the loop

    async def run(self) -> None:
        """Works until `finish` or `abort`; an exception out of it is a crash."""
        self._main = asyncio.current_task()
        try:
            if not self._aborted:
                await self._work_with(await self._carrier())
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._main = None
        self._set_status(WorkerStatus.TERMINATED)

    async def _work_with(self, carrier: Carrier) -> None:
        try:
            await self._serve(carrier)
            await carrier.close()
        finally:
            await carrier.abort()

    async def _carrier(self) -> Carrier:
        for secs in backoff():
            try:
                carrier = await self._make_carrier(self._config, self._world, self._lanes)
            except Exception as error:
                self._set_status(WorkerStatus.RESOLVER_CREATION_FAILED)
                _log.error("the resolver cannot be made: %s; tried again in %.0f s", error, secs)
                await self._wait_for_carrier(secs)
            else:
                break
        self._set_status(self._ordinary_status())
        return carrier

    async def _wait_for_carrier(self, secs: float) -> None:
        if self._stopping and await self._until_due() != 0.0:
            self.abort()  # nothing waits for it
        await sleep(secs, asyncio.Event() if self._stopping else self._ending)

    async def _serve(self, carrier: Carrier) -> None:
        self._serving = True
        async with asyncio.TaskGroup() as group:
            beside = [self._keep_leases(), self._committer.run(), self._housekeeping().run()]
            tasks = [group.create_task(each) for each in beside]
            while True:
                self._wake.clear()
                await self._claim_due(group, carrier)
                if self._stopping and not self._jobs and not self._wake.is_set():
                    break  # nothing has ended, and made room, since it was asked for work
                await self._sleep()
            for task in tasks:
                task.cancel()

    def _housekeeping(self) -> Housekeeping:
        return Housekeeping(
            self._storage,
            self._calls,
            self._world.clock,
            longest_wait(self._policy),
            is_busy=lambda: bool(self._jobs),
            found_work=self.wake,
        )

    async def _claim_due(self, group: asyncio.TaskGroup, carrier: Carrier) -> None:
        """Claims until nothing is due that we may take, or there is no room."""
        while True:
            with self._committer.giving_way():
                more = await self._claim_some(group, carrier)
            if not more:
                return
            await asyncio.sleep(0)  # for the commit that gave way

    async def _claim_some(self, group: asyncio.TaskGroup, carrier: Carrier) -> bool:
        for _ in range(CLAIMS_IN_A_ROW):
            if not self._may_claim():
                return False
            asked_at = self._world.clock.monotonic()
            self._lanes.admit_probes(asked_at)
            claim = await self._claim()
            if claim is None:
                return False
            if self._takes_nothing.is_set():  # since we asked
                await self._calls.write(self._storage.give_back, claim)
                return False
            self._begin(claim, asked_at, group, carrier)
        return True

    async def _claim(self) -> Claim | None:
        now, skip = self._world.clock.now(), self._lanes.closed_keys
        claim = partial(self._storage.claim, now, owner=self._owner, lease=self._lease, skip=skip)
        asking = self._calls.read(claim, unless=self._takes_nothing)
        if self._storage.never_blocks:
            return cast("Claim | None", await asking)
        asked = asyncio.ensure_future(asking)
        try:
            return cast("Claim | None", await asyncio.shield(asked))
        except asyncio.CancelledError:
            # the storage may be about to grant it, and nobody would take it
            if (claim := await asked) is not None:
                self._recorder.hand_back(claim)
            raise

    def _may_claim(self) -> bool:
        if self._takes_nothing.is_set() or self._committer.is_stuck:
            return False
        return len(self._jobs) < self._config.max_sessions

    def _begin(self, claim: Claim, asked_at: float, group: asyncio.TaskGroup, carrier: Carrier) -> None:
        clock = self._world.clock
        job = Job(
            claim,
            asked_at,
            lease_secs=self._config.lease_secs,
            slot=self._lanes.enter(claim.route_key),
            chance=self._world.chance.random(),
            now=clock.monotonic,
            mark_dot_sent=self._mark_dot_sent,
            settle=self._recorder.passed,
        )
        task = group.create_task(self._work(job, carrier))
        self._jobs[id(job)] = (job, task)
        task.add_done_callback(lambda _: self._end_job(job))

    async def _sleep(self) -> None:
        """Until something is due, a held lane opens, or somebody wakes us."""
        secs = await self._until_due()
        if secs == 0.0 and self._storage.poll_secs is not None:
            secs = OTHERS_CLAIM_SECS
        while True:
            await sleep(secs, self._wake)
            if self._wake.is_set():
                return
            secs = await self._until_due()
            if secs == 0.0:
                return

    async def _until_due(self) -> float | None:
        """Seconds until it is worth while to claim, or to look again; None: not before somebody wakes us."""
        if not self._may_claim():
            return None
        now, monotonic = self._world.clock.now(), self._world.clock.monotonic()
        self._lanes.admit_probes(monotonic)
        due = await self._calls.read(
            self._storage.next_due, now, self._lanes.closed_keys, unless=self._takes_nothing
        )
        delays = [] if due is None else [max((due - now).total_seconds(), 0.0)]
        if (probe := self._lanes.next_probe(monotonic)) is not None:
            delays.append(probe - monotonic)
        if self._storage.poll_secs is not None:
            delays.append(self._storage.poll_secs)
        return min(delays, default=None)

    # --- one claim

    def _end_job(self, job: Job) -> None:
        if not job.begun:
            self._recorder.abandon(job)  # cancelled before its first step: nothing in it ever ran
        del self._jobs[id(job)]
        self._lanes.leave(job.slot)
        self._wake.set()

    async def _work(self, job: Job, carrier: Carrier) -> None:
        job.begun = True
        try:
            await self._try(job, carrier)
        except asyncio.CancelledError:
            self._recorder.abandon(job)
            if not self._stopping:
                raise
        except Exception:
            _log.exception("an internal error ended the try of message %s", job.claim.email.message_id)
            await self._recorder.crashed(job)

    async def _try(self, job: Job, carrier: Carrier) -> None:
        now = self._world.clock.now()
        found = sort_out(job.claim, self._policy, self._config.allow_domains, now)
        if found.settled:
            await self._recorder.settle(job, found.settled)
        if found.to_try and not await carrier.carry(job, found.to_try):
            await self._calls.write(self._storage.give_back, job.claim)

    # --- the storage

    async def _mark_dot_sent(self, claim: Claim, addresses: Collection[str]) -> bool:
        if not self._storage.durable:
            return True
        return bool(await self._calls.try_to_write(self._storage.mark_dot_sent, claim, addresses))

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._config.lease_secs / HEARTBEATS)
            if self._jobs:
                await self._renew([job for job, _ in self._jobs.values()])

    async def _renew(self, jobs: Sequence[Job]) -> None:
        began = self._world.clock.monotonic()
        try:
            renewed = await self._calls.once(self._storage.renew, [job.claim for job in jobs], self._lease)
        except Exception as error:
            _log.error("leases could not be prolonged: %s", printable(str(error)))
            return
        for job, claim in zip(jobs, renewed, strict=True):
            if claim is None:
                job.lost()
            else:
                job.renewed(claim, began)

    # --- status

    def _set_status(self, status: WorkerStatus) -> None:
        if status is not self.status:
            self.status = status
            self._announcer.worker_status(status)

    def _in_trouble(self, trouble: WorkerStatus) -> None:
        self._committer.go_first()
        self._set_status(trouble)

    def _recovered(self, trouble: WorkerStatus) -> None:
        if self.status is trouble:
            self._set_status(self._ordinary_status())

    def _ordinary_status(self) -> WorkerStatus:
        if self._stopping:
            return WorkerStatus.STOPPING
        return WorkerStatus.PAUSED if self._paused else WorkerStatus.OK
