"""What the worker takes in one step: how much, when more, and what becomes of it where the worker ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from mailstrom.engine.claimer import RESTED_SECS
from mailstrom.engine.worker import CLAIMS_AT_ONCE, RECORDED_AT_ONCE
from tests.unit.engine.worker_bench import CONFIG, Bench, Delivers, Slow, run


def stored(bench: Bench, count: int) -> list[str]:
    """So many messages in the queue."""
    return [bench.store(number) for number in range(count)]


async def ended(bench: Bench, running: asyncio.Task[None]) -> None:
    """The worker has done all that is due, and ended."""
    bench.engine.finish(take_due=True)
    await running


def test_as_much_as_there_is_room_for_is_claimed_in_one_step() -> None:
    carrier, storage = Delivers(secs=10.0), Slow()

    async def story(bench: Bench) -> None:
        stored(bench, 7)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(5)
        assert storage.steps == [3]
        await ended(bench, running)

    run(story, carrier, storage=storage, run_storage=storage.run)

    assert len(carrier.carried) == 7


def test_a_step_is_bounded_however_much_room_there_is() -> None:
    """A transaction that takes hundreds would hold up whoever stores."""
    carrier, storage = Delivers(secs=10.0), Slow()
    at_full_pace = replace(CONFIG, mode="capture")
    config = replace(at_full_pace, max_sessions=200, max_sessions_per_lane=200)

    async def story(bench: Bench) -> None:
        stored(bench, 2 * CLAIMS_AT_ONCE + 1)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(5)
        assert storage.steps == [CLAIMS_AT_ONCE, CLAIMS_AT_ONCE, 1]
        await ended(bench, running)

    run(story, carrier, config=config, storage=storage, run_storage=storage.run)


def test_a_step_claims_no_more_for_a_lane_than_it_takes() -> None:
    """Nothing is claimed to be given back."""
    carrier, storage = Delivers(secs=10.0), Slow()
    config = replace(CONFIG, max_sessions=20, max_sessions_per_lane=2)

    async def story(bench: Bench) -> None:
        stored(bench, 7)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(5)
        assert (sum(storage.steps), len(carrier.carried)) == (2, 2)
        await ended(bench, running)

    run(story, carrier, config=config, storage=storage, run_storage=storage.run)

    assert (len(carrier.carried), storage.given_back) == (7, [])


# Asking when more is due


class Counting(Slow):
    """Notes when it was asked when more is due."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_at: list[float] = []

    def next_due(self, *args: Any, **kwargs: Any) -> datetime | None:
        self.asked_at.append(asyncio.get_running_loop().time())
        return super().next_due(*args, **kwargs)


def test_a_busy_storage_is_not_asked_after_each_claim_when_more_is_due() -> None:
    carrier, storage = Delivers(secs=0.01), Counting()
    one_by_one = replace(CONFIG, max_sessions_per_lane=1)

    async def story(bench: Bench) -> None:
        stored(bench, 100)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(0.9)
        busy = storage.asked_at[:]
        assert len(busy) > 5
        assert all(later - earlier >= RESTED_SECS - 1e-6 for earlier, later in pairwise(busy))
        await ended(bench, running)

    run(story, carrier, config=one_by_one, storage=storage, run_storage=storage.run)

    assert len(carrier.carried) == 100


def test_what_falls_due_while_others_are_tried_begins_hardly_later() -> None:
    carrier, storage = Delivers(secs=10.0), Counting()

    async def story(bench: Bench) -> None:
        running = asyncio.create_task(bench.engine.run())
        bench.store(1)
        await asyncio.sleep(0.99)
        bench.store(2, send_at=bench.clock.now() + timedelta(seconds=0.01))
        await asyncio.sleep(0.01 + RESTED_SECS + 0.001)
        assert len(carrier.carried) == 2
        await ended(bench, running)

    run(story, carrier, storage=storage, run_storage=storage.run)


# Recording


def test_the_next_message_goes_out_while_the_result_of_the_one_before_is_being_recorded() -> None:
    """A slow commit holds no place in a lane."""
    carrier, storage = Delivers(), Slow(settle=10.0)
    one_by_one = replace(CONFIG, max_sessions=1, max_sessions_per_lane=1)

    async def story(bench: Bench) -> None:
        stored(bench, 3)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(5)
        assert len(carrier.carried) == 3
        assert [event.kind for event in bench.events if event.result is not None] == []
        await ended(bench, running)
        assert len([event for event in bench.events if event.result is not None]) == 3

    run(story, carrier, config=one_by_one, storage=storage, run_storage=storage.run)


def test_so_much_may_wait_to_be_recorded_and_no_more() -> None:
    """Each of them would be sent again, should the process die now."""
    carrier, storage = Delivers(), Slow(settle=100.0)

    async def story(bench: Bench) -> None:
        stored(bench, RECORDED_AT_ONCE + 20)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(50)
        assert len(carrier.carried) == RECORDED_AT_ONCE + CONFIG.max_sessions
        await ended(bench, running)

    run(story, carrier, storage=storage, run_storage=storage.run)

    assert len(carrier.carried) == RECORDED_AT_ONCE + 20


# Granted, and not to be begun


@pytest.mark.parametrize("end", ["pause", "finish", "abort_before_dot", "abort"])
def test_claims_that_are_granted_while_nothing_is_to_be_taken_are_all_given_back(end: str) -> None:
    """Else nobody would try them until their leases are over, and a crash would be counted."""
    carrier, storage = Delivers(), Slow(claim_many=4.0)

    async def story(bench: Bench) -> None:
        stored(bench, 3)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(2)
        if end == "finish":
            bench.engine.finish(take_due=False)
        else:
            getattr(bench.engine, end)()
        await asyncio.sleep(10)
        assert storage.claimable(bench.clock.now()) == [0, 0, 0]
        bench.engine.abort()
        await running

    run(story, carrier, storage=storage, run_storage=storage.run)

    assert carrier.carried == []


@pytest.mark.parametrize("end", ["finish", "abort_before_dot", "abort"])
def test_claims_that_are_being_given_back_one_by_one_are_handed_over_where_the_worker_ends(end: str) -> None:
    carrier, storage = Delivers(), Slow(claim_many=4.0, give_back=1.0)

    async def story(bench: Bench) -> None:
        stored(bench, 3)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(2)
        bench.engine.pause()
        await asyncio.sleep(2.5)
        assert len(storage.given_back) == 1
        if end == "finish":
            bench.engine.finish(take_due=False)
        else:
            getattr(bench.engine, end)()
        await running
        assert storage.claimable(bench.clock.now()) == [0, 0, 0]

    run(story, carrier, storage=storage, run_storage=storage.run)


def test_a_worker_that_was_paused_while_it_claimed_takes_all_of_it_when_it_goes_on() -> None:
    carrier, storage = Delivers(), Slow(claim_many=4.0)

    async def story(bench: Bench) -> None:
        stored(bench, 3)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(2)
        bench.engine.pause()
        await asyncio.sleep(10)
        assert carrier.carried == []
        bench.engine.resume()
        await asyncio.sleep(10)
        assert len(carrier.carried) == 3
        await ended(bench, running)

    run(story, carrier, storage=storage, run_storage=storage.run)
