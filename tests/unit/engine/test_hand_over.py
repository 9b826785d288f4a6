"""What is cut off when the worker ends is handed over, in one time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from mailstrom import StorageError
from mailstrom.abc import Claim, Terms
from mailstrom.engine.hand_over import HAND_OVER_SECS
from mailstrom.event import EventKind
from tests.unit.engine.worker_bench import LEASE_SECS, Bench, Blocking, Delivers, LateAnswers, SlowClaims, run

LEASE = timedelta(seconds=LEASE_SECS)


class Watched(Blocking):
    """Notes what is asked of it when deliveries are cut off, and who asks: only its runner may."""

    def __init__(self, *, give_back_secs: float = 0.0, fails: bool = False) -> None:
        super().__init__()
        self.given_back: list[bool] = []
        self._in_runner = False
        self.give_back_secs = give_back_secs
        self._fails = fails

    async def run(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._in_runner = True
        try:
            found = call(*args, **kwargs)
        finally:
            self._in_runner = False
        if call == self.give_back:
            await asyncio.sleep(self.give_back_secs)
        return found

    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        self.given_back.append(self._in_runner)
        if self._fails:
            raise StorageError("the database is locked")
        super().give_back(claim, not_before)


def cut_off(storage: Watched, end: str) -> float:
    """Cuts off three deliveries; the seconds that the end took."""
    took: list[float] = []

    async def story(bench: Bench) -> None:
        for number in range(3):
            bench.store(number)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(1)
        getattr(bench.engine, end)()
        await asyncio.sleep(0)
        await asyncio.sleep(0.5 if storage.give_back_secs else 0)
        bench.engine.abort()  # as die() after close()
        await running
        took.append(bench.clock.monotonic() - 1)

    run(story, Delivers(secs=100.0), storage=storage, run_storage=storage.run)
    return took[0]


@pytest.mark.parametrize("times", [1, 2])
def test_claims_that_are_granted_while_the_worker_is_ended_are_given_back(times: int) -> None:
    """Else nobody would try them until their leases are over; also where it is ended once more meanwhile."""
    storage, calls = Blocking(), SlowClaims(1.0)

    async def story(bench: Bench) -> None:
        for number in range(3):
            bench.store(number)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(0.6)
        for _ in range(times):
            bench.engine.abort()
            await asyncio.sleep(0.1)
        await running
        await calls.until_done()
        again = storage.claim_many(bench.clock.now(), Terms(owner="other", lease=LEASE, limit=3))
        assert [each.crashes for claim in again for each in claim.recipients] == [0, 0, 0]

    run(story, storage=storage, run_storage=calls)


@pytest.mark.parametrize("end", ["abort", "abort_before_dot"])
def test_what_is_cut_off_is_given_back_where_storage_calls_run(end: str) -> None:
    """Row 54: the loop has replies to final dots to read meanwhile."""
    storage = Watched()

    assert cut_off(storage, end) == 0.0

    assert storage.given_back == [True, True, True]


@pytest.mark.parametrize("end", ["abort", "abort_before_dot"])
def test_a_storage_that_hangs_holds_up_the_end_for_one_time_limit_however_much_is_cut_off(end: str) -> None:
    """Row 47."""
    storage = Watched(give_back_secs=4.0)

    assert cut_off(storage, end) == HAND_OVER_SECS

    assert len(storage.given_back) == 2


def test_a_storage_that_fails_is_not_asked_for_each_that_is_cut_off() -> None:
    """Row 47: each might wait for the lock again."""
    storage = Watched(fails=True)

    cut_off(storage, "abort")

    assert storage.given_back == [True]


def test_a_worker_that_is_ended_while_a_commit_is_under_way_tells_its_results_once() -> None:
    """Row 49: the commit is done when the delivery is cut off, and the storage has not said so yet."""
    calls = LateAnswers(2.0)

    async def story(bench: Bench) -> None:
        message_id = bench.store()
        running = asyncio.create_task(bench.engine.run())
        while not bench.storage.retrieve_status(message_id).public().succeeded:
            await asyncio.sleep(0.1)
        assert [event.kind for event in bench.events if event.result is not None] == []
        bench.engine.abort()
        await running
        await calls.until_done()
        assert [event.kind for event in bench.events if event.result is not None] == [EventKind.DELIVERED]

    run(story, storage=Blocking(), run_storage=calls)
