"""A process in virtual time: what a `Mailstrom` finds around itself there, without any thread.

What would run on a thread of its own runs in a loop of the process's; what would block lets the
other loops of the timeline go on. See `timeline.py`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..abc import Clock, Network, Resolver, StorageRunner
from ..engine.platform import Calls, Flag, Looks, Loop, Platform, Turn
from ..engine.thread import RESTARTS_PER_MINUTE
from ..engine.world import World
from .patience import SimulationError
from .timeline import SideLoop, Timeline

if TYPE_CHECKING:
    from ..config import Config, EventLoop

_BURYING_ROUNDS = 100

_log = logging.getLogger("mailstrom")


class VirtualPlatform(Platform):
    """One process on a timeline; `turns` is what all processes of its machine have in common."""

    def __init__(
        self,
        timeline: Timeline,
        name: str,
        *,
        clock: Clock,
        chance: random.Random,
        network: Network,
        make_resolver: Callable[[], Resolver],
        turns: dict[str, VirtualPlatform],
    ) -> None:
        self.timeline = timeline
        self.name = name
        self.clock = clock
        self.exits: list[Callable[[], object]] = []
        self.is_over = False
        self._is_frozen = False
        self._chance = chance
        self._network = network
        self._make_resolver = make_resolver
        self._turns = turns
        self._loops: list[SideLoop] = []

    def new_id(self) -> str:
        return f"{self._chance.getrandbits(96):024x}"

    def flag(self) -> Flag:
        return _Flag(self)

    def calls(self, name: str) -> Calls:
        return _Calls(self, name)

    def looks(self, name: str, secs: float, look: Callable[[], bool]) -> Looks:
        return _Looks(self.side_loop(name), secs, look)

    def loop(
        self,
        name: str,
        main: Callable[[], Coroutine[Any, Any, None]],
        on_crash: Callable[[], None],
        kind: EventLoop,
    ) -> Loop:
        return _Loop(self, name, main, on_crash)  # of the timeline, whatever kind is asked for

    def turn(self, identity: str) -> Turn:
        return _Turn(self._turns, identity, self)

    def at_exit(self, call: Callable[[], object]) -> None:
        self.exits.append(call)

    def not_at_exit(self, call: Callable[[], object]) -> None:
        if call in self.exits:
            self.exits.remove(call)

    def world(self, config: Config, clock: Clock, run_storage: StorageRunner) -> World:
        return World(
            clock=clock,
            network=self._network,
            make_resolver=self._make_resolver,
            run_storage=run_storage,
            chance=self._chance,
        )

    # --- what befalls the process

    def side_loop(self, name: str) -> SideLoop:
        """A new loop of this process; raises `SimulationError` where that is dead."""
        if self.is_over:
            raise SimulationError(f"{self.name} is dead: begin another with simulation.process()")
        made = self.timeline.loop(f"{self.name} {name}")
        made.is_frozen = self._is_frozen
        self._loops = [*self._living(), made]
        return made

    def block(self, is_over: Callable[[], bool], secs: float | None) -> bool:
        """As the timeline's; raises `SimulationError` where the process is dead by then."""
        came = self.timeline.block(lambda: self.is_over or is_over(), secs)
        if self.is_over:
            raise SimulationError(
                f"{self.name} was killed: who waits in a call of its Mailstrom waits in vain. Make the call "
                "in another process, or kill this one later"
            )
        return came

    def freeze(self) -> None:
        """As SIGSTOP: nothing of it runs, its timers fire late."""
        self._is_frozen = not self.is_over
        self._tell_loops()

    def thaw(self) -> None:
        """As SIGCONT."""
        self._is_frozen = False
        self._tell_loops()

    def end(self) -> None:
        """As SIGKILL: what is still there never goes on. Cut its storage and network off before.

        A loop of it that runs, for it is there that the process is killed, ends as soon as it can.
        """
        self.is_over = True
        self.thaw()
        for loop in self._living():
            if loop.is_running():
                loop.retire()
            else:
                _bury(loop)
                loop.close()
        self.exits.clear()
        for identity in [each for each, owner in self._turns.items() if owner is self]:
            del self._turns[identity]

    def _living(self) -> list[SideLoop]:
        return [loop for loop in self._loops if not loop.is_closed()]

    def _tell_loops(self) -> None:
        for loop in self._loops:
            loop.is_frozen = self._is_frozen


