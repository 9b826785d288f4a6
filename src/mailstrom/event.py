"""What is told of a message's way: to observers at once, and by a storage to whoever asks later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

from .status import Attempt, DeliveryResult, WorkerStatus, printable

__all__ = ["Event", "EventKind"]


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
    cursor: int | None = None  # of what a storage tells: where to go on after it

    def __str__(self) -> str:
        what = self.result or self.attempt or self.worker_status
        parts = (self.kind, self.message_id, self.address, what)
        return " ".join(printable(str(part)) for part in parts if part)
