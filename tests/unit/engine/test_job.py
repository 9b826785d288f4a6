"""A job's right to send the final dot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta

import pytest

from mailstrom import MemoryStorage
from mailstrom.abc import Claim
from mailstrom.engine.job import LEASE_MARGIN, Granted, Job, Passed, Stopped
from mailstrom.engine.lanes import Slot
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.submission import Moment, Submission, UnsignedDomains, entry_for
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.loop import VirtualLoop, run_virtual
from tests.builders import a_config, an_email

LEASE_SECS = 60.0


def a_claim(clock: VirtualClock) -> Claim:
    storage = ExclusiveStorage(MemoryStorage(), lease_clock=clock.monotonic)
    moment = Moment(wall=clock.now(), steady=clock.now())
    storage.store([entry_for(Submission(an_email()), a_config(), moment, "1", UnsignedDomains())])
    claim = storage.claim(clock.now(), owner="me", lease=timedelta(seconds=LEASE_SECS))
    assert claim is not None
    return claim


def a_job(clock: VirtualClock, marking: Callable[[Claim], None], mark_secs: float) -> Job:
    """Whose storage takes so long to note the final dot, and calls `marking` meanwhile."""

    async def mark_dot_sent(claim: Claim, _: Collection[str]) -> bool:
        marking(claim)
        await asyncio.sleep(mark_secs)
        return True

    async def settle(_: Job, __: Passed) -> None:
        return

    claim = a_claim(clock)
    return Job(
        Granted(claim=claim, asked_at=clock.monotonic()),
        lease_secs=LEASE_SECS,
        slot=Slot(claim.route_key, claim.route_key),
        chance=0.0,
        now=clock.monotonic,
        mark_dot_sent=mark_dot_sent,
        settle=settle,
    )


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
