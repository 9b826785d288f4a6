"""For OpenTelemetry: metrics, and by choice a span for each attempt. Needs the extra `opentelemetry`.

    telemetry = TelemetryMetrics()
    mailstrom = Mailstrom(observers=[telemetry, AttemptSpans()])
    telemetry.watch(QueueGauges(mailstrom.overview))

Counters and gauges are observed when they are exported; only histograms are recorded one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ..event import Event
from ..status import Attempt
from .instruments import INSTRUMENTS, QUEUE_INSTRUMENTS, Instrument, Kind
from .measuring import measure
from .metrics import Distribution, Family, Metrics
from .queue_gauges import QueueGauges

try:
    from opentelemetry.metrics import (
        CallbackOptions,
        Meter,
        MeterProvider,
        Observation,
        get_meter_provider,
    )
    from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider, get_tracer_provider
except ImportError as error:
    raise ImportError(
        "mailstrom.metrics.opentelemetry needs opentelemetry-api: pip install 'mailstrom[opentelemetry]'"
    ) from error

__all__ = ["AttemptSpans", "TelemetryMetrics"]

SCOPE = "mailstrom"
SPAN = "smtp attempt"

_Callback = Callable[[CallbackOptions], Iterable[Observation]]


class TelemetryMetrics:
    """An observer that hands metrics to OpenTelemetry: to this provider, or the global one. Any thread."""

    def __init__(self, provider: MeterProvider | None = None) -> None:
        self._meter = (provider or get_meter_provider()).get_meter(SCOPE)
        self._metrics = Metrics()
        self._histograms = {
            instrument: self._meter.create_histogram(
                _name(instrument),
                instrument.unit,
                instrument.about,
                explicit_bucket_boundaries_advisory=instrument.bounds,
            )
            for instrument in INSTRUMENTS
            if instrument.kind is Kind.HISTOGRAM
        }
        for instrument in INSTRUMENTS:
            if instrument.kind is not Kind.HISTOGRAM:
                _observe(self._meter, instrument, partial(self._observed, instrument))

    def __call__(self, event: Event) -> None:
        """Counts what the event stands for."""
        counted = []
        for each in measure(event):
            if (histogram := self._histograms.get(each.instrument)) is None:
                counted.append(each)
            else:
                histogram.record(each.value, _attributes(each.instrument, each.labels))
        self._metrics.add(counted)

    def watch(self, queue: QueueGauges) -> None:
        """Has depth and age of this queue observed, too."""
        for instrument in QUEUE_INSTRUMENTS:
            _observe(self._meter, instrument, partial(_observed_in, queue, instrument))

    def _observed(self, instrument: Instrument, _: CallbackOptions) -> Iterable[Observation]:
        return _observations(self._metrics.family(instrument))


class AttemptSpans:
    """An observer that makes a span of each attempt, once it is over. Any thread.

    It tells the host, how it ended and why, and the message id; no recipient, and no text of a server, for
    it may name one.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = (provider or get_tracer_provider()).get_tracer(SCOPE)

    def __call__(self, event: Event) -> None:
        """Makes the span, where the event is an attempt."""
        if (attempt := event.attempt) is None:
            return
        began_at = int(attempt.at.timestamp() * 1e9)
        span = self._tracer.start_span(
            SPAN,
            kind=SpanKind.CLIENT,
            start_time=began_at,
            attributes={"mailstrom.message_id": event.message_id or "", **_of_attempt(attempt)},
        )
        if attempt.state != "delivered":
            span.set_attribute("error.type", _error_type(attempt))
            span.set_status(Status(StatusCode.ERROR))
        span.end(began_at + int(attempt.duration_secs * 1e9))


def _of_attempt(attempt: Attempt) -> dict[str, str | int | bool]:
    """Attributes, by the names that the semantic conventions have for them."""
    told: dict[str, str | int | bool | None] = {
        "server.address": attempt.host,
        "server.port": attempt.port,
        "network.peer.address": attempt.ip,
        "mailstrom.outcome": attempt.state,
        "mailstrom.phase": attempt.phase,
        "mailstrom.uncertain": attempt.uncertain,
        "mailstrom.reply.code": None if attempt.reply is None else attempt.reply.code,
        "tls.cipher": None if attempt.tls is None else attempt.tls.cipher,
        "tls.protocol.version": None if attempt.tls is None else attempt.tls.version.removeprefix("TLSv"),
        "tls.resumed": None if attempt.tls is None else attempt.tls.resumed,
    }
    return {name: value for name, value in told.items() if value is not None}


def _error_type(attempt: Attempt) -> str:
    if attempt.reply is None:
        return f"{attempt.phase} failed"
    return str(attempt.reply.enhanced or attempt.reply.code)


def _observe(meter: Meter, instrument: Instrument, callback: _Callback) -> None:
    create = {
        Kind.COUNTER: meter.create_observable_counter,
        Kind.LEVEL: meter.create_observable_up_down_counter,
        Kind.GAUGE: meter.create_observable_gauge,
    }[instrument.kind]
    create(_name(instrument), [callback], instrument.unit, instrument.about)


def _observed_in(queue: QueueGauges, instrument: Instrument, _: CallbackOptions) -> Iterable[Observation]:
    found = (family for family in queue.families() if family.instrument is instrument)
    return [observation for family in found for observation in _observations(family)]


def _observations(family: Family) -> list[Observation]:
    return [
        Observation(sample.value, _attributes(family.instrument, sample.labels))
        for sample in family.samples
        if not isinstance(sample.value, Distribution)
    ]


def _attributes(instrument: Instrument, labels: Sequence[str]) -> dict[str, str]:
    return {f"mailstrom.{name}": label for name, label in zip(instrument.labels, labels, strict=True)}


def _name(instrument: Instrument) -> str:
    return f"mailstrom.{instrument.name}"
