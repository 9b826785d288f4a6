"""Metrics keep count of what they are told."""

from __future__ import annotations

import os
import threading
from dataclasses import FrozenInstanceError

import pytest

from mailstrom.event import EventKind
from mailstrom.metrics import Distribution, Metrics
from mailstrom.status import Delivered, Failed, WorkerStatus
from tests.unit.metrics.some_events import (
    a_commit,
    a_result,
    a_status,
    a_transaction,
    an_attempt,
    an_end,
    an_opening,
    told,
)


def test_a_counter_adds_up_by_its_labels() -> None:
    metrics = Metrics()

    for event in (a_result(Delivered()), a_result(Delivered()), a_result(Failed())):
        metrics(event)

    results = metrics.snapshot()["results"]
    assert [(sample.labels, sample.value) for sample in results.samples] == [
        (("delivered", "none"), 2),
        (("failed", "none"), 1),
    ]
    assert (results.total(state="delivered"), results.total()) == (2, 3)


def test_a_gauge_is_as_it_was_told_last() -> None:
    metrics = Metrics()

    for event in (an_opening(open_now=1), an_opening(open_now=2), an_end(open_now=1)):
        metrics(event)

    assert metrics.snapshot()["sessions.open"].total() == 1


def test_the_worker_has_one_status() -> None:
    metrics = Metrics()

    metrics(a_status(WorkerStatus.OK))
    metrics(a_status(WorkerStatus.STOPPING))

    statuses = metrics.snapshot()["worker.status"]
    assert (statuses.total(), statuses.total(status="stopping")) == (1, 1)


def test_a_histogram_counts_what_is_not_above_each_bound() -> None:
    metrics = Metrics()

    for results in (1, 2, 2, 3, 5000):
        metrics(a_commit(results))

    (sample,) = metrics.snapshot()["commit.results"].samples
    bounds = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    counts = (1, 3, 4, 4, 4, 4, 4, 4, 4, 4)
    buckets = tuple(zip(bounds, counts, strict=True))
    assert sample.value == Distribution(buckets=buckets, count=5, total=5008)
    assert metrics.snapshot()["commit.results"].total() == 5


def test_what_has_no_labels_is_there_before_it_is_counted() -> None:
    """A rate over what begins at 1 would miss the first."""
    snapshot = Metrics().snapshot()

    assert [sample.value for sample in snapshot["messages.accepted"].samples] == [0]
    assert snapshot["attempts"].samples == ()


def test_a_snapshot_does_not_change_any_more() -> None:
    metrics = Metrics()
    metrics(an_attempt())
    before = metrics.snapshot()

    metrics(an_attempt())

    assert before["attempts"].total() == 1
    assert before != metrics.snapshot()
    with pytest.raises(FrozenInstanceError):
        before.families = ()  # type: ignore[misc]


def test_a_metric_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="attempt"):
        _ = Metrics().snapshot()["attempt"]


def test_nothing_is_lost_where_several_threads_tell() -> None:
    metrics = Metrics()
    threads = [
        threading.Thread(target=lambda: [metrics(a_transaction()) for _ in range(500)]) for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert metrics.snapshot()["transactions"].total(outcome="delivered") == 2000
    assert metrics.snapshot()["transaction.size"].total() == 2000


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_counts_from_zero_also_where_somebody_was_counting() -> None:
    metrics = Metrics()
    metrics(told(EventKind.ACCEPTED))

    with metrics._lock:
        child = os.fork()
        if child == 0:
            try:
                os._exit(int(metrics.snapshot()["messages.accepted"].total()))
            finally:
                os._exit(2)
    _, code = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(code) == 0
    assert metrics.snapshot()["messages.accepted"].total() == 1
