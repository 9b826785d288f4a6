"""Metrics of a `Mailstrom`: counted from its events, and read from its queue.

    Metrics         an observer: counters, gauges, histograms; `snapshot()` is a frozen value
    QueueGauges     depth and age of the queue, read when somebody asks

`mailstrom.metrics.prometheus` and `mailstrom.metrics.opentelemetry` hand them on; each needs the extra of
its name.
"""

from .instruments import INSTRUMENTS, QUEUE_INSTRUMENTS, Instrument, Kind
from .metrics import Distribution, Family, Metrics, Sample, Snapshot
from .queue_gauges import QueueGauges

__all__ = [
    "INSTRUMENTS",
    "QUEUE_INSTRUMENTS",
    "Distribution",
    "Family",
    "Instrument",
    "Kind",
    "Metrics",
    "QueueGauges",
    "Sample",
    "Snapshot",
]
