"""What wakes the worker: anything, or room in a lane, which may be taken by the time that it looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Wake(asyncio.Event):
    """Set when there may be something to do. Used in the worker's loop only."""

    def __init__(self) -> None:
        super().__init__()
        self._by_anything = True
        self._opened: dict[str, None] = {}  # route keys

    def set(self) -> None:
        """There may be anything to do."""
        self._by_anything = True
        super().set()

    def set_for(self, route_key: str) -> None:
        """The lane of this key takes more."""
        self._opened[route_key] = None
        super().set()

    def take(self, is_closed: Callable[[str], bool]) -> bool:
        """Whether there is something to claim still; what it was set for before is forgotten."""
        is_worth = self._by_anything or not all(map(is_closed, self._opened))
        self._by_anything = False
        self._opened.clear()
        self.clear()
        return is_worth
