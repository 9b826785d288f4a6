"""The samples as a file of pyperf's, one run for each process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .comparisons import Comparison
from .rounds import Samples

__all__ = ["SHOWN_IN", "write_record"]

SHOWN_IN = "shown_in"  # the unit that pyperf does not know


def write_record(path: str, measured: Iterable[tuple[Comparison, Sequence[Samples]]]) -> None:
    """Writes every sample of each comparison's runs; what `python -m pyperf` reads."""
    import pyperf  # type: ignore[import-not-found,import-untyped,unused-ignore]

    suite: list[pyperf.Benchmark] = []
    for comparison, runs in measured:
        unit = "second" if comparison.unit == "s" else "integer"
        for name in runs[0]:
            metadata = {"name": f"{comparison.title}: {name}", "unit": unit, SHOWN_IN: comparison.unit}
            made = [pyperf.Run(run[name], metadata=metadata, collect_metadata=True) for run in runs]
            suite.append(pyperf.Benchmark(made))
    pyperf.BenchmarkSuite(suite).dump(path, replace=True)
