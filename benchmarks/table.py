"""The figures as one table of text."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from .comparisons import Claim, Comparison
from .rounds import Samples, ratio

__all__ = ["block", "verdict"]

WIDTH = 44


def block(comparison: Comparison, samples: Samples) -> Iterator[str]:
    """The lines of one comparison: medians, ratios to the first, and whether targets were met."""
    base = next(iter(samples))
    yield f"{comparison.title}  ({len(samples[base])} rounds)"
    for name, values in samples.items():
        middle = median(values)
        shown = _duration(middle) if comparison.unit == "s" else f"{middle:.2f} {comparison.unit}"
        yield f"  {name:<{WIDTH}}{shown:>17}{ratio(samples, name, base):>9.3f} ×"
    for claim in comparison.claims:
        yield verdict(claim, claim.figure(samples))


def verdict(claim: Claim, figure: float) -> str:
    """What a claim comes to, and whether that is enough."""
    said = f"  → {claim.what}: {figure:.4g} {claim.unit}"
    if claim.limit is None:
        return said
    is_met = figure >= claim.limit if claim.at_least else figure <= claim.limit
    target = f"at {'least' if claim.at_least else 'most'} {claim.limit:g}"
    return f"{said}, target {target}: {'met' if is_met else 'MISSED'}"


def _duration(secs: float) -> str:
    if secs < 1e-3:
        return f"{secs * 1e6:.1f} µs"
    return f"{secs * 1e3:.2f} ms" if secs < 1 else f"{secs:.2f} s"
