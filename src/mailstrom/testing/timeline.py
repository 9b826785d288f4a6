"""Virtual time for several processes at once: a `Timeline`, and event loops that live in it.

One loop runs at a time, all on this thread, and time goes on when none of them has anything to
do. There is nothing real behind them: no sockets, no executor threads, no file descriptors.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextvars import Context

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_STOPS_SHORT = 0.25  # how often a loop that has more to do lets another one go first


class DeadlockError(RuntimeError):
    """Nothing is left to happen: no callback is ready, no timer is set, and a task still waits."""


class Timeline:
    """Virtual time, from 0.0, and the loops that live in it beside the main one.

    `chance` chooses which of the loops that can run goes first, and how far; without it that is
    the one made first, as far as it gets.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self.now = 0.0
        self.unhandled: list[Mapping[str, object]] = []  # what exception handlers were told
        self.chance = chance
        self.numbers = count(1)
        self._beside: list[SideLoop] = []

    def time(self) -> float:
        """Virtual seconds since it was made."""
        return self.now

    def loop(self, name: str) -> SideLoop:
        """A loop beside the main one; close it when its life is over."""
        made = SideLoop(self, name)
        self._beside.append(made)
        return made

    def block(self, is_over: Callable[[], bool], secs: float | None) -> bool:
        """What a blocking call does: the other loops go on until `is_over()`, for at most `secs` seconds.

        Called from within a loop, which stands still meanwhile. False when the time was up.
        """
        until = math.inf if secs is None else self.now + secs
        while not is_over():
            if not self.run_beside(until):
                if until == math.inf:
                    raise DeadlockError(f"nothing left to happen at {self.now:g} s: {self.waiting()}")
                self.now = max(self.now, until)  # what ran meanwhile may itself have blocked, and for longer
                return is_over()
        return True

    @contextmanager
    def waiting_for(self, secs: float | None) -> Iterator[None]:
        """Around a wait that a caller gave so much time; None: as long as it takes."""
        yield

    def run_beside(self, until: float) -> bool:
        """Runs one of the loops beside the main one, whose turn it is; False: none before `until`."""
        wakes_at, due = self._next(self.now)
        if wakes_at > until or not due:
            return False
        self.now = wakes_at
        (due[0] if self.chance is None or len(due) == 1 else self.chance.choice(due)).run_a_bit()
        return True

    def _next(self, now: float) -> tuple[float, list[SideLoop]]:
        """When something is to be done beside the main loop, not before `now`; and which loops can do it."""
        wakes_at = math.inf
        due: list[SideLoop] = []
        for loop in self._beside:
            at = max(loop.wakes_at, now)
            if at > wakes_at or not loop.may_run:
                continue
            if at < wakes_at:
                wakes_at, due = at, []
            if at < math.inf:
                due.append(loop)
        return wakes_at, due

    def forget(self, loop: SideLoop) -> None:
        """The loop is closed."""
        if loop in self._beside:
            self._beside.remove(loop)

    def waiting(self) -> str:
        """What the tasks beside the main loop wait at."""
        return "; ".join(filter(None, (waiting(loop) for loop in self._beside)))

    def close(self) -> None:
        """Closes the loops that are left."""
        for loop in tuple(self._beside):
            loop.close()


