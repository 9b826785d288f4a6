"""Time in proportion: ten times the input takes about ten times as long, and never much more.

What is judged is a ratio of two measurements of the same call, so the speed of a machine does not
count. Each is the shortest of several, in the time of this process alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import process_time
from typing import TypeVar

from mailstrom.errors import MessageError

Input = TypeVar("Input", str, bytes)

MOST = 12.0
NOISE_SECS = 0.002  # what is over sooner says nothing
TRIES = 20


def assert_in_proportion(make: Callable[[int], Input], call: Callable[[Input], object], size: int) -> None:
    """Fails unless `call` takes at most 12 times as long for `make(10 * size)` as for `make(size)`."""
    small, large = make(size), make(10 * size)
    ratio = MOST + 1
    for _ in range(TRIES):  # another process may have been in the way
        before, after = shortest(call, small), shortest(call, large)
        ratio = after / max(before, NOISE_SECS)
        if ratio <= MOST:
            return
    raise AssertionError(f"ten times the input took {ratio:.1f} times as long")


def shortest(call: Callable[[Input], object], given: Input) -> float:
    """The shortest of a few measurements of the call, refusals included."""
    found = []
    for _ in range(3):
        start = process_time()
        with suppress(MessageError):
            call(given)
        found.append(process_time() - start)
    return min(found)
