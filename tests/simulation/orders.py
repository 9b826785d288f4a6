"""What was asked of the queue in a story: when, and whether whoever asked was told that it is done."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .plan import Act


@dataclass(slots=True, kw_only=True)
class Asked:
    """One order, with when it came; without `done_at` nobody knows whether it was carried out."""

    act: Act
    done_at: float | None = None


class Orders:
    """All that was asked, or befell a process, in the order of its coming.

    `acts` are as they came: a call that blocks puts off what was planned after it.
    """

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self._asked: list[Asked] = []

    def begins(self, act: Act, at: float) -> Asked:
        """It is asked now; note in the result when it is done."""
        self.acts.append(replace(act, at=at))
        self._asked.append(Asked(act=self.acts[-1]))
        return self._asked[-1]

    def of(self, what: str, number: int | None = None) -> list[Asked]:
        """The orders of a kind, for one mail or for all."""
        return [
            asked
            for asked in self._asked
            if asked.act.what == what and (number is None or asked.act.number == number)
        ]

    def done_at(self, what: str, number: int) -> float | None:
        """When such an order for that mail was first known to be done."""
        times = [asked.done_at for asked in self.of(what, number) if asked.done_at is not None]
        return min(times, default=None)

    def holds(self, number: int) -> list[tuple[float, float]]:
        """From when to when nobody may begin to try that mail."""
        released = [asked.act.at for asked in self.of("release")]
        return [
            (asked.done_at, min((at for at in released if at >= asked.act.at), default=math.inf))
            for asked in self.of("hold", number)
            if asked.done_at is not None
        ]

    def may_be_held(self, number: int) -> bool:
        """Somebody asked for it, and nobody is known to have released it since."""
        released = [asked.done_at for asked in self.of("release") if asked.done_at is not None]
        return any(asked.act.at >= max(released, default=-math.inf) for asked in self.of("hold", number))
