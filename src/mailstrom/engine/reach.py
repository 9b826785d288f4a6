"""Whether the fault is ours: no network, port 25 blocked, the resolver gone. A pure rule.

One host that cannot be reached is down; so are two. Where three different destinations in a row cannot be
reached, and nobody else is in between, the fault may be on our side: then no try is counted, and each
destination is asked again later and later. After a minute in which nobody at all was reached that is said:
`has_failed`. Whoever is reached ends it.

Destinations that are simply dead must not look like that whenever there is no other mail. So one of the
three has to be one that was reached before (or nobody ever was). And a destination is spared its tries for
a day at most.

    reached ──► row empty            missed ──► row of 1, 2 ──► 3 and more, one known: suspected
                   ▲                                                    │ a minute without anybody
                   └──────────────── anybody is reached ────────── has_failed
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

DESTINATIONS = 3  # different ones, in a row
SILENCE_SECS = 60.0
FIRST_WAIT_SECS = 10.0
LONGEST_WAIT_SECS = 600.0
SPARED_SECS = 86_400.0
KNOWN_LIMIT = 50_000  # destinations that are remembered


@dataclass(slots=True, eq=False)
class _Asked:
    """How often a destination was asked in vain in this row, and when it is asked again."""

    times: int = 0
    again_at: float = float("-inf")


@dataclass(slots=True, eq=False)
class _Spared:
    """Since when a destination is spared its tries, and when it last was."""

    since: float
    last: float


class Reach:
    """Who was reached, and who was not since then. Used in the worker's loop only; times are monotonic.

    A destination is a lane, or a route key whose look-ups nobody answers.
    """

    def __init__(self) -> None:
        self.has_failed = False
        self._known: OrderedDict[str, None] = OrderedDict()  # reached before
        self._reached_at = float("-inf")
        self._row: OrderedDict[str, _Asked] = OrderedDict()  # missed since somebody was reached
        self._row_began_at = 0.0
        self._has_known = False  # one in the row was reached before
        self._is_proved = False
        self._spared: OrderedDict[str, _Spared] = OrderedDict()

    @property
    def is_suspected(self) -> bool:
        """Who is missed now is perhaps missed by our own fault."""
        are_unrelated = len(self._row) >= DESTINATIONS and (self._has_known or not self._known)
        return are_unrelated or self._is_proved

    def reached(self, destination: str, now: float) -> bool:
        """A connection was made there; whether that ends a suspicion."""
        self._reached_at = now
        was_suspected = self.is_suspected  # by what was known before
        self.knows(destination)
        if not self._row:
            return False
        self._row.clear()
        self.has_failed = self._has_known = self._is_proved = False
        return was_suspected

    def knows(self, destination: str) -> None:
        """It was reached, or leads to one that was."""
        self._spared.pop(destination, None)
        if destination not in self._known:
            self._known[destination] = None
            _limit(self._known)

    def missed(
        self,
        destination: str,
        *,
        began_at: float,
        now: float,
        is_proof: bool = False,
        formerly: str | None = None,
    ) -> float | None:
        """A pass that began then made no connection there: when to ask again, with no try counted.

        None: it counts. `is_proof`: our own network says that it has no way to anybody. `formerly`: the
        destination of the same mail before; it is not spared for another day because its name changed.
        """
        self._note(destination, began_at, is_proof)
        if not self.is_suspected or not self._may_spare(destination, formerly or destination, now):
            return None
        self.has_failed = self.has_failed or now - self._row_began_at >= SILENCE_SECS
        asked = self._row[destination]
        if asked.again_at <= now:  # not so for those that were under way together
            asked.again_at = now + min(FIRST_WAIT_SECS * 2.0**asked.times, LONGEST_WAIT_SECS)
            asked.times = min(asked.times + 1, 20)
        return asked.again_at

    def _note(self, destination: str, began_at: float, is_proof: bool) -> None:
        began_at = max(began_at, self._reached_at)
        self._row_began_at = min(self._row_began_at, began_at) if self._row else began_at
        self._row.setdefault(destination, _Asked())
        self._has_known = self._has_known or destination in self._known
        self._is_proved = self._is_proved or is_proof
        _limit(self._row)

    def _may_spare(self, destination: str, formerly: str, now: float) -> bool:
        spared = self._spared.get(destination) or self._spared.get(formerly)
        if spared is None or now - spared.last >= SPARED_SECS:
            spared = _Spared(now, now)
        self._spared[destination] = spared
        _limit(self._spared)
        if now - spared.since >= SPARED_SECS:
            return False
        spared.last = now
        return True


def _limit(known: OrderedDict[str, T]) -> None:
    if len(known) > KNOWN_LIMIT:
        known.popitem(last=False)