class TimelineLoop(asyncio.BaseEventLoop):
    """What all loops of a timeline have in common: its time, and that nothing is real."""

    def __init__(self, timeline: Timeline, *args: Any) -> None:
        self.timeline = timeline
        super().__init__(*args)
        self.set_exception_handler(_keep_unhandled)
        self.set_task_factory(_numbered_task)

    def create_future(self) -> asyncio.Future[Any]:
        """As any loop's; see `_Numbered`."""
        return _NumberedFuture(loop=self)

    def time(self) -> float:
        """Virtual seconds since the timeline was made."""
        return self.timeline.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Refused: what runs in a thread has no place in virtual time."""
        raise RuntimeError("a VirtualLoop runs nothing in threads: pass the call through a seam")


class SideLoop(TimelineLoop):
    """A loop beside the main one: the event loop of a process, which may stand still for a while.

    Used from other loops of the same timeline like one of another thread's, though there is no
    other thread: `call_soon`, `call_at` and results of futures wake it. The timeline runs it.
    """

    def __init__(self, timeline: Timeline, name: str) -> None:
        self.name = name
        self.wakes_at = math.inf  # when it has something to do
        self.is_frozen = False  # as by SIGSTOP
        self._runs = False
        self._is_retired = False
        self._soon: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []  # a heap
        super().__init__(timeline)

    def __repr__(self) -> str:
        return f"<SideLoop {self.name}>"

    @property
    def may_run(self) -> bool:
        """It neither runs (and blocks) already, nor is it frozen."""
        return not (self._runs or self.is_frozen)

    def is_running(self) -> bool:
        """It runs, or what it runs is blocked."""
        return self._runs

    def run_forever(self) -> None:
        """Refused."""
        raise RuntimeError(f"{self!r} is run by its timeline")

    def run_a_bit(self) -> None:
        """Runs until nothing is ready, or for chance's sake not so far."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        self._runs = True
        try:
            self._run_what_is_ready()
        finally:
            self._runs = False
            asyncio._set_running_loop(outer)
        if self._is_retired and not self.tasks:
            self.close()

    def _run_what_is_ready(self) -> None:
        chance, soon = self.timeline.chance, self._soon
        while self._is_ready():
            for _ in range(len(soon)):
                handle = soon.popleft()
                if not handle.cancelled():
                    handle._run()
            if soon and chance is not None and chance.random() < _STOPS_SHORT:
                return

    def _is_ready(self) -> bool:
        """Timers that are due are ready; else it wakes at the next one."""
        timers, now = self._timers, self.timeline.now
        while timers and (timers[0][0] <= now or timers[0][2].cancelled()):
            timer = heappop(timers)[2]
            if not timer.cancelled():
                self._soon.append(timer)
        self.wakes_at = now if self._soon else timers[0][0] if timers else math.inf
        return bool(self._soon)

    def retire(self) -> None:
        """Cancels its tasks, and closes when they have ended."""
        self._is_retired = True
        for task in self.tasks:
            task.cancel()
        self.call_soon(lambda: None)  # to be run, and closed

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Those that have not ended, in the order in which they were made."""
        return sorted(asyncio.all_tasks(self), key=hash)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As any loop's; wakes this one. Nothing happens in one that is closed: its process is dead."""
        handle = asyncio.Handle(callback, args, self, context)
        if not self.is_closed():
            self.wakes_at = self.timeline.now
            self._soon.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """The same: there are no threads."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As any loop's; wakes this one then."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if not self.is_closed():
            self.wakes_at = min(self.wakes_at, when)
            heappush(self._timers, (when, next(self.timeline.numbers), timer))
        return timer

    def close(self) -> None:
        """Its tasks, if any are left, never go on."""
        self._soon.clear()
        self._timers.clear()
        self.timeline.forget(self)
        super().close()


class _Numbered:
    """What asyncio keeps in sets has the same order in each run: its hash is its number, not its address."""

    def __hash__(self) -> int:
        return self._number

    def _take_number(self, loop: asyncio.AbstractEventLoop) -> None:
        assert isinstance(loop, TimelineLoop)
        self._number = next(loop.timeline.numbers)


class _NumberedFuture(_Numbered, asyncio.Future[Any]):
    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        self._take_number(loop)
        super().__init__(loop=loop)


class _NumberedTask(_Numbered, asyncio.Task[Any]):
    def __init__(self, coro: Any, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        self._take_number(loop)
        super().__init__(coro, loop=loop, **options)


def _numbered_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    return _NumberedTask(coro, loop=loop, **options)


def _keep_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if isinstance(loop, TimelineLoop):
        loop.timeline.unhandled.append(dict(context))
    loop.default_exception_handler(context)


def waiting(loop: asyncio.AbstractEventLoop, but: asyncio.Task[Any] | None = None) -> str:
    """What the tasks of a loop wait at, in words."""
    tasks = sorted(
        f"{task.get_name()} at {_place(task)}" for task in asyncio.all_tasks(loop) if task is not but
    )
    return "; ".join(tasks)


def _place(task: asyncio.Task[Any]) -> str:
    """Where the innermost coroutine of a task stands."""
    awaited: Any = task.get_coro()
    frame = None
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or frame
        awaited = getattr(awaited, "cr_await", None)
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
