"""Measuring side by side, for machines that do other things as well.

In every round each variant has its turn, in an order that moves on by one from round to round, so
that whatever slows the machine slows all of them. A turn is a batch of calls, long enough for
the clock and short enough for a scheduler; garbage is collected before it, off the clock, and
the collector runs as in any program during it. A ratio is the median of the rounds' own ratios.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from time import thread_time
from typing import TypeAlias

__all__ = ["Effort", "Samples", "Variant", "in_turn", "measured", "percentile", "ratio", "surplus"]

Variant: TypeAlias = Callable[[int], object]  # gets the number of the call
Samples: TypeAlias = dict[str, list[float]]  # seconds a call, for each round


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    rounds: int
    turn_secs: float  # a turn takes at least about so long


def measured(variants: Mapping[str, Variant], effort: Effort) -> Samples:
    """The seconds that a call of each variant took, round by round."""
    calls = {name: _calls_for(run, effort.turn_secs) for name, run in variants.items()}
    samples: Samples = {name: [] for name in variants}
    for number in range(effort.rounds):
        for name in in_turn(variants, number):
            samples[name].append(_turn(variants[name], calls[name]) / calls[name])
    return samples


def in_turn(names: Iterable[str], number: int) -> list[str]:
    """The names in the order in which they have their turns in the round of this number."""
    listed = list(names)
    start = number % len(listed)
    return listed[start:] + listed[:start]


def ratio(samples: Samples, of: str, to: str) -> float:
    """How many times as long one takes as the other."""
    return median(a / b for a, b in zip(samples[of], samples[to], strict=True))


def percentile(values: Sequence[float], percent: int) -> float:
    """The least of the values that so many percent of them are not above."""
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]


def surplus(samples: Samples, of: str, over: str) -> float:
    """How many seconds one takes more than the other."""
    return median(a - b for a, b in zip(samples[of], samples[over], strict=True))


def _calls_for(run: Variant, turn_secs: float) -> int:
    run(0)  # what is done once, such as imports, is not what is measured
    if not turn_secs:
        return 1
    return max(1, min(10_000, round(turn_secs / max(_turn(run, 1), 1e-7))))


def _turn(run: Variant, calls: int) -> float:
    gc.collect()
    start = thread_time()
    for number in range(calls):
        run(number)
    return thread_time() - start
