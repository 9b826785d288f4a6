"""Messages that a plain storage cannot hand out: they must not hold up what waits behind them.

A storage that fails for one message may fail for all. So a message that could not be claimed is
only suspect, and has its turn again, until another is claimed: then the fault is its own, and it
waits longer and longer. Pure bookkeeping; its owner sees to it that one thread is in it at a time.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from .index import Message

FIRST_WAIT_SECS = 5.0  # one that a storage failed for which is well again is tried within 10 s
LONGEST_WAIT_SECS = 900.0


@dataclass(slots=True)
class _Aside:
    positions: Sequence[int]
    why: str
    until: float | None  # by the lease clock; None: only suspect


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A message that cannot be claimed while others can: why, and how long it waits now."""

    message_id: str
    why: str
    wait_secs: float


class SetAside:
    """Recipients that wait outside the queue, by message and route key."""

    def __init__(self) -> None:
        self._aside: dict[tuple[Message, str], _Aside] = {}
        self._failures: dict[Message, int] = {}  # of those whose own fault it is

    def __bool__(self) -> bool:
        """It has to do with some message."""
        return bool(self._aside or self._failures)

    def put(
        self, message: Message, route_key: str, positions: Sequence[int], why: str, instant: float
    ) -> list[Fault]:
        """They could not be claimed; the fault, where it is known to be the message's own."""
        aside = self._aside[message, route_key] = _Aside(positions, why, None)
        return [self._put_off(message, aside, instant)] if message in self._failures else []

    def another_succeeded(self, message: Message, route_key: str, instant: float) -> list[Fault]:
        """This one was claimed; the faults of which it is known now whose they are."""
        self._failures.pop(message, None)
        self._aside.pop((message, route_key), None)
        suspect = [(each, aside) for (each, _), aside in self._aside.items() if aside.until is None]
        return [self._put_off(each, aside, instant) for each, aside in suspect]

    def take_over(self, instant: float) -> list[tuple[Message, Sequence[int]]]:
        """Those whose wait is over; they are to be put back into the queue."""
        return self._take(
            [key for key, each in self._aside.items() if each.until is not None and each.until <= instant]
        )

    def take_suspect(self) -> list[tuple[Message, Sequence[int]]]:
        """Those that are only suspect; they are to be put back into the queue."""
        return self._take([key for key, each in self._aside.items() if each.until is None])

    def next_at(self, instant: float, skip: Container[str]) -> float | None:
        """When the first of them is to be put back whose route key is not in `skip`."""
        waits = (each.until for (_, route_key), each in self._aside.items() if route_key not in skip)
        return min((instant if until is None else until for until in waits), default=None)

    def _put_off(self, message: Message, aside: _Aside, instant: float) -> Fault:
        failures = self._failures.get(message, 0)
        self._failures[message] = failures + 1
        secs = float(min(FIRST_WAIT_SECS * 2 ** min(failures, 20), LONGEST_WAIT_SECS))
        aside.until = instant + secs
        return Fault(message_id=message.kept.message_id, why=aside.why, wait_secs=secs)

    def _take(self, keys: Sequence[tuple[Message, str]]) -> list[tuple[Message, Sequence[int]]]:
        taken = [(key[0], self._aside.pop(key).positions) for key in keys]
        for message, _ in taken:
            if message.left == 0:
                self._failures.pop(message, None)
        return taken
