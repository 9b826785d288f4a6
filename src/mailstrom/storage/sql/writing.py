"""How changed recipients go back to their rows, with all that follows from a change.

The one way for results, claims given back, and orders: the rows, then `completed_at` of the
messages whose last recipient this was, then what is told of it. Two transactions that finish
the last two recipients of a message at once meet at its row: whoever comes second sees that
it was the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple, Protocol, TypeAlias

from ...abc import InternalRecipientStatus, Order
from ...status import DeliveryResult
from . import rows
from .dialect import Dialect
from .many import inserting, updating
from .rows import Standing
from .script import Script

_COLUMNS = (
    *("place", "due_at", "state", "held", "result", "attempts", "crashes", "dot_sent"),
    *("owner", "token", "lease_until", "mark", "marked_at"),
)
#: What a result makes of a row that it completes; owner and token stay, to know it again by.
_COMPLETED = {
    "place": "'completed'",
    "due_at": "NULL",
    "state": ":state",
    "held": "0",
    "result": ":result",
    "attempts": ":attempts",
    "crashes": "0",
    "dot_sent": "0",
    "lease_until": "NULL",
    "mark": "NULL",
    "marked_at": "NULL",
}

_Values: TypeAlias = dict[str, object]
_by_row = itemgetter(0, 1)


class Claimed(Protocol):
    """A row, and the claim that has it."""

    @property
    def seq(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def owner(self) -> str | None: ...
    @property
    def token(self) -> int | None: ...


class After(NamedTuple):
    """What becomes of a row: the recipient, where it stands, and by whom it is claimed."""

    seq: int
    position: int
    place: str
    owner: str | None
    token: int | None
    lease_until: int | None
    mark: Order | None
    marked_at: datetime | None
    recipient: InternalRecipientStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a recipient whose row this transaction has locked, and when.

    `told`: it is an event, whatever it is. That a recipient completes is always one.
    """

    after: After
    at: datetime
    told: bool = False


class Completion(NamedTuple):
    """A change of the plainest kind, made for most mail: the result that completes a claimed recipient."""

    seq: int
    position: int
    address: str
    result: DeliveryResult
    attempts: str  # all, as JSON


class Writing:
    """The statements that write changes; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        messages, row = f"{dialect.prefix}messages", ("seq", "position")
        self._update = updating(dialect, "recipients", {column: f":{column}" for column in _COLUMNS}, row)
        self._end = updating(dialect, "recipients", _COMPLETED, row)
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

    def write(
        self, changes: Sequence[Change], completions: Sequence[Completion] = (), at: datetime = rows.EPOCH
    ) -> Script[None]:
        """Writes them, in the order of their rows, in which everybody locks; `at`: of the completions."""
        done = _Done()
        if completions:
            yield self._end.of(done.complete(sorted(completions, key=_by_row), rows.micros(at)))
        if changes:
            yield self._update.of(done.change(sorted(changes, key=lambda change: change.after[:2])))
        if done.completed:
            yield self._complete.of(done.of_messages())
        if done.told:
            yield self._tell.of(done.events())


class _Done:
    """What is written, and what follows from it."""

    def __init__(self) -> None:
        self.completed: dict[int, tuple[int, int]] = {}  # by `seq`: how many recipients, and when the last
        self.told: list[tuple[int, int, _Values]] = []  # by row

    def complete(self, completions: Iterable[Completion], at: int) -> list[_Values]:
        """The values of these."""
        values: list[_Values] = []
        for seq, position, address, result, attempts in completions:
            state, text = result.state, rows.result_text(result)
            values.append(
                {"seq": seq, "position": position, "state": state, "result": text, "attempts": attempts}
            )
            self._note(seq, at)
            self._tell(seq, position, at, state, address, text)
        return values

    def change(self, changes: Iterable[Change]) -> list[_Values]:
        """The values of these."""
        values: list[_Values] = []
        for change in changes:
            after, at = change.after, rows.micros(change.at)
            address, result = after.recipient.address, after.recipient.result
            written = _values(after)
            values.append(written)
            if result.completed:
                self._note(after.seq, at)
            if (change.told or result.completed) and result.state != "queued":
                self._tell(after.seq, after.position, at, result.state, address, written["result"])
        return values

    def of_messages(self) -> list[_Values]:
        """Of each message how many recipients completed, and when the last."""
        return [
            {"seq": seq, "remaining": count, "completed_at": at}
            for seq, (count, at) in sorted(self.completed.items())
        ]

    def events(self) -> list[_Values]:
        """Their events, as `changes.event_of` has them: the kind is the state, the result as written."""
        return [event for _, _, event in sorted(self.told, key=_by_row)]

    def _note(self, seq: int, at: int) -> None:
        count, last = self.completed.get(seq, (0, at))
        self.completed[seq] = count + 1, max(last, at)

    def _tell(self, seq: int, position: int, at: int, kind: str, address: str, result: object) -> None:
        event = {"seq": seq, "at": at, "kind": kind, "address": address, "result": result}
        self.told.append((seq, position, event))


def freed(
    before: Claimed, recipient: InternalRecipientStatus, now: datetime, *, known: bool = False
) -> After:
    """With the recipient as it is now; no claim has it. `known`: by which one it was settled."""
    return After(
        seq=before.seq,
        position=before.position,
        place=rows.place_at(recipient, now),
        owner=before.owner if known else None,
        token=before.token if known else None,
        lease_until=None,
        mark=None,
        marked_at=None,
        recipient=recipient,
    )


def stopped(standing: Standing, recipient: InternalRecipientStatus, now: datetime) -> After:
    """With the recipient as it is now; unless it completed, a claim whose lease ended has it still."""
    if recipient.result.completed:
        return freed(standing, recipient, now)
    return as_it_stands(standing, recipient, rows.place_at(recipient, now))


def as_it_stands(standing: Standing, recipient: InternalRecipientStatus, place: str) -> After:
    """With the recipient as it is now at this place, and what else there is as it was."""
    return After(
        seq=standing.seq,
        position=standing.position,
        place=place,
        owner=standing.owner,
        token=standing.token,
        lease_until=standing.lease_until,
        mark=standing.mark,
        marked_at=standing.marked_at,
        recipient=recipient,
    )


def _values(after: After) -> _Values:
    return {
        "seq": after.seq,
        "position": after.position,
        "owner": after.owner,
        "token": after.token,
        "lease_until": after.lease_until,
        "mark": None if after.mark is None else str(after.mark),
        "marked_at": rows.maybe_micros(after.marked_at),
        **rows.recipient_values(after.recipient, after.place),
    }
