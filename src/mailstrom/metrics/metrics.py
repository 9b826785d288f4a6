"""`Metrics`: an observer that keeps count. It needs nothing but this package."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from ..event import Event
from ..storage.fork import call_in_forked_child
from .instruments import INSTRUMENTS, Instrument, Kind
from .measuring import Measurement, measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What a histogram has seen."""

    buckets: tuple[tuple[float, int], ...]  # a bound, and how many values were not above it
    count: int
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value, and the labels it stands for, in the order of the instrument's."""

    labels: tuple[str, ...]
    value: float | Distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """An instrument and what it has measured."""

    instrument: Instrument
    samples: tuple[Sample, ...]

    def total(self, **labels: str) -> float:
        """The sum of the samples with these labels; of a histogram how many values it has seen."""
        names = self.instrument.labels
        return sum(
            sample.value.count if isinstance(sample.value, Distribution) else sample.value
            for sample in self.samples
            if labels.items() <= dict(zip(names, sample.labels, strict=True)).items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that was counted until one moment."""

    families: tuple[Family, ...]

    def __getitem__(self, name: str) -> Family:
        """By the name of the instrument, such as "attempts"; `KeyError` for any other."""
        for family in self.families:
            if family.instrument.name == name:
                return family
        raise KeyError(name)


class Metrics:
    """An observer that keeps counters, gauges and histograms of what it is told. Any thread.

        metrics = Metrics()
        mailstrom = Mailstrom(observers=[metrics])
        metrics.snapshot()["attempts"].total(outcome="delivered")

    One for each `Mailstrom`. A forked child counts from zero.
    """

    def __init__(self) -> None:
        self._begin()
        call_in_forked_child(self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[Instrument, dict[tuple[str, ...], _Tally]] = {
            instrument: {} if instrument.labels else {(): _Tally(instrument)} for instrument in INSTRUMENTS
        }

    def __call__(self, event: Event) -> None:
        """Counts what the event stands for."""
        self.add(measure(event))

    def add(self, measurements: Iterable[Measurement]) -> None:
        """Counts these."""
        with self._lock:
            for measured in measurements:
                tallies = self._tallies[measured.instrument]
                if (tally := tallies.get(measured.labels)) is None:
                    tally = tallies[measured.labels] = _Tally(measured.instrument)
                tally.add(measured.value)

    def family(self, instrument: Instrument) -> Family:
        """What one instrument has measured until now."""
        with self._lock:
            return self._family(instrument)

    def snapshot(self) -> Snapshot:
        """What all have, at one moment."""
        with self._lock:
            return Snapshot(families=tuple(map(self._family, INSTRUMENTS)))

    def _family(self, instrument: Instrument) -> Family:
        tallies = self._tallies[instrument].items()
        samples = tuple(Sample(labels=labels, value=tally.value()) for labels, tally in tallies)
        return Family(instrument=instrument, samples=samples)


class _Tally:
    """What one instrument has measured for one set of labels."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._total = 0.0
        self._counts = [0] * (len(instrument.bounds) + 1)

    def add(self, value: float) -> None:
        match self._instrument.kind:
            case Kind.COUNTER:
                self._total += value
            case Kind.LEVEL | Kind.GAUGE:
                self._total = value
            case Kind.HISTOGRAM:
                self._total += value
                self._counts[bisect_left(self._instrument.bounds, value)] += 1

    def value(self) -> float | Distribution:
        if self._instrument.kind is not Kind.HISTOGRAM:
            return self._total
        *below, count = accumulate(self._counts)
        buckets = tuple(zip(self._instrument.bounds, below, strict=True))
        return Distribution(buckets=buckets, count=count, total=self._total)
