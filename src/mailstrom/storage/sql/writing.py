"""How changed recipients go back to their rows, with all that follows from a change.

The one way for results, claims given back, and orders: the rows, then `completed_at` of the
messages whose last recipient this was, then what is told of it. Two transactions that finish
the last two recipients of a message at once meet at its row: whoever comes second sees that
it was the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ...abc import InternalRecipientStatus
from . import rows
from .dialect import Dialect
from .many import inserting, updating
from .rows import Standing
from .script import Script

_COLUMNS = (
    *("place", "due_at", "state", "held", "result", "attempts", "crashes", "dot_sent"),
    *("owner", "token", "lease_until", "mark", "marked_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a recipient whose row this transaction has locked, and when.

    `told`: it is an event, whatever it is. That a recipient completes is always one.
    """

    after: Standing
    at: datetime
    told: bool = False

    @property
    def completes(self) -> bool:
        """It is completed by this."""
        return self.after.recipient.result.completed


class Writing:
    """The statements that write changes; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        messages = f"{dialect.prefix}messages"
        self._update = updating(
            dialect, "recipients", {column: f":{column}" for column in _COLUMNS}, ("seq", "position")
        )
        last = f"CASE WHEN {messages}.remaining <= :remaining THEN :completed_at"
        self._complete = updating(
            dialect,
            "messages",
            {
                "remaining": f"{messages}.remaining - :remaining",
                "completed_at": f"{last} ELSE {messages}.completed_at END",
            },
            ("seq",),
        )
        self._tell = inserting(dialect, "events", ("seq", "at", "kind", "address", "result"))

    def write(self, changes: Sequence[Change]) -> Script[None]:
        """Writes them, in the order of their rows, in which everybody locks."""
        changes = sorted(changes, key=lambda change: (change.after.seq, change.after.position))
        if not changes:
            return
        values = [_values(change.after) for change in changes]
        yield self._update.of(values)
        if completed := _completed(changes):
            yield self._complete.of(completed)
        if told := _told(changes, values):
            yield self._tell.of(told)


def freed(
    standing: Standing, recipient: InternalRecipientStatus, now: datetime, *, known: bool = False
) -> Standing:
    """With the recipient as it is now; no claim has it. `known`: by which one it was settled."""
    return Standing(  # replace() takes three times as long
        message_id=standing.message_id,
        fingerprint=standing.fingerprint,
        expires_at=standing.expires_at,
        seq=standing.seq,
        position=standing.position,
        place=rows.place_at(recipient, now),
        owner=standing.owner if known else None,
        token=standing.token if known else None,
        lease_until=None,
        mark=None,
        marked_at=None,
        is_claimed=standing.is_claimed,
        is_readable=standing.is_readable,
        recipient=recipient,
    )


def stopped(standing: Standing, recipient: InternalRecipientStatus, now: datetime) -> Standing:
    """With the recipient as it is now; unless it completed, a claim whose lease ended has it still."""
    if recipient.result.completed:
        return freed(standing, recipient, now)
    return replace(standing, recipient=recipient, place=rows.place_at(recipient, now))


def _values(standing: Standing) -> dict[str, object]:
    return {
        "seq": standing.seq,
        "position": standing.position,
        "owner": standing.owner,
        "token": standing.token,
        "lease_until": standing.lease_until,
        "mark": None if standing.mark is None else str(standing.mark),
        "marked_at": rows.maybe_micros(standing.marked_at),
        **rows.recipient_values(standing.recipient, standing.place),
    }


def _completed(changes: Iterable[Change]) -> list[dict[str, object]]:
    """Of each message how many recipients, and when the last."""
    at: dict[int, list[datetime]] = {}
    for change in changes:
        if change.completes:
            at.setdefault(change.after.seq, []).append(change.at)
    return [
        {"seq": seq, "remaining": len(instants), "completed_at": rows.micros(max(instants))}
        for seq, instants in at.items()
    ]


def _told(
    changes: Sequence[Change], values: Sequence[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    """Their events, as `changes.event_of` has them: the kind is the state, the result as it was written."""
    return [
        {
            "seq": change.after.seq,
            "at": rows.micros(change.at),
            "kind": written["state"],
            "address": change.after.recipient.address,
            "result": written["result"],
        }
        for change, written in zip(changes, values, strict=True)
        if (change.told or change.completes) and written["state"] != "queued"
    ]
