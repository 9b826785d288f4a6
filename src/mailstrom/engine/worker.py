"""The worker's loop: claim what is due, try it, settle what came of it.

    storage ──claim──► Job ──carry──► hosts       claimer.py, leases.py
       ▲                │                           ahead.py, in_hand.py
       └────settle──────┘                         marker.py, recorder.py, committer.py; hand_over.py

One `Engine` runs in one event loop. Its public methods are called in that loop; the facade
gets there through `LoopThread.call_soon`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from ..abc import Claim, SharedStorage
from ..config import Config, RelayConfig
from ..schedule.retry import longest_wait
from ..status import WorkerStatus
from .ahead import Ahead
from .announce import Announcer
from .asked import Asked
from .claimer import Claimer
from .committer import Committer
from .contacts import Contacts
from .events import Board, Tell
from .gates import Gates
from .hand_over import HandOver
from .housekeeping import Housekeeping
from .in_hand import InHand
from .job import Carrier, Granted, Job, MakeCarrier
from .lanes import Lanes
from .leases import Leases
from .marker import Marker
from .pace import INITIAL
from .patience import PatientCalls, backoff, sleep
from .quotas import quotas_for
from .recorder import Recorder
from .slot import Slot
from .triage import sort_out
from .wake import Wake
from .world import World

CLAIMS_AT_ONCE = 50
RECORDED_AT_ONCE = 100  # delivered, and not recorded yet: a kill makes these uncertain

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
        tell: Tell | None,
        board: Board,
    ) -> None:
        self.status = WorkerStatus.NOT_STARTED
        self._config = config
        self._policy = config.retry_policy  # made anew each time
        self._storage = storage
        self._world = world
        self._make_carrier = make_carrier
        self._board = board
        self._asked = Asked()
        self._wake = Wake()
        self._is_full = False  # no claim could be made when that was asked last
        self._serving = False
        self._main: asyncio.Task[Any] | None = None
        self._calls = PatientCalls(world.run_storage, self._in_trouble, self._recovered)
        self._lanes = self._make_lanes(owner)
        is_relayed = isinstance(config.delivery, RelayConfig)
        self._contacts = Contacts(self._lanes, world.clock, self._network_changed, is_relayed=is_relayed)
        self._announcer = Announcer(world.clock, timedelta(seconds=config.delayed_after_secs), tell, board)
        self._marker = Marker(storage, self._calls)
        self._committer = Committer(storage, self._calls, world.clock, self._committed, tell, self._marker)
        calls, committer = self._calls, self._committer
        self._recorder = Recorder(self._policy, storage, world.clock, calls, committer, self._announcer)
        self._hand_over = HandOver(storage, self._calls, self._recorder.arrived, self._announcer.given_back)
        self._claimer = Claimer(config, storage, self._calls, world, self._lanes, self._hand_over, owner)
        self._in_hand = InHand(
            self._lanes,
            max_sessions=config.max_sessions,
            may_begin=lambda: not (self._asked.is_closed or self._committer.is_stuck),
            ended=self._end_job,
        )
        self._leases = Leases(storage, self._calls, world.clock, config.lease_secs, self._in_hand)

    def _make_lanes(self, owner: str) -> Lanes:
        config, most = self._config, self._config.max_sessions_per_lane
        quotas = quotas_for(config, self._storage, self._calls, self._world.clock, owner, self.wake)
        ahead = Ahead(self._world.clock.monotonic)
        first = INITIAL if config.mode == "live" else most
        return Lanes(most, self.wake, initial=first, quotas=quotas, ahead=ahead)

    # --- called by the facade, in the loop

    def wake(self) -> None:
        """Something new may be due."""
        self._wake.set()

    def hold_on(self) -> None:
        """Takes no new work from now on, until `pause` is heard; any thread."""
        self._asked.on_hold = True

    def pause(self) -> None:
        """Takes no new work; what is in flight goes on."""
        self._asked.pause()
        self._set_status(WorkerStatus.PAUSED)
        self._wake.set()

    def resume(self) -> None:
        """Takes work again."""
        self._asked.resume()
        self._set_status(self._ordinary_status)
        self._wake.set()

    def gates(self, message_id: str, route_keys: Collection[str]) -> Gates:
        """What may hold this message up, and how far its tries have come."""
        asked, now = self._asked, self._world.clock.monotonic()
        return Gates(
            status=self.status,
            is_paused=asked.paused,
            is_ending=asked.stopping and asked.takes_nothing.is_set(),
            is_stuck=self._committer.is_stuck and not self._committer.admits_one,
            in_hand=self._lanes.busy,
            in_hand_limit=self._config.max_sessions,
            lanes={key: gate for key in route_keys if (gate := self._lanes.gate(key, now)) is not None},
            visits=self._in_hand.visits(message_id),
        )

    def finish(self, *, take_due: bool) -> None:
        """Ends when nothing is in flight (and, with `take_due`, nothing is due)."""
        self._asked.take_due = take_due and not self._asked.paused
        self._set_status(WorkerStatus.STOPPING)
        self._end()

    def abort_before_dot(self) -> None:
        """Gives up every delivery that has not sent its final dot; waits for the other replies."""
        self._asked.take_due = False
        self._in_hand.stop()
        self._end()

    def abort(self) -> None:
        """Ends at once; connections are aborted."""
        self._asked.stopping = self._asked.aborted = True
        self._asked.takes_nothing.set()
        if self._main is not None and not self._hand_over.is_running:
            self._main.cancel()

    def _end(self) -> None:
        self._asked.stopping = True
        if not self._asked.take_due:
            self._asked.takes_nothing.set()
        self._asked.ending.set()
        self._wake.set()
        if not self._serving and not self._asked.take_due:
            self.abort()  # nothing was begun that is to be finished

    # --- the loop

    async def run(self) -> None:
        """Works until `finish` or `abort`; an exception out of it is a crash."""
        self._main = asyncio.current_task()
        try:
            if not self._asked.aborted:
                await self._work_with(await self._carrier())
        except asyncio.CancelledError:
            if not self._asked.stopping:
                raise
        finally:
            self._main = None
        self._set_status(WorkerStatus.TERMINATED)

    async def _work_with(self, carrier: Carrier) -> None:
        try:
            await self._serve(carrier)
            if not self._asked.aborted:
                await carrier.close()
                await self._lanes.quotas.close()
        finally:
            await carrier.abort()

    async def _carrier(self) -> Carrier:
        for secs in backoff():
            try:
                carrier = await self._make_carrier(self._config, self._world, self._contacts)
            except Exception as error:
                self._set_status(WorkerStatus.RESOLVER_CREATION_FAILED)
                _log.error("the resolver cannot be made: %s; tried again in %.0f s", error, secs)
                await self._wait_for_carrier(secs)
            else:
                break
        self._set_status(self._ordinary_status)
        return carrier

    async def _wait_for_carrier(self, secs: float) -> None:
        if self._asked.stopping and await self._until_due() != 0.0:
            self.abort()  # nothing waits for it
        await sleep(secs, asyncio.Event() if self._asked.stopping else self._asked.ending)

    async def _serve(self, carrier: Carrier) -> None:
        self._serving = True
        async with asyncio.TaskGroup() as group:
            recording = [group.create_task(each.run()) for each in (self._committer, self._marker)]
            try:
                await self._work_off(carrier)
            finally:
                for claim in self._in_hand.take_waiting():
                    self._hand_over.add_claim(claim)
                # a task of its own: time limits do not work well in one that was cancelled
                await asyncio.ensure_future(self._hand_over.run())
                for task in recording:
                    task.cancel()

    async def _work_off(self, carrier: Carrier) -> None:
        async with asyncio.TaskGroup() as group:
            beside = (self._leases, self._housekeeping(), self._lanes.quotas)
            tasks = [group.create_task(each.run()) for each in beside]
            with self._in_hand.beginning(group, partial(self._work, carrier)):
                while True:
                    if is_worth := self._wake.take(self._lanes.is_closed):
                        await self._claim_due()
                    if self._asked.stopping and not self._in_hand and not self._wake.is_set():
                        break  # nothing has ended, and made room, since it was asked for work
                    await self._sleep(has_asked=is_worth)
            for task in tasks:
                task.cancel()

    def _housekeeping(self) -> Housekeeping:
        return Housekeeping(
            self._storage,
            self._calls,
            self._world.clock,
            longest_wait(self._policy),
            is_busy=self._in_hand.is_some.is_set,
            found_work=self.wake,
        )

    async def _claim_due(self) -> None:
        """Claims until nothing is due that we may take, or there is no room."""
        if self._asked.is_closed:
            await self._give_back(self._in_hand.take_waiting())
        self._in_hand.begin_waiting()
        while (room := self._room()) > 0:
            granted = await self._claim(room)
            if self._asked.is_closed:  # since we asked
                await self._give_back([each.claim for each in granted])
                return
            for each in granted:
                self._begin(each)
            if len(granted) < room:
                return

    async def _claim(self, limit: int) -> Sequence[Granted]:
        if not self._committer.is_stuck:
            return await self._claimer.claim(limit, unless=self._asked.takes_nothing)
        try:
            return await self._claimer.claim_once()
        except Exception:
            self._committer.admits_one = False  # it is not the result alone that the storage does not take
            return ()

    async def _give_back(self, claims: list[Claim]) -> None:
        try:
            while claims and not self._asked.stopping:
                await self._calls.write(self._storage.give_back, claims[-1])
                claims.pop()
        finally:
            for claim in claims:
                self._hand_over.add_claim(claim)

    def _room(self) -> int:
        """How many claims may be made now."""
        room, limit = 0, self._config.max_sessions
        if not self._asked.is_closed and (not self._committer.is_stuck or self._committer.admits_one):
            most_in_hand = limit + RECORDED_AT_ONCE
            room = min(CLAIMS_AT_ONCE, limit - self._lanes.busy, most_in_hand - len(self._in_hand))
        self._is_full = room <= 0
        return room

    def _begin(self, granted: Granted) -> None:
        self._committer.admits_one = False
        job = Job(
            granted,
            lease_secs=self._config.lease_secs,
            chance=self._world.chance.random(),
            now=self._world.clock.monotonic,
            read_content=self._claimer.read_content,
            mark_dot_sent=self._marker.mark,
            settle=self._recorder.passed,
            delivered=self._leave_lane,
        )
        self._in_hand.take(job)

    async def _sleep(self, *, has_asked: bool) -> None:
        """Until something is due, a held lane opens, or somebody wakes us."""
        while not self._wake.is_set():
            if self._in_hand and await self._claimer.rest(self._wake):
                continue
            if (secs := await self._until_due(has_asked=has_asked)) == 0.0:
                self._wake.set()
                await asyncio.sleep(0)  # who has what cannot be had may have to go on first
                return
            has_asked = False
            await sleep(secs, self._wake)
        self._claimer.begin_anew()

    async def _until_due(self, *, has_asked: bool = False) -> float | None:
        if self._room() <= 0:
            return None
        return await self._claimer.secs_until_due(unless=self._asked.takes_nothing, has_asked=has_asked)

    # --- one claim

    def _end_job(self, job: Job) -> None:
        if not job.begun:
            self._cut_off(job)  # cancelled before its first step: nothing in it ever ran
        self._in_hand.end(job)
        job.leave_lane()
        if not self._in_hand:
            self._board.at_rest()
        if self._is_full or not self._in_hand or job.open or job.leaves_more:
            self._wake.set()

    def _leave_lane(self, slot: Slot) -> None:
        if self._lanes.leave(slot):
            self._wake.set_for(slot.route_key)
        if self._is_full:
            self._wake.set()
        self._in_hand.begin_waiting(slot.lane)

    def _committed(self) -> None:
        self._in_hand.begin_waiting()  # none may while a result cannot be recorded
        if self._is_full:
            self._wake.set()

    async def _work(self, carrier: Carrier, job: Job) -> None:
        job.begun = True
        try:
            await self._try(carrier, job)
        except asyncio.CancelledError:
            self._cut_off(job)
            if not self._asked.stopping:
                raise
        except Exception:
            _log.exception("an internal error ended the try of message %s", job.claim.email.message_id)
            await self._recorder.crashed(job)

    async def _try(self, carrier: Carrier, job: Job) -> None:
        now = self._world.clock.now()
        found = sort_out(job.claim, self._policy, self._config.allow_domains, now)
        if found.settled:
            await self._recorder.settle(job, found.settled)
        if found.to_try and (job.stopped or not await carrier.carry(job, found.to_try)):
            not_before = self._world.clock.now() if job.goes_last else None
            await self._calls.write(self._storage.give_back, job.claim, not_before)

    def _cut_off(self, job: Job) -> None:
        self._recorder.cut_off(job)
        self._hand_over.add_job(job)

    # --- status

    @property
    def _ordinary_status(self) -> WorkerStatus:
        """The worker's status where its storage works."""
        if self._asked.stopping:
            return WorkerStatus.STOPPING
        if self._asked.paused:
            return WorkerStatus.PAUSED
        return WorkerStatus.NETWORK_FAILED if self._contacts.network_has_failed else WorkerStatus.OK

    def _network_changed(self) -> None:
        if self.status in (WorkerStatus.OK, WorkerStatus.NETWORK_FAILED):
            self._set_status(self._ordinary_status)

    def _set_status(self, status: WorkerStatus) -> None:
        if status is not self.status:
            self.status = status
            self._announcer.worker_status(status)

    def _in_trouble(self, trouble: WorkerStatus) -> None:
        self._set_status(trouble)
        if self._committer.admits_one:
            self._wake.set()

    def _recovered(self, trouble: WorkerStatus) -> None:
        if self.status is trouble and not self._committer.is_stuck:
            self._set_status(self._ordinary_status)
