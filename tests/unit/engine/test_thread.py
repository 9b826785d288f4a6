"""The threads go on whatever the calls they run come to."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable

import pytest

from mailstrom.engine.thread import CallThread, LookThread, LoopThread, StorageThread
from mailstrom.errors import NotRunningError
from tests.threads import no_thread_for


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

    thread = LoopThread("mailstrom-worker", main, lambda: None)
    thread.start()

    assert thread.join(math.inf)


def test_calls_go_on_once_the_system_has_a_thread_again(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    thread = CallThread("some-calls")

    with no_thread_for("some-calls", monkeypatch):
        taken = [thread.submit(lambda: done.append(1))]
    taken.append(thread.submit(lambda: done.append(2)))
    thread.close(30)

    assert (taken, done) == ([False, True], [2])


def test_who_hears_from_the_log_that_there_is_no_thread_may_submit_a_call_himself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread = CallThread("some-calls")
    taken: list[bool] = []

    def submit_once(record: logging.LogRecord) -> bool:
        if not taken:
            taken.append(True)
            taken.append(thread.submit(lambda: None))
        return True

    log = logging.getLogger("mailstrom")
    log.addFilter(submit_once)
    try:
        with no_thread_for("some-calls", monkeypatch):
            taken.append(thread.submit(lambda: None))
    finally:
        log.removeFilter(submit_once)
    thread.close(30)

    assert taken == [True, False, False]


def test_a_storage_call_that_no_thread_can_make_fails_and_the_next_one_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> object:
        storage = StorageThread(CallThread("storage-calls"))
        with no_thread_for("storage-calls", monkeypatch), pytest.raises(RuntimeError, match="no thread"):
            await asyncio.wait_for(storage.run(lambda: 1), 30)
        found = await asyncio.wait_for(storage.run(lambda: 2), 30)
        storage.close(30)
        return found

    assert asyncio.run(main()) == 2


def test_calls_that_never_had_a_thread_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = CallThread("some-calls")
    with no_thread_for("some-calls", monkeypatch):
        thread.submit(lambda: None)

    thread.close(30)


def test_what_needs_a_thread_to_look_or_to_loop_says_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        raise AssertionError("there is no thread for it")

    with no_thread_for("mailstrom-worker", monkeypatch), pytest.raises(NotRunningError, match="no thread"):
        LoopThread("mailstrom-worker", main, lambda: None).start()
    with no_thread_for("looking", monkeypatch), pytest.raises(NotRunningError, match="no thread"):
        LookThread("looking", 1.0, lambda: True)
    assert threading.active_count() == 1
