"""Event loops whose time jumps to the next timer instead of waiting for it.

A schedule of five days runs in milliseconds, and always in the same order. There is nothing
real behind these loops: no sockets, no executor threads. What would wait for ever raises
`DeadlockError`, which tells what every task was waiting at.

Several loops on one `Timeline` stand for several processes: one runs at a time, all on this
thread, and time goes on when none of them has anything to do.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections.abc import Callable, Coroutine, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextvars import Context

    from _typeshed import FileDescriptorLike

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SETTLING_ROUNDS = 500  # turns of the loop that tasks get to end after the main one returned
_STOPS_SHORT = 0.25  # how often a loop that has more to do lets another one go first


class DeadlockError(RuntimeError):
    """Nothing is left to happen: no callback is ready, no timer is set, and a task still waits."""


class LeakedTaskError(AssertionError):
    """Tasks were still there when the main coroutine had returned."""


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
                self.now = until
                return is_over()
        return True

    def run_beside(self, until: float) -> bool:
        """Runs one of the loops beside the main one, whose turn it is; False: none before `until`."""
        idle = [loop for loop in self._beside if loop.may_run]
        wakes_at = min((loop.wakes_at for loop in idle), default=math.inf)
        if wakes_at > until or wakes_at == math.inf:
            return False
        self.now = max(self.now, wakes_at)
        due = [loop for loop in idle if loop.wakes_at <= self.now]
        (due[0] if self.chance is None else self.chance.choice(due)).run_a_bit()
        return True

    def forget(self, loop: SideLoop) -> None:
        """The loop is closed."""
        if loop in self._beside:
            self._beside.remove(loop)

    def waiting(self) -> str:
        """What the tasks beside the main loop wait at."""
        return "; ".join(filter(None, (_waiting(loop) for loop in self._beside)))

    def close(self) -> None:
        """Closes the loops that are left."""
        for loop in tuple(self._beside):
            loop.close()


class _TimelineLoop(asyncio.SelectorEventLoop):
    """What the main loop and those beside it have in common: their time, and that nothing is real."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self._jumping = _JumpingSelector(self._nothing_ready, self._goes_on)
        super().__init__(self._jumping)
        self._jumping.sealed = True
        self.set_exception_handler(_keep_unhandled)
        self.set_task_factory(_numbered_task)

    def create_future(self) -> asyncio.Future[Any]:
        """As any loop's; see `_Numbered`."""
        return _NumberedFuture(loop=self)

    def time(self) -> float:
        """Virtual seconds since the timeline was made."""
        return self.timeline.now

    def _nothing_ready(self, timeout: float | None) -> float | None:
        """There is nothing to run for `timeout` seconds; returns how long to wait for real."""
        raise NotImplementedError

    def _goes_on(self) -> None:
        """There is more to run."""

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Refused: what runs in a thread has no place in virtual time."""
        raise RuntimeError("a VirtualLoop runs nothing in threads: pass the call through a seam")


class VirtualLoop(_TimelineLoop):
    """The main loop of a timeline, in virtual time, which starts at 0.0.

    With `wakes_from_threads` another thread may call `call_soon_threadsafe`: where the loop has
    nothing to do it then waits (really) for that, instead of raising `DeadlockError`.
    """

    def __init__(self, timeline: Timeline | None = None, *, wakes_from_threads: bool = False) -> None:
        self._wakes_from_threads = wakes_from_threads
        super().__init__(timeline or Timeline())

    def _nothing_ready(self, timeout: float | None) -> float | None:
        """Jumps by `timeout`; returns how long to wait for real: 0, or None for another thread."""
        now = self.timeline.now
        until = math.inf if timeout is None else now + max(timeout, 0.0)
        if self.timeline.run_beside(until):
            return 0.0  # it may have left something to do
        if timeout is not None:
            self.timeline.now = until
            return 0.0
        if self._wakes_from_threads:
            return None
        everybody = "; ".join(filter(None, (_waiting(self), self.timeline.waiting())))
        raise DeadlockError(f"nothing left to happen at {now:g} s: {everybody}")


class SideLoop(_TimelineLoop):
    """A loop beside the main one: the event loop of a process, which may stand still for a while.

    Used from other loops of the same timeline like one of another thread's, though there is no
    other thread: `call_soon`, `call_at` and results of futures wake it.
    """

    def __init__(self, timeline: Timeline, name: str) -> None:
        self.name = name
        self.wakes_at = math.inf  # when it has something to do
        self.is_frozen = False  # as by SIGSTOP
        self._runs = False
        self._is_retired = False
        super().__init__(timeline)

    def __repr__(self) -> str:
        return f"<SideLoop {self.name}>"

    @property
    def may_run(self) -> bool:
        """It neither runs (and blocks) already, nor is it frozen."""
        return not (self._runs or self.is_frozen)

    def run_a_bit(self) -> None:
        """Runs until nothing is ready, or for chance's sake not so far."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        self._runs = True
        try:
            self.run_forever()
        finally:
            self._runs = False
            asyncio._set_running_loop(outer)
        if self._is_retired and not self.tasks:
            self.close()

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
        if self.is_closed():
            return _never(self)
        self.wakes_at = self.timeline.now
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """The same: there are no threads."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As any loop's; wakes this one then."""
        if self.is_closed():
            return asyncio.TimerHandle(when, lambda: None, (), self)
        self.wakes_at = min(self.wakes_at, when)
        return super().call_at(when, callback, *args, context=context)

    def close(self) -> None:
        """Its tasks, if any are left, never go on."""
        self.timeline.forget(self)
        super().close()

    def _nothing_ready(self, timeout: float | None) -> float | None:
        """Lets the timeline go on, with others or with time."""
        self.wakes_at = math.inf if timeout is None else self.timeline.now + timeout
        self.stop()
        return 0.0

    def _goes_on(self) -> None:
        chance = self.timeline.chance
        if chance is not None and chance.random() < _STOPS_SHORT:
            self.wakes_at = self.timeline.now
            self.stop()


