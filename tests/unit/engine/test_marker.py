"""Marks before final dots share a call of the storage while it is busy, and each hears its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

import pytest

from mailstrom import MemoryStorage, StorageError
from mailstrom.abc import Claim, Order, Selection
from mailstrom.engine.marker import Marker
from mailstrom.engine.patience import PatientCalls
from mailstrom.status import WorkerStatus
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.submission import Moment, Submission, UnsignedDomains, entry_for
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.loop import VirtualLoop, run_virtual
from mailstrom.testing.storage_kit import addresses_of
from tests.builders import a_config, an_email

CALL_SECS = 5.0
LEASE = timedelta(hours=1)

Dots = Sequence[tuple[Claim, Collection[str]]]


class Counted(ExclusiveStorage):
    """Notes for which claims each call was, and fails while it is told to."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(MemoryStorage(), lease_clock=clock.monotonic)
        self.never_blocks = False
        self.calls: list[tuple[float, list[int]]] = []
        self.fails = False
        self._seconds = clock.monotonic

    def mark_dots_sent(self, dots: Dots) -> list[bool]:
        self.calls.append((self._seconds(), [claim.token for claim, _ in dots]))
        if self.fails:
            raise StorageError("the database is away")
        return super().mark_dots_sent(dots)


class Bench:
    """A marker over a storage that takes its time for each call."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.clock = VirtualClock(loop)
        self.storage = Counted(self.clock)
        self.statuses: list[WorkerStatus] = []
        calls = PatientCalls(self._slowly, self.statuses.append, self.statuses.append)
        self.marker = Marker(self.storage, calls)

    def claims(self, count: int) -> list[Claim]:
        """Claims of a message each."""
        moment = Moment(wall=self.clock.now(), steady=self.clock.now())
        for number in range(count):
            entry = entry_for(Submission(an_email()), a_config(), moment, f"{number}", UnsignedDomains())
            self.storage.store([entry])
        found = [self.storage.claim(self.clock.now(), owner="me", lease=LEASE) for _ in range(count)]
        return [claim for claim in found if claim is not None]

    def mark(self, claim: Claim) -> asyncio.Task[bool]:
        """Begins to mark all recipients of the claim."""
        return asyncio.create_task(self.marker.mark(claim, addresses_of(claim)))

    def is_marked(self, claim: Claim) -> bool:
        """Whether the mark is in the storage."""
        return self.storage.retrieve_status(claim.email.message_id).recipients[0].dot_sent

    async def _slowly(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        found = call(*args, **kwargs)
        await asyncio.sleep(CALL_SECS)
        return found


def run(story: Callable[[Bench], Awaitable[None]]) -> None:
    loop = VirtualLoop()

    async def main() -> None:
        bench = Bench(loop)
        marking = asyncio.create_task(bench.marker.run())
        await story(bench)
        marking.cancel()

    run_virtual(main(), loop=loop)


def test_a_mark_that_comes_alone_is_made_at_once_and_alone() -> None:
    async def story(bench: Bench) -> None:
        (claim,) = bench.claims(1)
        await asyncio.sleep(1)

        assert await bench.mark(claim)

        assert bench.storage.calls == [(1.0, [claim.token])]

    run(story)


def test_marks_that_are_asked_for_while_the_storage_is_at_work_share_its_next_call() -> None:
    async def story(bench: Bench) -> None:
        first, *others = bench.claims(4)
        marking = [bench.mark(first)]
        await asyncio.sleep(1)
        marking += [bench.mark(claim) for claim in others]

        assert await asyncio.gather(*marking) == [True] * 4

        tokens = [claim.token for claim in others]
        assert bench.storage.calls == [(0.0, [first.token]), (CALL_SECS, tokens)]

    run(story)


def test_each_hears_the_answer_to_its_own_mark() -> None:
    async def story(bench: Bench) -> None:
        first, lost, stopped, fine = bench.claims(4)
        busy = bench.mark(first)
        await asyncio.sleep(1)
        bench.storage.give_back(lost)
        selection = Selection(message_id=stopped.email.message_id)
        bench.storage.order(Order.CANCEL, selection, bench.clock.now())
        marking = [bench.mark(claim) for claim in (lost, stopped, fine)]

        assert [await busy, *await asyncio.gather(*marking)] == [True, False, False, True]

        assert [bench.is_marked(claim) for claim in (lost, stopped, fine)] == [False, False, True]

    run(story)


def test_a_storage_that_fails_denies_all_marks_of_that_call_and_the_next_call_works() -> None:
    """Row 46: a dot that is not noted is not sent."""

    async def story(bench: Bench) -> None:
        first, *others, later = bench.claims(4)
        busy = bench.mark(first)
        await asyncio.sleep(1)
        denied = [bench.mark(claim) for claim in others]
        bench.storage.fails = True
        assert [await busy, *await asyncio.gather(*denied)] == [True, False, False]
        bench.storage.fails = False

        assert await bench.mark(later)

        assert len(bench.storage.calls) == 3
        failed = WorkerStatus.STORAGE_WRITE_FAILED
        assert bench.statuses == [failed] * 3  # recovered, in trouble, recovered

    run(story)


def test_who_is_cut_off_before_the_call_is_not_marked_and_harms_nobody() -> None:
    """What is not sent must not look as if it might have been."""

    async def story(bench: Bench) -> None:
        first, gone, fine = bench.claims(3)
        busy = bench.mark(first)
        await asyncio.sleep(1)
        leaving, staying = bench.mark(gone), bench.mark(fine)
        await asyncio.sleep(1)
        leaving.cancel()

        assert [await busy, await staying] == [True, True]

        assert bench.storage.calls[-1] == (CALL_SECS, [fine.token])
        assert not bench.is_marked(gone)

    run(story)


def test_who_is_cut_off_during_the_call_takes_no_answer_from_the_others() -> None:
    async def story(bench: Bench) -> None:
        first, gone, fine, later = bench.claims(4)
        busy = bench.mark(first)
        await asyncio.sleep(1)
        leaving, staying = bench.mark(gone), bench.mark(fine)
        await busy
        await asyncio.sleep(1)
        leaving.cancel()

        assert await staying
        assert await bench.mark(later)

        assert bench.storage.calls[1][1] == [gone.token, fine.token]

    run(story)


def test_where_all_are_cut_off_before_the_call_the_next_mark_is_made() -> None:
    async def story(bench: Bench) -> None:
        first, gone, later = bench.claims(3)
        busy = bench.mark(first)
        await asyncio.sleep(1)
        leaving = bench.mark(gone)
        await asyncio.sleep(1)
        leaving.cancel()
        await busy

        assert await bench.mark(later)

        assert [tokens for _, tokens in bench.storage.calls if tokens] == [[first.token], [later.token]]

    run(story)


@pytest.mark.parametrize(("fails", "may"), [(False, True), (True, False)])
def test_where_the_storage_never_blocks_a_mark_waits_for_no_other_task(fails: bool, may: bool) -> None:
    loop = VirtualLoop()

    async def main() -> bool:
        bench = Bench(loop)  # nobody runs the marker
        bench.storage.never_blocks = True
        bench.storage.fails = fails
        (claim,) = bench.claims(1)
        return await bench.mark(claim)

    assert run_virtual(main(), loop=loop) is may
