"""What the worker does for its storage beside delivering, on the virtual clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from mailstrom import MemoryStorage, StorageError
from mailstrom.engine.housekeeping import Housekeeping
from mailstrom.engine.patience import PatientCalls
from mailstrom.engine.thread import run_inline
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.loop import VirtualLoop, run_virtual

LONGEST_WAIT = timedelta(hours=3)


class Cluttered(ExclusiveStorage):
    """Has so many batches to purge, and recipients that are due too late."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(MemoryStorage())
        self.batches = 0
        self.late = 0
        self.purged_at: list[float] = []
        self.pulled_in: list[tuple[float, datetime]] = []
        self.error: Exception | None = None
        self._seconds = clock.monotonic

    def purge(self, now: datetime, *, limit: int = 1000) -> int:
        self.purged_at.append(self._seconds())
        if self.error is not None:
            raise self.error
        self.batches -= 1
        return limit if self.batches >= 0 else 0

    def pull_in(self, latest: datetime) -> int:
        if self.error is not None:
            raise self.error
        self.pulled_in.append((self._seconds(), latest))
        return self.late


class Bench:
    """Housekeeping for a cluttered storage."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.clock = VirtualClock(loop)
        self.storage = Cluttered(self.clock)
        self.is_busy = False
        self.found = 0
        self.housekeeping = Housekeeping(
            self.storage,
            PatientCalls(run_inline, lambda _: None, lambda _: None),
            self.clock,
            LONGEST_WAIT,
            is_busy=lambda: self.is_busy,
            found_work=self._find,
        )

    def _find(self) -> None:
        self.found += 1


def run(story: Callable[[Bench], Awaitable[None]], *, batches: int = 0, busy: bool = False) -> None:
    loop = VirtualLoop()

    async def main() -> None:
        bench = Bench(loop)
        bench.storage.batches, bench.is_busy = batches, busy
        keeping = asyncio.create_task(bench.housekeeping.run())
        await story(bench)
        keeping.cancel()

    run_virtual(main(), loop=loop)


def test_it_purges_batch_by_batch_soon_after_the_start_and_less_often_where_nothing_is_found() -> None:
    async def story(bench: Bench) -> None:
        await asyncio.sleep(2800)
        assert bench.storage.purged_at == [1.0, 1.0, 1.0, 61.0, 181.0, 421.0, 901.0, 1801.0, 2701.0]

    run(story, batches=2)


def test_while_mail_is_being_delivered_it_gives_way_between_two_batches() -> None:
    async def story(bench: Bench) -> None:
        await asyncio.sleep(10)
        assert bench.storage.purged_at == pytest.approx([1.0, 1.1, 1.2])

    run(story, batches=2, busy=True)


def test_due_times_are_pulled_in_at_the_start_and_about_every_hour() -> None:
    """Row 45: no stall after a wall clock that stood far ahead."""

    async def story(bench: Bench) -> None:
        began_at = bench.clock.now()
        await asyncio.sleep(8100)
        assert [round(secs / 60) for secs, _ in bench.storage.pulled_in] == [0, 74, 134]
        secs, latest = bench.storage.pulled_in[0]
        assert latest == began_at + timedelta(seconds=secs) + LONGEST_WAIT

    run(story)


@pytest.mark.parametrize(("late", "woken"), [(0, 0), (3, 1)])
def test_what_was_pulled_in_wakes_the_worker_and_is_told(
    late: int, woken: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 45."""

    async def story(bench: Bench) -> None:
        bench.storage.late = late
        await asyncio.sleep(30)
        assert bench.found == woken
        assert len(caplog.records) == woken

    run(story)


def test_what_fails_is_logged_and_tried_again_a_minute_later(caplog: pytest.LogCaptureFixture) -> None:
    async def story(bench: Bench) -> None:
        bench.storage.error = StorageError("the database is locked")
        await asyncio.sleep(30)
        bench.storage.error = None
        await asyncio.sleep(60)
        assert [round(secs) for secs, _ in bench.storage.pulled_in] == [61]
        assert bench.storage.purged_at == [61.0]

    with caplog.at_level(logging.WARNING, logger="mailstrom"):
        run(story)

    (record,) = caplog.records
    assert "locked" in record.getMessage()
