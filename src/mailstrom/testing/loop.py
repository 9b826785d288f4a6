"""An event loop whose time jumps to the next timer instead of waiting for it.

A schedule of five days runs in milliseconds, and always in the same order. There is nothing
real behind this loop: no sockets, no executor threads. What would wait for ever raises
`DeadlockError`, which tells what every task was waiting at.

Several loops on one `Timeline` stand for several processes: see `timeline.py`.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .timeline import DeadlockError, Timeline, TimelineLoop, waiting

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

__all__ = ["DeadlockError", "LeakedTaskError", "Timeline", "VirtualLoop", "run_virtual"]

T = TypeVar("T")

_SETTLING_ROUNDS = 500  # turns of the loop that tasks get to end after the main one returned


class LeakedTaskError(AssertionError):
    """Tasks were still there when the main coroutine had returned."""


class VirtualLoop(TimelineLoop, asyncio.SelectorEventLoop):
    """The main loop of a timeline, in virtual time, which starts at 0.0.

    With `wakes_from_threads` another thread may call `call_soon_threadsafe`: where the loop has
    nothing to do it then waits (really) for that, instead of raising `DeadlockError`.
    """

    def __init__(self, timeline: Timeline | None = None, *, wakes_from_threads: bool = False) -> None:
        self._wakes_from_threads = wakes_from_threads
        self._jumping = _JumpingSelector(self._nothing_ready)
        super().__init__(timeline or Timeline(), self._jumping)
        self._jumping.sealed = True

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
        everybody = "; ".join(filter(None, (waiting(self), self.timeline.waiting())))
        raise DeadlockError(f"nothing left to happen at {now:g} s: {everybody}")


class _JumpingSelector(selectors.BaseSelector):
    """Polls the loop's own wake-up pipe only; asks the loop what to do when nothing is ready."""

    def __init__(self, nothing_ready: Callable[[float | None], float | None]) -> None:
        self._inner = selectors.DefaultSelector()
        self._nothing_ready = nothing_ready
        self.sealed = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready or (timeout is not None and timeout <= 0):
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
    return waiting(loop, asyncio.current_task())


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _raise_unhandled(timeline: Timeline) -> None:
    for context in timeline.unhandled:
        cause = context.get("exception")
        if isinstance(cause, BaseException):
            raise cause
        raise RuntimeError(str(context.get("message")))
