"""What was asked of an engine until now."""

from __future__ import annotations

import asyncio


class Asked:
    """What the facade wants of an engine. Used in the worker's loop only."""

    def __init__(self) -> None:
        self.takes_nothing = asyncio.Event()  # paused, or ending without what is due
        self.ending = asyncio.Event()
        self.paused = False
        self.on_hold = False  # from when somebody pauses, on whatever thread: the loop hears of it later
        self.stopping = False
        self.aborted = False
        self.take_due = False

    @property
    def is_closed(self) -> bool:
        """No new work is taken now."""
        return self.on_hold or self.takes_nothing.is_set()

    def pause(self) -> None:
        """To take no new work."""
        self.paused = self.on_hold = True
        self.takes_nothing.set()

    def resume(self) -> None:
        """To take work again."""
        self.paused = self.on_hold = False
        if not self.stopping:
            self.takes_nothing.clear()
