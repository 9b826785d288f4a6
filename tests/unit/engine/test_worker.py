"""The engine with a carrier that does as it is told, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from mailstrom import Config, StorageError
from mailstrom.abc import Claim, InternalRecipientStatus, Terms
from mailstrom.engine.job import LEASE_MARGIN, Carrier, Job
from mailstrom.engine.lanes import Lanes
from mailstrom.engine.world import World
from mailstrom.status import WorkerStatus
from tests.unit.engine.worker_bench import LEASE_SECS, Bench, Blocking, Delivers, LateAnswers, run


async def no_resolver(config: Config, world: World, lanes: Lanes) -> Carrier:
    raise OSError("no name server is known")


async def never_ready(config: Config, world: World, lanes: Lanes) -> Carrier:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


@pytest.mark.parametrize("make_carrier", [no_resolver, never_ready])
@pytest.mark.parametrize("end", ["finish", "abort_before_dot", "abort"])
def test_a_worker_that_cannot_begin_ends_when_it_is_told(make_carrier: Any, end: str) -> None:
    async def story(bench: Bench) -> None:
        bench.store()
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(20)
        if end == "finish":
            bench.engine.finish(take_due=False)
        else:
            getattr(bench.engine, end)()
        await running
        assert bench.clock.monotonic() == 20
        assert bench.engine.status is WorkerStatus.TERMINATED

    run(story, make_carrier=make_carrier)


def test_a_worker_that_cannot_begin_and_has_nothing_to_drain_ends_at_once() -> None:
    async def story(bench: Bench) -> None:
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(20)
        bench.engine.finish(take_due=True)
        await running
        assert bench.clock.monotonic() == 20

    run(story, make_carrier=no_resolver)


def test_a_worker_that_is_told_to_end_before_it_runs_ends() -> None:
    carrier = Delivers()

    async def story(bench: Bench) -> None:
        bench.store()
        bench.engine.abort()
        await bench.engine.run()
        assert bench.engine.status is WorkerStatus.TERMINATED

    run(story, carrier)

    assert (carrier.carried, carrier.ended) == ([], [])


def test_a_carrier_is_closed_in_good_order_and_aborted_otherwise() -> None:
    carrier = Delivers()

    async def story(bench: Bench) -> None:
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(1)
        bench.engine.abort()
        await running

    run(story, carrier)

    assert carrier.ended == ["aborted"]


def test_never_more_deliveries_at_once_than_sessions() -> None:
    carrier = Delivers(secs=10.0)

    async def story(bench: Bench) -> None:
        for number in range(7):
            bench.store(number)
        running = asyncio.create_task(bench.engine.run())
        counts = []
        for _ in range(3):
            await asyncio.sleep(9)
            counts.append(len(carrier.carried))
            await asyncio.sleep(1)
        bench.engine.finish(take_due=True)
        await running
        assert counts == [3, 6, 7]

    run(story, carrier)


def test_work_that_became_free_while_the_storage_said_no_is_done_before_the_end() -> None:
    """The lane was full when the storage was asked, and empty when it answered."""
    carrier, calls = Delivers(secs=2.0), LateAnswers(5.0)

    async def story(bench: Bench) -> None:
        for number in range(3):
            bench.store(number)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(1)
        bench.engine.finish(take_due=True)
        await running
        await calls.until_done()
        assert len(carrier.carried) == 3

    one_at_a_time = Config(helo_name="sender.example", max_sessions_per_lane=1)
    run(story, carrier, config=one_at_a_time, storage=Blocking(), run_storage=calls)


class Looks(Delivers):
    """Notes how long the lease of what it carries lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[float] = []

    async def carry(self, job: Job, recipients: Sequence[InternalRecipientStatus]) -> bool:
        self.left.append(job._held_until - job._now())
        return await super().carry(job, recipients)


def test_a_lease_counts_from_when_it_was_asked_for() -> None:
    """W5: the storage's clock began then; ours must not end later."""
    carrier = Looks()

    async def story(bench: Bench) -> None:
        bench.store()
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(20)
        bench.engine.finish(take_due=False)
        await running

    run(story, carrier, storage=Blocking(), run_storage=LateAnswers(5.0))

    assert carrier.left == [LEASE_SECS - 5.0]
    assert carrier.left[0] > LEASE_SECS * LEASE_MARGIN


class AwayAtFirst(Blocking):
    """Grants nothing for longer than a lease lasts."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        if asyncio.get_running_loop().time() < LEASE_SECS + 10:
            raise StorageError("the database is away")
        return super().claim_many(now, terms)


def test_a_lease_does_not_count_from_an_outage_before_it() -> None:
    """Row 48: what is claimed when the storage is back is not given up at its final dot."""
    carrier = Looks()

    async def story(bench: Bench) -> None:
        bench.store()
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(100)
        bench.engine.abort()
        await running

    run(story, carrier, storage=AwayAtFirst())

    assert carrier.left == [LEASE_SECS]


class Elsewhere(Blocking):
    """Something is due that others hold."""

    poll_secs = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.asked_at: list[float] = []

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        self.asked_at.append(asyncio.get_running_loop().time())
        return []

    @property
    def waits(self) -> list[float]:
        """How long after each question the next was asked."""
        return [round(after - before, 3) for before, after in pairwise(self.asked_at)]

    def next_due(self, now: datetime, skip: Collection[str] = ()) -> datetime | None:
        return now


def test_what_is_due_and_cannot_be_had_is_asked_for_less_and_less_often_until_somebody_wakes_us() -> None:
    storage = Elsewhere()

    async def story(bench: Bench) -> None:
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(60)
        assert len(storage.asked_at) < 70
        assert storage.asked_at[-1] - storage.asked_at[-2] == pytest.approx(storage.poll_secs)

        before = len(storage.asked_at)
        bench.engine.wake()
        await asyncio.sleep(0.5)
        assert len(storage.asked_at) > before + 2
        bench.engine.abort()
        await running

    run(story, storage=storage)


def test_what_is_due_and_cannot_be_had_is_asked_for_again_soon() -> None:
    """Who has it may let it go in a moment, and an email that another process stores be there then."""
    storage = Elsewhere()

    async def story(bench: Bench) -> None:
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(5)
        bench.engine.abort()
        await running

    run(story, storage=storage)

    assert storage.waits[:10] == [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]


class OthersStore(Blocking):
    """Is looked at now and then, and at no time of the story."""

    poll_secs = 60.0


ANSWER_SECS = 0.02


@pytest.mark.parametrize("after_secs", [0.0001, ANSWER_SECS / 2, ANSWER_SECS])
def test_what_falls_due_while_a_claim_comes_to_nothing_is_claimed_without_a_wait(after_secs: float) -> None:
    """Nobody else has it: it was not due yet when that claim was asked for."""
    carrier, calls = Delivers(), LateAnswers(ANSWER_SECS)

    async def story(bench: Bench) -> None:
        bench.store(send_at=bench.clock.now() + timedelta(seconds=20 + after_secs))
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(20)
        bench.engine.wake()
        await asyncio.sleep(3.5 * ANSWER_SECS)  # nothing; something is due; the claim
        assert len(carrier.carried) == 1
        bench.engine.abort()
        await running
        await calls.until_done()

    run(story, carrier, storage=OthersStore(), run_storage=calls)
