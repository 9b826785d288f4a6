"""The slowest that a host may read the content."""

from __future__ import annotations

import asyncio

from mailstrom.config import SmtpTimeouts


class Floor:
    """How long a block may take: `block_secs`, and no slower than `min_rate` over all blocks."""

    def __init__(self, timeouts: SmtpTimeouts) -> None:
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._octets = 0

    def secs_for(self, octets: int) -> float:
        """The time for the next block of so many octets."""
        self._octets += octets
        allowed = self._timeouts.block_secs + self._octets / self._timeouts.min_rate
        return min(self._timeouts.block_secs, self._began_at + allowed - self._loop.time())
