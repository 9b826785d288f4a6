"""What the worker does for its storage beside delivering: trouble here is logged, and stops nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from ..abc import Clock, SharedStorage
from ..status import printable
from .patience import PatientCalls

FIRST_AFTER_SECS = 1.0  # what is due when the worker starts goes first
PURGE_EVERY_SECS = 60.0
PURGE_AT_LEAST_EVERY_SECS = 900.0  # where nothing was found, less and less often
PULL_IN_EVERY_SECS = 3600.0
GIVE_WAY_SECS = 0.1  # between two batches while mail is being delivered

_log = logging.getLogger("mailstrom")


class Housekeeping:
    """Purges what has been kept long enough, and pulls in what is due absurdly late.

    Used in the worker's loop only. `is_busy`: mail is being delivered; `found_work` is called
    when something is due now that was not.
    """

    def __init__(
        self,
        storage: SharedStorage,
        calls: PatientCalls,
        clock: Clock,
        longest_wait: timedelta,
        *,
        is_busy: Callable[[], bool],
        found_work: Callable[[], object],
    ) -> None:
        self._storage = storage
        self._calls = calls
        self._clock = clock
        self._longest_wait = longest_wait
        self._is_busy = is_busy
        self._found_work = found_work
        self._pull_in_at = clock.monotonic()

    async def run(self) -> None:
        """Soon and then now and again, until it is cancelled."""
        await asyncio.sleep(FIRST_AFTER_SECS)
        wait_secs = PURGE_EVERY_SECS
        while True:
            try:
                await self._pull_in()
                found = await self._purge()
                wait_secs = PURGE_EVERY_SECS if found else min(2 * wait_secs, PURGE_AT_LEAST_EVERY_SECS)
            except Exception as error:
                _log.warning("housekeeping failed, mail goes on: %s", printable(str(error)))
                wait_secs = PURGE_EVERY_SECS
            await asyncio.sleep(wait_secs)

    async def _pull_in(self) -> None:
        """Mends due times that a wall clock far ahead has made."""
        if self._clock.monotonic() < self._pull_in_at:
            return
        pulled_in = await self._calls.once(self._storage.pull_in, self._clock.now() + self._longest_wait)
        self._pull_in_at = self._clock.monotonic() + PULL_IN_EVERY_SECS
        if pulled_in:
            _log.warning("the clock stood far ahead once: %d recipients are tried sooner", pulled_in)
            self._found_work()

    async def _purge(self) -> bool:
        """Whether there was something."""
        found = False
        while True:
            if not await self._calls.once(self._storage.purge, self._clock.now()):
                return found
            found = True
            await asyncio.sleep(GIVE_WAY_SECS if self._is_busy() else 0)
