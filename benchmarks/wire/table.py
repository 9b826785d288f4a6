"""The figures of one comparison as a table of text, and as samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from ..comparisons import Comparison
from ..rounds import Samples, ratio
from ..table import verdict
from .comparisons import WireComparison
from .turns import Turn, Turns

__all__ = ["samples_of", "wire_table"]


def wire_table(comparison: WireComparison, turns: Turns) -> Iterator[str]:
    """Medians, least and most of the rates, what was used, ratios, and whether targets were met."""
    rates = _rates(turns)
    bases = [base for base in comparison.bases if base in turns]
    width = max(map(len, turns))
    yield f"{comparison.title}  ({comparison.pace.rounds} rounds)"
    heads = "".join(f"{f'× {base}':>{_width(base)}}" for base in bases)
    yield f"  {'':<{width}}{'msg/s':>8}{'min–max':>16}{'CPU s/1k':>10}{'MB':>6}{heads}"
    for name in turns:
        ratios = "".join(f"{ratio(rates, name, base):>{_width(base)}.2f}" for base in bases)
        yield f"  {name:<{width}}{_figures(turns, name)}{ratios}"
    yield from (verdict(claim, claim.figure(rates)) for claim in comparison.claims())


def samples_of(comparison: WireComparison, turns: Turns) -> Iterator[tuple[Comparison, list[Samples]]]:
    """Rates, processor time and memory, as the other comparisons have their figures."""
    for what, unit, samples in (
        ("", "msg/s", _rates(turns)),
        (", processor time of 1,000", "s", _each(turns, lambda turn: turn.cpu_secs)),
        (", memory", "MB", _each(turns, lambda turn: turn.megabytes)),
    ):
        yield Comparison(f"{comparison.title}{what}", dict, unit=unit), [samples]


def _rates(turns: Turns) -> Samples:
    return _each(turns, lambda turn: turn.rate)


def _each(turns: Turns, figure: Callable[[Turn], float]) -> Samples:
    return {name: [figure(turn) for turn in each] for name, each in turns.items()}


def _figures(turns: Turns, name: str) -> str:
    rates = [turn.rate for turn in turns[name]]
    cpu_secs = median(turn.cpu_secs for turn in turns[name])
    megabytes = median(turn.megabytes for turn in turns[name])
    span = f"{min(rates):,.0f}–{max(rates):,.0f}"
    return f"{median(rates):>8,.0f}{span:>16}{cpu_secs:>10.3f}{megabytes:>6.0f}"


def _width(base: str) -> int:
    return len(base) + 4
