"""What was asked of the worker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from mailstrom import Config
from mailstrom.engine.carriers import carrier_maker
from mailstrom.engine.local import Outbox
from mailstrom.engine.runtime import Runtime
from mailstrom.engine.thread import run_inline
from mailstrom.net.clock import SystemClock
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.wiring import SystemPlatform, system_world


def a_runtime() -> Runtime:
    config = Config(mode="capture", helo_name="sender.example")
    return Runtime(
        config,
        ExclusiveStorage(MemoryStorage()),
        lambda: system_world(config, SystemClock(), run_inline),
        carrier_maker(Outbox()),
        platform=SystemPlatform(),
        owner="me",
        tell=lambda _: None,
        now=lambda: datetime.now(UTC),
        changed=lambda _: None,
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

    async def main() -> str:
        running = asyncio.create_task(runtime._main())
        await asyncio.sleep(0)
        while runtime.status == "ok":
            await asyncio.sleep(0)
        status = str(runtime.status)
        assert runtime._engine is not None
        runtime._engine.abort()
        await running
        return status

    assert asyncio.run(main()) == "paused"
