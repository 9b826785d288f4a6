"""Several loops on one timeline: each a process, all on this thread."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from mailstrom.testing.timeline import DeadlockError, Timeline

DAY_SECS = 86_400.0


@pytest.fixture
def timeline() -> Iterator[Timeline]:
    made = Timeline()
    yield made
    made.close()


def test_timers_of_all_loops_fire_in_order_while_somebody_blocks(timeline: Timeline) -> None:
    seen: list[tuple[str, float]] = []
    for name, secs in ("a", 30.0), ("b", 10.0), ("a", 20.0):
        timeline.loop(name).call_later(secs, lambda name=name: seen.append((name, timeline.now)))

    assert not timeline.block(lambda: False, DAY_SECS)

    assert (seen, timeline.now) == ([("b", 10.0), ("a", 20.0), ("a", 30.0)], DAY_SECS)


def test_blocking_ends_as_soon_as_it_may(timeline: Timeline) -> None:
    happened: list[str] = []
    timeline.loop("a").call_later(5.0, happened.append, "it")
    timeline.loop("b").call_later(60.0, happened.append, "more")

    assert timeline.block(lambda: bool(happened), None)

    assert (happened, timeline.now) == (["it"], 5.0)


def test_blocking_for_what_cannot_happen_says_who_waits_for_what(timeline: Timeline) -> None:
    loop = timeline.loop("worker")

    async def waits_for_ever() -> None:
        await loop.create_future()

    task = loop.create_task(waits_for_ever(), name="stuck")
    with pytest.raises(DeadlockError, match=r"stuck at .*waits_for_ever"):
        timeline.block(lambda: False, None)

    task.cancel()
    timeline.block(task.done, None)


def test_of_a_timer_that_was_cancelled_nothing_comes(timeline: Timeline) -> None:
    loop, seen = timeline.loop("a"), list[float]()
    loop.call_later(5.0, pytest.fail).cancel()
    loop.call_later(9.0, lambda: seen.append(timeline.now))

    timeline.block(lambda: bool(seen), None)

    assert seen == [9.0]


def test_a_frozen_loop_stands_still_and_is_late_afterwards(timeline: Timeline) -> None:
    loop, seen = timeline.loop("a"), list[float]()
    loop.call_later(10.0, lambda: seen.append(timeline.now))

    loop.is_frozen = True
    timeline.block(lambda: False, 60.0)
    assert not seen

    loop.is_frozen = False
    timeline.block(lambda: False, 60.0)
    assert seen == [60.0]


def test_who_blocks_within_a_loop_lets_the_others_go_on_but_not_its_own(timeline: Timeline) -> None:
    one, other, seen = timeline.loop("one"), timeline.loop("other"), list[str]()

    def block() -> None:
        timeline.block(lambda: False, 60.0)
        seen.append("it is over")

    one.call_soon(block)
    one.call_later(10.0, seen.append, "its own")
    other.call_later(20.0, seen.append, "another's")
    timeline.block(lambda: len(seen) == 3, None)

    assert (seen, timeline.now) == (["another's", "it is over", "its own"], 60.0)


def test_time_does_not_go_back_where_somebody_blocks_for_longer_within(timeline: Timeline) -> None:
    timeline.loop("a").call_later(5.0, lambda: timeline.block(lambda: False, 300.0))

    assert not timeline.block(lambda: False, 60.0)

    assert timeline.now == 305.0


def test_results_of_futures_pass_from_loop_to_loop(timeline: Timeline) -> None:
    one, other = timeline.loop("one"), timeline.loop("other")
    asked: asyncio.Future[str] = one.create_future()

    async def ask() -> tuple[str, float, asyncio.AbstractEventLoop]:
        return await asked, timeline.now, asyncio.get_running_loop()

    task = one.create_task(ask())
    other.call_later(3.0, asked.set_result, "answered")
    timeline.block(task.done, None)

    assert task.result() == ("answered", 3.0, one)


def test_nothing_happens_in_a_loop_that_is_closed(timeline: Timeline) -> None:
    loop = timeline.loop("a")
    loop.call_soon(pytest.fail)
    loop.close()

    loop.call_soon(pytest.fail)
    loop.call_later(1.0, pytest.fail)

    assert not timeline.block(lambda: False, 60.0)


def test_a_loop_that_is_retired_closes_when_its_tasks_have_ended(timeline: Timeline) -> None:
    loop, ended_at = timeline.loop("a"), list[float]()

    async def lingers() -> None:
        try:
            await loop.create_future()
        finally:
            await asyncio.sleep(2.0)
            ended_at.append(timeline.now)

    loop.create_task(lingers())
    timeline.block(lambda: False, 1.0)
    loop.retire()
    timeline.block(loop.is_closed, None)

    assert ended_at == [3.0]


def test_only_the_timeline_runs_a_loop_beside_the_main_one(timeline: Timeline) -> None:
    with pytest.raises(RuntimeError, match="is run by its timeline"):
        timeline.loop("a").run_forever()


@pytest.mark.parametrize("seed", [1, 2])
def test_chance_decides_who_goes_first_in_the_same_way_for_the_same_seed(seed: int) -> None:
    assert _course(seed) == _course(seed) != _course(seed + 10)


def _course(seed: int) -> list[tuple[str, int]]:
    timeline, seen = Timeline(random.Random(seed)), list[tuple[str, int]]()

    async def steps(name: str) -> None:
        for number in range(20):
            seen.append((name, number))
            await asyncio.sleep(0)

    tasks = [loop.create_task(steps(loop.name)) for loop in map(timeline.loop, "abc")]
    timeline.block(lambda: all(task.done() for task in tasks), None)
    timeline.close()
    return seen
