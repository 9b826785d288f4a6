"""The event loops that a worker may have: what runs there is tried with each that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib.util import find_spec
from typing import Any, TypeVar

from mailstrom.config import EventLoop
from mailstrom.engine.event_loop import loop_maker

T = TypeVar("T")

#: In the root lane of `.ci/run` both; without the extra `uvloop` there is one.
LOOPS: tuple[EventLoop, ...] = ("asyncio", "uvloop") if find_spec("uvloop") else ("asyncio",)


def run_on(kind: EventLoop, main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in a loop of this kind."""
    with asyncio.Runner(loop_factory=loop_maker(kind)) as runner:
        return runner.run(main)


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in the loop that a worker has by default."""
    return run_on("auto", main)
