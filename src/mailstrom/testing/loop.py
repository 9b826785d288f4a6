"""An event loop whose time jumps to the next timer instead of waiting for it.

A schedule of five days runs in milliseconds, and always in the same order. There is nothing
real behind this loop: no sockets, no executor threads. What would wait for ever raises
`DeadlockError`, which tells what every task was waiting at.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from _typeshed import FileDescriptorLike

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SETTLING_ROUNDS = 500  # turns of the loop that tasks get to end after the main one returned


class DeadlockError(RuntimeError):
    """Nothing is left to happen: no callback is ready, no timer is set, and a task still waits."""


class LeakedTaskError(AssertionError):
    """Tasks were still there when the main coroutine had returned."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which starts at 0.0.

    With `wakes_from_threads` another thread may call `call_soon_threadsafe`: where the loop has
    nothing to do it then waits (really) for that, instead of raising `DeadlockError`.
    """

    def __init__(self, *, wakes_from_threads: bool = False) -> None:
        self._virtual_now = 0.0
        self._wakes_from_threads = wakes_from_threads
        self.unhandled: list[Mapping[str, object]] = []  # what the exception handler was told
        self._jumping = _JumpingSelector(self._nothing_ready)
        super().__init__(self._jumping)
        self._jumping.sealed = True
        self.set_exception_handler(_keep_unhandled)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    def _nothing_ready(self, timeout: float | None) -> float | None:
        """Jumps by `timeout`; returns how long to wait for real: 0, or None for another thread."""
        if timeout is not None:
            self._virtual_now += max(timeout, 0.0)
            return 0.0
        if self._wakes_from_threads:
            return None
        raise DeadlockError(f"nothing left to happen at {self._virtual_now:g} s: {_waiting(self)}")

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Refused: what runs in a thread has no place in virtual time."""
        raise RuntimeError("a VirtualLoop runs nothing in threads: pass the call through a seam")


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
    _raise_unhandled(virtual)
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
    if isinstance(loop, VirtualLoop):
        loop.unhandled.append(dict(context))
    loop.default_exception_handler(context)


def _raise_unhandled(loop: VirtualLoop) -> None:
    for context in loop.unhandled:
        cause = context.get("exception")
        if isinstance(cause, BaseException):
            raise cause
        raise RuntimeError(str(context.get("message")))
