"""The machine's clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic

from ..abc import Clock


class SystemClock(Clock):
    """The machine's clocks. `monotonic` is the one asyncio's loops use."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()
