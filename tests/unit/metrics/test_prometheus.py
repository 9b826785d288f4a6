"""What Prometheus is shown."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from mailstrom.metrics import INSTRUMENTS, QUEUE_INSTRUMENTS, Metrics, QueueGauges
from mailstrom.metrics.prometheus import MailstromCollector, exposed_name
from tests.unit.metrics.some_events import a_transaction, an_attempt, an_opening
from tests.unit.metrics.test_queue_gauges import Hand, Queue, waiting


def a_registry(metrics: Metrics, queue: Queue | None = None, destinations: int = 0) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    gauges = None
    if queue is not None:
        gauges = QueueGauges(queue.overview, destinations=destinations, clock=Hand())
    registry.register(MailstromCollector(metrics, gauges))
    return registry


def test_counters_and_gauges_are_shown_with_their_labels() -> None:
    metrics = Metrics()
    registry = a_registry(metrics)

    metrics(an_attempt())
    metrics(an_opening(open_now=4))

    value, labels = registry.get_sample_value, {"outcome": "delivered", "phase": "dot"}
    assert value("mailstrom_attempts_total", labels) == 1
    assert value("mailstrom_sessions_open") == 4


def test_a_histogram_is_shown_in_seconds_with_buckets_that_add_up() -> None:
    metrics = Metrics()
    registry = a_registry(metrics)

    for secs in (0.2, 0.3, 1000.0):
        metrics(a_transaction(before_dot_secs=secs))

    name, phase = "mailstrom_phase_duration_seconds", {"phase": "before_dot"}
    value = registry.get_sample_value
    assert [value(f"{name}_bucket", {**phase, "le": le}) for le in ("0.1", "0.5", "+Inf")] == [0, 2, 3]
    assert (value(f"{name}_count", phase), value(f"{name}_sum", phase)) == (3, 1000.5)


def test_the_queue_is_shown_and_was_not_read_when_the_collector_was_registered() -> None:
    queue = Queue(waiting("a.example", "deferred", 3, age_secs=60))
    registry = a_registry(Metrics(), queue, destinations=1)

    assert queue.asked == 0
    value = registry.get_sample_value
    assert value("mailstrom_queue_recipients", {"state": "deferred"}) == 3
    assert value("mailstrom_queue_oldest_age_seconds", {"state": "deferred"}) == 60
    assert value("mailstrom_destination_recipients", {"destination": "a.example", "state": "deferred"}) == 3


def test_both_formats_can_be_written_and_read() -> None:
    metrics = Metrics()
    registry = a_registry(metrics, Queue(waiting("a.example", "held", 1)), destinations=1)
    for event in (an_attempt(), an_opening(), a_transaction()):
        metrics(event)

    lines = generate_latest(registry).decode().splitlines()
    names = {family.name for family in text_string_to_metric_families(open_metrics(registry).decode())}

    assert len(names) == sum(line.startswith("# TYPE") for line in lines)
    assert "mailstrom_transaction_size_bytes" in names


def test_one_registry_takes_one_collector() -> None:
    registry = a_registry(Metrics())

    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(MailstromCollector(Metrics()))


def test_names_keep_to_the_conventions() -> None:
    names = [exposed_name(instrument) for instrument in (*INSTRUMENTS, *QUEUE_INSTRUMENTS)]

    assert all(re.fullmatch(r"mailstrom_[a-z_]+", name) for name in names)
    assert len(set(names)) == len(names)
