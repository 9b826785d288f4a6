"""Records as rows, and back: what stands in which column.

Instants are whole microseconds since 1970; results, attempts, metadata and what the envelope
holds beside its recipients are JSON text, written by `status_codec`.

What of a status cannot be read stops nobody: it is left out, a result says so, and the claim that
comes to such a recipient holds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from ...abc import Event, InternalMessageStatus, InternalRecipientStatus, Order, PreparedEmail
from ...event import EventKind
from ...message.prepared import ClaimedEmail, DsnOptions, StoredEmail
from ...status import Attempt, Deferred, DeliveryResult, Queued
from ...status_codec import (
    RESULTS,
    attempt_from_dict,
    attempt_to_dict,
    result_from_dict,
    result_to_dict,
)
from ..changes import is_held
from ..turns import PRIORITIES, stream_of
from .dialect import Dialect
from .script import Row

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LONG_AGO = -(1 << 62)  # before every instant that is stored
SMALL_OCTETS = 128 * 1024  # of a content at most, in one row

_JSON = json.JSONEncoder(separators=(",", ":"))
_NO_ATTEMPTS, _NOTHING = "[]", "{}"
_NOT_AS_WRITTEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_ORDERS = frozenset(Order)

UNREADABLE = "what is stored of it cannot be read"

#: Of a recipient, in the order in which `recipient_of` takes them.
RECIPIENT = (
    *("recipient", "address", "route_key", "state", "result"),
    *("attempts", "due_at", "crashes", "dot_sent"),
)
_RESULT = RECIPIENT.index("result") - len(RECIPIENT)
#: Of a message, in the order in which `message_of` takes them.
MESSAGE = (
    *("message_id", "submitted_at", "send_at", "completed_at", "expires_at"),
    *("metadata", "idempotency_key", "fingerprint", "stream", "priority"),
)


class Standing(NamedTuple):
    """A recipient, where it stands, and by whom it is claimed, as a row has it.

    `lease_until` is there from the claim until its result: a lease that ended leaves owner and
    token, so that a late result is known. After a result these two stay, to know it again by.
    """

    message_id: str
    fingerprint: str  # the message's
    expires_at: datetime | None  # the message's
    seq: int
    position: int
    place: str
    owner: str | None
    token: int | None
    lease_until: int | None  # on the lease clock, in microseconds
    mark: Order | None  # takes effect when the claim ends
    marked_at: datetime | None
    is_claimed: bool  # its lease has not ended
    is_readable: bool
    recipient: InternalRecipientStatus


_OF_MESSAGE = ("message_id", "fingerprint", "expires_at")
_STANDING = ("seq", "position", "place", "owner", "token", "lease_until", "mark", "marked_at")


def micros(at: datetime) -> int:
    """The instant as it is stored."""
    return (at - EPOCH) // MICROSECOND


def maybe_micros(at: datetime | None) -> int | None:
    """The instant as it is stored, where there is one."""
    return None if at is None else micros(at)


def instant(stored: int) -> datetime:
    """The instant that was stored."""
    return EPOCH + stored * MICROSECOND


def maybe_instant(stored: int | None) -> datetime | None:
    """The instant that was stored, where there is one."""
    return None if stored is None else instant(stored)


def as_json(value: object) -> str:
    """The value as short JSON text of ASCII alone, which any database takes."""
    return _JSON.encode(value)


def columns(names: Sequence[str], table: str) -> str:
    """The columns as a SELECT lists them."""
    return ", ".join(f"{table}.{name}" for name in names)


def is_large(content: bytes) -> bool:
    """It lies in blocks; see `contents`."""
    return len(content) > SMALL_OCTETS


def message_values(email: PreparedEmail, status: InternalMessageStatus) -> dict[str, object]:
    """A new row of `messages`, but for its `seq`."""
    return {
        "message_id": status.message_id,
        "sender": email.reverse_path.lower(),
        "envelope": _envelope_of_large(email) if is_large(email.content) else _envelope(email),
        "submitted_at": micros(status.submitted_at),
        "send_at": maybe_micros(status.send_at),
        "expires_at": maybe_micros(status.expires_at),
        "completed_at": maybe_micros(status.completed_at),
        "metadata": as_json(dict(status.metadata)) if status.metadata else _NOTHING,
        "idempotency_key": status.idempotency_key,
        "fingerprint": status.fingerprint,
        **stream_values(status),
        "remaining": sum(not recipient.result.completed for recipient in status.recipients),
    }


def stream_values(status: InternalMessageStatus) -> dict[str, object]:
    """Where the recipients of a message take turns: in its row, and in each of theirs."""
    level, stream = stream_of(status)
    return {"stream": stream, "priority": level}


def message_of(row: Row, recipients: Sequence[InternalRecipientStatus]) -> InternalMessageStatus:
    """The status whose columns these are."""
    message_id, submitted_at, send_at, completed_at, expires_at, metadata, key, *more = row
    fingerprint, stream, level = more
    return InternalMessageStatus(
        message_id=message_id,
        recipients=tuple(recipients),
        submitted_at=instant(submitted_at),
        send_at=maybe_instant(send_at),
        completed_at=maybe_instant(completed_at),
        expires_at=maybe_instant(expires_at),
        metadata={} if metadata == _NOTHING else _read(metadata, dict) or {},
        idempotency_key=key,
        fingerprint=fingerprint,
        stream=stream,
        priority=PRIORITIES.get(level, "normal"),
    )


def email_of(message_id: str, envelope: str, recipients: str, content: bytes | None) -> ClaimedEmail | None:
    """The email; its recipients are a JSON array of addresses. None: how to send it cannot be read.

    Without a content it is one whose content lies in blocks.
    """
    try:
        given = {**_envelope_of(envelope), "recipients": tuple(json.loads(recipients))}
        in_blocks = given.pop("in_blocks", None)
        if content is not None:
            return PreparedEmail(**given, message_id=message_id, content=bytes(content))
        given["needs_8bitmime"] |= not in_blocks["is_ascii"]
        return StoredEmail(**given, message_id=message_id, octets=in_blocks["octets"])
    except _NOT_AS_WRITTEN:  # strict: what a newer version asks for would be left out of the transaction
        return None


def _envelope(email: PreparedEmail) -> str:
    return _envelope_text(email.reverse_path, email.needs_smtputf8, email.needs_8bitmime, email.dsn)


@lru_cache(maxsize=256)  # most mail of an application has the same
def _envelope_text(
    reverse_path: str, needs_smtputf8: bool, needs_8bitmime: bool, dsn: DsnOptions | None
) -> str:
    return as_json(
        {
            "reverse_path": reverse_path,
            "needs_smtputf8": needs_smtputf8,
            "needs_8bitmime": needs_8bitmime,
            "dsn": None if dsn is None else asdict(dsn),
        }
    )


def _envelope_of_large(email: PreparedEmail) -> str:
    """With what is to be known of the content without reading it."""
    in_blocks = {"octets": email.octets, "is_ascii": email.content.isascii()}
    return as_json({**json.loads(_envelope(email)), "in_blocks": in_blocks})


@lru_cache(maxsize=256)
def _envelope_of(text: str) -> Mapping[str, Any]:
    given = json.loads(text)
    dsn = given["dsn"]
    return {**given, "dsn": None if dsn is None else DsnOptions(**{**dsn, "notify": tuple(dsn["notify"])})}


def recipient_values(recipient: InternalRecipientStatus, place: str) -> dict[str, object]:
    """What may change of a row of `recipients`."""
    return {
        "place": place,
        "due_at": maybe_micros(recipient.due_at),
        "state": recipient.result.state,
        "held": int(is_held(recipient) and not recipient.result.completed),
        "result": result_text(recipient.result),
        "attempts": attempts_text(recipient.attempts),
        "crashes": recipient.crashes,
        "dot_sent": int(recipient.dot_sent),
    }


def identity_values(recipient: InternalRecipientStatus) -> dict[str, object]:
    """Who a row of `recipients` is about."""
    return {
        "recipient": recipient.recipient,
        "address": recipient.address,
        "mailbox": recipient.address.lower(),
        "route_key": recipient.route_key,
    }


def place_at(recipient: InternalRecipientStatus, now: datetime) -> str:
    """Where a recipient is that nobody has claimed."""
    if recipient.result.completed:
        return "completed"
    if recipient.due_at is not None and recipient.due_at <= now:
        return "ready"
    return "held" if is_held(recipient) else "later"


def recipient_of(row: Row) -> InternalRecipientStatus:
    """The recipient whose columns these are."""
    return _recipient_of(row, _read_result(row[_RESULT]))


def _recipient_of(row: Sequence[Any], read: DeliveryResult | None) -> InternalRecipientStatus:
    recipient, address, route_key, state, _, attempts, due_at, crashes, dot_sent = row
    return InternalRecipientStatus(
        recipient=recipient,
        address=address,
        route_key=route_key,
        result=read or _unreadable(state),
        attempts=attempts_of(attempts),
        due_at=maybe_instant(due_at),
        crashes=crashes,
        dot_sent=bool(dot_sent),
    )


def standings(dialect: Dialect) -> str:
    """A SELECT of rows r as `standing_of` takes them; conditions follow.

    Their messages are looked up row by row, whatever a planner thinks of that: they are few.
    """
    t = dialect.prefix
    message = dialect.looked_up.format(f"{t}messages", "m", "m.seq = r.seq")
    return (
        f"SELECT {columns(_OF_MESSAGE, 'm')}, {_standing(dialect)}"
        f" FROM {t}recipients AS r {message} WHERE m.seq = r.seq AND"
    )


def oldest_standings(dialect: Dialect) -> str:
    """The same for messages m and all their rows r: where most that have work left are looked at."""
    t = dialect.prefix
    return (
        f"SELECT {columns(_OF_MESSAGE, 'm')}, {_standing(dialect)}"
        # SQLite begins with the left one of a CROSS JOIN
        f" FROM {t}messages AS m CROSS JOIN {t}recipients AS r"
        " WHERE r.seq = m.seq AND"
    )


def _standing(dialect: Dialect) -> str:
    return f"{columns(_STANDING, 'r')}, {claimed(dialect)}, {columns(RECIPIENT, 'r')}"


def claimed(dialect: Dialect) -> str:
    """1 where the row r is claimed and its lease has not ended, else 0."""
    return f"CASE WHEN r.place = 'claimed' AND r.lease_until > {dialect.lease_now} THEN 1 ELSE 0 END"


def standing_of(row: Row) -> Standing:
    """The recipient and how it stands."""
    message_id, fingerprint, expires_at, seq, position, place, owner, token, lease_until, *more = row
    mark, marked_at, is_claimed, *recipient = more
    result = _read_result(row[_RESULT])
    return Standing(
        message_id,
        fingerprint,
        None if expires_at is None else instant(expires_at),
        seq,
        position,
        place,
        owner,
        token,
        lease_until,
        mark_of(mark),
        None if marked_at is None else instant(marked_at),
        bool(is_claimed),
        result is not None,
        _recipient_of(recipient, result),
    )


@lru_cache(maxsize=256)  # a hundred recipients of a message have the same, and what is stored together, too
def result_text(result: DeliveryResult) -> str:
    """The result as JSON."""
    at = result.next_attempt_at
    if at is not None and result == Queued(next_attempt_at=at):
        return f"{_QUEUED_UNTIL}{at.isoformat()}{_QUEUED_END}"
    return as_json(result_to_dict(result))


# What all mail begins with: quicker than JSON, and messages that come alone have each another instant.
_QUEUED_UNTIL, _QUEUED_END = as_json(result_to_dict(Queued(next_attempt_at=EPOCH))).split(EPOCH.isoformat())


def result_of(text: str, state: str) -> DeliveryResult:
    """The result that `result_text` wrote; where it cannot be read, one in this state that says so."""
    return _read_result(text) or _unreadable(state)


def _unreadable(state: str) -> DeliveryResult:
    return RESULTS.get(state, Deferred)(reason=UNREADABLE)


@lru_cache(maxsize=256)
def _read_result(text: str) -> DeliveryResult | None:
    if text.startswith(_QUEUED_UNTIL) and text.endswith(_QUEUED_END):
        with suppress(ValueError):
            at = text[len(_QUEUED_UNTIL) : -len(_QUEUED_END)]
            return Queued(next_attempt_at=datetime.fromisoformat(at))
    return _read(text, result_from_dict)


def attempts_text(attempts: Sequence[Attempt]) -> str:
    """The attempts as JSON."""
    return as_json([attempt_to_dict(attempt) for attempt in attempts]) if attempts else _NO_ATTEMPTS


def attempts_of(text: str) -> tuple[Attempt, ...]:
    """The attempts that `attempts_text` wrote."""
    if text == _NO_ATTEMPTS:
        return ()
    return _read(text, lambda given: tuple(map(attempt_from_dict, given))) or ()


def mark_of(mark: str | None) -> Order | None:
    """The mark, where there is one; what is not known here asks for no more tries than a hold."""
    if mark is None:
        return None
    return Order(mark) if mark in _ORDERS else Order.HOLD


def _read(text: str, make: Callable[[Any], T]) -> T | None:
    """What is made of the JSON; None: it is not as this version or one before it writes it."""
    try:
        return make(json.loads(text))
    except _NOT_AS_WRITTEN:
        return None


def event_of(row: Row) -> Event:
    """The event whose number, kind, instant, message, address and result these are."""
    number, kind, at, message_id, address, result = row
    return Event(
        kind=EventKind(kind),
        at=instant(at),
        message_id=message_id,
        address=address,
        result=None if result is None else result_of(result, kind),
        cursor=number,
    )
