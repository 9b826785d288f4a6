"""Draws the rates of a record, one SVG for each comparison.

    python -m benchmarks.plots wire.json docs
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from statistics import median

from .record import SHOWN_IN

__all__ = ["plot", "rates_by_title"]

UNIT = "msg/s"
WIDTH, LEFT, RIGHT = 760, 300, 90  # of the picture, of the names, of the figures
TOP, LINE, BAR = 44, 24, 16
OURS, THEIRS = "#1f6feb", "#9aa4af"

_Rates = Mapping[str, float]  # of each row, the median


def main(record: str, folder: str) -> None:
    """Writes a file for each comparison that has rates, over that of the last time."""
    for title, rates in rates_by_title(record).items():
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        file = Path(folder) / f"bench-{name}.svg"
        file.write_text("\n".join(plot(title, rates)) + "\n", encoding="utf-8")
        print(file)


def rates_by_title(record: str) -> dict[str, dict[str, float]]:
    """The medians of a record's rates, by comparison and row."""
    import pyperf  # type: ignore[import-not-found,import-untyped,unused-ignore]

    found: dict[str, dict[str, float]] = {}
    for benchmark in pyperf.BenchmarkSuite.load(record):
        if benchmark.get_metadata().get(SHOWN_IN) == UNIT:
            title, _, row = benchmark.get_name().rpartition(": ")
            found.setdefault(title, {})[row] = median(benchmark.get_values())
    return found


def plot(title: str, rates: _Rates) -> Iterator[str]:
    """The lines of a picture: a bar for each row, as long as its rate."""
    height = TOP + LINE * len(rates) + LINE // 2
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">'
    )
    yield f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    yield f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(title)}, {UNIT}</text>'
    for number, (name, rate) in enumerate(rates.items()):
        yield from _bar(name, rate, rate / max(rates.values()), TOP + number * LINE)
    yield "</svg>"


def _bar(name: str, rate: float, share: float, top: int) -> Iterator[str]:
    length, baseline = round(share * (WIDTH - LEFT - RIGHT), 1), top + BAR - 3
    colour = OURS if name.startswith("mailstrom") else THEIRS
    yield f'<text x="{LEFT - 8}" y="{baseline}" text-anchor="end">{escape(name)}</text>'
    yield f'<rect x="{LEFT}" y="{top}" width="{length}" height="{BAR}" fill="{colour}"/>'
    yield f'<text x="{LEFT + length + 6}" y="{baseline}">{rate:,.0f}</text>'


if __name__ == "__main__":
    main(*sys.argv[1:])
