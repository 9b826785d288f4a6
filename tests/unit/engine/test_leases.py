"""Leases of what is in hand are prolonged; what is over by then is kept by nobody."""

from __future__ import annotations

import asyncio
import gc
import weakref

from mailstrom.engine.job import Job
from tests.unit.engine.worker_bench import LEASE_SECS, Bench, Delivers, run


class Watching(Delivers):
    """Knows of its jobs as long as somebody else has them."""

    def __init__(self, secs: float) -> None:
        super().__init__(secs)
        self.alive: weakref.WeakSet[Job] = weakref.WeakSet()

    async def carry(self, job: Job, recipients: object) -> bool:
        self.alive.add(job)
        return await super().carry(job, list(job.open.values()))


def test_jobs_whose_leases_were_prolonged_are_let_go_when_they_end() -> None:
    """Each may have 100 recipients, and there may be hundreds of them until the next time."""
    carrier = Watching(secs=LEASE_SECS / 3)

    async def story(bench: Bench) -> None:
        bench.store()
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(LEASE_SECS * 0.4)
        gc.collect()
        assert not carrier.alive
        bench.engine.abort()
        await running

    run(story, carrier)
