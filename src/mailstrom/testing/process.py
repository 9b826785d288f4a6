"""An application's process in a simulated world, with its Mailstrom."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from ..abc import Resolver, SharedStorage, Storage
from ..config import Config
from ..engine.events import Observer
from ..facade import Mailstrom
from .clock import VirtualClock
from .gates import NetworkGate, StorageGate, Trouble
from .virtual_platform import VirtualPlatform

if TYPE_CHECKING:
    from ..abc import Network
    from .timeline import Timeline


class Process:
    """One process: it can be frozen, killed, and ends as a real one does.

    `mailstrom` is the real facade. What blocks in it lets the rest of the world go on.
    """

    def __init__(
        self,
        timeline: Timeline,
        name: str,
        *,
        config: Config,
        storage: SharedStorage,
        network: Network,
        make_resolver: Callable[[], Resolver],
        chance: random.Random,
        turns: dict[str, VirtualPlatform],
        observers: Iterable[Observer] = (),
        trouble: Trouble = lambda name, done: None,
    ) -> None:
        self.name = name
        self.clock = VirtualClock(timeline)
        self.network = NetworkGate(network, frozenset({"192.0.2.1", "2001:db8::1"}))
        self.storage = StorageGate(storage, trouble)
        self._platform = VirtualPlatform(
            timeline,
            name,
            clock=self.clock,
            chance=chance,
            network=self.network,
            make_resolver=make_resolver,
            turns=turns,
        )
        self.mailstrom: Mailstrom = _Simulated(self._platform, config, self.storage, observers)
        self.is_alive = True
        self.is_frozen = False

    def freeze(self) -> None:
        """As SIGSTOP."""
        self.is_frozen = True
        self._platform.freeze()

    def thaw(self) -> None:
        """As SIGCONT."""
        self.is_frozen = False
        self._platform.thaw()

    def kill(self) -> None:
        """As SIGKILL: of what it does from now on nothing is seen; its connections are reset."""
        self.is_alive = False
        self.storage.cut()
        self.network.cut()
        self._platform.end()
        self.storage.inner.close()

    def exit(self) -> None:
        """As the end of the interpreter: exit hooks run, then nothing more."""
        for call in reversed(self._platform.exits[:]):
            call()
        self.kill()

    def jump(self, by: timedelta) -> None:
        """Moves this process's wall clock."""
        self.clock.jump(by)


class _Simulated(Mailstrom):
    def __init__(
        self,
        platform: VirtualPlatform,
        config: Config,
        storage: Storage | SharedStorage,
        observers: Iterable[Observer],
    ) -> None:
        self._platform = platform
        super().__init__(config, storage, observers=observers)
