"""The time of a queue that several processes share: steady, and the same for all of them.

A process takes its time from the wall clock as it stood when it began, and goes on by the monotonic
one (`SteadyClock`). On a shared queue each writes due times and expiries that another judges; once the
wall clock was set between their beginnings, or the machine of one was suspended, the two would
be apart for ever. So there the time follows the wall clock, as that stands

    a second or more away from ours, for a minute    it is believed
    back again within that minute                    nothing has happened
    and further away within that minute              each step is believed a minute after it
    more than a year away                            it is never believed; the log says so
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from ..abc import Clock, SharedStorage
from .world import SteadyClock

AGREES_WITHIN_SECS = 1.0
BELIEVED_AFTER_SECS = 60.0
LOOKS_APART_SECS = 0.1  # at the wall clock
ABSURD_SECS = 365 * 86_400.0

_log = logging.getLogger("mailstrom")


def queue_clock(clock: Clock, storage: SharedStorage) -> Clock:
    """The clock by which this process writes and judges the queue's due times."""
    is_shared = storage.identity is not None or storage.poll_secs is not None
    return SharedClock(clock) if is_shared else SteadyClock(clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """The wall clock is `secs` ahead of our time (below 0: behind), or more, since `since`."""

    secs: float
    since: float  # monotonic

    def has_lasted(self, monotonic: float) -> bool:
        """Too long for a fault that is mended at once."""
        return monotonic - self.since >= BELIEVED_AFTER_SECS

    def is_within(self, secs_ahead: float) -> bool:
        """A clock that is `secs_ahead` is still ahead by as much as this."""
        return secs_ahead * self.secs > 0 and abs(secs_ahead) > abs(self.secs) - AGREES_WITHIN_SECS

    @property
    def is_absurd(self) -> bool:
        """No machine is suspended for so long, no clock is set by so much."""
        return abs(self.secs) > ABSURD_SECS


def deviations(
    before: Sequence[Deviation], secs_ahead: float, last_look: float
) -> tuple[Deviation, ...]:
    """What is known after a look that found the wall clock `secs_ahead` of our time; (): they agree.

    Each is larger than the one before it, and newer: a clock that was set twice has been so much
    ahead for long, and a little more since. `last_look` is the monotonic time of the look before: it
    may be so since then, and who looks seldom believes at once. What has shrunk is new.
    """
    if abs(secs_ahead) < AGREES_WITHIN_SECS:
        return ()
    kept = tuple(each for each in before if each.is_within(secs_ahead))
    if kept and abs(secs_ahead - kept[-1].secs) < AGREES_WITHIN_SECS:
        return kept
    return (*kept, Deviation(secs=secs_ahead, since=last_look))


class SharedClock(Clock):
    """A steady clock that follows the wall clock where that was set for good. Any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_at = clock.now()  # and moved since
        self._looked_at = self._began = clock.monotonic()
        self._deviations: tuple[Deviation, ...] = ()
        self._told: Deviation | None = None
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The steady time, moved where the wall clock is to be believed."""
        monotonic = self.monotonic()
        if monotonic - self._looked_at < LOOKS_APART_SECS:
            return self._began_at + timedelta(seconds=monotonic - self._began)
        with self._lock:
            found = self._look()
            now = self._time()
        if found is not None:
            _tell(found)
        return now

    @cached_property
    def monotonic(self) -> Callable[[], float]:
        """The underlying clock's: read too often for a call around it."""
        return self._clock.monotonic

    def _time(self) -> datetime:
        return self._began_at + timedelta(seconds=self.monotonic() - self._began)

    def _look(self) -> Deviation | None:
        """Follows the wall clock if it must; what the log is to be told of."""
        before, wall, ours = self._time(), self._clock.now(), self._time()
        if (ours - before).total_seconds() >= AGREES_WITHIN_SECS:
            return None  # we were held up in between: who knows when the wall clock was read
        monotonic = self._clock.monotonic()
        self._deviations = deviations(self._deviations, (wall - ours).total_seconds(), self._looked_at)
        self._looked_at = monotonic
        lasting = [each for each in self._deviations if each.has_lasted(monotonic)]
        believed = [each for each in lasting if not each.is_absurd]
        if believed:
            self._follow(believed[-1])
            return believed[-1]
        if not lasting or lasting[-1] == self._told:
            return None
        self._told = lasting[-1]
        return self._told

    def _follow(self, believed: Deviation) -> None:
        self._began_at += timedelta(seconds=believed.secs)
        larger = self._deviations[self._deviations.index(believed) + 1 :]
        self._deviations = tuple(replace(each, secs=each.secs - believed.secs) for each in larger)


def _tell(found: Deviation) -> None:
    way = f"{timedelta(seconds=round(abs(found.secs)))} {'ahead of' if found.secs > 0 else 'behind'}"
    if found.is_absurd:
        _log.error(
            "the wall clock is %s the time since this process began, and is not believed: if it is right, "
            "start the process again",
            way,
        )
    else:
        _log.warning("the wall clock is %s the time since this process began: the queue follows it", way)
