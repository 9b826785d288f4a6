"""What was asked of the worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from mailstrom import Config, NotRunningError, Queued, WorkerStatus
from mailstrom.abc import Claim, Terms
from mailstrom.engine.carriers import carrier_maker
from mailstrom.engine.events import Board
from mailstrom.engine.gates import Gates
from mailstrom.engine.local import Outbox
from mailstrom.engine.platform import Flag, Loop, Platform
from mailstrom.engine.runtime import Runtime
from mailstrom.engine.thread import run_inline
from mailstrom.net.clock import SystemClock
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.storage_kit import an_entry, id_of
from mailstrom.wiring import SystemPlatform, system_world
from tests.threads import no_thread_for


def a_runtime(storage: ExclusiveStorage | None = None, platform: Platform | None = None) -> Runtime:
    config = Config(mode="capture", helo_name="sender.example")
    return Runtime(
        config,
        storage or ExclusiveStorage(MemoryStorage()),
        lambda: system_world(config, SystemClock(), run_inline),
        carrier_maker(Outbox()),
        platform=platform or SystemPlatform(),
        owner="me",
        tell=lambda _: None,
        now=lambda: datetime.now(UTC),
        board=Board(),
        ended=lambda: None,
    )


def test_a_worker_that_is_made_anew_is_told_what_holds_now_and_not_all_that_ever_was() -> None:
    runtime = a_runtime()
    for _ in range(1000):
        runtime.pause()
        runtime.resume()
    runtime.pause()

    asked = list(runtime._asked.values())

    assert len(asked) == 1


def test_a_pause_before_the_thread_has_begun_holds() -> None:
    runtime = a_runtime()
    runtime.pause()
    assert runtime.status == "paused"

    async def main() -> str:
        running = asyncio.create_task(runtime._main())
        await asyncio.sleep(0)
        while runtime._engine is None or runtime._engine.status == "not started":
            await asyncio.sleep(0)
        status = str(runtime.status)
        assert runtime._engine is not None
        runtime._engine.abort()
        await running
        return status

    assert asyncio.run(main()) == "paused"


class PausedMeanwhile(ExclusiveStorage):
    """Between an engine's decision to claim and its claim, another thread pauses it and stores a mail."""

    pause: Callable[[], object]
    claims = 0

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        if not self.claims:
            self.pause()
            self.store([an_entry("one", due_at=now)])
        self.claims += 1
        return super().claim_many(now, terms)


def test_what_is_stored_after_a_pause_is_not_begun_though_the_loop_has_not_heard_of_it() -> None:
    """`pause()` has returned: nothing new is taken, whatever the loop is doing just then."""
    storage = PausedMeanwhile(MemoryStorage())
    runtime = a_runtime(storage)
    storage.pause = runtime.pause

    async def main() -> None:
        running = asyncio.create_task(runtime._main())
        while not storage.claims:
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert runtime._engine is not None
        runtime._engine.finish(take_due=False)
        await running

    asyncio.run(main())

    assert storage.retrieve_status(id_of("one")).recipients[0].result == Queued()


class HeardLater(SystemPlatform):
    """Its loop hears of nothing before the test says so."""

    def __init__(self) -> None:
        self.unheard: list[Callable[[], object]] = []

    def loop(self, *_: object) -> Loop:
        return self

    def call_soon(self, call: Callable[[], object]) -> None:
        self.unheard.append(call)

    def start(self) -> None:
        raise AssertionError("nothing runs here")

    def join(self, timeout: float | None = None) -> bool:
        return True


def test_who_stores_while_a_wake_up_is_on_its_way_sends_no_other() -> None:
    """The loop of a busy worker would be called once for each message."""
    platform = HeardLater()
    runtime = a_runtime(platform=platform)

    for _ in range(3):
        runtime.wake()
    (heard,) = platform.unheard
    heard()
    runtime.wake()

    assert len(platform.unheard) == 2


def test_a_wake_up_that_a_loop_took_to_its_end_silences_none_of_the_next_loop() -> None:
    platform = HeardLater()
    runtime = a_runtime(platform=platform)
    runtime.wake()

    async def main() -> None:
        running = asyncio.create_task(runtime._main())
        while runtime._engine is None:
            await asyncio.sleep(0)
        runtime.wake()
        runtime._engine.abort()
        await running

    asyncio.run(main())

    assert len(platform.unheard) == 2


class NeverWaits(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


class Impatient(SystemPlatform):
    """Waits for nothing."""

    def flag(self) -> Flag:
        return NeverWaits()


def test_of_a_worker_whose_loop_does_not_answer_only_the_status_is_known() -> None:
    runtime = a_runtime(platform=Impatient())

    async def main() -> tuple[Gates, Gates]:
        before = runtime.gates("1@x.example", ["dest.example"])
        running = asyncio.create_task(runtime._main())
        while runtime._engine is None or runtime._engine.status != "ok":
            await asyncio.sleep(0)
        kept_from_answering = runtime.gates("1@x.example", ["dest.example"])
        runtime._engine.abort()
        await running
        return before, kept_from_answering

    assert asyncio.run(main()) == (
        Gates(status=WorkerStatus.OK),
        Gates(status=WorkerStatus.OK, is_silent=True),
    )


class Listened(ExclusiveStorage):
    """As if other processes stored here, too, and it could tell when."""

    poll_secs = 1.0

    def listen(self, wake: Callable[[], object], is_over: Callable[[], bool]) -> None:
        while not is_over():
            pass


@pytest.mark.parametrize("name", ["mailstrom-worker", "mailstrom-listener"])
def test_where_a_thread_is_missing_none_is_left_running(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = a_runtime(Listened(MemoryStorage()))

    with no_thread_for(name, monkeypatch), pytest.raises(NotRunningError, match="call start"):
        runtime.start()

    assert threading.active_count() == 1
