"""A clock that goes with a `VirtualLoop`; its wall time can be made to jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from ..abc import Clock

START = datetime(2025, 1, 1, 12, 0, tzinfo=UTC)


class Timed(Protocol):
    """What has a time: an event loop, a timeline."""

    def time(self) -> float: ...


class VirtualClock(Clock):
    """The wall clock is `start` plus the loop's time plus every `jump`; the monotonic one never jumps."""

    def __init__(self, loop: Timed, start: datetime = START) -> None:
        self._loop = loop
        self._start = start.astimezone(UTC)
        self._offset = timedelta(0)

    def now(self) -> datetime:
        """Aware UTC."""
        return self._start + timedelta(seconds=self._loop.time()) + self._offset

    def monotonic(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def jump(self, by: timedelta) -> None:
        """Moves the wall clock, forwards or back, as an operator or NTP would."""
        self._offset += by
