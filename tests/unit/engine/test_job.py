"""A job's right to send the final dot, and to its place in a lane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

import pytest

from mailstrom import MemoryStorage
from mailstrom.abc import Claim, Outcome
from mailstrom.engine.job import LEASE_MARGIN, Granted, Job, Passed, Stopped
from mailstrom.engine.lanes import Slot
from mailstrom.status import Delivered
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.submission import Moment, Submission, UnsignedDomains, entry_for
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.loop import VirtualLoop, run_virtual
from tests.builders import a_config, an_email

LEASE_SECS = 60.0


def a_claim(clock: VirtualClock, to: Sequence[str]) -> Claim:
    storage = ExclusiveStorage(MemoryStorage(), lease_clock=clock.monotonic)
    moment = Moment(wall=clock.now(), steady=clock.now())
    storage.store([entry_for(Submission(an_email(to=list(to))), a_config(), moment, "1", UnsignedDomains())])
    claim = storage.claim(clock.now(), owner="me", lease=timedelta(seconds=LEASE_SECS))
    assert claim is not None
    return claim


def a_job(
    clock: VirtualClock,
    marking: Callable[[Claim], None] = lambda _: None,
    mark_secs: float = 0.0,
    *,
    to: Sequence[str] = ("you@dest.example",),
    left: Callable[[Slot], None] = lambda _: None,
) -> Job:
    """Whose storage takes so long to note the final dot, and calls `marking` meanwhile."""

    async def read_content(_: Claim, __: int) -> bytes | None:
        return None

    async def mark_dot_sent(claim: Claim, _: Collection[str]) -> bool:
        marking(claim)
        await asyncio.sleep(mark_secs)
        return True

    async def settle(_: Job, __: Passed) -> None:
        return

    claim = a_claim(clock, to)
    job = Job(
        Granted(claim=claim, asked_at=clock.monotonic()),
        lease_secs=LEASE_SECS,
        chance=0.0,
        now=clock.monotonic,
        read_content=read_content,
        mark_dot_sent=mark_dot_sent,
        settle=settle,
        delivered=left,
    )
    job.slot = Slot(claim.route_key, claim.route_key)
    return job


def may_send_dot(mark_secs: float, marking: Callable[[Job, Claim], None] = lambda *_: None) -> bool:
    loop = VirtualLoop()

    async def main() -> bool:
        job = a_job(VirtualClock(loop), lambda claim: marking(job, claim), mark_secs)
        return await job.may_send_dot(list(job.open))

    return run_virtual(main(), loop=loop)


@pytest.mark.parametrize(("over", "may"), [(-1.0, True), (1.0, False)])
def test_a_lease_that_ends_while_the_dot_is_noted_is_not_used_for_it(over: float, may: bool) -> None:
    """W5, row 52: the storage may take longer than the lease lasts; the margin is the same."""
    assert may_send_dot(LEASE_SECS * (1 - LEASE_MARGIN) + over) is may


def test_a_lease_that_is_prolonged_while_the_dot_is_noted_is_good() -> None:
    assert may_send_dot(LEASE_SECS, lambda job, claim: job.renewed(claim, LEASE_SECS))


def test_a_lease_that_ended_before_it_was_prolonged_is_not_used_for_a_dot() -> None:
    """Somebody may have been cancelled in between."""
    assert not may_send_dot(LEASE_SECS + 2.0, lambda job, claim: job.renewed(claim, LEASE_SECS + 1.0))


def test_a_job_that_is_stopped_while_the_dot_is_noted_does_not_send_it() -> None:
    """Row 54: what has not sent its final dot is aborted."""
    with pytest.raises(Stopped):
        may_send_dot(1.0, lambda job, _: job.stop())


# The lane


def left_after(*settling: Sequence[str], away_secs: float = 0.0) -> list[int]:
    """How often the slot was given back after each of these settlements, of a job for two, and at its end."""
    loop = VirtualLoop()

    async def main() -> list[int]:
        left: list[Slot] = []
        job = a_job(VirtualClock(loop), to=("a@dest.example", "b@dest.example"), left=left.append)
        await asyncio.sleep(away_secs)
        counts = []
        for addresses in settling:
            outcomes = [Outcome(address=each, result=Delivered(tries=1)) for each in addresses]
            job.begin_settling(outcomes, loop.create_future())
            counts.append(len(left))
            job.settled()
        job.leave_lane()
        return [*counts, len(left)]

    return run_virtual(main(), loop=loop)


def test_a_slot_is_free_once_the_last_results_are_on_their_way() -> None:
    """The storage may take its time: nobody is asked any more."""
    assert left_after(["a@dest.example"], ["b@dest.example"]) == [0, 1, 1]
    assert left_after(["a@dest.example", "b@dest.example"]) == [1, 1]


def test_a_slot_is_given_back_once_at_the_end_of_a_job_that_settles_nothing() -> None:
    assert left_after() == [1]


def test_where_the_lease_may_be_over_the_slot_is_kept_until_the_end() -> None:
    """Else what was sent would be claimed again before it is recorded."""
    assert left_after(["a@dest.example", "b@dest.example"], away_secs=LEASE_SECS) == [0, 1]
