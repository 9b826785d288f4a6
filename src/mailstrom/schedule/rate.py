"""How often something may be begun: so many a second, minute, hour or day, evenly spread. A pure rule.

    "100/min"               one each 0.6 s
    "1000/day, burst 50"    one each 86.4 s; after a pause 50 at once

The arithmetic is the GCRA of ATM (ITU-T I.371): all that is kept is one instant, the theoretical arrival
time of the next. Each that is let through moves it on by one interval; one comes too early where that is
further ahead of now than a burst's worth. So in any window there are at most rate * window + burst.

Where several processes draw from one rate, each draws a block at once, and may use it for a while. What is
used late would come too close to what others draw then: that while is taken off the burst.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigError

BLOCK_SECS = 0.1  # so much of a rate is drawn at once
KEPT_SECS = 0.25  # for so long at most a block may be used
CLOCK_SLACK_SECS = 60.0  # so far at most the clocks of several machines are apart

_NS = 1_000_000_000
_UNITS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86_400}
_NAMES = {1: "s", 60: "min", 3600: "h", 86_400: "day"}
_FORM = re.compile(r"\s*([0-9]{1,7})\s*/\s*([a-z]+)\s*(?:,\s*burst\s+([0-9]{1,7})\s*)?", re.IGNORECASE)
_MOST_A_SECOND = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds, and `burst` of them at once after a pause."""

    count: int
    period_secs: int  # of one of the units
    burst: int

    @classmethod
    def parse(cls, text: str, name: str = "rate") -> Rate:
        """The rate that "100/min" or "100/min, burst 20" says.

        Units: s, min, h, day. Without a burst it is a second's worth, 1 at least. Another text is a
        `ConfigError` about `name`.
        """
        found = _FORM.fullmatch(text)
        count = int(found[1]) if found else 0
        period_secs = _UNITS.get(found[2].lower(), 0) if found else 0
        burst = int(found[3]) if found and found[3] else max(count // (period_secs or 1), 1)
        if not count or not period_secs or not burst or count > _MOST_A_SECOND * period_secs:
            form = "a rate such as '100/min' or '100/min, burst 20' (s, min, h, day; numbers above 0)"
            raise ConfigError(f"{name}: expected {form}, got {ascii(text)[:100]}")
        return cls(count, period_secs, burst)

    def __str__(self) -> str:
        burst = "" if self.burst == max(self.count // self.period_secs, 1) else f", burst {self.burst}"
        return f"{self.count}/{_NAMES[self.period_secs]}{burst}"

    @property
    def interval_ns(self) -> int:
        """From one to the next; never a fraction less."""
        return -(-self.period_secs * _NS // self.count)

    @property
    def block(self) -> int:
        """How many are drawn at once, at most: a tenth of a second's worth."""
        return max(1, min(int(self.count * BLOCK_SECS / self.period_secs), self.burst // 2))

    @property
    def kept_ns(self) -> int:
        """For how long after it was drawn a block may be used; a single one at once."""
        return 0 if self.block == 1 else min(int(KEPT_SECS * _NS), self._tolerance_ns // 2)

    @property
    def _tolerance_ns(self) -> int:
        return (self.burst - 1) * self.interval_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What may go: `count` now, the next block after `wait_ns`. `state`: what is to be kept."""

    count: int
    state: int
    wait_ns: int


def draw(rate: Rate, state: int | None, now_ns: int, most: int | None = None) -> Drawn:
    """Draws as many as may go now, `most` (by default a block) at most.

    `state` is what the last call gave, None at first; `now_ns` the time, which may go back.
    """
    most = rate.block if most is None else most
    tolerance_ns = rate._tolerance_ns - rate.kept_ns
    expected_ns = now_ns if state is None else max(_believed(rate, state, now_ns), now_ns)
    early_ns = expected_ns - now_ns - tolerance_ns
    count = 0 if early_ns > 0 else min(most, -early_ns // rate.interval_ns + 1)
    early_ns += (count + rate.block - 1) * rate.interval_ns
    return Drawn(count=count, state=expected_ns + count * rate.interval_ns, wait_ns=max(early_ns, 0))


def _believed(rate: Rate, state: int, now_ns: int) -> int:
    """The state, unless it is so far ahead that the clock was set back since: then a burst was just drawn."""
    latest_ns = now_ns + rate._tolerance_ns + rate.interval_ns
    return state if state <= latest_ns + int(CLOCK_SLACK_SECS * _NS) else latest_ns