class _Numbered:
    """What asyncio keeps in sets has the same order in each run: its hash is its number, not its address."""

    def __hash__(self) -> int:
        return self._number

    def _take_number(self, loop: asyncio.AbstractEventLoop) -> None:
        assert isinstance(loop, _TimelineLoop)
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


def _never(loop: asyncio.AbstractEventLoop) -> asyncio.Handle:
    handle = asyncio.Handle(lambda: None, (), loop)
    handle.cancel()
    return handle


class _JumpingSelector(selectors.BaseSelector):
    """Polls the loop's own wake-up pipe only; asks the loop what to do when nothing is ready."""

    def __init__(
        self, nothing_ready: Callable[[float | None], float | None], goes_on: Callable[[], None]
    ) -> None:
        self._inner = selectors.DefaultSelector()
        self._nothing_ready = nothing_ready
        self._goes_on = goes_on
        self.sealed = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready or (timeout is not None and timeout <= 0):
            self._goes_on()
            return ready
        return self._inner.select(self._nothing_ready(timeout))

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        if self.sealed:
            raise RuntimeError("a VirtualLoop has no real sockets: connect through a MemoryNetwork")
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


def run_virtual(coro: Coroutine[Any, Any, T], *, loop: VirtualLoop | None = None) -> T:
    """The coroutine's result, run in virtual time.

    Raises `LeakedTaskError` when tasks are left that do not end by themselves at that instant,
    and the exception of a callback that nobody else saw.
    """
    virtual = loop or VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: virtual) as runner:
        try:
            result = runner.run(coro)
            left = runner.run(_settle())
        finally:
            runner.run(_cancel_others())
            virtual.timeline.close()
    _raise_unhandled(virtual.timeline)
    if left:
        raise LeakedTaskError(f"tasks were left behind: {left}")
    return result


async def _settle() -> str:
    """Turns the loop so that other tasks may end; what still waits then, in words."""
    loop = asyncio.get_running_loop()
    for _ in range(_SETTLING_ROUNDS):
        await asyncio.sleep(0)
        if len(asyncio.all_tasks(loop)) == 1:
            return ""
    return _waiting(loop, asyncio.current_task())


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _waiting(loop: asyncio.AbstractEventLoop, but: asyncio.Task[Any] | None = None) -> str:
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


def _keep_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if isinstance(loop, _TimelineLoop):
        loop.timeline.unhandled.append(dict(context))
    loop.default_exception_handler(context)


def _raise_unhandled(timeline: Timeline) -> None:
    for context in timeline.unhandled:
        cause = context.get("exception")
        if isinstance(cause, BaseException):
            raise cause
        raise RuntimeError(str(context.get("message")))
