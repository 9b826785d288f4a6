"""The samples as a file of pyperf's, one run for each process."""

from __future__ import annotations

from collections.abc import Sequence

from .rounds import Samples

__all__ = ["write_record"]


def write_record(path: str, titles: Sequence[str], runs: Sequence[Sequence[Samples]]) -> None:
    """Writes every sample, in seconds or multiples; what `python -m pyperf` reads."""
    import pyperf  # type: ignore[import-not-found,unused-ignore]

    suite: list[pyperf.Benchmark] = []
    for number, title in enumerate(titles):
        unit = "integer" if title.startswith("Peak memory") else "second"
        for name in runs[0][number]:
            metadata = {"name": f"{title}: {name}", "unit": unit}
            made = [pyperf.Run(run[number][name], metadata=metadata, collect_metadata=True) for run in runs]
            suite.append(pyperf.Benchmark(made))
    pyperf.BenchmarkSuite(suite).dump(path, replace=True)
