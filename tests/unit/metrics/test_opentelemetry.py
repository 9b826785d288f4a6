"""What OpenTelemetry is handed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from mailstrom.metrics import QueueGauges
from mailstrom.metrics.opentelemetry import AttemptSpans, TelemetryMetrics
from mailstrom.status import Delivered, EnhancedCode, Phase, Reply
from mailstrom.testing.clock import START
from tests.unit.metrics.some_events import (
    MX,
    TLS,
    a_commit,
    a_result,
    a_transaction,
    an_attempt,
    an_end,
    an_opening,
)
from tests.unit.metrics.test_queue_gauges import Hand, Queue, waiting


class Bench:
    """Metrics and the reader that they end at."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.metrics = TelemetryMetrics(self.provider)

    def read(self) -> dict[str, Metric]:
        found = self._reader.get_metrics_data()
        scopes = [] if found is None else found.resource_metrics[0].scope_metrics
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        data = self.read()[name].data
        return [(dict(point.attributes or {}), getattr(point, "value", None)) for point in data.data_points]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.provider.shutdown()


def test_counters_are_observed_with_their_attributes(bench: Bench) -> None:
    for event in (an_attempt(), an_attempt(), a_result(Delivered())):
        bench.metrics(event)

    attributes = {"mailstrom.outcome": "delivered", "mailstrom.phase": "dot"}
    assert bench.points("mailstrom.attempts") == [(attributes, 2)]
    assert bench.read()["mailstrom.attempts"].unit == "{attempt}"


def test_what_is_exported_twice_is_the_sum_both_times(bench: Bench) -> None:
    bench.metrics(an_attempt())
    before = bench.points("mailstrom.attempts")
    bench.metrics(an_attempt())

    assert [value for _, value in (*before, *bench.points("mailstrom.attempts"))] == [1, 2]


def test_open_sessions_go_up_and_down(bench: Bench) -> None:
    for event in (an_opening(open_now=1), an_opening(open_now=2), an_end(open_now=1)):
        bench.metrics(event)

    assert bench.points("mailstrom.sessions.open") == [({}, 1)]


def test_histograms_have_the_bounds_of_the_table(bench: Bench) -> None:
    for results in (1, 2, 3):
        bench.metrics(a_commit(results))

    (point,) = bench.read()["mailstrom.commit.results"].data.data_points
    assert (point.count, point.sum) == (3, 6)
    assert tuple(point.explicit_bounds)[:3] == (1, 2, 5)
    assert tuple(point.bucket_counts)[:3] == (1, 1, 1)


def test_durations_are_in_seconds_by_phase(bench: Bench) -> None:
    bench.metrics(a_transaction())

    metric = bench.read()["mailstrom.phase.duration"]
    phases = {point.attributes["mailstrom.phase"]: point.sum for point in metric.data.data_points}
    assert (metric.unit, phases) == ("s", {"before_dot": 0.2, "after_dot": 2.0})


def test_the_queue_is_observed_where_it_is_watched(bench: Bench) -> None:
    assert "mailstrom.queue.recipients" not in bench.read()
    queue = Queue(waiting("a.example", "deferred", 3, age_secs=60))

    bench.metrics.watch(QueueGauges(queue.overview, destinations=1, clock=Hand()))

    of_destination = {"mailstrom.destination": "a.example", "mailstrom.state": "deferred"}
    assert bench.points("mailstrom.destination.recipients") == [(of_destination, 3)]
    assert ({"mailstrom.state": "deferred"}, 60) in bench.points("mailstrom.queue.oldest.age")
    assert queue.asked == 1


# --- spans


class Spans:
    """What becomes of an event that is told to `AttemptSpans`."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tell = AttemptSpans(provider)

    @property
    def made(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


def test_an_attempt_is_a_span_of_its_time() -> None:
    spans = Spans()

    spans.tell(an_attempt(tls=TLS))

    (span,) = spans.made
    began_at = int(START.timestamp() * 1e9)
    assert (span.name, span.kind) == ("smtp attempt", SpanKind.CLIENT)
    assert (span.start_time, span.end_time) == (began_at, began_at + 250_000_000)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "mailstrom.message_id": "1@sender.example",
        "server.address": MX["host"],
        "server.port": 25,
        "network.peer.address": MX["ip"],
        "mailstrom.outcome": "delivered",
        "mailstrom.phase": "dot",
        "mailstrom.uncertain": False,
        "mailstrom.reply.code": 250,
        "tls.cipher": TLS.cipher,
        "tls.protocol.version": "1.3",
        "tls.resumed": False,
    }


@pytest.mark.parametrize(
    ("reply", "error_type"),
    [
        (Reply(code=550, text="<you@dest.example> unknown"), "550"),
        (Reply(code=550, enhanced=EnhancedCode(5, 1, 1)), "5.1.1"),
        (None, "rcpt failed"),
    ],
)
def test_an_attempt_that_failed_says_why_and_names_nobody(reply: Reply | None, error_type: str) -> None:
    spans = Spans()

    spans.tell(an_attempt("failed", phase=Phase.RCPT, reply=reply))

    (span,) = spans.made
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == error_type
    assert "you@dest.example" not in span.to_json()


def test_other_events_make_no_span() -> None:
    spans = Spans()

    for event in (a_result(Delivered()), an_opening(), a_commit()):
        spans.tell(event)

    assert spans.made == ()
