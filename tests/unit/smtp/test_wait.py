"""`smtp.wait`: many waits, one timer, each ends in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mailstrom.smtp.wait import Wait
from mailstrom.testing.loop import VirtualLoop, run_virtual


class Counting(VirtualLoop):
    """Counts the timers that are set."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[float] = []

    def call_at(self, when: float, *args: object, **kwargs: object) -> asyncio.TimerHandle:
        self.timers.append(when)
        return super().call_at(when, *args, **kwargs)  # type: ignore[arg-type]


def run(story: Callable[[Wait, Counting], Awaitable[None]]) -> None:
    loop = Counting()

    async def main() -> None:
        await story(Wait(loop), loop)

    run_virtual(main(), loop=loop)


def test_a_wait_ends_at_its_time_also_where_the_timer_was_set_for_an_earlier_one() -> None:
    async def story(wait: Wait, loop: Counting) -> None:
        begin = loop.time()
        loop.call_soon(wait.wake)

        assert await wait.woken(begin + 10)
        assert not await wait.woken(begin + 300)
        assert loop.time() == begin + 300

    run(story)


def test_a_wait_ends_at_its_time_also_where_the_timer_was_set_for_a_later_one() -> None:
    async def story(wait: Wait, loop: Counting) -> None:
        begin = loop.time()
        loop.call_soon(wait.wake)

        assert await wait.woken(begin + 300)
        assert not await wait.woken(begin + 10)
        assert loop.time() == begin + 10

    run(story)


def test_a_thousand_waits_set_one_timer() -> None:
    async def story(wait: Wait, loop: Counting) -> None:
        before = len(loop.timers)
        for _ in range(1000):
            loop.call_soon(wait.wake)
            assert await wait.woken(loop.time() + 300)

        assert len(loop.timers) == before + 1

    run(story)


def test_a_forgotten_timer_ends_no_wait_and_the_next_one_sets_its_own() -> None:
    async def story(wait: Wait, loop: Counting) -> None:
        begin = loop.time()
        loop.call_soon(wait.wake)
        assert await wait.woken(begin + 5)

        wait.forget_timer()

        assert not await wait.woken(begin + 20)
        assert loop.time() == begin + 20

    run(story)
