"""For Prometheus: a collector over `Metrics` and `QueueGauges`. Needs the extra `prometheus`.

    metrics = Metrics()
    mailstrom = Mailstrom(observers=[metrics])
    REGISTRY.register(MailstromCollector(metrics, QueueGauges(mailstrom.overview)))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .instruments import INSTRUMENTS, QUEUE_INSTRUMENTS, Instrument, Kind
from .metrics import Distribution, Family, Metrics
from .queue_gauges import QueueGauges

try:
    from prometheus_client import Metric
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "mailstrom.metrics.prometheus needs prometheus_client: pip install 'mailstrom[prometheus]'"
    ) from error

__all__ = ["MailstromCollector", "exposed_name"]

_SUFFIXES = {"s": "_seconds", "By": "_bytes"}


class MailstromCollector(Collector):
    """What a registry collects at each scrape. Any thread.

    Without `queue` there are no metrics of the queue. A registry holds one: two `Mailstrom`s in one process
    need a registry each.
    """

    def __init__(self, metrics: Metrics, queue: QueueGauges | None = None) -> None:
        self._metrics = metrics
        self._queue = queue

    def describe(self) -> Iterable[Metric]:
        """The names, for the registry; reads no queue."""
        instruments = INSTRUMENTS if self._queue is None else (*INSTRUMENTS, *QUEUE_INSTRUMENTS)
        return [_metric(Family(instrument=instrument, samples=())) for instrument in instruments]

    def collect(self) -> Iterator[Metric]:
        """Every metric as it is now."""
        families = self._metrics.snapshot().families
        if self._queue is not None:
            families += self._queue.families()
        return map(_metric, families)


def exposed_name(instrument: Instrument) -> str:
    """As Prometheus calls it: `mailstrom_attempt_duration_seconds`."""
    total = "_total" if instrument.kind is Kind.COUNTER else ""
    return f"mailstrom_{instrument.name.replace('.', '_')}{_SUFFIXES.get(instrument.unit, '')}{total}"


def _metric(family: Family) -> Metric:
    instrument = family.instrument
    naming = exposed_name(instrument), instrument.about
    if instrument.kind is Kind.HISTOGRAM:
        return _histogram(HistogramMetricFamily(*naming, labels=instrument.labels), family)
    kind = CounterMetricFamily if instrument.kind is Kind.COUNTER else GaugeMetricFamily
    metric = kind(*naming, labels=instrument.labels)
    for sample in family.samples:
        assert not isinstance(sample.value, Distribution)
        metric.add_metric(sample.labels, sample.value)
    return metric


def _histogram(metric: HistogramMetricFamily, family: Family) -> Metric:
    for sample in family.samples:
        assert isinstance(sample.value, Distribution)
        buckets = [(str(bound), float(count)) for bound, count in sample.value.buckets]
        metric.add_metric(
            sample.labels, [*buckets, ("+Inf", float(sample.value.count))], sample.value.total
        )
    return metric
