"""Results share a commit where the storage is busy, and wait for nothing where it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from mailstrom import MemoryStorage, StorageError, StorageFull
from mailstrom.abc import CLAIM_LIMIT, Claim, Outcome, Settlement
from mailstrom.engine.committer import COMMIT_LIMIT, ENOUGH, SOON_SECS, Committer
from mailstrom.engine.marker import Marker
from mailstrom.engine.patience import PatientCalls
from mailstrom.event import Commit, Event
from mailstrom.status import Delivered, WorkerStatus
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.submission import Moment, Submission, UnsignedDomains, entry_for
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.loop import VirtualLoop, run_virtual
from mailstrom.testing.storage_kit import addresses_of
from tests.builders import a_config, an_email

COMMIT_SECS = 5.0
LEASE = timedelta(hours=1)


class Counted(ExclusiveStorage):
    """Notes which claims each commit was for, and fails while it is told to."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(MemoryStorage(), lease_clock=clock.monotonic)
        self.never_blocks = False
        self.commits: list[tuple[float, list[int]]] = []
        self.fails = False
        self.refused: set[int] = set()  # tokens of what cannot be recorded
        self.too_large: set[int] = set()  # tokens of what the room that is left does not hold
        self._seconds = clock.monotonic

    def settle(self, settlements: Sequence[Settlement], *args: Any) -> list[bool]:
        tokens = [each.claim.token for each in settlements]
        self.commits.append((self._seconds(), tokens))
        for token in tokens:
            if token in self.too_large:
                raise StorageFull("the disk is full")
            if self.fails or token in self.refused:
                raise StorageError("the disk is broken")
        return super().settle(settlements, *args)


