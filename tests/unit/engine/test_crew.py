"""A crew makes calls beside an event loop, and is gone when there is nothing left to do."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable

import pytest

from mailstrom.engine.crew import Crew
from mailstrom.engine.platform import Calls
from mailstrom.errors import NotRunningError
from mailstrom.wiring import SystemPlatform

NAME = "some-crew"


def a_crew(most: int | None = 2) -> Crew:
    return Crew(SystemPlatform(), NAME, most)


def at_work() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0)


def test_a_call_is_made_on_another_thread_and_its_result_comes_back() -> None:
    def call(a: int, *, b: int) -> tuple[int, str]:
        return a + b, threading.current_thread().name

    assert asyncio.run(a_crew().run(call, 1, b=2)) == (3, NAME)


def test_what_a_call_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(a_crew().run(lambda: 1 / 0))


def test_a_call_sees_the_context_of_its_task() -> None:
    name = contextvars.ContextVar[str]("name")

    async def main() -> str:
        name.set("mine")
        return await a_crew().run(name.get)

    assert asyncio.run(main()) == "mine"


def test_no_more_calls_are_made_at_once_than_are_allowed_and_all_are_made() -> None:
    async def main() -> list[int]:
        crew, go_on = a_crew(most=2), threading.Event()
        calls = [asyncio.create_task(crew.run(go_on.wait, 30)) for _ in range(2)]
        calls += [asyncio.create_task(crew.run(lambda: True)) for _ in range(5)]
        await until(lambda: crew.waiting == 5)
        waiting, threads = crew.waiting, len(at_work())
        go_on.set()
        assert all(await asyncio.gather(*calls))
        return [waiting, threads]

    assert asyncio.run(main()) == [5, 2]


def test_without_a_bound_no_call_waits_for_another() -> None:
    async def main() -> None:
        crew, together = a_crew(most=None), threading.Barrier(20)
        await asyncio.gather(*(crew.run(together.wait, 30) for _ in range(20)))

    asyncio.run(main())


def test_nobody_is_left_when_no_call_waits() -> None:
    async def main() -> None:
        crew = a_crew()
        await asyncio.gather(*(crew.run(int) for _ in range(50)))
        await until(lambda: at_work() == [])

    asyncio.run(main())


def test_a_call_whose_task_was_cancelled_before_it_began_is_never_made() -> None:
    made: list[str] = []

    async def main() -> None:
        crew, go_on = a_crew(most=1), threading.Event()
        first = asyncio.create_task(crew.run(go_on.wait, 30))
        second = asyncio.create_task(crew.run(made.append, "second"))
        await until(lambda: crew.waiting == 1)
        second.cancel()
        await asyncio.wait([second])
        go_on.set()
        await asyncio.gather(first, crew.run(made.append, "third"))

    asyncio.run(main())

    assert made == ["third"]


class NoThread:
    """What is there in the place of a thread where the system has none left."""

    waiting = 0

    def submit(self, call: Callable[[], object]) -> bool:
        return False

    def close(self, timeout: float) -> None:
        """Nothing was begun."""


class Exhausted(SystemPlatform):
    """Has only so many threads."""

    def __init__(self, left: int) -> None:
        self.left = left

    def calls(self, name: str) -> Calls:
        self.left -= 1
        return super().calls(name) if self.left >= 0 else NoThread()


def test_where_the_system_has_no_thread_a_call_fails_and_a_later_one_is_made() -> None:
    made: list[str] = []

    async def main() -> None:
        platform = Exhausted(left=0)
        crew = Crew(platform, NAME, 2)
        with pytest.raises(NotRunningError, match="no thread"):
            await crew.run(made.append, "first")
        assert crew.waiting == 0
        platform.left = 1
        await crew.run(made.append, "second")

    asyncio.run(main())

    assert made == ["second"]


def test_where_the_system_has_no_further_thread_a_call_waits_for_the_one_there_is() -> None:
    async def main() -> list[bool]:
        crew, go_on = Crew(Exhausted(left=1), NAME, 2), threading.Event()
        calls = [asyncio.create_task(crew.run(go_on.wait, 30)) for _ in range(2)]
        await until(lambda: crew.waiting == 1)
        go_on.set()
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == [True, True]
