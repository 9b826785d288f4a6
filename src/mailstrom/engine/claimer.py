"""Asks the storage for work: claims, their contents, when the next is due, how soon to ask again in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

from ..abc import Claim, SharedStorage, Terms
from ..config import Config
from ..schedule.retry import waits_after_death
from .hand_over import HandOver
from .job import Granted
from .lanes import Lanes
from .patience import PatientCalls, sleep
from .world import World

CONTENT_LIMIT = 128 * 1024  # octets in memory with each claim; more are read while they are sent
RESTED_SECS = 0.05  # while much is in hand, whose ends wake us, it is not asked more often when more is due
IN_VAIN_SECS = 0.005  # at first: what looks due and cannot be had is being claimed by another process


class Claimer:
    """The worker's way to its work. Used in the worker's loop only.

    `owner` claims. What is granted while the worker is cut off goes to `hand_over`; nothing is asked any
    more once an `unless` is set.
    """

    def __init__(
        self,
        config: Config,
        storage: SharedStorage,
        calls: PatientCalls,
        world: World,
        lanes: Lanes,
        hand_over: HandOver,
        owner: str,
    ) -> None:
        self._policy = config.retry_policy
        self._lease = timedelta(seconds=config.lease_secs)
        self._storage = storage
        self._calls = calls
        self._clock = world.clock
        self._chance = world.chance
        self._lanes = lanes
        self._hand_over = hand_over
        self._owner = owner
        self._in_vain_secs = IN_VAIN_SECS
        self._asked_for: datetime | None = None  # what was due then, when storage was asked last
        self._rests_until = float("-inf")

    async def claim(self, limit: int, *, unless: asyncio.Event) -> Sequence[Granted]:
        """The next due work, however long the storage fails before; (): there is none to be taken now."""
        return await self._claim(self._calls.read(self._ask, limit, unless=unless))

    async def claim_once(self) -> Sequence[Granted]:
        """One claim, but raises what the storage raises."""
        return await self._claim(self._calls.once(self._ask, 1))

    async def read_content(self, claim: Claim, start: int) -> bytes | None:
        """As `SharedStorage.read_content`; raises what the storage raises."""
        octets: bytes | None = await self._calls.once(self._storage.read_content, claim, start)
        return octets

    async def rest(self, unless: asyncio.Event) -> bool:
        """Waits until it may be asked again when more is due; False: that is now."""
        secs = self._rests_until - self._clock.monotonic()
        if secs <= 0.0 or self._storage.never_blocks:
            return False
        await sleep(secs, unless)
        return True

    async def secs_until_due(self, *, unless: asyncio.Event, has_asked: bool) -> float | None:
        """Seconds until it is worth while to claim, or to look again; None: not before somebody wakes us.

        `has_asked`, just now: what was due then, and could not be had, is worth while later, longer each
        time; what fell due since then was not asked for.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        self._rests_until = monotonic + RESTED_SECS
        asked_for = self._asked_for if has_asked else None
        self._lanes.admit_probes(monotonic)
        due = await self._calls.read(
            self._storage.next_due, asked_for or now, self._lanes.closed_keys, unless=unless
        )
        delays = []
        if due is not None:
            is_in_vain = asked_for is not None and due <= asked_for
            delays.append(self._secs_in_vain() if is_in_vain else max((due - now).total_seconds(), 0.0))
        if (probe := self._lanes.next_probe(monotonic)) is not None:
            delays.append(probe - monotonic)
        if self._storage.poll_secs is not None:
            delays.append(self._storage.poll_secs)
        return min(delays, default=None)

    def begin_anew(self) -> None:
        """What could not be had before is asked for again soon."""
        self._in_vain_secs = IN_VAIN_SECS

    def _secs_in_vain(self) -> float:
        if self._storage.poll_secs is None:
            return 0.0
        secs = min(self._in_vain_secs, self._storage.poll_secs)
        self._in_vain_secs = 2 * secs
        return secs

    async def _claim(self, asking: Coroutine[Any, Any, Sequence[Granted] | None]) -> Sequence[Granted]:
        self._lanes.admit_probes(self._clock.monotonic())
        granted = await (asking if self._storage.never_blocks else self._or_hand_over(asking))
        if granted:
            self.begin_anew()
        return granted or ()

    async def _or_hand_over(
        self, asking: Coroutine[Any, Any, Sequence[Granted] | None]
    ) -> Sequence[Granted] | None:
        asked = asyncio.ensure_future(asking)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            self._hand_over.expect(asked)  # the storage may be about to grant it
            raise

    def _ask(self, limit: int) -> Sequence[Granted]:
        """Where storage calls run: it may be called again long after it was first asked for."""
        asked_at = self._clock.monotonic()
        terms = Terms(
            owner=self._owner,
            lease=self._lease,
            limit=limit,
            skip=self._lanes.closed_keys,
            admits=self._lanes.admits,
            backoff=lambda: waits_after_death(self._policy, self._chance.random()),
            content_limit=CONTENT_LIMIT,
        )
        self._asked_for = now = self._clock.now()
        claims = self._storage.claim_many(now, terms)
        return [Granted(claim=claim, asked_at=asked_at) for claim in claims]
