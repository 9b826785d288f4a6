"""The engine with a carrier that does as it is told, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from mailstrom import Config
from mailstrom.abc import Claim, InternalRecipientStatus
from mailstrom.engine.events import Event
from mailstrom.engine.job import LEASE_MARGIN, Carrier, Job
from mailstrom.engine.lanes import Lanes
from mailstrom.engine.thread import run_inline
from mailstrom.engine.worker import Engine
from mailstrom.engine.world import World
from mailstrom.schedule.verdict import Scope, Verdict
from mailstrom.status import Phase, WorkerStatus
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.submission import Moment, Submission, UnsignedDomains, entry_for
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.loop import VirtualLoop, run_virtual
from mailstrom.testing.network import MemoryNetwork
from tests.builders import an_email

CONFIG = Config(helo_name="sender.example", max_sessions=3)
LEASE_SECS = CONFIG.lease_secs
DELIVERED = Verdict(state="delivered", scope=Scope.MESSAGE, phase=Phase.DOT)


class Delivers:
    """A carrier that takes `secs` and then says delivered."""

    def __init__(self, secs: float = 0.0) -> None:
        self.secs = secs
        self.carried: list[Claim] = []
        self.ended: list[str] = []

    async def carry(self, job: Job, recipients: Sequence[InternalRecipientStatus]) -> bool:
        self.carried.append(job.claim)
        await asyncio.sleep(self.secs)
        await job.settle({recipient.address: (DELIVERED, ()) for recipient in recipients})
        return True

    async def close(self) -> None:
        self.ended.append("closed")

    async def abort(self) -> None:
        self.ended.append("aborted")


class Bench:
    """An engine with its storage, in a virtual loop."""

    def __init__(self, loop: VirtualLoop, carrier: Delivers, **changes: Any) -> None:
        self.clock = VirtualClock(loop)
        self.storage = changes.pop("storage", None) or ExclusiveStorage(
            MemoryStorage(), lease_clock=self.clock.monotonic
        )
        self.events: list[Event] = []
        self.tries = 0
        self._carrier = carrier
        self._make = changes.pop("make_carrier", self._made)
        self.engine = Engine(
            changes.pop("config", CONFIG),
            self.storage,
            self._world(changes.pop("run_storage", run_inline)),
            self._make,
            owner="me",
            tell=self.events.append,
            changed=lambda _: None,
        )

    async def _made(self, config: Config, world: World, lanes: Lanes) -> Carrier:
        return self._carrier

    def _world(self, run_storage: Callable[..., Awaitable[Any]]) -> World:
        return World(
            clock=self.clock,
            network=MemoryNetwork(),
            make_resolver=lambda: FakeResolver({}),
            run_storage=run_storage,
            chance=random.Random(1),
        )

    def store(self, number: int = 0) -> str:
        moment = Moment(wall=self.clock.now(), steady=self.clock.now())
        entry = entry_for(Submission(an_email()), CONFIG, moment, f"{number}", UnsignedDomains())
        message_id: str = self.storage.store([entry])[0]
        self.engine.wake()
        return message_id


def run(story: Callable[[Bench], Awaitable[None]], carrier: Delivers | None = None, **changes: Any) -> None:
    loop = VirtualLoop()

    async def main() -> None:
        await story(Bench(loop, carrier or Delivers(), **changes))

    run_virtual(main(), loop=loop)


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


class SlowClaims:
    """Storage calls that take their time; what is cancelled meanwhile is done all the same."""

    def __init__(self, secs: float) -> None:
        self.secs = secs
        self.ongoing: set[asyncio.Task[Any]] = set()

    def __call__(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Awaitable[Any]:
        task = asyncio.ensure_future(self._run(call, args, kwargs))
        self.ongoing.add(task)
        task.add_done_callback(self.ongoing.discard)
        return asyncio.shield(task)

    async def until_done(self) -> None:
        while self.ongoing:
            await asyncio.wait(self.ongoing)

    async def _run(self, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        await asyncio.sleep(self.secs)
        return call(*args, **kwargs)


class Blocking(ExclusiveStorage):
    """Says that its calls may take time."""

    def __init__(self) -> None:
        super().__init__(MemoryStorage(), lease_clock=lambda: asyncio.get_running_loop().time())
        self.never_blocks = False


def test_a_claim_that_is_granted_while_the_worker_is_ended_is_given_back() -> None:
    """Else nobody would try it until its lease is over."""
    storage, calls = Blocking(), SlowClaims(5.0)

    async def story(bench: Bench) -> None:
        bench.store()
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(3)
        bench.engine.abort()
        await running
        await calls.until_done()
        again = storage.claim(bench.clock.now(), owner="other", lease=timedelta(seconds=LEASE_SECS), skip=())
        assert again is not None
        assert [recipient.crashes for recipient in again.recipients] == [0]

    run(story, storage=storage, run_storage=calls)


def test_a_lease_counts_from_when_it_was_asked_for() -> None:
    """W5: the storage's clock began then; ours must not end later."""
    left: list[float] = []

    class Looks(Delivers):
        async def carry(self, job: Job, recipients: Sequence[InternalRecipientStatus]) -> bool:
            left.append(job._held_until - job._now())
            return await super().carry(job, recipients)

    async def story(bench: Bench) -> None:
        bench.store()
        running = asyncio.create_task(bench.engine.run())
        await asyncio.sleep(20)
        bench.engine.finish(take_due=False)
        await running

    run(story, Looks(), storage=Blocking(), run_storage=SlowClaims(5.0))

    assert left == [LEASE_SECS - 5.0]
    assert left[0] > LEASE_SECS * LEASE_MARGIN


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


class LateAnswers(SlowClaims):
    """Storage calls that are done at once, and heard of later."""

    async def _run(self, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        found = call(*args, **kwargs)
        await asyncio.sleep(self.secs)
        return found


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
