"""Limits that hold for all workers of a queue: what they agree on stands in the storage's notes.

    rate       one instant for each name, moved on by compare and set: schedule/rate.py
    sessions   who has how many of each name's sessions, and until when

What a worker has drawn of a rate and does not use is lost. What it holds of the sessions ends LEASE_SECS
after it said last that it is still there: a worker that died keeps others from them no longer than that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..abc import Clock, Note, SharedStorage
from ..schedule.rate import CLOCK_SLACK_SECS, Drawn, draw
from .bounds import Cap, Meter
from .patience import PatientCalls

LEASE_SECS = 20.0
RENEW_SECS = 5.0  # how often those that are in use are told to be
LEASE_MARGIN_SECS = 5.0  # before the end we use them no more: clocks may be apart
TRIES = 10  # to be quicker than the other workers
SOON_NS = 50_000_000  # until we try again where we never were

_SINCE = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEY_LENGTH = 255

Held = Mapping[str, tuple[int, int]]  # by owner: how many sessions, and until when (microseconds since 1970)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many sessions we may have at once, until then (monotonic)."""

    sessions: int
    until: float


class QuotaNotes:
    """What one worker draws and holds. Used in the worker's loop; its calls run where storage calls run."""

    def __init__(self, storage: SharedStorage, calls: PatientCalls, clock: Clock, owner: str) -> None:
        self.is_alone = storage.identity is None and storage.poll_secs is None  # no other worker, ever
        self._storage = storage
        self._calls = calls
        self._clock = clock
        self._owner = owner

    async def draw(self, meter: Meter) -> Drawn | None:
        """What may go now of this rate; None: the storage does not answer."""
        drawn: Drawn | None = await self._calls.try_to_write(self._draw, meter)
        return drawn

    async def hold(self, cap: Cap, wanted: int) -> Share | None:
        """As many of these sessions as are left for us, up to `wanted`, in place of those that we held.

        None: the storage does not answer, or others are always quicker; what we held stays ours.
        """
        asked_at = self._clock.monotonic()
        sessions: int | None = await self._calls.try_to_write(self._hold, cap, wanted)
        if sessions is None:
            return None
        return Share(sessions=sessions, until=asked_at + LEASE_SECS - LEASE_MARGIN_SECS)

    def _draw(self, meter: Meter) -> Drawn:
        for _ in range(TRIES):
            now = self._clock.now()
            note = self._read("rate", meter.name, now)
            drawn = draw(meter.rate, _state(note.value), _nanoseconds(now))
            ends = _SINCE + timedelta(microseconds=drawn.state // 1000, seconds=CLOCK_SLACK_SECS)
            if not drawn.count or self._keep(note, str(drawn.state), ends, now):
                return drawn
        return Drawn(count=0, state=0, wait_ns=SOON_NS)

    def _hold(self, cap: Cap, wanted: int) -> int | None:
        for _ in range(TRIES):
            now = self._clock.now()
            note = self._read("sessions", cap.name, now)
            held = shared(_held(note.value), self._owner, wanted, cap.most, _microseconds(now))
            ends = now + timedelta(seconds=LEASE_SECS)
            if self._keep(note, json.dumps(held), ends, now):
                return held[self._owner][0] if self._owner in held else 0
        return None

    def _read(self, namespace: str, name: str, now: datetime) -> Note:
        key = name if len(name) <= _KEY_LENGTH else hashlib.sha256(name.encode()).hexdigest()
        note = self._storage.note(namespace, key, now)
        return note or Note(namespace=namespace, key=key, value="", expires_at=now)

    def _keep(self, note: Note, value: str, expires_at: datetime, now: datetime) -> bool:
        kept = Note(
            namespace=note.namespace, key=note.key, value=value, expires_at=expires_at, version=note.version
        )
        return self._storage.put_note(kept, now) is not None


def shared(held: Held, owner: str, wanted: int, most: int, now: int) -> dict[str, tuple[int, int]]:
    """Who holds how many of `most`, once `owner` has as many as are left, up to `wanted`. A pure rule.

    Who has not told for a while that he is there holds nothing any more.
    """
    others = {name: (count, until) for name, (count, until) in held.items() if name != owner and until > now}
    left = most - sum(count for count, _ in others.values())
    count = max(min(wanted, left), 0)
    ours = {owner: (count, now + int(LEASE_SECS * 1_000_000))} if count else {}
    return {**others, **ours}


def _held(text: str) -> Held:
    return {name: (count, until) for name, (count, until) in json.loads(text or "{}").items()}


def _state(text: str) -> int | None:
    return int(text) if text else None


def _microseconds(at: datetime) -> int:
    return (at - _SINCE) // _MICROSECOND


def _nanoseconds(at: datetime) -> int:
    return _microseconds(at) * 1000