def _bury(loop: SideLoop) -> None:
    """Ends the tasks of a dead process's loop: Python would complain of those that are pending."""
    for _ in range(_BURYING_ROUNDS):
        if loop.is_closed() or not (tasks := loop.tasks):
            return
        for task in tasks:
            task.cancel()
        loop.run_a_bit()
    raise AssertionError(f"tasks that do not end: {tasks}")


class _Flag:
    """As `threading.Event`."""

    def __init__(self, platform: VirtualPlatform) -> None:
        self._platform = platform
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._platform.block(self.is_set, timeout)


class _Calls:
    """As `CallThread`."""

    def __init__(self, platform: VirtualPlatform, name: str) -> None:
        self._platform = platform
        self._name = name
        self._loop: SideLoop | None = None
        self._queue: deque[Callable[[], object]] = deque()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def submit(self, call: Callable[[], object]) -> bool:
        if self._is_closed or self._platform.is_over:
            return False
        if self._loop is None:
            self._loop = self._platform.side_loop(self._name)
        self._queue.append(call)
        self._loop.call_soon(self._make_one)
        return True

    def close(self, timeout: float) -> None:
        self._is_closed = True
        if self._platform.is_over or self._loop is None or self._loop.is_running():
            return
        self._platform.block(lambda: not self._queue, timeout)
        self._loop.retire()

    def _make_one(self) -> None:
        try:
            if not self._platform.is_over:
                self._queue[0]()
        except Exception:
            _log.exception("a call failed on the thread %s", self._name)
        finally:
            self._queue.popleft()


class _Looks:
    """As `LookThread`."""

    def __init__(self, loop: SideLoop, secs: float, look: Callable[[], bool]) -> None:
        self._loop = loop
        self._secs = secs
        self._look = look
        self._next = loop.call_later(secs, self._look_once)

    def close(self, timeout: float) -> None:
        self._next.cancel()
        self._loop.retire()

    def _look_once(self) -> None:
        if not self._look():
            self._next = self._loop.call_later(self._secs, self._look_once)


class _Loop:
    """As `LoopThread`."""

    def __init__(
        self,
        platform: VirtualPlatform,
        name: str,
        main: Callable[[], Coroutine[Any, Any, None]],
        on_crash: Callable[[], None],
    ) -> None:
        self._platform = platform
        self._name = name
        self._main = main
        self._on_crash = on_crash
        self._loop: SideLoop | None = None
        self._ends: deque[float] = deque(maxlen=RESTARTS_PER_MINUTE + 1)
        self._is_over = False

    def start(self) -> None:
        self._loop = self._platform.side_loop(self._name)
        self._loop.create_task(self._main()).add_done_callback(self._ended)

    def call_soon(self, call: Callable[[], object]) -> None:
        if self._loop is not None:
            self._loop.call_soon(call)

    def join(self, timeout: float | None = None) -> bool:
        if self._platform.is_over:
            return True  # dead, and its threads with it
        if self._loop is None or not self._loop.is_running():
            self._platform.block(lambda: self._is_over, timeout)
        return self._is_over

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._loop is not None:
            self._loop.retire()
            self._loop = None
        if not task.cancelled() and task.exception() is None:
            self._is_over = True
            return
        if self._platform.is_over:
            return
        error = None if task.cancelled() else task.exception()
        _log.critical("the worker crashed; restarting it", exc_info=error)
        self._ends.append(self._platform.clock.monotonic())
        if len(self._ends) > RESTARTS_PER_MINUTE and self._ends[-1] - self._ends[0] < 60:
            self._is_over = True
            self._on_crash()
        else:
            self.start()


class _Turn:
    """As `HostLock`."""

    def __init__(self, turns: dict[str, VirtualPlatform], identity: str, platform: VirtualPlatform) -> None:
        self._turns = turns
        self._identity = identity
        self._platform = platform

    def try_acquire(self) -> bool:
        return self._turns.setdefault(self._identity, self._platform) is self._platform

    def release(self) -> None:
        if self._turns.get(self._identity) is self._platform:
            del self._turns[self._identity]

    def leave_to_parent(self) -> None:
        raise RuntimeError("a simulated process does not fork")
