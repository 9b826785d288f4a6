"""Answers kept for their TTL, and equal look-ups made once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Generic, TypeVar

from ..abc import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """A bounded memory: a value until its time is over, the least used one goes first."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._kept: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def get(self, key: K) -> tuple[V, float] | None:
        """The value and how many seconds it is good for, or None."""
        value, until = self._kept.get(key, (None, 0.0))
        left = until - self._clock.monotonic()
        if value is None or left <= 0:
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return value, left

    def put(self, key: K, value: V, secs: float) -> None:
        """Keeps `value` for `secs`."""
        self._kept[key] = (value, self._clock.monotonic() + secs)
        self._kept.move_to_end(key)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)


class Coalesced(Generic[K, V]):
    """Runs the work for a key once, however many ask for it meanwhile. One event loop.

    A caller that is cancelled leaves the others their result. After `close` there is none.
    """

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[V]] = {}
        self._closed = False

    async def run(self, key: K, work: Callable[[], Coroutine[None, None, V]]) -> V | None:
        """The result of `work`, or None when it was ended by `close`."""
        if self._closed:
            return None
        task = self._running.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(work())
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        await asyncio.wait({task})
        return None if task.cancelled() else task.result()

    async def close(self) -> None:
        """Ends what runs; waits until it has ended."""
        self._closed = True
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _forget(self, key: K, done: asyncio.Task[V]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # the callers have seen it, or nobody is left who would
