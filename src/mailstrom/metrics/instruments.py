"""Every metric there is: name, kind, unit and labels. From this table all faces are made.

Names and units are written as OpenTelemetry has them (`attempt.duration`, "s"); Prometheus' names
follow from them (`mailstrom_attempt_duration_seconds`). A label has few values, whatever is sent: never a
recipient, a message or a host. Only `destination` names some, and `QueueGauges` says how many.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

SECS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
COUNTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
OCTETS = (1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0, 67108864.0)


@unique
class Kind(StrEnum):
    """What a value means over time."""

    COUNTER = "counter"  # only grows, from 0 when the process began
    LEVEL = "up-down counter"  # how many there are now: adds up over its labels
    GAUGE = "gauge"  # how it is now: does not
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instrument:
    """One metric."""

    name: str  # with dots between its parts, without the "mailstrom" before them
    kind: Kind
    unit: str  # UCUM: "s", "By", "1"; "{message}" for what is counted
    labels: tuple[str, ...] = ()
    about: str
    bounds: tuple[float, ...] = ()  # of a histogram's buckets, each inclusive


ACCEPTED = Instrument(
    name="messages.accepted",
    kind=Kind.COUNTER,
    unit="{message}",
    about="Messages that send_email stored here.",
)
RESULTS = Instrument(
    name="results",
    kind=Kind.COUNTER,
    unit="{result}",
    labels=("state", "cause"),
    about="Results of recipients: one for each try, and for each end without one.",
)
DELAYED = Instrument(
    name="recipients.delayed",
    kind=Kind.COUNTER,
    unit="{recipient}",
    about="Recipients still deferred after Config.delayed_after_secs.",
)
ATTEMPTS = Instrument(
    name="attempts",
    kind=Kind.COUNTER,
    unit="{attempt}",
    labels=("outcome", "phase"),
    about="Visits to one host for one recipient, and the phase in which they ended.",
)
ATTEMPT_DURATION = Instrument(
    name="attempt.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    labels=("outcome",),
    about="How long an attempt took.",
    bounds=SECS,
)
PHASE_DURATION = Instrument(
    name="phase.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    labels=("phase",),
    about="How long each phase of opening a session took, and a transaction before and after its final dot.",
    bounds=SECS,
)
SESSIONS_OPENED = Instrument(
    name="sessions.opened",
    kind=Kind.COUNTER,
    unit="{session}",
    labels=("tls", "verified", "handshake"),
    about="Connections that became ready for mail, by the TLS that came of it.",
)
SESSIONS_OPEN = Instrument(
    name="sessions.open",
    kind=Kind.LEVEL,
    unit="{session}",
    about="Connections open now, at work or idle.",
)
SESSION_DURATION = Instrument(
    name="session.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    about="How old a session was when it ended.",
    bounds=SECS,
)
SESSION_MESSAGES = Instrument(
    name="session.messages",
    kind=Kind.HISTOGRAM,
    unit="{message}",
    about="How many messages a session had carried when it ended.",
    bounds=COUNTS,
)
TRANSACTIONS = Instrument(
    name="transactions",
    kind=Kind.COUNTER,
    unit="{transaction}",
    labels=("outcome", "session"),
    about="Transactions, by the best outcome for any recipient, over a new session or a reused one.",
)
TRANSACTION_RECIPIENTS = Instrument(
    name="transaction.recipients",
    kind=Kind.HISTOGRAM,
    unit="{recipient}",
    about="Recipients of a transaction.",
    bounds=COUNTS,
)
TRANSACTION_SIZE = Instrument(
    name="transaction.size",
    kind=Kind.HISTOGRAM,
    unit="By",
    about="Content of a transaction that was delivered.",
    bounds=OCTETS,
)
COMMIT_RESULTS = Instrument(
    name="commit.results",
    kind=Kind.HISTOGRAM,
    unit="{result}",
    about="Results that went into the storage in one commit.",
    bounds=COUNTS,
)
COMMIT_DURATION = Instrument(
    name="commit.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    about="How long the storage took for a commit of results.",
    bounds=SECS,
)
WORKER_STATUS = Instrument(
    name="worker.status",
    kind=Kind.GAUGE,
    unit="1",
    labels=("status",),
    about="1 for the status that the worker has, 0 for the others.",
)

#: What `Metrics` keeps: made from events.
INSTRUMENTS = (
    ACCEPTED,
    RESULTS,
    DELAYED,
    ATTEMPTS,
    ATTEMPT_DURATION,
    PHASE_DURATION,
    SESSIONS_OPENED,
    SESSIONS_OPEN,
    SESSION_DURATION,
    SESSION_MESSAGES,
    TRANSACTIONS,
    TRANSACTION_RECIPIENTS,
    TRANSACTION_SIZE,
    COMMIT_RESULTS,
    COMMIT_DURATION,
    WORKER_STATUS,
)

QUEUE_UP = Instrument(
    name="queue.up",
    kind=Kind.GAUGE,
    unit="1",
    about="1 where the queue could be read, 0 where not: then the others of it are not there.",
)
QUEUE_RECIPIENTS = Instrument(
    name="queue.recipients",
    kind=Kind.LEVEL,
    unit="{recipient}",
    labels=("state",),
    about="Recipients that are not completed.",
)
QUEUE_AGE = Instrument(
    name="queue.oldest.age",
    kind=Kind.GAUGE,
    unit="s",
    labels=("state",),
    about="Since when the oldest of them waits; 0 where nobody does.",
)
QUEUE_OVERDUE = Instrument(
    name="queue.overdue",
    kind=Kind.GAUGE,
    unit="s",
    about="How long the longest due is due, and neither tried nor held; 0 where nothing is.",
)
LAST_DELIVERY_AGE = Instrument(
    name="queue.last_delivery.age",
    kind=Kind.GAUGE,
    unit="s",
    about="Since when nothing was delivered; not there before the first delivery.",
)
DESTINATION_RECIPIENTS = Instrument(
    name="destination.recipients",
    kind=Kind.LEVEL,
    unit="{recipient}",
    labels=("destination", "state"),
    about="The same as queue.recipients, for the fullest destinations; the rest is `other`.",
)
DESTINATION_AGE = Instrument(
    name="destination.oldest.age",
    kind=Kind.GAUGE,
    unit="s",
    labels=("destination", "state"),
    about="The same as queue.oldest.age, for the fullest destinations; the rest is `other`.",
)

#: What `QueueGauges` reads from the queue.
QUEUE_INSTRUMENTS = (
    QUEUE_UP,
    QUEUE_RECIPIENTS,
    QUEUE_AGE,
    QUEUE_OVERDUE,
    LAST_DELIVERY_AGE,
    DESTINATION_RECIPIENTS,
    DESTINATION_AGE,
)
