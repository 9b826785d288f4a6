"""Storage calls that are made until they succeed: a storage that fails for a while stops nothing for good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

from ..abc import StorageRunner
from ..status import WorkerStatus, printable

LONGEST_WAIT_SECS = 8.0  # what was away for however long is used again within 10 s

_log = logging.getLogger("mailstrom")


def backoff() -> Iterator[float]:
    """Seconds to wait after each failure in a row: 1, 2, 4, 8, 8, ..."""
    return chain((1.0, 2.0, 4.0), repeat(LONGEST_WAIT_SECS))


class PatientCalls:
    """Runs storage calls, again and again where they fail. Used in the worker's loop only.

    `trouble(status)` is called at each failure, `recovered(status)` when a call succeeds after one.
    """

    def __init__(
        self,
        run_storage: StorageRunner,
        trouble: Callable[[WorkerStatus], None],
        recovered: Callable[[WorkerStatus], None],
    ) -> None:
        self._run_storage = run_storage
        self._trouble = trouble
        self._recovered = recovered

    async def once(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The call's result, or its exception."""
        return await self._run_storage(call, *args, **kwargs)

    async def try_to_write(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The call's result; None where the storage fails now."""
        try:
            result = await self._run_storage(call, *args, **kwargs)
        except Exception as error:
            self._trouble(WorkerStatus.STORAGE_WRITE_FAILED)
            _log.error("%s: %s", WorkerStatus.STORAGE_WRITE_FAILED, printable(str(error)))
            return None
        self._recovered(WorkerStatus.STORAGE_WRITE_FAILED)
        return result

    async def read(
        self, call: Callable[..., Any], *args: Any, unless: asyncio.Event, **kwargs: Any
    ) -> Any:
        """The call's result, however long the storage fails before; None once `unless` is set."""
        return await self._until_done(WorkerStatus.STORAGE_READ_FAILED, unless, call, *args, **kwargs)

    async def write(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The call's result, however long the storage fails before."""
        return await self._until_done(WorkerStatus.STORAGE_WRITE_FAILED, None, call, *args, **kwargs)

    async def _until_done(
        self,
        status: WorkerStatus,
        unless: asyncio.Event | None,
        call: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        for secs in backoff():
            if unless is not None and unless.is_set():
                return None
            try:
                result = await self._run_storage(call, *args, **kwargs)
            except Exception as error:
                self._trouble(status)
                _log.error("%s: %s; tried again in %.0f s", status, printable(str(error)), secs)
                await sleep(secs, unless or asyncio.Event())
            else:
                self._recovered(status)
                return result
        raise AssertionError("backoff() never ends")


async def sleep(secs: float | None, unless: asyncio.Event) -> None:
    """Returns `secs` seconds later, or as soon as `unless` is set."""
    if unless.is_set():
        return
    if secs is None:
        await unless.wait()
        return
    try:
        async with asyncio.timeout(secs):
            await unless.wait()
    except TimeoutError:
        pass
