"""Measures how fast mailstrom is, and prints one table. The exit code says nothing of speed.

mail      composing and signing, beside others that do the same
queue     storages with a million messages, and workers on them
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .comparisons import Comparison, Scale, comparisons
from .environment import what_runs
from .queue_places import places
from .queues import QueueScale, queue_comparisons
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
FULL_QUEUES = QueueScale()
QUICK_QUEUES = QueueScale(
    finished=500,
    due=2000,
    claims=2,
    starts=1,
    busy_secs=0.5,
    rest_secs=0.5,
    idle_secs=1.5,
    sends=3,
    messages=10,
    drains=1,
)

_Measured = tuple[Comparison, list[Samples]]  # run by run


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints each comparison as soon as it is measured."""
    options = _parser().parse_args(arguments)
    if options.worker:
        print(json.dumps(_measured(_chosen(options.quick, Path(options.worker)))))
        return 0
    print("\n".join(what_runs()))
    measured: list[_Measured] = []
    with tempfile.TemporaryDirectory(prefix="mailstrom-bench-") as folder:
        for comparison, runs in _parts(options, Path(folder)):
            print("", *block(comparison, _together(runs)), sep="\n", flush=True)
            measured.append((comparison, runs))
    if options.record:
        write_record(options.record, measured)
    return 0


def _parts(options: argparse.Namespace, folder: Path) -> Iterator[_Measured]:
    if options.only != "queue":
        yield from _mail(options.quick, folder)
    if options.only != "mail":
        yield from _queues(QUICK_QUEUES if options.quick else FULL_QUEUES, folder)


def _mail(quick: bool, folder: Path) -> Iterator[_Measured]:
    """Several processes measure one after the other, since each runs a little differently from the last."""
    chosen = _chosen(quick, folder)
    runs = [_run_of_a_worker(quick, folder) for _ in range(1 if quick else PROCESSES)]
    for number, comparison in enumerate(chosen):
        yield comparison, [run[number] for run in runs]


def _queues(scale: QueueScale, folder: Path) -> Iterator[_Measured]:
    with places(folder) as found:
        print(f"\nMaking queues of {scale.finished + scale.due:,} messages ...", flush=True)
        for comparison in queue_comparisons(scale, folder, found):
            yield comparison, [comparison.measure()]


def _chosen(quick: bool, folder: Path) -> list[Comparison]:
    return comparisons(QUICK if quick else FULL, folder)


def _measured(chosen: Sequence[Comparison]) -> list[Samples]:
    gc.collect()
    gc.freeze()  # what was imported is not looked through again and again
    return [comparison.measure() for comparison in chosen]


def _run_of_a_worker(quick: bool, folder: Path) -> list[Samples]:
    command = [sys.executable, "-m", "benchmarks", "--worker", str(folder), *(["--quick"] if quick else [])]
    found: list[Samples] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def _together(runs: Sequence[Samples]) -> Samples:
    return {name: [value for run in runs for value in run[name]] for name in runs[0]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a few calls of each, to see that all runs")
    parser.add_argument("--only", choices=("mail", "queue"), help="one half of it")
    parser.add_argument(
        "--record", metavar="FILE", help="keeps every sample, for `python -m pyperf compare_to`"
    )
    parser.add_argument("--worker", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
