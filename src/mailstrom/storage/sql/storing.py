"""How new messages come in.

The rows of a message are its own: nothing that others read or write is touched, so a caller's
transaction that stores and stays open holds up nobody. Only who uses the same Message-ID or
idempotency key waits for its end, to know who was first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from ...abc import InternalMessageStatus, PreparedEmail
from ...errors import DuplicateMessage, IdempotencyConflict, MailstromError
from ...event import EventKind
from . import rows
from .dialect import Dialect
from .script import Batch, Script, Statement

Entry = tuple[PreparedEmail, InternalMessageStatus]
_Numbered = tuple[int, Entry]  # with its seq

CHUNK = 1000  # rows in one batch: a message to 100,000 is never in memory as rows


class Storing:
    """The statements that store; they are written once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        self._insert_message = f"""
            INSERT INTO {t}messages (message_id, sender, envelope, submitted_at, send_at, expires_at,
                completed_at, metadata, idempotency_key, fingerprint, remaining)
            VALUES (:message_id, :sender, :envelope, :submitted_at, :send_at, :expires_at,
                :completed_at, :metadata, :idempotency_key, :fingerprint, :remaining)
            ON CONFLICT DO NOTHING RETURNING seq"""
        self._first = f"""
            SELECT message_id, idempotency_key, fingerprint, submitted_at FROM {t}messages
            WHERE message_id = :message_id OR idempotency_key = :idempotency_key"""
        self._insert_body = f"INSERT INTO {t}bodies (seq, content) VALUES (:seq, :content)"
        self._insert_recipient = f"""
            INSERT INTO {t}recipients (seq, position, place, route_key, due_at, recipient, address, mailbox,
                state, held, result, attempts, crashes, dot_sent)
            VALUES (:seq, :position, :place, :route_key, :due_at, :recipient, :address, :mailbox,
                :state, :held, :result, :attempts, :crashes, :dot_sent)"""
        self._insert_event = f"INSERT INTO {t}events (seq, at, kind) VALUES (:seq, :at, :kind)"

    def store(self, entries: Sequence[Entry], *, repeated: bool = False) -> Script[list[str]]:
        """The ids under which the entries stand; raises as `SharedStorage.store`.

        `repeated`: the reply to a COMMIT of the same was lost. What stands there just as it
        would have been stored then was.
        """
        ids: list[str] = []
        new: list[_Numbered] = []
        for index, (email, status) in enumerate(entries):
            inserted = yield Statement(self._insert_message, rows.message_values(email, status))
            if inserted:
                ids.append(status.message_id)
                new.append((inserted[0][0], (email, status)))
            else:
                ids.append((yield from self._known(index, status, repeated)))
        if new:
            contents = [{"seq": seq, "content": email.content} for seq, (email, _) in new]
            yield Batch(self._insert_body, contents)
            for chunk in _chunks(_recipients(new)):
                yield Batch(self._insert_recipient, chunk)
            yield Batch(self._insert_event, [_accepted(seq, status) for seq, (_, status) in new])
        return ids

    def _known(self, index: int, status: InternalMessageStatus, repeated: bool) -> Script[str]:
        """The id that stands there already; raises where the entry cannot count as that."""
        key = status.idempotency_key
        given = {"message_id": status.message_id, "idempotency_key": key}
        for first_id, first_key, fingerprint, submitted_at in (yield Statement(self._first, given)):
            same = fingerprint == status.fingerprint
            if repeated and same and (first_id, submitted_at) == _as_stored(status):
                return status.message_id
            if key is not None and first_key == key:
                if same:
                    return str(first_id)
                raise _at(index, IdempotencyConflict(key, first_id))
        raise _at(index, DuplicateMessage(status.message_id))


def _at(index: int, error: MailstromError) -> MailstromError:
    error.index = index
    return error


def _as_stored(status: InternalMessageStatus) -> tuple[str, int]:
    return status.message_id, rows.micros(status.submitted_at)


def _recipients(new: Sequence[_Numbered]) -> Iterator[dict[str, object]]:
    for seq, (_, status) in new:
        for position, recipient in enumerate(status.recipients):
            yield {
                "seq": seq,
                "position": position,
                **rows.identity_values(recipient),
                **rows.recipient_values(recipient, rows.place_at(recipient, status.submitted_at)),
            }


def _chunks(values: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    while chunk := list(islice(values, CHUNK)):
        yield chunk


def _accepted(seq: int, status: InternalMessageStatus) -> dict[str, object]:
    return {"seq": seq, "at": rows.micros(status.submitted_at), "kind": str(EventKind.ACCEPTED)}
