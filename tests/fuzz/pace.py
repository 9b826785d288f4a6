"""Time in proportion: ten times the input may take at most twelve times the time.

What is measured is the processor time of this thread. Where the smaller input takes less than
a floor, the larger one is held against the floor: below it everything is noise, and the cost
that every input has. One quick look is enough where it is good; otherwise the best of several
counts, and it is measured all over again before anything is called out of proportion: a machine
that stands still for an instant makes a single look as slow as you like.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.fuzz.doors import Door

__all__ = ["Slowest", "disproportion", "repeated"]

TIMES_LARGER = 10
TIMES_LONGER = 12  # of an input ten times as long
FLOOR_SECS = 0.001
ROUNDS, BEST_OF = 15, 4
BEYOND_DOUBT = 4

KEPT = 3  # of each door, by time for an octet and by time alone
USUAL_SIZE = 2_000  # of an input that is repeated
FIXED_SIZE = 200  # octets that stand for what every input costs


def disproportion(door: Door, small: str | bytes, large: str | bytes) -> str | None:
    """How much longer the larger input takes, in words; None where it is in proportion."""
    most = TIMES_LONGER / TIMES_LARGER * len(large) / len(small)
    with _undisturbed():
        longer = _secs(door, large)
        if longer <= most * FLOOR_SECS:
            return None
        shorter = max(_secs(door, small), FLOOR_SECS)
        rounds = 0
        while most * shorter < longer and rounds < ROUNDS:
            if rounds > 0 and longer > BEYOND_DOUBT * most * shorter:
                break
            # others on the machine make both slower, and not by as much
            shorter = max(shorter, min(_secs(door, small) for _ in range(BEST_OF)))
            longer = min(longer, *[_secs(door, large) for _ in range(BEST_OF)])
            rounds += 1
    if longer <= most * shorter:
        return None
    return f"{len(small)} take {shorter * 1000:.1f} ms, {len(large)} take {longer * 1000:.1f} ms"


def _secs(door: Door, given: str | bytes) -> float:
    enter: Callable[[Any], bool] = door.enter
    begin = time.thread_time()
    enter(given)
    return time.thread_time() - begin


@contextmanager
def _undisturbed() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()  # what it finds to do depends on all that was there before
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Slowest:
    """The inputs that took longest at each door, for their size and at all."""

    def __init__(self) -> None:
        self._kept: dict[str, list[tuple[float, float, str | bytes]]] = {}

    def note(self, name: str, given: str | bytes, secs: float) -> None:
        """Keeps the input if it is one of the slowest."""
        kept = self._kept.setdefault(name, [])
        rate = secs / (len(given) + FIXED_SIZE)
        if len(kept) < 2 * KEPT or rate > kept[KEPT - 1][0] or secs > min(each[1] for each in kept):
            kept.append((rate, secs, given))
            by_rate = sorted(kept, key=lambda each: each[0], reverse=True)
            by_secs = sorted(by_rate[KEPT:], key=lambda each: each[1], reverse=True)
            self._kept[name] = by_rate[:KEPT] + by_secs[:KEPT]

    def timed(self, name: str) -> list[tuple[str | bytes, float]]:
        """The slowest ones at this door, each with its time."""
        return [(given, secs) for _, secs, given in self._kept.get(name, ())]


def repeated(given: str | bytes) -> Iterator[tuple[str | bytes, str | bytes]]:
    """The input repeated, and ten times as often; of a message also its header and its body alone."""
    if not given:
        return
    yield _often(given, 1), _often(given, TIMES_LARGER)
    if isinstance(given, bytes):
        header, _, body = given.partition(b"\r\n\r\n")
        if header and body:
            for times in ((1, 0), (0, 1)):
                small, large = (
                    (_often(header + b"\r\n", factor) if times[0] else header + b"\r\n")
                    + b"\r\n"
                    + (_often(body, factor) if times[1] else body)
                    for factor in (1, TIMES_LARGER)
                )
                yield small, large


def _often(given: Any, factor: int) -> Any:
    return given * max(1, USUAL_SIZE // len(given)) * factor
