"""Waiting for anything to happen on a connection, within a time: one timer serves many waits."""

from __future__ import annotations

import asyncio


class Wait:
    """One task at a time waits here; anybody wakes it. Used in the worker's loop only.

    A timer that is set stays set: a wait that ends later finds it, and it is set anew when it rings. So a
    session that waits three times for each message sets one every few minutes.
    """

    __slots__ = ("_loop", "_timer", "_until", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[bool] | None = None  # done: nobody waits any more
        self._until = 0.0  # who waits
        self._timer: asyncio.TimerHandle | None = None

    def woken(self, until: float) -> asyncio.Future[bool]:
        """To be awaited at once: anything happens; False when nothing did until then (the loop's time)."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter, self._until = waiter, until
        if self._timer is None or self._timer.when() > until:
            self._set_timer(until)
        return waiter

    def wake(self) -> None:
        """Something has happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def forget_timer(self) -> None:
        """The connection has ended; a later wait sets a timer of its own."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, at: float) -> None:
        self.forget_timer()
        self._timer = self._loop.call_at(at, self._rings, at)

    def _rings(self, at: float) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._until > at:
            self._set_timer(self._until)
        else:
            self._waiter.set_result(False)
