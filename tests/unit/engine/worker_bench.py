"""An engine with a carrier that does as it is told, in virtual time: what the tests of the worker share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from mailstrom import Config
from mailstrom.abc import Claim, InternalRecipientStatus, Settlement, Terms
from mailstrom.engine.contacts import Contacts
from mailstrom.engine.events import Board
from mailstrom.engine.job import Carrier, Job
from mailstrom.engine.thread import run_inline
from mailstrom.engine.worker import Engine
from mailstrom.engine.world import World
from mailstrom.event import Event
from mailstrom.schedule.verdict import Scope, Verdict
from mailstrom.status import Phase
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
            board=Board(),
        )

    async def _made(self, config: Config, world: World, contacts: Contacts) -> Carrier:
        return self._carrier

    def _world(self, run_storage: Callable[..., Awaitable[Any]]) -> World:
        return World(
            clock=self.clock,
            network=MemoryNetwork(),
            make_resolver=lambda: FakeResolver({}),
            run_storage=run_storage,
            chance=random.Random(1),
        )

    def store(self, number: int = 0, **options: Any) -> str:
        moment = Moment(wall=self.clock.now(), steady=self.clock.now())
        entry = entry_for(Submission(an_email(), **options), CONFIG, moment, f"{number}", UnsignedDomains())
        message_id: str = self.storage.store([entry])[0]
        self.engine.wake()
        return message_id


def run(story: Callable[[Bench], Awaitable[None]], carrier: Delivers | None = None, **changes: Any) -> None:
    loop = VirtualLoop()

    async def main() -> None:
        await story(Bench(loop, carrier or Delivers(), **changes))

    run_virtual(main(), loop=loop)


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


class LateAnswers(SlowClaims):
    """Storage calls that are done at once, and heard of later."""

    async def _run(self, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        found = call(*args, **kwargs)
        await asyncio.sleep(self.secs)
        return found


class Blocking(ExclusiveStorage):
    """Says that its calls may take time."""

    def __init__(self) -> None:
        super().__init__(MemoryStorage(), lease_clock=lambda: asyncio.get_running_loop().time())
        self.never_blocks = False


class Slow(Blocking):
    """Is heard of late in some of its calls, by its runner: `Slow(settle=5.0)`, in seconds."""

    def __init__(self, **secs: float) -> None:
        super().__init__()
        self.secs = secs
        self.steps: list[int] = []  # how many claims each call granted
        self.given_back: list[int] = []  # tokens
        self._called = ""

    async def run(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The storage's runner."""
        self._called = ""
        found = call(*args, **kwargs)
        await asyncio.sleep(self.secs.get(self._called, 0.0))
        return found

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        self._called = "claim_many"
        claims = super().claim_many(now, terms)
        self.steps.append(len(claims))
        return claims

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        self._called = "settle"
        return super().settle(settlements, now)

    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        self._called = "give_back"
        self.given_back.append(claim.token)
        super().give_back(claim, not_before)

    def claimable(self, now: datetime) -> list[int]:
        """The crashes of each recipient that another worker would get."""
        lease = timedelta(seconds=LEASE_SECS)
        claims = super().claim_many(now, Terms(owner="other", lease=lease, limit=1000))
        return [recipient.crashes for claim in claims for recipient in claim.recipients]
