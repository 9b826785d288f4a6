"""Calls that may block, made beside an asyncio caller: by threads that come when there is work, and go.

The default executor of the caller's loop is the application's: calls of ours that waited in it would
make those of the application wait.
"""

from __future__ import annotations

import collections
import contextvars
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..errors import NotRunningError
from .platform import Platform
from .thread import StorageThread

P = ParamSpec("P")
T = TypeVar("T")


class Crew:
    """Makes calls on threads of its own, at most `most` at once (None: all at once). Any thread.

    A thread ends as soon as no call waits: there is nothing to close, and nothing is left behind.
    In a forked child a new one is needed.
    """

    def __init__(self, platform: Platform, name: str, most: int | None) -> None:
        self._platform = platform
        self._name = name
        self._most = most
        self._lock = threading.Lock()
        self._calls: collections.deque[Callable[[], object]] = collections.deque()
        self._threads = 0
        self._busy = 0  # of the threads: in a call

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The call's result; it is made in the context of the running task.

        Where that is cancelled, a call that has begun goes on; one that has not is never made. Raises
        `NotRunningError`, and makes no call, where the system has no thread and none of ours is there.
        """
        context = contextvars.copy_context()
        is_wanted = True

        def make() -> T | None:
            try:
                return context.run(call, *args, **kwargs) if is_wanted else None
            finally:
                self._end_call()  # now: who gets the result may have the next call for this thread

        try:
            return await StorageThread(self).run(make)  # type: ignore[no-any-return]
        finally:
            is_wanted = False

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return len(self._calls)

    def submit(self, call: Callable[[], object]) -> bool:
        """Queues a call of `run`, and begins another thread if none is free and there may be one more.

        Always true: where the system has no thread and none of ours is there it raises, see `run`.
        """
        with self._lock:
            self._calls.append(call)
            if self._has_thread() or self._begin_thread() or self._threads:
                return True
            self._calls.pop()
            raise NotRunningError("the system has no thread for the call: it was not made, try again")

    def close(self, timeout: float) -> None:
        """Nothing to do: each thread ends by itself."""

    def _has_thread(self) -> bool:
        free = self._threads - self._busy
        return self._threads == self._most or len(self._calls) <= free

    def _begin_thread(self) -> bool:
        thread = self._platform.calls(self._name)
        has_begun = thread.submit(self._work)
        thread.close(0.0)  # after this one call, which makes all of ours
        self._threads += has_begun
        return has_begun

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call()

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            if not self._calls:
                self._threads -= 1
                return None
            self._busy += 1
            return self._calls.popleft()

    def _end_call(self) -> None:
        with self._lock:
            self._busy -= 1
