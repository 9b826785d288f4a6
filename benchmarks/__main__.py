"""Measures how fast mailstrom is, and prints one table. The exit code says nothing of speed.

mail      composing and signing, beside others that do the same
queue     storages with a million messages, and workers on them
wire      messages a second, from the call to the receiver, beside others that send
load      bad hosts, full queues, many callers, large mail
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from .comparisons import Comparison, Scale, comparisons
from .environment import what_runs
from .load.comparisons import LoadScale, load_comparisons
from .queue_places import places
from .queues import QueueScale, queue_comparisons
from .record import write_record
from .rounds import Effort, Samples
from .table import block
from .wire.comparisons import WireScale, wire_comparisons
from .wire.peers import SINK, left_out, missing, versions
from .wire.table import samples_of, wire_table
from .wire.turns import Pace

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

QUICK_PACE = Pace(rounds=1, turn_secs=0, trial=20)
QUICK_WIRE = WireScale(pace=QUICK_PACE, far_pace=QUICK_PACE)
QUICK_LOAD = LoadScale(
    rounds=1,
    bad=1000,
    good=20,
    deep=2000,
    shallow=1000,
    call_rounds=1,
    recipients=500,
    large=1,
    large_octets=1 << 20,
)

_Measured: TypeAlias = tuple[Comparison, list[Samples]]  # run by run
_Part: TypeAlias = tuple[Iterable[str], list[_Measured]]  # what is printed, and what is kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints each comparison as soon as it is measured."""
    options = _parser().parse_args(arguments)
    if options.worker:
        print(json.dumps(_measured(_chosen(options.quick, Path(options.worker)))))
        return 0
    print("\n".join(what_runs()))
    measured: list[_Measured] = []
    with tempfile.TemporaryDirectory(prefix="mailstrom-bench-") as folder:
        for lines, kept in _parts(options, Path(folder)):
            print("", *lines, sep="\n", flush=True)
            measured += kept
    if options.record:
        write_record(options.record, measured)
    return 0


def _parts(options: argparse.Namespace, folder: Path) -> Iterator[_Part]:
    for name, part in {"mail": _mail, "queue": _queues, "wire": _wire, "load": _load}.items():
        if options.only in (None, name):
            (folder / name).mkdir()
            yield from part(options, folder / name)


def _mail(options: argparse.Namespace, folder: Path) -> Iterator[_Part]:
    """Several processes measure one after the other, since each runs a little differently from the last."""
    chosen = _chosen(options.quick, folder)
    runs = [_run_of_a_worker(options.quick, folder) for _ in range(1 if options.quick else PROCESSES)]
    for number, comparison in enumerate(chosen):
        yield _shown(comparison, [run[number] for run in runs])


def _queues(options: argparse.Namespace, folder: Path) -> Iterator[_Part]:
    scale = QUICK_QUEUES if options.quick else FULL_QUEUES
    with places(folder) as found:
        print(f"\nMaking queues of {scale.finished + scale.due:,} messages ...", flush=True)
        for comparison in queue_comparisons(scale, folder, found):
            yield _shown(comparison, [comparison.measure()])


def _shown(comparison: Comparison, runs: list[Samples]) -> _Part:
    return block(comparison, _together(runs)), [(comparison, runs)]


def _wire(options: argparse.Namespace, folder: Path) -> Iterator[_Part]:
    yield [versions(), *left_out()], []
    settings: list[dict[str, object]] = [{}, *(dict([setting]) for setting in options.also)]
    scale = QUICK_WIRE if options.quick else WireScale()
    with places(folder) as found:
        for comparison in wire_comparisons(scale, folder, found, settings):
            turns = comparison.measure()
            yield wire_table(comparison, turns), list(samples_of(comparison, turns))


def _load(options: argparse.Namespace, folder: Path) -> Iterator[_Part]:
    if SINK in missing():
        yield left_out(), []
        return
    with places(folder) as found:
        for comparison in load_comparisons(QUICK_LOAD if options.quick else LoadScale(), folder, found):
            yield _shown(comparison, [comparison.measure()])


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
    parser.add_argument("--only", choices=("mail", "queue", "wire", "load"), help="one part of it")
    parser.add_argument(
        "--record", metavar="FILE", help="keeps every sample, for `python -m pyperf compare_to`"
    )
    parser.add_argument(
        "--also",
        metavar="NAME=VALUE",
        type=_setting,
        action="append",
        default=[],
        help="wire: each row of mailstrom's once more, with this setting of Config",
    )
    parser.add_argument("--worker", metavar="FOLDER", help=argparse.SUPPRESS)
    return parser


def _setting(given: str) -> tuple[str, object]:
    name, _, value = given.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
