"""The way in while a Mailstrom is open: closing waits for who is within."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Door:
    """Lets callers through until it is shut. Any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._within = 0
        self._shut = False

    @property
    def is_shut(self) -> bool:
        """Nobody comes in any more."""
        return self._shut

    @contextmanager
    def within(self) -> Iterator[bool]:
        """False where the door is shut; else `wait_until_empty` waits for the end of the block."""
        with self._changed:
            entered = not self._shut
            self._within += entered
        try:
            yield entered
        finally:
            with self._changed:
                self._within -= entered
                self._changed.notify_all()

    def shut(self) -> None:
        """Lets nobody in from now on."""
        with self._changed:
            self._shut = True

    def wait_until_empty(self, timeout: float) -> bool:
        """Waits for those within; False when `timeout` seconds were not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._within, min(timeout, threading.TIMEOUT_MAX))
