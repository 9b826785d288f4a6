"""How full the queue is, counted recipient by recipient. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ..abc import Backlog, InternalMessageStatus, InternalRecipientStatus, Overview
from .changes import is_held

Standing = Literal["queued", "deferred", "held", "claimed"]
Counted = tuple[InternalMessageStatus, Collection[int]]  # with the positions that are claimed


def overview(messages: Iterable[Counted], now: datetime, *, last_delivered_at: datetime | None) -> Overview:
    """The backlog of these messages, by destination and state."""
    tallies: dict[tuple[str, Standing], _Tally] = {}
    for status, claimed in messages:
        for position, recipient in enumerate(status.recipients):
            if not recipient.result.completed:
                key = recipient.route_key, standing(recipient, position in claimed)
                tallies.setdefault(key, _Tally(status.submitted_at)).add(status.submitted_at, recipient)
    return Overview(
        backlog=tuple(tallies[key].as_backlog(*key) for key in sorted(tallies)),
        oldest_due_at=_oldest_due(tallies, now),
        last_delivered_at=last_delivered_at,
    )


def standing(recipient: InternalRecipientStatus, is_claimed: bool) -> Standing:
    """Where a recipient is that is not completed."""
    if is_claimed:
        return "claimed"
    if is_held(recipient):
        return "held"
    return "queued" if recipient.result.state == "queued" else "deferred"


@dataclass(slots=True)
class _Tally:
    """What was counted of one destination and state."""

    oldest: datetime
    newest: datetime | None = None
    recipients: int = 0
    next_due_at: datetime | None = None
    last_reason: str | None = None

    def add(self, submitted_at: datetime, recipient: InternalRecipientStatus) -> None:
        self.recipients += 1
        self.oldest = min(self.oldest, submitted_at)
        if self.newest is None or submitted_at >= self.newest:
            self.newest, self.last_reason = submitted_at, recipient.result.reason
        if recipient.due_at is not None:
            self.next_due_at = min(self.next_due_at or recipient.due_at, recipient.due_at)

    def as_backlog(self, destination: str, state: Standing) -> Backlog:
        return Backlog(
            destination=destination,
            state=state,
            recipients=self.recipients,
            oldest_submitted_at=self.oldest,
            next_due_at=self.next_due_at,
            last_reason=self.last_reason,
        )


def _oldest_due(tallies: dict[tuple[str, Standing], _Tally], now: datetime) -> datetime | None:
    waiting = (tally.next_due_at for (_, state), tally in tallies.items() if state in ("queued", "deferred"))
    return min((due_at for due_at in waiting if due_at is not None and due_at <= now), default=None)
