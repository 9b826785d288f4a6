"""Waiting ends when it is over, at the time limit, or when it is in vain."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from mailstrom.engine.events import Board
from mailstrom.engine.waiting import Awaited
from mailstrom.errors import NotRunningError
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
