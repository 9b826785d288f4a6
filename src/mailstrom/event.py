"""What is told of a message's way: to observers at once, and by a storage to whoever asks later.

Observers alone are told of attempts, of the worker, and of what is under way below the messages:
sessions, transactions, commits. From these metrics are made (`mailstrom.metrics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique

from .status import Attempt, DeliveryResult, Phase, TlsUsed, WorkerStatus, printable

__all__ = ["Commit", "Event", "EventKind", "SessionEnded", "SessionOpened", "Transaction"]


@unique
class EventKind(StrEnum):
    """What happened."""

    ACCEPTED = "accepted"  # send_email stored the message
    ATTEMPT = "attempt"  # one visit to one host
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"
    DELAYED = "delayed"  # still deferred after Config.delayed_after_secs; told once
    WORKER_STATUS = "worker status"
    SESSION_OPENED = "session opened"  # a connection is ready for MAIL; one that failed is an ATTEMPT
    SESSION_ENDED = "session ended"
    TRANSACTION = "transaction"  # MAIL to final dot, or as far as it came
    COMMIT = "commit"  # results went into the storage together


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """One connection that became ready for mail, and how long each phase of its opening took."""

    host: str
    ip: str
    port: int
    tls: TlsUsed | None  # None: in clear
    phase_secs: Mapping[Phase, float] = field(hash=False)  # STARTTLS: with the handshake and EHLO again
    open_now: int  # sessions of this worker, this one among them

    def __str__(self) -> str:
        secs = sum(self.phase_secs.values())
        return f"{self.host} [{self.ip}]:{self.port} {self.tls or 'in clear'} after {secs:.3f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """One connection that was open, and is of no more use."""

    host: str
    ip: str
    port: int
    messages: int  # transactions that ended with a reply to the final dot
    age_secs: float  # since it was ready for mail
    open_now: int  # sessions of this worker that are left

    def __str__(self) -> str:
        return f"{self.host} [{self.ip}]:{self.port} after {self.age_secs:.3f} s, messages: {self.messages}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One message offered to one host, for some or all of its recipients."""

    host: str
    recipients: int
    octets: int  # of the content
    reused: bool  # the session had been used for a message before
    before_dot_secs: float  # MAIL, RCPT, DATA, and the content but for its last block
    after_dot_secs: float | None  # the last block, and the wait for the reply; None: not sent
    outcome: str  # "delivered" to somebody, else "deferred" where it is for somebody, else "failed"

    def __str__(self) -> str:
        secs = self.before_dot_secs + (self.after_dot_secs or 0.0)
        return f"{self.host} {self.outcome}, recipients: {self.recipients}, after {secs:.3f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Results that the storage took together."""

    results: int
    duration_secs: float

    def __str__(self) -> str:
        return f"results: {self.results}, after {self.duration_secs:.3f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened; fields that do not apply are None."""

    kind: EventKind
    at: datetime
    message_id: str | None = None
    address: str | None = None
    result: DeliveryResult | None = None
    attempt: Attempt | None = None
    worker_status: WorkerStatus | None = None
    session_opened: SessionOpened | None = None
    session_ended: SessionEnded | None = None
    transaction: Transaction | None = None
    commit: Commit | None = None
    cursor: int | None = None  # of what a storage tells: where to go on after it

    def __str__(self) -> str:
        below = (self.session_opened, self.session_ended, self.transaction, self.commit)
        what = (self.result, self.attempt, self.worker_status, *below)
        parts = (self.kind, self.message_id, self.address, *what)
        return " ".join(printable(str(part)) for part in parts if part)
