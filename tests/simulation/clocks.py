"""Rules of the queue's time, where the wall clock of a process is set."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstrom.event import Event, EventKind

from .case import secs
from .orders import Orders

if TYPE_CHECKING:
    from mailstrom.testing.process import Process

BELIEVED_AFTER_SECS = 60.0
AGREES_WITHIN_SECS = 1.1
TOLD_AT_ONCE = (EventKind.DELIVERED, EventKind.DEFERRED, EventKind.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The wall clock was set, and is so many seconds ahead since."""

    at: float
    ahead: float
    looked_at: float  # when the worker had last looked at it


class Clocks:
    """Knows how the clock of each process was set, and sees what time it tells."""

    def __init__(self, orders: Orders, *, is_shared: bool) -> None:
        self._orders = orders
        self._is_shared = is_shared
        self._looked_at: dict[str, float] = {}
        self._settings: defaultdict[str, list[Setting]] = defaultdict(
            lambda: [Setting(at=-math.inf, ahead=0.0, looked_at=-math.inf)]
        )

    def looks(self, name: str, at: float) -> None:
        """The worker of a process asks for work, and what time it is."""
        self._looked_at[name] = at

    def was_set(self, process: Process, at: float) -> None:
        """Somebody has set its clock."""
        looked_at = self._looked_at.get(process.name, -math.inf)
        ahead = secs(process.clock.now()) - at
        self._settings[process.name].append(Setting(at=at, ahead=ahead, looked_at=looked_at))

    def check(self, name: str, event: Event, at: float) -> None:
        """A queue's time is steady; where several share it, it follows a clock that was set for good."""
        if event.kind not in TOLD_AT_ONCE or self._may_be_late(at):
            return
        ahead, allowed = secs(event.at) - at, self._allowed(name, at)
        fits = any(abs(ahead - each) < AGREES_WITHIN_SECS for each in allowed)
        assert fits, f"the queue's time in {name} is {ahead:g} s ahead at {at:g}, allowed is {allowed}"

    def _may_be_late(self, at: float) -> bool:
        """Who was frozen hears of things when they are long over."""
        freezes = (act for act in self._orders.acts if act.what == "freeze")
        return any(act.at <= at <= act.at + act.secs + AGREES_WITHIN_SECS for act in freezes)

    def _allowed(self, name: str, at: float) -> list[float]:
        settings = self._settings[name]
        if not self._is_shared:
            return [settings[0].ahead]
        # who has not looked for a minute believes at once
        latest = max(n for n, each in enumerate(settings) if at >= each.looked_at + BELIEVED_AFTER_SECS - 1.0)
        return [each.ahead for each in settings[self._believed(settings, at) : latest + 1]]

    def _believed(self, settings: list[Setting], at: float) -> int:
        """The last one that lasts long enough; what is set again within that time begins anew."""
        calm_since = at - 2 * BELIEVED_AFTER_SECS
        return max(n for n, each in enumerate(settings) if each.at < calm_since)
