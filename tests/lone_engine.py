"""The engine alone, without the facade and its threads, in one virtual loop with the test's own coroutine.

    async def story(sim: LoneEngine) -> None:
        server = sim.host("mx.example.net", "192.0.2.25", SmtpServer())
        message_id = sim.send_email(an_email)
        status = await sim.wait(message_id)
        assert status.succeeded

    simulate(story, zone={"example.net": {"MX": [[10, "mx.example.net."]]}})

Preparation, storage, routing, SMTP, TLS and retries are the real thing; the test steps in between
their callbacks. What takes a `Mailstrom`, or several processes, is told in a
`mailstrom.testing.simulation.Simulation`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, Unpack

from mailstrom.abc import Order, SharedStorage, Storage
from mailstrom.config import Config
from mailstrom.engine.carriers import carrier_maker
from mailstrom.engine.events import Board
from mailstrom.engine.local import Outbox
from mailstrom.engine.shared_clock import queue_clock
from mailstrom.engine.steering import Steering
from mailstrom.engine.thread import run_inline
from mailstrom.engine.worker import Engine
from mailstrom.engine.world import World
from mailstrom.event import Event
from mailstrom.explanation import Explanation, explained
from mailstrom.selection import Chosen, selection_of
from mailstrom.status import MessageStatus
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.submission import Moment, Submission, UnsignedDomains, entries_for
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.dns import FakeResolver, Zone
from mailstrom.testing.loop import VirtualLoop, run_virtual
from mailstrom.testing.network import Handler, MemoryNetwork
from mailstrom.testing.world import HELO_NAME

T = TypeVar("T")
H = TypeVar("H", bound=Handler)


class LoneEngine:
    """An engine, its queue, its network and its DNS, all in one virtual event loop.

    `network`, `resolver`, `clock`, `storage` and `outbox` can be looked at and changed while
    the story runs; `events` is what observers would have been told, in order.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        *,
        config: Config | None = None,
        zone: Mapping[str, Mapping[str, object]] | None = None,
        storage: Storage | SharedStorage | None = None,
        seed: int = 0,
    ) -> None:
        self.loop = loop
        self.config = config or Config(helo_name=HELO_NAME)
        self.zone = Zone({name: dict(records) for name, records in (zone or {}).items()})
        self.network = MemoryNetwork()
        self.resolver = FakeResolver(self.zone)
        self.clock = VirtualClock(loop)
        self.storage = self._shared(storage)
        self.outbox = Outbox()
        self._unsigned = UnsignedDomains()
        self.events: list[Event] = []
        self._steady = queue_clock(self.clock, self.storage)
        self._chance = random.Random(seed)
        self._board = Board()
        self._engine: Engine | None = None
        self._task: asyncio.Task[None] | None = None

    # --- setting the scene

    def host(self, name: str, ip: str, handler: H, *, port: int = 25) -> H:
        """A mail host: its address in the zone, `handler` at its port; returns the handler."""
        self.zone.add_address(name, ip)
        self.network.listen(ip, port, handler)
        return handler

    # --- what an application does

    def start(self) -> None:
        """Starts the worker, or one that takes the place of the last."""
        self._engine = Engine(
            self.config,
            self.storage,
            self._world(),
            carrier_maker(self.outbox, self.events.append),
            owner=f"simulation-{self._chance.random()}",
            tell=self.events.append,
            board=self._board,
        )
        self._task = self.loop.create_task(self._engine.run())

    @property
    def engine(self) -> Engine:
        """The running engine."""
        assert self._engine is not None, "start() comes first"
        return self._engine

    def send_email(self, email: Any, **options: Any) -> str:
        """As `Mailstrom.send_email`."""
        return self.send_emails([Submission(email, **options)])[0]

    def send_emails(self, submissions: list[Submission]) -> list[str]:
        """As `Mailstrom.send_emails`."""
        moment = Moment(wall=self.clock.now(), steady=self._steady.now())
        new_ids = iter(lambda: f"{self._chance.getrandbits(96):024x}", None)
        ids = self.storage.store(entries_for(submissions, self.config, moment, new_ids, self._unsigned))
        if self._engine is not None:
            self._engine.wake()
        return ids

    def status(self, message_id: str) -> MessageStatus:
        """As `Mailstrom.query_status`."""
        return self.storage.retrieve_status(message_id).public()

    def explain(self, message_id: str) -> Explanation:
        """As `Mailstrom.explain`."""
        status, now = self.storage.retrieve_status(message_id), self._steady.now()
        gates = self.engine.gates(message_id, {each.route_key for each in status.recipients})
        return explained(status, self.storage.being_tried(message_id), gates, now)

    def cancel(self, message_id: str) -> MessageStatus:
        """As `Mailstrom.cancel`."""
        self.order(Order.CANCEL, message_id)
        return self.status(message_id)

    def order(self, order: Order, message_id: str | None = None, **chosen: Unpack[Chosen]) -> object:
        """As `cancel`, `hold`, `release` and `retry_now` of `Mailstrom`."""
        steering = Steering(self.storage, self._steady.now, self.events.append, self._board.changed)
        found = steering.carry_out(order, selection_of(message_id, chosen))
        if self._engine is not None:
            self._engine.wake()
        return found

    async def wait(self, message_id: str) -> MessageStatus:
        """The status when every recipient is completed."""
        return await self.until(message_id, lambda status: status.completed)

    async def until(self, message_id: str, is_so: Callable[[MessageStatus], bool]) -> MessageStatus:
        """The status as soon as `is_so` of it."""
        changed = asyncio.Event()
        forget = self._board.watch(message_id, changed.set)
        try:
            while not is_so(status := self.status(message_id)):
                changed.clear()
                await changed.wait()
            return status
        finally:
            forget()

    async def deliver(self, email: Any, **options: Any) -> MessageStatus:
        """Sends the email and waits until it is completed."""
        return await self.wait(self.send_email(email, **options))

    async def first_try(self, email: Any, **options: Any) -> MessageStatus:
        """Sends the email and waits until no recipient is queued any more."""
        message_id = self.send_email(email, **options)
        return await self.until(message_id, lambda status: all(r.result.state != "queued" for r in status))

    async def stop(self) -> None:
        """Ends the worker as `close` does, without beginning anything new."""
        if self._engine is not None and self._task is not None:
            self._engine.finish(take_due=False)
            await self._task
        self._engine = self._task = None

    async def die(self) -> None:
        """Ends the worker as `die` does."""
        if self._engine is not None and self._task is not None:
            self._engine.abort()
            await self._task
        self._engine = self._task = None

    def _world(self) -> World:
        return World(
            clock=self._steady,
            network=self.network,
            make_resolver=lambda: self.resolver,
            run_storage=run_inline,
            chance=self._chance,
        )

    def _shared(self, storage: Storage | SharedStorage | None) -> SharedStorage:
        if isinstance(storage, SharedStorage):
            return storage
        return ExclusiveStorage(storage or MemoryStorage(), lease_clock=self.clock.monotonic)


def simulate(
    story: Callable[[LoneEngine], Awaitable[T]],
    *,
    config: Config | None = None,
    zone: Mapping[str, Mapping[str, object]] | None = None,
    storage: Storage | SharedStorage | None = None,
    seed: int = 0,
    start: bool = True,
) -> T:
    """Runs the story to its end; then nothing may be left: no task, no connection."""
    loop = VirtualLoop()

    async def run() -> T:
        sim = LoneEngine(loop, config=config, zone=zone, storage=storage, seed=seed)
        if start:
            sim.start()
        try:
            result = await story(sim)
            await sim.stop()
            left = [str(transport.get_extra_info("peername")) for transport in sim.network.open_transports]
        finally:
            await sim.die()
            await sim.network.close()
        assert not left, f"connections left open: {left}"
        return result

    return run_virtual(run(), loop=loop)
