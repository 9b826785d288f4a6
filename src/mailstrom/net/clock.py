"""The machine's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ..abc import Clock


class SystemClock(Clock):
    """The machine's clocks. `monotonic` is the one asyncio's loops use."""

    monotonic = staticmethod(time.monotonic)  # read too often for a call around it

    def now(self) -> datetime:
        return datetime.now(UTC)
