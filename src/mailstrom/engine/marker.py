"""Marks before final dots: those that are asked for while the storage is at work share its next call."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from ..abc import Claim, SharedStorage
from .patience import PatientCalls


@dataclass(frozen=True, slots=True)
class _Asked:
    claim: Claim
    addresses: Collection[str]
    marked: asyncio.Future[bool]


class Marker:
    """Notes in the storage that final dots are about to be sent. Used in the worker's loop only."""

    def __init__(self, storage: SharedStorage, calls: PatientCalls) -> None:
        self._storage = storage
        self._calls = calls
        self._asked: list[_Asked] = []
        self._arrived = asyncio.Event()

    async def mark(self, claim: Claim, addresses: Collection[str]) -> bool:
        """Whether the mark stands: not where the claim was lost, or the storage fails now."""
        if self._storage.never_blocks:
            return (await self._mark([(claim, addresses)]))[0]
        asked = _Asked(claim, addresses, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        self._arrived.set()
        return await asked.marked

    async def run(self) -> None:
        """Marks what arrives, until it is cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            together, self._asked = [each for each in self._asked if not each.marked.done()], []
            if not together:
                continue
            marks = await self._mark([(each.claim, each.addresses) for each in together])
            for each, is_marked in zip(together, marks, strict=True):
                if not each.marked.done():
                    each.marked.set_result(is_marked)

    async def _mark(self, dots: list[tuple[Claim, Collection[str]]]) -> list[bool]:
        marks = await self._calls.try_to_write(self._storage.mark_dots_sent, dots)
        return [False] * len(dots) if marks is None else marks
