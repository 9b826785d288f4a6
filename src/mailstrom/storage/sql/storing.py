"""How new messages come in.

The rows of a message are its own: nothing that others read or write is touched, so a caller's
transaction that stores and stays open holds up nobody. Only who uses the same Message-ID or
idempotency key waits for its end, to know who was first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from ...abc import InternalMessageStatus, PreparedEmail
from ...errors import DuplicateMessage, IdempotencyConflict, MailstromError
from ...event import EventKind
from . import rows
from .contents import Contents
from .dialect import Dialect
from .many import inserting, listed, listing
from .script import Row, Script, Statement

T = TypeVar("T")

Entry = tuple[PreparedEmail, InternalMessageStatus]
_Known = tuple[dict[str, Row], dict[str, Row]]
_Numbered = tuple[int, Entry]  # with its seq

CHUNK = 1000  # rows in one statement: a message to 100,000 is never in memory as rows

_MESSAGE = (
    *("message_id", "sender", "envelope", "submitted_at", "send_at", "expires_at"),
    *("completed_at", "metadata", "idempotency_key", "fingerprint", "remaining", "stream", "priority"),
)
_RECIPIENT = (
    *("seq", "position", "place", "route_key", "due_at", "recipient", "address", "mailbox"),
    *("state", "held", "result", "attempts", "crashes", "dot_sent", "stream", "priority"),
)


class Storing:
    """The statements that store; they are written once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        self._contents = Contents(dialect)
        self._dialect = dialect
        # WHERE: without one, SQLite would take ON for a condition of a join
        self._insert_messages = f"""
            INSERT INTO {t}messages ({", ".join(_MESSAGE)}) SELECT {rows.columns(_MESSAGE, "given")}
            FROM {listing(dialect, "messages", _MESSAGE)} AS given WHERE 1 = 1
            ON CONFLICT DO NOTHING RETURNING seq, message_id, idempotency_key"""
        first = f"SELECT message_id, idempotency_key, fingerprint, submitted_at FROM {t}messages WHERE"
        self._first = f"""
            {first} message_id IN ({dialect.each_text.format(":ids")})
            UNION {first} idempotency_key IN ({dialect.each_text.format(":keys")})"""
        self._insert_recipients = inserting(dialect, "recipients", _RECIPIENT)
        self._insert_events = f"""
            INSERT INTO {t}events (seq, at, kind)
            SELECT m.seq, m.submitted_at, '{EventKind.ACCEPTED}' FROM {t}messages AS m
            WHERE {dialect.among.format("m.seq", ":seqs")} ORDER BY m.seq"""

    def store(self, entries: Sequence[Entry], *, repeated: bool = False) -> Script[list[str]]:
        """The ids under which the entries stand; raises as `SharedStorage.store`.

        `repeated`: the reply to a COMMIT of the same was lost. What stands there just as it
        would have been stored then was.
        """
        ids: list[str] = []
        for some in _chunks(entries):
            ids += yield from self._store(some, len(ids), repeated)
        return ids

    def _store(self, entries: Sequence[Entry], index: int, repeated: bool) -> Script[list[str]]:
        """The ids of these, of which the first stands at this index."""
        new = yield from self._inserted(entries)
        refused = [status for each, (_, status) in enumerate(entries) if each not in new]
        known = yield from self._known(refused)
        ids: list[str] = []
        for each, (_, status) in enumerate(entries):
            try:
                ids.append(status.message_id if each in new else _id_of(status, known, repeated))
            except MailstromError as error:
                error.index = index + each
                raise
        if new:
            yield from self._complete([(seq, entries[each]) for each, seq in new.items()])
        return ids

    def _inserted(self, entries: Sequence[Entry]) -> Script[dict[int, int]]:
        """The `seq` of those that are stored by this, by their place among the entries."""
        given = [rows.message_values(email, status) for email, status in entries]
        found = yield Statement(self._insert_messages, {"rows": listed(self._dialect, given, _MESSAGE)})
        inserted = {(message_id, key): seq for seq, message_id, key in found}
        places = {}
        for place, (_, status) in enumerate(entries):
            # of two that are the same the first was inserted
            seq = inserted.pop((status.message_id, status.idempotency_key), None)
            if seq is not None:
                places[place] = seq
        return places

    def _complete(self, new: Sequence[_Numbered]) -> Script[None]:
        """All that belongs to the new messages beside them."""
        yield from self._contents.store([(seq, email.content) for seq, (email, _) in new])
        for chunk in _chunks(_recipients(new)):
            yield self._insert_recipients.of(chunk)
        yield Statement(self._insert_events, {"seqs": rows.as_json([seq for seq, _ in new])})

    def _known(self, refused: Sequence[InternalMessageStatus]) -> Script[_Known]:
        """What stands there already, by the ids and keys of those that were not inserted."""
        if not refused:
            return {}, {}
        keys = [status.idempotency_key for status in refused if status.idempotency_key is not None]
        ids = [status.message_id for status in refused]
        found = yield Statement(self._first, {"ids": rows.as_json(ids), "keys": rows.as_json(keys)})
        return {row[0]: row for row in found}, {row[1]: row for row in found if row[1] is not None}


def _id_of(status: InternalMessageStatus, known: _Known, repeated: bool) -> str:
    """The id that stands there already; raises where the status cannot count as that."""
    by_id, by_key = known
    if repeated and _is_stored(status, by_id.get(status.message_id)):
        return status.message_id
    if status.idempotency_key in by_key:
        first_id, key, fingerprint, _ = by_key[status.idempotency_key]
        if fingerprint != status.fingerprint:
            raise IdempotencyConflict(key, first_id)
        return str(first_id)
    raise DuplicateMessage(status.message_id)


def _is_stored(status: InternalMessageStatus, first: Row | None) -> bool:
    """What stands under its id is this, and nobody else's."""
    return first is not None and first[2:] == (status.fingerprint, rows.micros(status.submitted_at))


def _recipients(new: Sequence[_Numbered]) -> Iterator[dict[str, object]]:
    for seq, (_, status) in new:
        stream = rows.stream_values(status)
        for position, recipient in enumerate(status.recipients):
            yield {
                "seq": seq,
                "position": position,
                **stream,
                **rows.identity_values(recipient),
                **rows.recipient_values(recipient, rows.place_at(recipient, status.submitted_at)),
            }


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    left = iter(values)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
