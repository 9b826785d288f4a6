"""How full the queue is, as metrics: read from the queue when somebody asks, and not too often."""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from ..abc import Backlog, Clock, Overview
from ..errors import MailstromError
from ..net.clock import SystemClock
from ..status import printable
from ..storage.fork import call_in_forked_child
from .instruments import (
    DESTINATION_AGE,
    DESTINATION_RECIPIENTS,
    LAST_DELIVERY_AGE,
    QUEUE_AGE,
    QUEUE_OVERDUE,
    QUEUE_RECIPIENTS,
    QUEUE_UP,
    Instrument,
)
from .metrics import Family, Sample

OTHER = "other"  # all destinations that are not among the fullest
STATES = ("queued", "claimed", "deferred", "held")

_log = logging.getLogger("mailstrom")

_Labels = tuple[str, ...]


class QueueGauges:
    """Depth and age of a queue by state, and by destination where that is wished. Any thread.

    `overview` is that of a `Mailstrom`. It reads the whole queue, so what it said is good for `cache_secs`;
    ages go on meanwhile. `destinations`: how many of the fullest have metrics of their own (0: none), the
    others share one. A queue that cannot be read has `queue.up` 0, and a line in the log.
    """

    def __init__(
        self,
        overview: Callable[[], Overview],
        *,
        destinations: int = 0,
        cache_secs: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        self._overview = overview
        self._destinations = destinations
        self._cache_secs = cache_secs
        self._clock = clock or SystemClock()
        self._begin()
        call_in_forked_child(self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._kept: Overview | None = None
        self._good_until = float("-inf")

    def families(self) -> tuple[Family, ...]:
        """The metrics as they are now."""
        overview, now = self._current(), self._clock.now()
        if overview is None:
            return (_one(QUEUE_UP, 0.0),)
        found = [_one(QUEUE_UP, 1.0), *_of_queue(overview, now)]
        if self._destinations:
            found += self._of_destinations(overview.backlog, now)
        return tuple(found)

    def _current(self) -> Overview | None:
        with self._lock:
            if self._clock.monotonic() >= self._good_until:
                self._kept = self._read()
                self._good_until = self._clock.monotonic() + self._cache_secs
            return self._kept

    def _read(self) -> Overview | None:
        try:
            return self._overview()
        except MailstromError as error:
            _log.warning("the queue cannot be read for its metrics: %s", printable(str(error)))
            return None

    def _of_destinations(self, backlog: Iterable[Backlog], now: datetime) -> Iterator[Family]:
        full: Counter[str] = Counter()
        for each in backlog:
            full[each.destination] += each.recipients
        named = {destination for destination, _ in full.most_common(self._destinations)}
        groups: defaultdict[_Labels, list[Backlog]] = defaultdict(list)
        for each in backlog:
            groups[each.destination if each.destination in named else OTHER, each.state].append(each)
        yield from _depth_and_age(DESTINATION_RECIPIENTS, DESTINATION_AGE, groups, now)


def _of_queue(overview: Overview, now: datetime) -> Iterator[Family]:
    groups: dict[_Labels, list[Backlog]] = {(state,): [] for state in STATES}
    for each in overview.backlog:
        groups[each.state,].append(each)
    yield from _depth_and_age(QUEUE_RECIPIENTS, QUEUE_AGE, groups, now)
    yield _one(QUEUE_OVERDUE, _age(overview.oldest_due_at, now))
    if overview.last_delivered_at is not None:
        yield _one(LAST_DELIVERY_AGE, _age(overview.last_delivered_at, now))


def _depth_and_age(
    depth: Instrument, age: Instrument, groups: Mapping[_Labels, list[Backlog]], now: datetime
) -> Iterator[Family]:
    counts = {labels: float(sum(each.recipients for each in group)) for labels, group in groups.items()}
    ages = {
        labels: max((_age(each.oldest_submitted_at, now) for each in group), default=0.0)
        for labels, group in groups.items()
    }
    yield _family(depth, counts)
    yield _family(age, ages)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)


def _one(instrument: Instrument, value: float) -> Family:
    return _family(instrument, {(): value})


def _family(instrument: Instrument, values: Mapping[_Labels, float]) -> Family:
    samples = tuple(Sample(labels=labels, value=value) for labels, value in values.items())
    return Family(instrument=instrument, samples=samples)