class Ticking(VirtualClock):
    """Half a second passes between two looks at it."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return super().monotonic() + self.looks / 2


class Bench:
    """A committer over a storage that takes its time for each call."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.clock = VirtualClock(loop)
        self.storage = Counted(self.clock)
        self.statuses: list[WorkerStatus] = []
        self.events: list[Event] = []
        self.woken = 0
        calls = PatientCalls(self._slowly, self.statuses.append, lambda _: None)
        self.marker = Marker(self.storage, calls)
        self.committer = Committer(
            self.storage, calls, Ticking(loop), self._wake, self.events.append, self.marker
        )

    def claims(self, count: int, recipients: int = 1) -> list[Claim]:
        """Claims of a message each, which has so many recipients."""
        email = an_email(to=[f"u{number}@dest.example" for number in range(recipients)])
        moment = Moment(wall=self.clock.now(), steady=self.clock.now())
        for number in range(count):
            entry = entry_for(Submission(email), a_config(), moment, f"{number}", UnsignedDomains())
            self.storage.store([entry])
        found = [self.storage.claim(self.clock.now(), owner="me", lease=LEASE) for _ in range(count)]
        return [claim for claim in found if claim is not None]

    def settle(self, claim: Claim) -> asyncio.Future[bool]:
        """Begins to settle it: delivered."""
        delivered = [Outcome(address=r.address, result=Delivered(tries=1)) for r in claim.recipients]
        return self.committer.settle(claim, delivered)

    def mark(self, claim: Claim) -> asyncio.Task[bool]:
        """Begins to mark all its recipients: their final dot is about to be sent."""
        return asyncio.create_task(self.marker.mark(claim, addresses_of(claim)))

    async def _slowly(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        found = call(*args, **kwargs)
        await asyncio.sleep(COMMIT_SECS)
        return found

    def _wake(self) -> None:
        self.woken += 1


def run(story: Callable[[Bench], Awaitable[None]]) -> None:
    loop = VirtualLoop()

    async def main() -> None:
        bench = Bench(loop)
        recording = [asyncio.create_task(each.run()) for each in (bench.committer, bench.marker)]
        await story(bench)
        for task in recording:
            task.cancel()

    run_virtual(main(), loop=loop)


def test_where_calls_return_at_once_a_result_is_recorded_without_waiting() -> None:
    async def story(bench: Bench) -> None:
        bench.storage.never_blocks = True
        first, second, third = bench.claims(3)

        assert bench.settle(first).done()
        bench.storage.fails = True
        assert not bench.settle(second).done()
        bench.storage.fails = False
        behind = bench.settle(third)

        assert not behind.done()  # what waits goes first
        assert await behind
        assert [tokens for _, tokens in bench.storage.commits] == [[1], [2], [2, 3]]

    run(story)


def test_a_result_that_comes_alone_is_committed_at_once_and_alone() -> None:
    async def story(bench: Bench) -> None:
        (claim,) = bench.claims(1)
        await asyncio.sleep(1)

        assert await bench.settle(claim)

        assert bench.storage.commits == [(1.0, [claim.token])]

    run(story)


def test_a_commit_is_told_with_its_size_and_the_time_it_took_and_a_failure_is_not() -> None:
    async def story(bench: Bench) -> None:
        first, *others = bench.claims(3)
        bench.storage.fails = True
        settling = [bench.settle(first)]
        await asyncio.sleep(0.5)
        settling += [bench.settle(claim) for claim in others]
        bench.storage.fails = False

        await asyncio.gather(*settling)

        assert [event.commit for event in bench.events] == [Commit(results=3, duration_secs=0.5)]

    run(story)


def test_results_that_come_while_the_storage_is_at_work_share_its_next_commit() -> None:
    async def story(bench: Bench) -> None:
        first, *others = bench.claims(4)
        settling = [bench.settle(first)]
        await asyncio.sleep(1)
        settling += [bench.settle(claim) for claim in others]

        assert await asyncio.gather(*settling) == [True] * 4

        tokens = [claim.token for claim in others]
        assert bench.storage.commits == [(0.0, [first.token]), (COMMIT_SECS, tokens)]

    run(story)


def test_results_let_the_marks_go_first_for_which_sessions_wait() -> None:
    async def story(bench: Bench) -> None:
        done, also_done, *sending = bench.claims(4)
        marking = [bench.mark(sending[0])]
        await asyncio.sleep(1)
        kept = [bench.settle(done), bench.settle(also_done)]
        marking.append(bench.mark(sending[1]))

        assert await asyncio.gather(*kept) == [True, True]

        assert all(each.done() for each in marking)
        tokens = [done.token, also_done.token]
        assert bench.storage.commits == [(2 * COMMIT_SECS, tokens)]

    run(story)


def test_results_let_nobody_go_first_once_they_are_many() -> None:
    async def story(bench: Bench) -> None:
        sending, *done = bench.claims(1 + ENOUGH)
        marking = bench.mark(sending)
        await asyncio.sleep(1)
        kept = [bench.settle(claim) for claim in done]

        assert all(await asyncio.gather(*kept))

        assert marking.done()
        assert bench.storage.commits == [(1.0, [claim.token for claim in done])]

    run(story)


def test_results_of_many_recipients_are_recorded_in_several_commits_one_after_the_other() -> None:
    """All of them at once would be in memory together, several times over."""
    most = COMMIT_LIMIT // CLAIM_LIMIT

    async def story(bench: Bench) -> None:
        first, *others = bench.claims(1 + 2 * most + 5, recipients=CLAIM_LIMIT)
        settling = [bench.settle(first)]
        await asyncio.sleep(1)
        settling += [bench.settle(claim) for claim in others]

        assert all(await asyncio.gather(*settling))

        assert [len(tokens) for _, tokens in bench.storage.commits] == [1, most, most, 5]
        assert [token for _, tokens in bench.storage.commits for token in tokens] == [
            claim.token for claim in (first, *others)
        ]

    run(story)


def test_each_hears_of_its_own_claim() -> None:
    async def story(bench: Bench) -> None:
        first, lost, kept = bench.claims(3)
        busy = bench.settle(first)
        await asyncio.sleep(1)
        bench.storage.give_back(lost)
        settling = [bench.settle(lost), bench.settle(kept)]

        assert [await busy, *await asyncio.gather(*settling)] == [True, False, True]

    run(story)


def test_what_fails_is_tried_again_with_all_that_came_since_and_says_so_until_it_works() -> None:
    """Rows 46 to 48: results kept, claiming stops, resumes alone."""

    async def story(bench: Bench) -> None:
        first, second = bench.claims(2)
        bench.storage.fails = True
        settling = [bench.settle(first)]
        await asyncio.sleep(0.5)
        assert bench.committer.is_stuck
        settling.append(bench.settle(second))
        bench.storage.fails = False

        assert await asyncio.gather(*settling) == [True, True]

        assert bench.storage.commits == [(0.0, [first.token]), (1.0, [first.token, second.token])]
        assert (bench.committer.is_stuck, bench.woken) == (False, 1)
        assert bench.statuses == [WorkerStatus.STORAGE_WRITE_FAILED]

    run(story)


def test_a_result_is_recorded_also_where_nobody_waits_for_it_any_more() -> None:
    """Row 54: a reply that came is not forgotten because its delivery is cut off."""

    async def story(bench: Bench) -> None:
        first, second = bench.claims(2)
        busy = bench.settle(first)
        await asyncio.sleep(1)
        bench.settle(second).cancel()

        await busy
        await asyncio.sleep(2 * COMMIT_SECS)

        assert bench.storage.commits == [(0.0, [first.token]), (COMMIT_SECS, [second.token])]

    run(story)


def test_a_result_that_the_storage_refuses_does_not_hold_up_those_that_it_takes() -> None:
    """Row 56: each is tried alone after some failures; what fails then is set aside, and kept."""

    async def story(bench: Bench) -> None:
        bad, *good = bench.claims(3)
        bench.storage.refused = {bad.token}
        settling = [bench.settle(claim) for claim in (bad, *good)]

        assert await asyncio.gather(*settling[1:]) == [True, True]
        assert (bench.committer.is_stuck, settling[0].done()) == (False, False)

        bench.storage.refused = set()
        assert await settling[0]

    run(story)


def test_what_is_set_aside_is_tried_again_a_few_seconds_later() -> None:
    """Not at the next of some minutes that are counted all the time: an idle worker sleeps."""

    async def story(bench: Bench) -> None:
        bad, good = bench.claims(2)
        await asyncio.sleep(SOON_SECS / 2)
        bench.storage.refused = {bad.token}
        settling = [bench.settle(claim) for claim in (bad, good)]
        await settling[1]
        set_aside_at = bench.clock.monotonic()
        bench.storage.refused = set()

        assert await settling[0]

        assert bench.storage.commits[-1] == (set_aside_at + SOON_SECS, [bad.token])

    run(story)


def test_what_is_refused_again_and_again_is_tried_but_once_a_minute() -> None:
    async def story(bench: Bench) -> None:
        bad, good = bench.claims(2)
        bench.storage.refused = {bad.token}
        settling = [bench.settle(claim) for claim in (bad, good)]
        await settling[1]
        bench.storage.commits.clear()

        await asyncio.sleep(3600)

        assert 60 < len(bench.storage.commits) < 70
        settling[0].cancel()

    run(story)


def test_a_result_that_is_set_aside_delays_no_commit_of_others() -> None:
    async def story(bench: Bench) -> None:
        bad, good, later = bench.claims(3)
        bench.storage.refused = {bad.token}
        settling = [bench.settle(claim) for claim in (bad, good)]
        await settling[1]
        bench.storage.commits.clear()

        assert await bench.settle(later)

        assert [tokens for _, tokens in bench.storage.commits][:1] == [[later.token]]
        settling[0].cancel()

    run(story)


def test_while_there_is_no_room_nothing_is_set_aside_or_admitted_though_less_would_fit() -> None:
    """Row 46: claiming stops until there is room for all that waits, and goes on within ten seconds then."""

    async def story(bench: Bench) -> None:
        large, *small = bench.claims(3)
        bench.storage.too_large = {large.token}
        settling = [bench.settle(claim) for claim in (large, *small)]
        for _ in range(300):
            await asyncio.sleep(1)
            assert (bench.committer.is_stuck, bench.committer.admits_one) == (True, False)
        assert not any(each.done() for each in settling)
        assert 30 <= len(bench.storage.commits) <= 50  # it looks for room every eight seconds

        bench.storage.too_large = set()
        async with asyncio.timeout(10 + COMMIT_SECS):
            assert await asyncio.gather(*settling) == [True] * 3
        assert not bench.committer.is_stuck

    run(story)


def test_where_there_is_no_room_beside_what_is_refused_only_the_refused_is_set_aside() -> None:
    """Rows 46 and 56 at once."""

    async def story(bench: Bench) -> None:
        refused, good, large = bench.claims(3)
        bench.storage.refused, bench.storage.too_large = {refused.token}, {large.token}
        settling = [bench.settle(claim) for claim in (refused, good, large)]

        assert await settling[1]
        await asyncio.sleep(100)
        assert bench.committer.is_stuck
        assert not settling[2].done()

        bench.storage.too_large = set()
        assert await settling[2]
        assert not bench.committer.is_stuck
        settling[0].cancel()

    run(story)


def test_a_storage_that_takes_nothing_stays_stuck_whatever_waits_and_loses_nothing() -> None:
    """Row 48: a single result that fails says something only where another succeeds."""

    async def story(bench: Bench) -> None:
        claims = bench.claims(5)
        bench.storage.fails = True
        settling = [bench.settle(claim) for claim in claims]
        await asyncio.sleep(300)
        assert (bench.committer.is_stuck, any(each.done() for each in settling)) == (True, False)

        bench.storage.fails = False
        assert await asyncio.gather(*settling) == [True] * 5

    run(story)


def test_where_a_lone_result_fails_for_long_one_claim_is_admitted() -> None:
    """Row 56: there is no other result to tell whose fault it is; half a minute is an outage."""

    async def story(bench: Bench) -> None:
        (claim,) = bench.claims(1)
        bench.storage.fails = True
        settling = bench.settle(claim)
        await asyncio.sleep(30)
        assert not bench.committer.admits_one
        await asyncio.sleep(30)
        assert (bench.committer.is_stuck, bench.committer.admits_one) == (True, True)

        bench.storage.fails = False
        assert await settling
        assert not bench.committer.admits_one

    run(story)
