"""Marks before final dots: those that are asked for while the storage is at work share its next call.

A session waits for its mark, and nobody for a result to be recorded: `committer.py` lets marks go first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from ..abc import Claim, SharedStorage
from .patience import PatientCalls

_Dot = tuple[Claim, Collection[str]]


class Marker:
    """Notes in the storage that final dots are about to be sent. Used in the worker's loop only."""

    def __init__(self, storage: SharedStorage, calls: PatientCalls) -> None:
        self.is_busy = False  # marks are asked for
        self.on_rest: Callable[[], object] = lambda: None  # called when none are any more
        self._storage = storage
        self._calls = calls
        self._asked: list[tuple[_Dot, asyncio.Future[bool]]] = []
        self._arrived = asyncio.Event()

    async def mark(self, claim: Claim, addresses: Collection[str]) -> bool:
        """Whether the mark stands: not where the claim was lost, or the storage fails now."""
        if self._storage.never_blocks:
            return (await self._mark([(claim, addresses)]))[0]
        marked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append(((claim, addresses), marked))
        self.is_busy = True
        self._arrived.set()
        return await marked

    async def run(self) -> None:
        """Marks what arrives, until it is cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            together, self._asked = [each for each in self._asked if not each[1].done()], []
            if together:
                marks = await self._mark([dot for dot, _ in together])
                for (_, marked), is_marked in zip(together, marks, strict=True):
                    if not marked.done():
                        marked.set_result(is_marked)
            if not self._asked:
                self.is_busy = False
                self.on_rest()

    async def _mark(self, dots: list[_Dot]) -> list[bool]:
        marks = await self._calls.try_to_write(self._storage.mark_dots_sent, dots)
        return [False] * len(dots) if marks is None else marks
