"""What is cut off when the worker ends, handed over to whoever works next.

First results that are known are recorded: what is lost of them is sent twice. Then claims are given
back, all in one call, so that nobody waits for the end of their leases. All of that has one time
limit: a storage that is locked or away must not keep the worker, and what cannot be handed over is
found when its lease is over, as after a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from ..abc import Claim, SharedStorage
from ..status import printable
from .job import Granted, Job
from .patience import PatientCalls

HAND_OVER_SECS = 5.0
RESULTS_FIRST_SECS = 2.5  # then claims are given back beside them

_log = logging.getLogger("mailstrom")


class HandOver:
    """Collects what is cut off, and hands it over. Used in the worker's loop only.

    `arrived(job, kept)` is called when a job's results are recorded, or were refused;
    `over(claim)` when all that could be done for a claim is done.
    """

    def __init__(
        self,
        storage: SharedStorage,
        calls: PatientCalls,
        arrived: Callable[[Job, bool], Awaitable[None]],
        over: Callable[[Claim], None],
    ) -> None:
        self.is_running = False
        self._storage = storage
        self._calls = calls
        self._arrived = arrived
        self._over = over
        self._jobs: list[Job] = []
        self._claims: list[Claim] = []
        self._asked: Awaitable[Sequence[Granted] | None] | None = None
        self._storage_fails = False
        self._is_given_back = False  # what had no results on their way

    def add_job(self, job: Job) -> None:
        """A job that was cut off; what is known of it is on its way into the storage."""
        self._jobs.append(job)

    def add_claim(self, claim: Claim) -> None:
        """A claim that nobody has begun to work on."""
        self._claims.append(claim)

    def expect(self, asked: Awaitable[Sequence[Granted] | None]) -> None:
        """Claims that the storage may be about to grant."""
        self._asked = asked

    async def run(self) -> None:
        """Hands over what there is, and returns within `HAND_OVER_SECS`."""
        self.is_running = True
        try:
            async with asyncio.timeout(HAND_OVER_SECS), asyncio.TaskGroup() as group:
                arriving = [group.create_task(self._see_through(job)) for job in self._jobs if job.settling]
                if arriving:
                    await asyncio.wait(arriving, timeout=RESULTS_FIRST_SECS)
                await self._give_back_all()
        except TimeoutError:
            _log.error("the storage takes too long: some claims last until their leases are over")
        for job in self._jobs:
            self._end(job)
        self.is_running = False

    async def _see_through(self, job: Job) -> None:
        assert job.kept is not None
        await self._arrived(job, await asyncio.shield(job.kept))
        if self._is_given_back and job.open:
            await self._give_back([job.claim])

    async def _give_back_all(self) -> None:
        """All in one call, but for those whose results are still on their way."""
        granted = [each.claim for each in await self._granted()]
        self._is_given_back = True
        cut_off = [job.claim for job in self._jobs if job.open and not job.settling]
        await self._give_back([*cut_off, *self._claims, *granted])

    async def _granted(self) -> Sequence[Granted]:
        if self._asked is None:
            return ()
        try:
            return await self._asked or ()
        except Exception:
            return ()  # the storage failed, and granted nothing

    async def _give_back(self, claims: Sequence[Claim]) -> None:
        if self._storage_fails or not claims:
            return
        try:
            await self._calls.once(self._storage.give_back_many, claims)
        except Exception as error:
            self._storage_fails = True
            why = printable(str(error))
            _log.error("claims cannot be given back, and last until their leases are over: %s", why)

    def _end(self, job: Job) -> None:
        if job.settling:
            _log.error("results of message %s could not be recorded", printable(job.claim.email.message_id))
        self._over(job.claim)
