"""What a simulation is made of: one timeline, a network, a DNS zone, and processes with a Mailstrom.

    with World(seed=1, zone={"example.net": {"MX": [[10, "mx.example.net."]]}}) as world:
        server = world.host("mx.example.net", "192.0.2.25", SmtpServer())
        m = world.process("app").mailstrom
        m.start()
        message_id = m.send_email(an_email)
        assert m.wait(message_id).succeeded

There are no threads: what would block lets the rest of the world go on, until it is over. With
the same seed the same story takes the same course. Your own tests want `Simulation`
(`simulation.py`), which sets such a world up with less to say.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from ..abc import SharedStorage, Storage
from ..config import Config
from ..engine.events import Observer
from ..storage.exclusive import ExclusiveStorage
from ..storage.memory import MemoryStorage
from .dns import FakeResolver, Zone
from .gates import Trouble
from .network import Handler, MemoryNetwork
from .process import Process
from .timeline import Timeline
from .virtual_platform import VirtualPlatform

H = TypeVar("H", bound=Handler)

HELO_NAME = "sender.example"


class World:
    """Everything around the processes; `timeline` says what time it is."""

    def __init__(
        self,
        *,
        seed: int = 0,
        zone: Mapping[str, Mapping[str, object]] | None = None,
        latency_secs: float = 0.0,
        timeline: Timeline | None = None,
    ) -> None:
        self.chance = random.Random(f"world {seed}")
        self.timeline = timeline or Timeline(random.Random(f"course {seed}"))
        self.internet = self.timeline.loop("internet")
        self.zone = Zone({name: dict(records) for name, records in (zone or {}).items()})
        self.network = MemoryNetwork(latency_secs=latency_secs, loop=self.internet)
        self.processes: list[Process] = []
        self._turns: dict[str, VirtualPlatform] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def host(self, name: str, ip: str, handler: H, *, port: int = 25) -> H:
        """A mail host: its address in the zone, `handler` at its port; returns the handler."""
        self.network.listen(ip, port, handler)
        self.zone.add_address(name, ip)
        return handler

    def process(
        self,
        name: str,
        *,
        config: Config | None = None,
        storage: Storage | SharedStorage | None = None,
        observers: Iterable[Observer] = (),
        trouble: Trouble = lambda name, done: None,
    ) -> Process:
        """A new process with a Mailstrom in it, not started yet."""
        process = Process(
            self.timeline,
            name,
            config=config or Config(helo_name=HELO_NAME),
            storage=self.shared(storage),
            network=self.network,
            make_resolver=lambda: FakeResolver(self.zone, clock=process.clock),
            chance=random.Random(self.chance.getrandbits(64)),
            turns=self._turns,
            observers=observers,
            trouble=trouble,
        )
        self.processes.append(process)
        return process

    def sleep(self, secs: float) -> None:
        """Lets `secs` seconds pass."""
        self.timeline.block(lambda: False, secs)

    def end(self) -> None:
        """The end of everything that is still there; again: nothing."""
        if self.internet.is_closed():
            return
        for process in self.processes:
            process.bury()
        closing = self.internet.create_task(self.network.close())
        self.timeline.block(closing.done, 60.0)
        self.timeline.close()

    def shared(self, storage: Storage | SharedStorage | None) -> SharedStorage:
        """A plain storage lifted, with leases in virtual time; without one memory."""
        if isinstance(storage, SharedStorage):
            return storage
        return ExclusiveStorage(storage or MemoryStorage(), lease_clock=self.timeline.time)
