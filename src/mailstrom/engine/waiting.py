"""Waiting for what the worker brings about: from a thread, or from any asyncio loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from ..errors import ClosedError, QueueFull
from .events import Board
from .platform import Platform

if TYPE_CHECKING:
    import asyncio

    from ..abc import InternalMessageStatus, SharedStorage

P = ParamSpec("P")
T = TypeVar("T")

POLL_SECS = 1.0  # how often to look where another process may deliver
LONGEST_LOOK_SECS = 86_400.0  # a lock takes no timeout without end; who waits longer looks again


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited(Generic[T]):
    """Something worth waiting for: how to look at it, when it is over, who tells of changes.

    `is_vain` says that nothing will change any more, or raises why. `poll_secs` is how often to
    look where another process may bring the change, which wakes nobody here.
    """

    look: Callable[[], T]
    is_over: Callable[[T], bool]
    is_vain: Callable[[], bool]
    watch: Callable[[Callable[[], object]], Callable[[], None]]
    poll_secs: float | None
    platform: Platform

    def wait(self, timeout: float | None) -> T:
        """What was seen last: over, in vain, or `timeout` seconds later."""
        until = self._until(timeout)
        changed = self.platform.flag()
        forget = self.watch(changed.set)
        try:
            while True:
                changed.clear()
                found = self.look()
                if self._ends(found, left := self._left(until)):
                    return found
                changed.wait(self._look_again_in(left))
        finally:
            forget()

    async def wait_in_loop(
        self, timeout_secs: float | None, run: Callable[[Callable[[], T]], Awaitable[T]]
    ) -> T:
        """The same for a coroutine; `run` makes the look without blocking the loop."""
        import asyncio  # callers without a loop never pay for it

        loop = asyncio.get_running_loop()
        until = self._until(timeout_secs)
        changed = asyncio.Event()
        forget = self.watch(partial(_set_in, loop, changed))
        try:
            while True:
                changed.clear()
                found = await run(self.look)
                if self._ends(found, left := self._left(until)):
                    return found
                await _wait_for(changed, self._look_again_in(left))
        finally:
            forget()

    def _until(self, timeout: float | None) -> float | None:
        return None if timeout is None else self.platform.clock.monotonic() + timeout

    def _left(self, until: float | None) -> float | None:
        return None if until is None else max(until - self.platform.clock.monotonic(), 0.0)

    def _ends(self, found: T, left: float | None) -> bool:
        return self.is_over(found) or left == 0.0 or self.is_vain()

    def _look_again_in(self, left: float | None) -> float:
        return min(secs for secs in (left, self.poll_secs, LONGEST_LOOK_SECS) if secs is not None)


def _set_in(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    """Sets the event in its loop; one that was closed under who waited there hears nothing more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(changed.set)


def awaited_message(
    storage: SharedStorage, board: Board, message_id: str, is_vain: Callable[[], bool], platform: Platform
) -> Awaited[InternalMessageStatus]:
    """A message, until nothing of it is left to do."""
    return Awaited(
        look=lambda: storage.retrieve_status(message_id),
        is_over=lambda status: status.completed_at is not None,  # of any number of recipients
        is_vain=is_vain,
        watch=lambda wake: board.watch(message_id, wake),
        poll_secs=_poll_secs(storage),
        platform=platform,
    )


def awaited_idle(
    storage: SharedStorage, board: Board, is_vain: Callable[[], bool], platform: Platform
) -> Awaited[bool]:
    """The whole queue, until nothing is left to try."""
    return Awaited(
        look=storage.is_idle,
        is_over=bool,
        is_vain=is_vain,
        watch=lambda wake: board.watch(None, wake),
        poll_secs=_poll_secs(storage),
        platform=platform,
    )


def _poll_secs(storage: SharedStorage) -> float | None:
    """Another process may deliver what outlives this one."""
    if storage.poll_secs is not None:
        return storage.poll_secs
    return POLL_SECS if storage.durable else None


def with_room(
    store: Callable[[], T], board: Board, platform: Platform, wait_secs: float, is_shut: Callable[[], bool]
) -> T:
    """What `store` returns; where it finds the queue full it is called again, for `wait_secs`."""
    until = platform.clock.monotonic() + wait_secs
    changed = platform.flag()
    forget = board.watch(None, changed.set)
    try:
        while True:
            changed.clear()
            try:
                return store()
            except QueueFull:
                if is_shut():
                    raise ClosedError("this Mailstrom was closed while waiting for room") from None
                if not changed.wait(max(until - platform.clock.monotonic(), 0.0)):
                    raise
    finally:
        forget()


async def off_loop(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a call that may block, made on a thread of the running loop."""
    import asyncio

    return await asyncio.to_thread(call, *args, **kwargs)


async def _wait_for(event: asyncio.Event, secs: float) -> None:
    import asyncio

    try:
        async with asyncio.timeout(secs):
            await event.wait()
    except TimeoutError:
        pass
