"""The virtual loop and the clock that goes with it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.loop import DeadlockError, LeakedTaskError, VirtualLoop, run_virtual

FIVE_DAYS_SECS = 5 * 24 * 3600.0


def test_five_days_of_timers_pass_in_order_and_without_waiting() -> None:
    seen: list[float] = []

    async def tick(every: float) -> None:
        while asyncio.get_running_loop().time() < FIVE_DAYS_SECS:
            await asyncio.sleep(every)
            seen.append(asyncio.get_running_loop().time())

    async def main() -> float:
        await asyncio.gather(tick(7200.0), tick(100_000.0))
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    ended_at = run_virtual(main())

    assert ended_at == 500_000.0
    assert seen == sorted([7200.0 * n for n in range(1, 61)] + [100_000.0 * n for n in range(1, 6)])
    assert time.monotonic() - began < 2.0


def test_a_timeout_fires_at_its_instant() -> None:
    async def main() -> float:
        try:
            async with asyncio.timeout(600.0):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            pass
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 600.0


def test_waiting_for_nothing_is_a_deadlock_that_names_the_place() -> None:
    async def waits_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError, match=r"nothing left to happen at 0 s: .*waits_for_ever"):
        run_virtual(waits_for_ever())


def test_a_task_that_is_left_behind_fails_the_run() -> None:
    kept: list[asyncio.Task[None]] = []

    async def main() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(5), name="forgotten"))

    with pytest.raises(LeakedTaskError, match="forgotten"):
        run_virtual(main())


def test_a_task_that_is_about_to_end_is_not_a_leak() -> None:
    kept: list[asyncio.Task[None]] = []

    async def main() -> str:
        kept.append(asyncio.create_task(asyncio.sleep(0)))
        return "done"

    assert run_virtual(main()) == "done"


@pytest.mark.expects_loop_errors
def test_an_exception_that_nobody_saw_fails_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(ZeroDivisionError):
        run_virtual(main())


def test_real_sockets_and_executors_are_refused() -> None:
    async def read_a_socket() -> None:
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            await asyncio.get_running_loop().sock_recv(near, 1)

    async def use_a_thread() -> None:
        await asyncio.to_thread(int)

    with pytest.raises(RuntimeError, match="no real sockets"):
        run_virtual(read_a_socket())
    with pytest.raises(RuntimeError, match="nothing in threads"):
        run_virtual(use_a_thread())


def test_another_thread_wakes_a_loop_that_was_told_to_expect_it() -> None:
    loop = VirtualLoop(wakes_from_threads=True)

    async def main() -> str:
        answer: asyncio.Future[str] = loop.create_future()
        waker = threading.Timer(0.01, loop.call_soon_threadsafe, (answer.set_result, "woken"))
        waker.start()
        return await answer

    assert run_virtual(main(), loop=loop) == "woken"


def test_the_wall_clock_follows_the_loop_and_jumps_alone() -> None:
    async def main() -> tuple[datetime, float]:
        clock = VirtualClock(asyncio.get_running_loop(), datetime(2030, 1, 1, tzinfo=UTC))
        await asyncio.sleep(60)
        clock.jump(timedelta(days=-3650))
        return clock.now(), clock.monotonic()

    assert run_virtual(main()) == (datetime(2020, 1, 4, 0, 1, tzinfo=UTC), 60.0)
