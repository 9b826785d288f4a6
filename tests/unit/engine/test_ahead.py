"""Claims that wait for a place in their lane: how many, when they begin, and what becomes of them else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from mailstrom.abc import InternalRecipientStatus
from mailstrom.engine.ahead import LOOK_SECS, PER_PLACE, Ahead
from mailstrom.engine.job import Job
from mailstrom.status import WorkerStatus
from tests.unit.engine.worker_bench import CONFIG, Bench, Delivers, Slow, run

LANE = "mx.example"
ONE_LANE = replace(CONFIG, mode="capture", max_sessions=20, max_sessions_per_lane=4)


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def after(sent: int, secs: float = 0.0) -> Ahead:
    """A lane that sent so many at once, so many seconds ago."""
    time = Time()
    ahead = Ahead(time)
    for _ in range(sent):
        ahead.sent(LANE)
    time.now = secs
    return ahead


def waiting(ahead: Ahead, count: int) -> Ahead:
    for _ in range(count):
        ahead.add(LANE, cast(Job, object()))
    return ahead


# How many


def test_a_lane_that_sent_nothing_yet_gets_no_more_than_it_has_places() -> None:
    assert after(sent=0).room(LANE, places=20, free=20) == 20
    assert after(sent=0).room(LANE, places=20, free=0) == 0


def test_a_lane_gets_as_much_ahead_as_it_sent_of_late() -> None:
    assert after(sent=7).room(LANE, places=20, free=0) == 7


def test_however_fast_it_is_only_so_many_wait_for_each_place() -> None:
    assert after(sent=1000).room(LANE, places=20, free=3) == 3 + PER_PLACE * 20


def test_a_lane_that_became_slow_gets_no_more_ahead_than_it_sends_now() -> None:
    ahead = after(sent=40, secs=3 * LOOK_SECS)

    ahead.sent(LANE)

    assert ahead.room(LANE, places=20, free=0) == 1


def test_more_is_asked_for_when_half_of_it_has_begun() -> None:
    ahead = waiting(after(sent=40), 21)

    assert ahead.room(LANE, places=20, free=0) == 0
    ahead.next(LANE)
    assert ahead.room(LANE, places=20, free=0) == 20


def test_who_came_first_begins_first() -> None:
    ahead = Ahead(Time())
    first, second = cast(Job, "first"), cast(Job, "second")
    ahead.add(LANE, first)
    ahead.add(LANE, second)

    assert [ahead.next(LANE), ahead.next(LANE), ahead.next(LANE)] == [first, second, None]
    assert (ahead.count, ahead.lanes) == (0, [])


# In a worker


class Uneven(Delivers):
    """Each takes another time, so that no two end together."""

    async def carry(self, job: Job, recipients: Sequence[InternalRecipientStatus]) -> bool:
        self.secs = 0.04 + len(self.carried) * 0.0003
        return await super().carry(job, recipients)


def in_a_worker(story: Any, **changes: Any) -> tuple[Delivers, Slow]:
    """A lane that sends some 80 messages a second, in the midst of 60."""
    carrier, storage = Uneven(), Slow()

    async def told(bench: Bench) -> None:
        for number in range(60):
            bench.store(number)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(0.275)
        await story(bench, running)

    run(told, carrier, config=ONE_LANE, storage=storage, run_storage=storage.run, **changes)
    return carrier, storage


def begun(carrier: Delivers) -> set[str]:
    return {claim.email.message_id for claim in carrier.carried}


async def ended(bench: Bench, running: asyncio.Task[None]) -> None:
    bench.engine.finish(take_due=True)
    await running


def test_a_fast_lane_asks_less_than_half_as_often_as_it_sends() -> None:
    carrier, storage = in_a_worker(ended)

    assert len(carrier.carried) == 60
    assert len(storage.steps) <= 60 / 2
    assert storage.given_back == []


def test_what_waits_is_given_back_when_the_worker_is_paused() -> None:
    counts: list[int] = []

    async def story(bench: Bench, running: asyncio.Task[None]) -> None:
        bench.engine.pause()
        counts.append(len(carrier_of(bench).carried))
        await asyncio.sleep(5)
        counts.append(len(carrier_of(bench).carried))
        counts.append(sum(storage_of(bench).steps) - len(storage_of(bench).given_back))
        bench.engine.resume()
        await ended(bench, running)

    carrier, storage = in_a_worker(story)

    assert counts[0] == counts[1] == counts[2]
    assert storage.given_back
    assert len(carrier.carried) == len(begun(carrier)) == 60


def test_what_waits_is_given_back_when_the_worker_ends() -> None:
    async def story(bench: Bench, running: asyncio.Task[None]) -> None:
        bench.engine.finish(take_due=False)
        await running
        assert bench.engine.status is WorkerStatus.TERMINATED

    carrier, storage = in_a_worker(story)

    assert storage.given_back
    assert len(carrier.carried) + len(storage.given_back) == sum(storage.steps)


def test_an_aborted_worker_gives_back_what_waits() -> None:
    async def story(bench: Bench, running: asyncio.Task[None]) -> None:
        bench.engine.abort()
        await running

    carrier, storage = in_a_worker(story)

    assert set(storage.given_back) - {claim.token for claim in carrier.carried}


def carrier_of(bench: Bench) -> Delivers:
    return cast(Delivers, bench._carrier)


def storage_of(bench: Bench) -> Slow:
    return cast(Slow, bench.storage)
