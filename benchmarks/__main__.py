"""Measures how fast mailstrom makes mail, and prints one table. The exit code says nothing of speed."""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .comparisons import Comparison, Scale, comparisons
from .environment import what_runs
from .record import write_record
from .rounds import Effort, Samples
from .table import block

PROCESSES = 3
FULL = Scale(effort=Effort(rounds=25, turn_secs=0.005), large_effort=Effort(rounds=2, turn_secs=0))
QUICK = Scale(
    effort=Effort(rounds=2, turn_secs=0),
    large_effort=Effort(rounds=1, turn_secs=0),
    attachment_octets=1 << 16,
    large_octets=1 << 18,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Several processes measure one after the other, since each runs a little differently from the last."""
    options = _parser().parse_args(arguments)
    if options.worker:
        print(json.dumps(_measured(_chosen(options.quick, Path(options.worker)))))
        return 0
    print("\n".join(what_runs()))
    with tempfile.TemporaryDirectory(prefix="mailstrom-bench-") as folder:
        chosen = _chosen(options.quick, Path(folder))
        runs = [_run_of_a_worker(options.quick, folder) for _ in range(1 if options.quick else PROCESSES)]
    for number, comparison in enumerate(chosen):
        print("", *block(comparison, _together([run[number] for run in runs])), sep="\n")
    if options.record:
        write_record(options.record, [comparison.title for comparison in chosen], runs)
    return 0


def _chosen(quick: bool, folder: Path) -> list[Comparison]:
    return comparisons(QUICK if quick else FULL, folder)


def _measured(chosen: Sequence[Comparison]) -> list[Samples]:
    gc.collect()
    gc.freeze()  # what was imported is not looked through again and again
    return [comparison.measure() for comparison in chosen]


def _run_of_a_worker(quick: bool, folder: str) -> list[Samples]:
    command = [sys.executable, "-m", "benchmarks", "--worker", folder, *(["--quick"] if quick else [])]
    found: list[Samples] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def _together(runs: Sequence[Samples]) -> Samples:
    return {name: [value for run in runs for value in run[name]] for name in runs[0]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few calls of each, to see that all runs")
    parser.add_argument(
        "--record", metavar="FILE", help="keeps every sample, for `python -m pyperf compare_to`"
    )
    parser.add_argument("--worker", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
