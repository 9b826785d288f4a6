"""Waiting ends when it is over, at the time limit, or when it is in vain."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Self

import pytest

from mailstrom.engine.crew import Crew
from mailstrom.engine.door import Door
from mailstrom.engine.events import Board
from mailstrom.engine.platform import Calls
from mailstrom.engine.waiting import Awaited
from mailstrom.errors import ClosedError, NotRunningError, StorageError
from mailstrom.wiring import SystemPlatform


def awaited(look: Callable[[], int], board: Board | None = None, **fields: object) -> Awaited[int]:
    given = {
        "look": look,
        "is_over": lambda found: found >= 3,
        "is_vain": lambda: False,
        "watch": lambda wake: (board or Board()).watch("id", wake),
        "poll_secs": None,
        "platform": SystemPlatform(),
    }
    return Awaited(**{**given, **fields})


def test_what_is_over_already_is_not_waited_for() -> None:
    assert awaited(lambda: 3).wait(timeout=None) == 3


def test_at_the_time_limit_what_was_seen_last_is_the_answer() -> None:
    assert awaited(lambda: 1).wait(timeout=0.0) == 1
    assert awaited(lambda: 1).wait(timeout=0.01) == 1


def test_a_change_wakes_the_waiting_thread() -> None:
    board, seen = Board(), [0]

    def change() -> None:
        seen[0] += 1
        board.changed("id")

    def look() -> int:
        if seen[0] < 3:
            threading.Thread(target=change).start()
        return seen[0]

    assert awaited(look, board).wait(timeout=30) == 3


def test_a_change_wakes_the_waiting_coroutine_from_another_thread() -> None:
    board, seen = Board(), [0]

    def change() -> None:
        seen[0] += 1
        board.changed("id")

    async def look(call: Callable[[], int]) -> int:
        if seen[0] < 3:
            threading.Thread(target=change).start()
        return call()

    found = asyncio.run(awaited(lambda: seen[0], board).wait_in_loop(30, look))

    assert found == 3


def test_waiting_in_vain_raises_what_says_so() -> None:
    def nobody() -> bool:
        raise NotRunningError("call start()")

    with pytest.raises(NotRunningError):
        awaited(lambda: 1, is_vain=nobody).wait(timeout=5)


def test_nobody_is_left_on_the_board_after_waiting() -> None:
    board = Board()

    awaited(lambda: 3, board).wait(timeout=1)

    assert board._waiting == {}


def test_a_change_after_the_loop_of_a_waiting_coroutine_was_closed_harms_nobody() -> None:
    """An application may close its loop under a coroutine that waits: the worker must not feel it."""
    wakes: list[Callable[[], object]] = []

    def watch(wake: Callable[[], object]) -> Callable[[], None]:
        wakes.append(wake)
        return lambda: None

    async def look(call: Callable[[], int]) -> int:
        return call()

    asyncio.run(awaited(lambda: 1, watch=watch).wait_in_loop(0.0, look))

    for wake in wakes:
        wake()


class Looks:
    """Looks, one after the other: a number is seen, an error raised, None hangs; the last is repeated."""

    def __init__(self, *outcomes: int | Exception | None) -> None:
        self._outcomes = iter(outcomes)
        self._latest: int | Exception | None = None
        self._is_over = threading.Event()
        self.board = Board()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._is_over.set()

    def __call__(self) -> int:
        self._latest = next(self._outcomes, self._latest)
        threading.Thread(target=self.board.changed, args=("id",)).start()
        if self._latest is None:
            self._is_over.wait(30)
            return 3
        if isinstance(self._latest, Exception):
            raise self._latest
        return self._latest

    def waited_for(self, way: str, timeout: float | None) -> int:
        asked = awaited(self, self.board, may_hang=True, is_vain=self._is_closed)
        if way == "thread":
            return asked.wait(timeout)
        return asyncio.run(asked.wait_in_loop(timeout, Crew(SystemPlatform(), "looks", None).run))

    def _is_closed(self) -> bool:
        return isinstance(self._latest, ClosedError)


both_ways = pytest.mark.parametrize("way", ["thread", "loop"])


@both_ways
def test_a_look_that_hangs_is_left_alone_at_the_time_limit_and_what_was_seen_before_is_the_answer(
    way: str,
) -> None:
    with Looks(1, None) as looks:
        assert looks.waited_for(way, timeout=0.1) == 1


@both_ways
def test_where_no_look_was_ever_answered_the_storage_has_failed(way: str) -> None:
    with Looks(None) as looks, pytest.raises(StorageError, match="has not answered"):
        looks.waited_for(way, timeout=0.0)


@both_ways
def test_a_storage_that_fails_for_a_while_is_asked_again(way: str) -> None:
    with Looks(StorageError("away"), 1, StorageError("away"), 3) as looks:
        assert looks.waited_for(way, timeout=30) == 3


@both_ways
def test_a_storage_that_still_fails_at_the_time_limit_is_told(way: str) -> None:
    with Looks(1, StorageError("away")) as looks, pytest.raises(StorageError, match="away"):
        looks.waited_for(way, timeout=0.1)


@both_ways
def test_without_a_time_limit_a_storage_that_fails_is_told_at_once(way: str) -> None:
    with Looks(StorageError("away"), 3) as looks, pytest.raises(StorageError, match="away"):
        looks.waited_for(way, timeout=None)


@both_ways
def test_where_the_storage_is_closed_under_who_waits_what_was_seen_before_is_the_answer(way: str) -> None:
    with Looks(1, ClosedError("the storage is closed")) as looks:
        assert looks.waited_for(way, timeout=None) == 1


def test_where_there_is_no_thread_for_a_look_it_is_made_all_the_same() -> None:
    class Exhausted(SystemPlatform):
        def calls(self, name: str) -> Calls:
            calls = super().calls(name)
            calls.close(0.0)  # takes nothing any more
            return calls

    assert awaited(lambda: 3, platform=Exhausted(), may_hang=True).wait(timeout=1) == 3


def test_who_waits_is_within_the_door_and_nobody_begins_to_wait_once_it_is_shut() -> None:
    door = Door()
    empty: list[bool] = []

    def look() -> int:
        empty.append(door.wait_until_empty(0.0))
        return 3

    awaited(look, door=door).wait(timeout=None)
    door.shut()

    assert (empty, door.wait_until_empty(0.0)) == ([False], True)
    with pytest.raises(ClosedError):
        awaited(look, door=door).wait(timeout=None)


@pytest.mark.parametrize("poll_secs", [1.0, 0.2])
def test_where_another_process_delivers_it_is_looked_soon_and_then_more_seldom(poll_secs: float) -> None:
    waits: list[float] = []

    class Unset:
        def clear(self) -> None: ...
        def set(self) -> None: ...

        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return False

    class Patient(SystemPlatform):
        def flag(self) -> Unset:
            return Unset()

    looks = iter([0] * 7 + [3])
    awaited(lambda: next(looks), poll_secs=poll_secs, platform=Patient()).wait(timeout=None)
    assert waits == [min(0.05 * 2**number, poll_secs) for number in range(7)]
