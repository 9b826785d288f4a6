"""What is cut off when the worker ends is handed over, in one time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from mailstrom import Config, StorageError
from mailstrom.abc import Claim, InternalRecipientStatus, Settlement, Terms
from mailstrom.engine.hand_over import HAND_OVER_SECS
from mailstrom.engine.job import Job
from mailstrom.engine.thread import run_inline
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
        if call == self.give_back_many:
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
    storage = Watched(give_back_secs=100.0)

    assert cut_off(storage, end) == HAND_OVER_SECS


def test_a_storage_that_fails_is_not_asked_for_each_that_is_cut_off() -> None:
    """Row 47: each might wait for the lock again."""
    storage = Watched(fails=True)

    cut_off(storage, "abort")

    assert storage.given_back == [True]


class InOrder(LateAnswers):
    """Storage calls take their time one after the other, as on the one thread that there is for them."""

    def __init__(self, secs: float) -> None:
        super().__init__(secs)
        self._turn = asyncio.Lock()

    async def _run(self, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        async with self._turn:
            return await super()._run(call, args, kwargs)


class Told(Blocking):
    """Notes in which order it is told of results, and of claims that are given back."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str | int] = []

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        self.told.append("results")
        return super().settle(settlements, now)

    def give_back_many(self, claims: Sequence[Claim]) -> None:
        self.told.append(len(claims))
        super().give_back_many(claims)

    def claimable(self, now: datetime) -> int:
        """How many messages another worker would get at once."""
        return len(self.claim_many(now, Terms(owner="other", lease=LEASE, limit=1000)))


def test_however_much_is_cut_off_is_given_back_in_one_call_of_a_slow_storage() -> None:
    """Else what is behind the time limit waits for the end of its lease."""
    carrier, storage, calls = Delivers(secs=100.0), Told(), InOrder(1.0)

    async def story(bench: Bench) -> None:
        for number in range(30):
            bench.store(number)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(3.5)
        assert len(carrier.carried) == 20
        bench.engine.abort()
        await running
        assert storage.claimable(bench.clock.now()) == 30
        assert storage.told == [20]
        await calls.until_done()

    twenty = Config(helo_name="sender.example", max_sessions=20, max_sessions_per_lane=20, mode="capture")
    run(story, carrier, config=twenty, storage=storage, run_storage=calls)


class OneByOne(Delivers):
    """The first two end one after the other; nobody knows when the others would."""

    async def carry(self, job: Job, recipients: Sequence[InternalRecipientStatus]) -> bool:
        self.secs = (0.5, 0.7, 100.0)[min(len(self.carried), 2)]
        return await super().carry(job, recipients)


@pytest.mark.parametrize("end", ["abort", "abort_before_dot"])
def test_results_are_recorded_before_claims_are_given_back(end: str) -> None:
    """A claim that is not given back is tried a minute later; a result that is lost is sent twice."""
    carrier, storage, calls = OneByOne(), Told(), InOrder(0.4)

    async def story(bench: Bench) -> None:
        for number in range(5):
            bench.store(number)
        running = asyncio.create_task(bench.engine.run())
        while len(carrier.carried) < 5:
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.8)  # one result is being recorded, the next waits for that
        getattr(bench.engine, end)()
        await running
        assert storage.told == ["results", "results", 3]
        assert [event.kind for event in bench.events if event.result is not None] == 2 * [EventKind.DELIVERED]
        await calls.until_done()

    five = Config(helo_name="sender.example", max_sessions=5)
    run(story, carrier, config=five, storage=storage, run_storage=calls)


class NoResults(Told):
    """Records no result, and takes back claims."""

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        super().settle([], now)
        raise StorageError("the disk is full")


def test_claims_are_given_back_also_where_results_cannot_be_recorded() -> None:
    carrier, storage = OneByOne(), NoResults()

    async def story(bench: Bench) -> None:
        for number in range(5):
            bench.store(number)
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(1)
        bench.engine.abort()
        await running
        assert 3 in storage.told
        assert bench.clock.monotonic() == 1 + HAND_OVER_SECS

    five = Config(helo_name="sender.example", max_sessions=5)
    run(story, carrier, config=five, storage=storage, run_storage=run_inline)


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
