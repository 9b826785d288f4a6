"""What an event adds to the metrics. Pure: an event in, numbers out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..event import Event, EventKind, SessionEnded, SessionOpened, Transaction
from ..status import Attempt, DeliveryResult, TlsUsed, WorkerStatus
from .instruments import (
    ACCEPTED,
    ATTEMPT_DURATION,
    ATTEMPTS,
    COMMIT_DURATION,
    COMMIT_RESULTS,
    DELAYED,
    PHASE_DURATION,
    RESULTS,
    SESSION_DURATION,
    SESSION_MESSAGES,
    SESSIONS_OPEN,
    SESSIONS_OPENED,
    TRANSACTION_RECIPIENTS,
    TRANSACTION_SIZE,
    TRANSACTIONS,
    WORKER_STATUS,
    Instrument,
)

NONE = "none"  # the value of a label that has nothing to say


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number for one instrument: added by a counter, kept by a gauge, sorted in by a histogram."""

    instrument: Instrument
    value: float
    labels: tuple[str, ...] = ()


def measure(event: Event) -> Iterator[Measurement]:
    """The measurements that the event stands for."""
    match event:
        case Event(kind=EventKind.ACCEPTED):
            yield Measurement(ACCEPTED, 1)
        case Event(kind=EventKind.DELAYED):
            yield Measurement(DELAYED, 1)
        case Event(attempt=Attempt() as attempt):
            yield from _attempt(attempt)
        case Event(transaction=Transaction() as transaction):
            yield from _transaction(transaction)
        case Event(session_opened=SessionOpened() as opened):
            yield from _session_opened(opened)
        case Event(session_ended=SessionEnded() as ended):
            yield from _session_ended(ended)
        case _:
            yield from _others(event)


def _others(event: Event) -> Iterator[Measurement]:
    if event.result is not None:
        yield _result(event.result)
    if event.commit is not None:
        yield Measurement(COMMIT_RESULTS, event.commit.results)
        yield Measurement(COMMIT_DURATION, event.commit.duration_secs)
    if event.worker_status is not None:
        for status in WorkerStatus:
            yield Measurement(WORKER_STATUS, status is event.worker_status, (status,))


def _result(result: DeliveryResult) -> Measurement:
    return Measurement(RESULTS, 1, (result.state, result.cause or NONE))


def _attempt(attempt: Attempt) -> Iterator[Measurement]:
    outcome = "uncertain" if attempt.uncertain else attempt.state
    yield Measurement(ATTEMPTS, 1, (outcome, attempt.phase))
    yield Measurement(ATTEMPT_DURATION, attempt.duration_secs, (outcome,))


def _transaction(transaction: Transaction) -> Iterator[Measurement]:
    session = "reused" if transaction.reused else "new"
    yield Measurement(TRANSACTIONS, 1, (transaction.outcome, session))
    yield Measurement(TRANSACTION_RECIPIENTS, transaction.recipients)
    yield Measurement(PHASE_DURATION, transaction.before_dot_secs, ("before_dot",))
    if transaction.after_dot_secs is not None:
        yield Measurement(PHASE_DURATION, transaction.after_dot_secs, ("after_dot",))
    if transaction.outcome == "delivered":
        yield Measurement(TRANSACTION_SIZE, transaction.octets)


def _session_opened(opened: SessionOpened) -> Iterator[Measurement]:
    yield Measurement(SESSIONS_OPENED, 1, _of_tls(opened.tls))
    yield Measurement(SESSIONS_OPEN, opened.open_now)
    for phase, secs in opened.phase_secs.items():
        yield Measurement(PHASE_DURATION, secs, (phase,))


def _of_tls(tls: TlsUsed | None) -> tuple[str, str, str]:
    if tls is None:
        return NONE, NONE, NONE
    return tls.version, tls.verified, "resumed" if tls.resumed else "full"


def _session_ended(ended: SessionEnded) -> Iterator[Measurement]:
    yield Measurement(SESSIONS_OPEN, ended.open_now)
    yield Measurement(SESSION_DURATION, ended.age_secs)
    yield Measurement(SESSION_MESSAGES, ended.messages)
