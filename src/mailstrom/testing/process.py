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
from ..status import MessageStatus
from .clock import VirtualClock
from .gates import NetworkGate, StorageGate, Trouble
from .patience import SimulationError
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
        """As SIGSTOP: its worker, its observers and all that it does beside you stand still until `thaw`.

        A call of yours is made on your thread, which goes on: `send_email` stores, and who waits for
        what the worker does waits until `thaw`.
        """
        self.is_frozen = self.is_alive
        self._platform.freeze()

    def thaw(self) -> None:
        """As SIGCONT."""
        self.is_frozen = False
        self._platform.thaw()

    def kill(self) -> None:
        """As SIGKILL, also from within it: of what it does from now on nothing is seen. Again: nothing.

        Its connections are reset. Who waits in a call of its `mailstrom` gets a `SimulationError`.
        """
        if not self.is_alive:
            return
        self.is_alive = self.is_frozen = False
        self.storage.cut()
        self.network.cut()
        self._platform.end()
        self.storage.inner.close()

    def bury(self) -> None:
        """Kills it, or ends what one that was killed from within has not ended yet."""
        self.kill()
        self._platform.end()

    def exit(self) -> None:
        """As the end of the interpreter: exit hooks run, then nothing more. Of a dead one: nothing."""
        for call in reversed(self._platform.exits[:]):
            call()
        self.kill()

    def jump(self, by: timedelta) -> None:
        """Moves this process's wall clock."""
        if not isinstance(by, timedelta):
            raise SimulationError(f"jump: expected a timedelta, as in jump(timedelta(hours=-1)), got {by!r}")
        self.clock.jump(by)


class _Simulated(Mailstrom):
    def __init__(
        self,
        platform: VirtualPlatform,
        config: Config,
        storage: Storage | SharedStorage,
        observers: Iterable[Observer],
    ) -> None:
        self._platform: VirtualPlatform = platform
        super().__init__(config, storage, observers=observers)

    def wait(self, message_id: str, timeout: float | None = None) -> MessageStatus:
        with self._platform.timeline.waiting_for(timeout):
            return super().wait(message_id, timeout)

    def drain(self, timeout: float | None = None) -> bool:
        with self._platform.timeline.waiting_for(timeout):
            return super().drain(timeout)

    def _in_child(self) -> None:
        """Nothing: it was the test's own process that forked, not this one."""
