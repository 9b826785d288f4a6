"""The threads go on whatever the calls they run come to."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

import pytest

from mailstrom.engine.thread import CallThread, LoopThread, StorageThread


def killed() -> None:
    raise SystemExit("killed")


def exhausted() -> None:
    next(iter(()))


def broken() -> None:
    raise ZeroDivisionError


def on_storage_thread(*calls: Callable[[], object]) -> list[object]:
    """The results of the calls; an exception's name where one was raised."""

    async def main() -> list[object]:
        storage = StorageThread(CallThread("storage-calls"))
        found: list[object] = []
        for call in calls:
            try:
                found.append(await asyncio.wait_for(storage.run(call), 30))
            except Exception as error:
                found.append(type(error).__name__)
        storage.close(30)
        return found

    return asyncio.run(main())


def test_a_storage_call_that_raises_anything_is_answered_and_the_next_one_too() -> None:
    """Else the worker would wait for it for ever."""
    found = on_storage_thread(broken, exhausted, killed, lambda: 4711)

    assert found == ["ZeroDivisionError", "RuntimeError", "RuntimeError", 4711]


def test_a_storage_call_after_the_end_fails() -> None:
    async def main() -> None:
        storage = StorageThread(CallThread("storage-calls"))
        storage.close(30)
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(storage.run(lambda: 1), 30)

    asyncio.run(main())


def test_a_call_that_raises_does_not_end_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="mailstrom")
    done: list[int] = []
    thread = CallThread("some-calls")

    thread.submit(killed)
    thread.submit(lambda: done.append(1))
    thread.close(30)

    assert done == [1]
    assert "some-calls" in caplog.text


def test_a_thread_may_be_waited_for_without_end() -> None:
    async def main() -> None:
        await asyncio.sleep(0)

    thread = LoopThread(main, lambda: None)
    thread.start()

    assert thread.join(math.inf)
