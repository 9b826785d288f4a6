"""One call after the other through a connection.

Two that overlap would share a savepoint, or a transaction: what the one takes back takes the
other's rows along, and that one has returned an id. Drivers let them overlap between two
statements, whether by threads or by the tasks of an event loop.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any, TypeVar
from weakref import WeakValueDictionary

__all__ = ["in_turn", "in_turn_async"]

L = TypeVar("L")


@contextmanager
def in_turn(connection: object) -> Iterator[None]:
    """Waits until no other call stores through the driver's connection."""
    with _turns(os.getpid()).lock_of(connection, threading.Lock):
        yield


@asynccontextmanager
async def in_turn_async(connection: object) -> AsyncIterator[None]:
    """The same for a connection that is awaited, in the event loop that it belongs to."""
    import asyncio  # callers without a loop never pay for it

    async with _turns(os.getpid()).lock_of(connection, asyncio.Lock):
        yield


class _Turns:
    """A lock for each connection that is in use; it goes with the last call that knows it. Any thread.

    By id(): connections of sqlite3 have no weak references, and no call outlives its connection.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def lock_of(self, connection: object, make: Callable[[], L]) -> L:
        """Always the same, while anybody holds it or waits for it."""
        with self._guard:
            lock: L = self._locks.setdefault(id(connection), make())
        return lock


@cache
def _turns(pid: int) -> _Turns:
    """Those of the process: two storages may be given one connection. A forked child has its own."""
    return _Turns()
