"""Depth and age of the queue, read when somebody asks and not too often."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from mailstrom import StorageError
from mailstrom.abc import Backlog, Clock, Overview
from mailstrom.metrics import QueueGauges
from mailstrom.testing.clock import START


class Hand(Clock):
    """Moved by hand."""

    def __init__(self) -> None:
        self.secs = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.secs)

    def monotonic(self) -> float:
        return self.secs


class Queue:
    """What a `Mailstrom` says of its queue; `asked` is how often it was read."""

    def __init__(self, *backlog: Backlog, **known: Any) -> None:
        self.asked = 0
        self.is_away = False
        nothing = {"oldest_due_at": None, "last_delivered_at": None}
        self.said = Overview(**{**nothing, **known, "backlog": backlog})

    def overview(self) -> Overview:
        self.asked += 1
        if self.is_away:
            raise StorageError("no connection")
        return self.said


def waiting(destination: str, state: Any, recipients: int, age_secs: float = 0.0) -> Backlog:
    return Backlog(
        destination=destination,
        state=state,
        recipients=recipients,
        oldest_submitted_at=START - timedelta(seconds=age_secs),
        next_due_at=None,
        last_reason=None,
    )


def told(gauges: QueueGauges) -> dict[str, dict[str, float]]:
    """By metric and labels."""
    return {
        family.instrument.name: {" ".join(sample.labels): sample.value for sample in family.samples}
        for family in gauges.families()
    }


def test_an_empty_queue_has_zeroes_and_no_last_delivery() -> None:
    gauges = QueueGauges(Queue().overview, clock=Hand())

    nobody = {"queued": 0.0, "claimed": 0.0, "deferred": 0.0, "held": 0.0}
    assert told(gauges) == {
        "queue.up": {"": 1.0},
        "queue.recipients": nobody,
        "queue.oldest.age": nobody,
        "queue.overdue": {"": 0.0},
    }


def test_depth_is_the_sum_and_age_that_of_the_oldest() -> None:
    queue = Queue(
        waiting("a.example", "deferred", 3, age_secs=60),
        waiting("b.example", "deferred", 4, age_secs=600),
        waiting("b.example", "held", 1, age_secs=5),
        oldest_due_at=START - timedelta(seconds=7),
        last_delivered_at=START - timedelta(seconds=9),
    )

    found = told(QueueGauges(queue.overview, clock=Hand()))

    assert found["queue.recipients"] == {"queued": 0, "claimed": 0, "deferred": 7, "held": 1}
    assert found["queue.oldest.age"] == {"queued": 0, "claimed": 0, "deferred": 600, "held": 5}
    assert (found["queue.overdue"], found["queue.last_delivery.age"]) == ({"": 7}, {"": 9})
    assert "destination.recipients" not in found


def test_the_fullest_destinations_have_metrics_of_their_own_and_the_rest_shares_one() -> None:
    queue = Queue(
        waiting("small.example", "queued", 1, age_secs=1),
        waiting("full.example", "queued", 5, age_secs=2),
        waiting("full.example", "held", 5, age_secs=3),
        waiting("next.example", "queued", 7, age_secs=4),
        waiting("tiny.example", "queued", 2, age_secs=5),
    )

    found = told(QueueGauges(queue.overview, destinations=2, clock=Hand()))

    assert found["destination.recipients"] == {
        "other queued": 3,
        "full.example queued": 5,
        "full.example held": 5,
        "next.example queued": 7,
    }
    assert found["destination.oldest.age"] == {
        "other queued": 5,
        "full.example queued": 2,
        "full.example held": 3,
        "next.example queued": 4,
    }


def test_the_queue_is_read_again_when_what_it_said_is_too_old_and_ages_go_on_meanwhile() -> None:
    queue, clock = Queue(waiting("a.example", "queued", 1)), Hand()
    gauges = QueueGauges(queue.overview, cache_secs=10.0, clock=clock)

    ages = []
    for clock.secs in (0.0, 9.0, 10.0, 19.0):
        ages.append(told(gauges)["queue.oldest.age"]["queued"])

    assert (queue.asked, ages) == (2, [0.0, 9.0, 10.0, 19.0])


def test_a_clock_behind_that_of_the_queue_makes_no_age_below_zero() -> None:
    queue = Queue(waiting("a.example", "queued", 1, age_secs=-5))

    assert told(QueueGauges(queue.overview, clock=Hand()))["queue.oldest.age"]["queued"] == 0.0


def test_a_queue_that_cannot_be_read_is_down_until_it_can_and_is_not_asked_more_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue, clock = Queue(), Hand()
    queue.is_away = True
    gauges = QueueGauges(queue.overview, cache_secs=10.0, clock=clock)

    with caplog.at_level(logging.WARNING, logger="mailstrom"):
        found = [told(gauges), told(gauges)]
    queue.is_away, clock.secs = False, 10.0

    assert found == [{"queue.up": {"": 0.0}}] * 2
    assert caplog.messages == ["the queue cannot be read for its metrics: no connection"]
    assert (told(gauges)["queue.up"], queue.asked) == ({"": 1.0}, 2)
