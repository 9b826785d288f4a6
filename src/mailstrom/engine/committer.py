"""Settling without waiting: what has a result while the storage is at work shares its next commit.

    job ──settle──► waiting ─┐
    job ──settle──► waiting ─┼─► one storage.settle([...]) ──► each job hears whether its claim stood
    job ──settle──► waiting ─┘

No timer and no linger: with one result at a time each has a commit of its own, at once. Where
the worker is claiming, a few claims go first: else each would wait for a commit, and each result
have one to itself. A commit that fails is tried again, with whatever has come since; until it works
`is_stuck`, and nothing is claimed: what cannot be recorded would only be sent twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from ..abc import Claim, Outcome, Settlement, SharedStorage
from .patience import PatientCalls


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    settlement: Settlement
    kept: asyncio.Future[bool]


class Committer:
    """Records results, those that are there together. Used in the worker's loop only.

    `committed` is called after each commit. What one job settles is committed in its order,
    since it waits for each.
    """

    def __init__(
        self,
        storage: SharedStorage,
        calls: PatientCalls,
        now: Callable[[], datetime],
        committed: Callable[[], object],
    ) -> None:
        self.is_stuck = False  # what failed last has not succeeded since
        self._storage = storage
        self._calls = calls
        self._now = now
        self._committed = committed
        self._waiting: dict[_Waiting, None] = {}  # in the order of their coming
        self._lock = threading.Lock()  # the storage's thread takes what the loop puts down
        self._arrived = asyncio.Event()
        self._may_go = asyncio.Event()
        self._may_go.set()

    async def settle(self, claim: Claim, outcomes: Sequence[Outcome]) -> bool:
        """Whether the claim still stood when these were recorded; however long that takes.

        Cancelled, it takes back what is not on its way yet.
        """
        kept = asyncio.get_running_loop().create_future()
        waiting = _Waiting(Settlement(claim=claim, outcomes=tuple(outcomes)), kept)
        with self._lock:
            self._waiting[waiting] = None
        self._arrived.set()
        try:
            return bool(await kept)
        finally:
            self._leave([waiting])

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """Meanwhile claims are made: the results that come share the commit after them."""
        self._may_go.clear()
        try:
            yield
        finally:
            self._may_go.set()

    def go_first(self) -> None:
        """Ends the giving way: the claims do not come forward."""
        self._may_go.set()

    async def run(self) -> None:
        """Commits what arrives, until it is cancelled."""
        while True:
            await self._arrived.wait()
            await self._may_go.wait()
            self._arrived.clear()
            await self._commit()

    async def _commit(self) -> None:
        batch, kept = await self._calls.write(self._settle_what_is_there)
        self._leave(batch)
        for waiting, is_kept in zip(batch, kept, strict=True):
            if not waiting.kept.done():
                waiting.kept.set_result(is_kept)
        self._committed()

    def _settle_what_is_there(self) -> tuple[list[_Waiting], list[bool]]:
        """Where storage calls run, once the storage is free: all that has come until now."""
        with self._lock:
            batch = list(self._waiting)
        if not batch:
            return [], []
        try:
            kept = self._storage.settle([waiting.settlement for waiting in batch], self._now())
        except BaseException:
            self.is_stuck = True
            raise
        self.is_stuck = False
        return batch, kept

    def _leave(self, done: Sequence[_Waiting]) -> None:
        with self._lock:
            for waiting in done:
                self._waiting.pop(waiting, None)
