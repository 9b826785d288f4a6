"""The benchmarks of queues still run, processes and all, on very little mail. No speed is asserted."""

from __future__ import annotations

from pathlib import Path

from benchmarks.queue_places import sqlite_place
from benchmarks.queue_workers import drain_secs
from benchmarks.queues import QueueScale, queue_comparisons
from benchmarks.table import block

SMALL = QueueScale(
    finished=500, due=2000, claims=1, starts=1, busy_secs=0.1, rest_secs=0.1, idle_secs=1.5, sends=1
)


def test_every_comparison_of_queues_runs_and_has_figures(tmp_path: Path) -> None:
    for comparison in queue_comparisons(SMALL, tmp_path, [sqlite_place(tmp_path)]):
        samples = comparison.measure()

        assert min(min(values) for values in samples.values()) > 0, comparison.title
        assert len(list(block(comparison, samples))) == 1 + len(samples) + len(comparison.claims)


def test_one_worker_and_two_drain_the_same_queue(tmp_path: Path) -> None:
    queue = sqlite_place(tmp_path).new_queue()

    samples = drain_secs(queue, tmp_path, messages=3, content_delay_secs=0.01, sessions=1, rounds=1)

    assert samples.keys() == {"one worker", "two workers"}
    assert min(secs for (secs,) in samples.values()) >= 0.02
