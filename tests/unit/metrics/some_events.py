"""Events as an engine tells them, for the tests of metrics."""

from __future__ import annotations

from typing import Any

from mailstrom.event import Commit, Event, EventKind, SessionEnded, SessionOpened, Transaction
from mailstrom.status import Attempt, DeliveryResult, Phase, Reply, TlsUsed, WorkerStatus
from mailstrom.testing.clock import START

TLS = TlsUsed(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified="pkix")
MX = {"host": "mx.dest.example", "ip": "198.51.100.1", "port": 25}


def told(kind: EventKind, **what: Any) -> Event:
    return Event(kind=kind, at=START, **what)


def an_attempt(state: str = "delivered", **fields: Any) -> Event:
    given = {"at": START, "duration_secs": 0.25, "phase": Phase.DOT, "reply": Reply(code=250), **MX}
    attempt = Attempt(state=state, **{**given, **fields})
    return told(EventKind.ATTEMPT, message_id="1@sender.example", address="you@dest.example", attempt=attempt)


def a_result(result: DeliveryResult) -> Event:
    return told(EventKind(result.state), message_id="1@sender.example", result=result)


def a_status(status: WorkerStatus) -> Event:
    return told(EventKind.WORKER_STATUS, worker_status=status)


def an_opening(tls: TlsUsed | None = TLS, open_now: int = 1) -> Event:
    phase_secs = {Phase.CONNECT: 0.02, Phase.GREETING: 0.3}
    opened = SessionOpened(tls=tls, phase_secs=phase_secs, open_now=open_now, **MX)  # type: ignore[arg-type]
    return told(EventKind.SESSION_OPENED, session_opened=opened)


def an_end(messages: int = 3, open_now: int = 0) -> Event:
    ended = SessionEnded(messages=messages, age_secs=12.0, open_now=open_now, **MX)  # type: ignore[arg-type]
    return told(EventKind.SESSION_ENDED, session_ended=ended)


def a_transaction(outcome: str = "delivered", **fields: Any) -> Event:
    given = {"host": "mx.dest.example", "recipients": 2, "octets": 4000, "reused": False}
    times = {"before_dot_secs": 0.2, "after_dot_secs": 2.0}
    transaction = Transaction(outcome=outcome, **{**given, **times, **fields})
    return told(EventKind.TRANSACTION, transaction=transaction)


def a_commit(results: int = 7) -> Event:
    return told(EventKind.COMMIT, commit=Commit(results=results, duration_secs=0.004))
