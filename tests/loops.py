"""The event loops that the worker may run on; both stand behind real sockets, and differ in small things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

#: For `@pytest.mark.parametrize("loop", LOOPS)`.
LOOPS = ("asyncio", "uvloop")


def run_on(loop: str, main: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, run on a new loop of this kind."""
    with asyncio.Runner(loop_factory=_factory(loop)) as runner:
        return runner.run(main)


def _factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if loop == "asyncio":
        return asyncio.new_event_loop
    uvloop = pytest.importorskip("uvloop", reason="needs uvloop: pip install uvloop")
    return uvloop.new_event_loop  # type: ignore[no-any-return]
