"""How messages of the queue are shown: values of the storage in, pages and JSON out. Pure.

A status tells how a recipient stands when no claim has it; `Details` tell whether one has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..explanation import MARKS, Explanation, Gate
from ..records import InternalMessageStatus, InternalRecipientStatus, Trying
from ..status import Attempt, Deferred, one_line
from ..storage.changes import is_held, released
from ..storage.sql.looking import Details
from .page import Column, Line, Page, Table, age_text, counted, iso_text, moment_text

NOTHING_KNOWN = Details()
BEYOND_THE_STORAGE = (
    "This is what the queue knows. Limits, lanes and pauses are known to the worker's process only: "
    "Mailstrom.explain() tells them there."
)


def list_page(
    statuses: Sequence[InternalMessageStatus],
    details: Mapping[str, Details],
    now: datetime,
    *,
    is_all: bool,
) -> Page:
    """One row for each message with work left."""
    columns = (
        Column("message id"),
        Column("age", is_number=True),
        Column("state", is_state=True),
        Column("open", is_number=True),
        Column("sender"),
        Column("first open recipient, and why it waits"),
    )
    rows = (_message_row(each, details.get(each.message_id, NOTHING_KNOWN), now) for each in statuses)
    table = Table(columns, tuple(rows))
    if is_all:
        return [table]
    return [table, Line(), Line("There are more of them (see --limit).")]


def message_page(status: InternalMessageStatus, details: Details, now: datetime) -> Page:
    """One message with all its recipients and attempts."""
    page: list[Line | Table] = [Line(one_line(status.message_id), "heading")]
    page += [Line(f"  {name:<10} {text}") for name, text in _message_facts(status, details, now)]
    for recipient in status.recipients:
        page += [Line(), *_recipient_lines(recipient, details.trying.get(recipient.address), now)]
    return page


def explanation_page(explanation: Explanation) -> Page:
    """What holds each recipient, and what cannot be known here."""
    page = [Line(f"{one_line(explanation.message_id)}, {moment_text(explanation.at)}", "heading")]
    for recipient in explanation:
        page += [Line(), Line(one_line(recipient.recipient), "heading")]
        page += [Line(f"  {one_line(str(hold))}") for hold in recipient.holds]
    if any(hold.gate is not Gate.DONE for recipient in explanation for hold in recipient.holds):
        page += [Line(), Line(BEYOND_THE_STORAGE)]
    return page


def message_json(status: InternalMessageStatus, details: Details) -> dict[str, Any]:
    """What `MessageStatus.from_dict` reads, and beside it what the queue knows."""
    told = status.public().to_dict()
    recipients = [
        {**public, **_standing_json(recipient, details.trying.get(recipient.address))}
        for public, recipient in zip(told["recipients"], status.recipients, strict=True)
    ]
    return {
        **told,
        "recipients": recipients,
        "sender": details.sender,
        "stream": status.stream,
        "priority": status.priority,
        "size": details.size,
        "send_at": iso_text(status.send_at),
        "expires_at": iso_text(status.expires_at),
        "idempotency_key": status.idempotency_key,
    }


def state_of(recipient: InternalRecipientStatus, trying: Trying | None = None) -> str:
    """The state of the result; "held" where nobody tries it, "claimed" where it is being tried."""
    if recipient.result.completed:
        return recipient.result.state
    if trying is not None:
        return "claimed"
    return "held" if is_held(recipient) else recipient.result.state


def standing_text(recipient: InternalRecipientStatus, trying: Trying | None, now: datetime) -> str:
    """How it stands at this moment, in a few words."""
    if recipient.result.completed:
        return recipient.result.state
    if trying is not None:
        return f"being tried at this moment{MARKS[trying.mark]}"
    if recipient.due_at is None or is_held(recipient):
        return "held"
    wait = _secs(now, recipient.due_at)
    return f"due in {age_text(wait)}" if wait > 0 else f"due since {age_text(-wait)}"


def _message_row(status: InternalMessageStatus, details: Details, now: datetime) -> tuple[str, ...]:
    left = [recipient for recipient in status.recipients if not recipient.result.completed]
    first = left[0] if left else status.recipients[0]
    reason = _reason(first, now)
    return (
        one_line(status.message_id),
        age_text(_secs(status.submitted_at, now)),
        state_of(first, details.trying.get(first.address)),
        f"{len(left):,}",
        one_line(details.sender) or "<>",
        one_line(first.address if reason is None else f"{first.address}: {reason}"),
    )


def _message_facts(
    status: InternalMessageStatus, details: Details, now: datetime
) -> Iterator[tuple[str, str]]:
    yield "state", status.public().state
    yield "sender", one_line(details.sender) or "<>"
    if status.stream not in ("", details.sender):
        yield "stream", one_line(status.stream)
    if status.priority != "normal":
        yield "priority", status.priority
    if details.size is not None:
        yield "size", counted(details.size, "octet")
    yield "submitted", f"{moment_text(status.submitted_at)} ({age_text(_secs(status.submitted_at, now))} ago)"
    if status.send_at is not None:
        yield "send at", moment_text(status.send_at)
    if status.expires_at is not None:
        yield "expires", moment_text(status.expires_at)
    if status.completed_at is not None:
        yield "completed", moment_text(status.completed_at)
    if status.idempotency_key is not None:
        yield "key", one_line(status.idempotency_key)
    for name, value in status.metadata.items():
        yield "metadata", one_line(f"{name}={value}")


def _recipient_lines(
    recipient: InternalRecipientStatus, trying: Trying | None, now: datetime
) -> Iterator[Line]:
    yield Line(one_line(recipient.recipient), "heading")
    yield Line(f"  {_result_text(recipient, now)}", state_of(recipient, trying))
    for fact in _recipient_facts(recipient, trying, now):
        yield Line(f"  {fact}")
    for attempt in recipient.attempts:
        yield Line(f"  {_visited(attempt)}")
        yield Line(f"      {_said(attempt)}", attempt.state)


def _result_text(recipient: InternalRecipientStatus, now: datetime) -> str:
    result, reason = recipient.result, _reason(recipient, now)
    if result.completed or not is_held(recipient):
        return str(result)
    perhaps = " (may have been delivered)" if result.uncertain else ""
    why = "" if reason is None else f": {one_line(reason)}"
    after = "" if not result.tries else f" after {'1 try' if result.tries == 1 else f'{result.tries} tries'}"
    return f"held{after}{perhaps}{why}"


def _reason(recipient: InternalRecipientStatus, now: datetime) -> str | None:
    """Why it waits; of what is held, why it waited before."""
    if isinstance(recipient.result, Deferred) and is_held(recipient):
        return released(recipient, now).result.reason
    return recipient.result.reason


def _recipient_facts(
    recipient: InternalRecipientStatus, trying: Trying | None, now: datetime
) -> Iterator[str]:
    if recipient.result.completed:
        return
    is_waiting = trying is None and not is_held(recipient)
    due = f", {standing_text(recipient, trying, now)}" if is_waiting else ""
    yield f"destination {one_line(recipient.route_key)}{due}"
    if trying is not None:
        yield standing_text(recipient, trying, now)
        yield f"its lease ends in {age_text(trying.lease_secs)}, if the worker does not renew it"
    if crashes := recipient.crashes - (trying is not None):  # what is tried counts as one until it ends
        yield f"passes in a row that came to no end: {crashes}"
    if recipient.dot_sent:
        yield "the final dot may have been sent, and nobody heard the reply yet"


def _standing_json(recipient: InternalRecipientStatus, trying: Trying | None) -> dict[str, Any]:
    held = not recipient.result.completed and is_held(recipient)
    waits = trying is None and not held
    return {
        "destination": recipient.route_key,
        "due_at": iso_text(recipient.due_at) if waits else None,
        "held": held,
        "claimed": trying is not None,
        "mark": None if trying is None or trying.mark is None else str(trying.mark),
    }


def _visited(attempt: Attempt) -> str:
    where = attempt.host if attempt.ip is None else f"{attempt.host} [{attempt.ip}]"
    how = "" if attempt.ip is None else f", {'in clear' if attempt.tls is None else attempt.tls}"
    return one_line(f"{moment_text(attempt.at)}  {where}, {attempt.duration_secs:.1f} s{how}")


def _said(attempt: Attempt) -> str:
    said = attempt.reason if attempt.reply is None else str(attempt.reply)
    perhaps = " (may have been delivered)" if attempt.uncertain else ""
    return one_line(f"{attempt.state} at {attempt.phase}{perhaps}: {said or 'no reason is known'}")


def _secs(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()
