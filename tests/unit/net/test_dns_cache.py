"""What is kept, and what is done once for many."""

from __future__ import annotations

import asyncio

import pytest

from mailstrom.net.dns_cache import Coalesced, TtlCache
from mailstrom.testing.loop import run_virtual
from tests.unit.net.test_nameservers import HandClock


def test_a_value_is_kept_for_its_time_and_no_longer() -> None:
    clock = HandClock()
    cache: TtlCache[str, str] = TtlCache(clock, 10)
    cache.put("a", "x", 5.0)

    clock.at = 4.0
    kept = cache.get("a")
    clock.at = 5.0

    assert (kept, cache.get("a")) == (("x", 1.0), None)


def test_the_least_used_value_makes_room() -> None:
    cache: TtlCache[str, str] = TtlCache(HandClock(), 2)
    cache.put("a", "x", 5.0)
    cache.put("b", "y", 5.0)
    cache.get("a")

    cache.put("c", "z", 5.0)

    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]


def test_the_work_goes_on_when_the_caller_that_began_it_gives_up() -> None:
    coalesced: Coalesced[str, int] = Coalesced()
    runs: list[int] = []

    async def work() -> int:
        runs.append(1)
        await asyncio.sleep(1)
        return 7

    async def main() -> int | None:
        first = asyncio.create_task(coalesced.run("k", work))
        second = asyncio.create_task(coalesced.run("k", work))
        await asyncio.sleep(0.5)
        first.cancel()
        return await second

    assert (run_virtual(main()), runs) == (7, [1])


def test_an_error_of_the_work_reaches_every_caller() -> None:
    coalesced: Coalesced[str, int] = Coalesced()

    async def work() -> int:
        await asyncio.sleep(1)
        raise ArithmeticError

    async def main() -> list[object]:
        return list(
            await asyncio.gather(coalesced.run("k", work), coalesced.run("k", work), return_exceptions=True)
        )

    assert [type(found) for found in run_virtual(main())] == [ArithmeticError, ArithmeticError]


def test_after_closing_nothing_is_begun() -> None:
    coalesced: Coalesced[str, int] = Coalesced()

    async def main() -> int | None:
        await coalesced.close()
        return await coalesced.run("k", lambda: pytest.fail("was begun"))

    assert run_virtual(main()) is None
