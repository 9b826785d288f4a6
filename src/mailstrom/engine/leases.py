"""Keeps the leases of what is in hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from ..abc import Clock, SharedStorage
from ..status import printable
from .in_hand import InHand
from .job import Job
from .patience import PatientCalls

HEARTBEATS = 4  # in the time of a lease

_log = logging.getLogger("mailstrom")


class Leases:
    """Prolongs the leases of the jobs in hand. Used in the worker's loop only."""

    def __init__(
        self,
        storage: SharedStorage,
        calls: PatientCalls,
        clock: Clock,
        lease_secs: float,
        in_hand: InHand,
    ) -> None:
        self._storage = storage
        self._calls = calls
        self._clock = clock
        self._lease = timedelta(seconds=lease_secs)
        self._in_hand = in_hand

    async def run(self) -> None:
        """Now and then, until it is cancelled."""
        while True:
            await self._in_hand.is_some.wait()
            await asyncio.sleep(self._lease.total_seconds() / HEARTBEATS)
            if len(self._in_hand):
                await self._renew(self._in_hand.jobs)  # not kept here: they end before the next time

    async def _renew(self, jobs: Sequence[Job]) -> None:
        began = self._clock.monotonic()
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
