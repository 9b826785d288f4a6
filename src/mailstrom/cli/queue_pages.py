"""How the queue is shown: values of the storage in, pages and JSON out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from ..records import Backlog, InternalMessageStatus, InternalRecipientStatus, Overview
from ..status import Attempt, one_line
from ..storage.changes import is_held
from .page import Column, Line, Page, Table, age_text, counted, iso_text, moment_text

STATES = ("claimed", "queued", "deferred", "held")  # as a message passes through them


def overview_page(overview: Overview, now: datetime, place: str, limit: int) -> Page:
    """Counts by state and destination, the fullest first, and since when nothing moves."""
    return [
        Line(f"The queue in {place}, {moment_text(now)}", "heading"),
        Line(_totals(overview)),
        Line(f"Oldest due: {_ago(overview.oldest_due_at, now, 'nothing is due')}."),
        Line(f"Last delivery: {_ago(overview.last_delivered_at, now, 'none is known')}."),
        *_backlog_table(overview.backlog, now, limit),
    ]


def overview_json(overview: Overview, now: datetime) -> dict[str, Any]:
    """The same for programs; instants in ISO 8601, None where there is none."""
    return {
        "at": iso_text(now),
        "recipients": sum(_by_state(overview).values()),
        "states": _by_state(overview),
        "oldest_due_at": iso_text(overview.oldest_due_at),
        "last_delivered_at": iso_text(overview.last_delivered_at),
        "backlog": [_backlog_json(each) for each in overview.backlog],
    }


def list_page(statuses: Sequence[InternalMessageStatus], now: datetime, *, is_all: bool) -> Page:
    """One row for each message with work left."""
    if not statuses:
        return [Line("No such mail is in the queue.")]
    columns = (
        Column("message id"),
        Column("age", is_number=True),
        Column("state", is_state=True),
        Column("open", is_number=True),
        Column("first open recipient, and why it waits"),
    )
    table = Table(columns, tuple(_message_row(status, now) for status in statuses))
    if is_all:
        return [table]
    return [table, Line(), Line("There are more of them (see --limit).")]


def message_page(status: InternalMessageStatus, now: datetime) -> Page:
    """One message with all its recipients and attempts."""
    page: list[Line | Table] = [Line(one_line(status.message_id), "heading")]
    page += [Line(f"  {name:<10} {text}") for name, text in _message_facts(status, now)]
    for recipient in status.recipients:
        page += [Line(), *_recipient_lines(recipient, now)]
    return page


def state_of(recipient: InternalRecipientStatus) -> str:
    """The state of the result; "held" where a deferred one is not tried again."""
    if recipient.result.completed:
        return recipient.result.state
    return "held" if is_held(recipient) else recipient.result.state


# --- the overview


def _by_state(overview: Overview) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for each in overview.backlog:
        counts[each.state] += each.recipients
    return {state: counts[state] for state in STATES}


def _totals(overview: Overview) -> str:
    counts = _by_state(overview)
    if not any(counts.values()):
        return "It is empty."
    listed = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    recipients = counted(sum(counts.values()), "recipient")
    return f"{recipients}: {listed}."


def _backlog_table(backlog: Sequence[Backlog], now: datetime, limit: int) -> Iterator[Line | Table]:
    if not backlog:
        return
    columns = (
        Column("destination", may_be_cut=True),
        Column("state", is_state=True),
        Column("recipients", is_number=True),
        Column("oldest", is_number=True),
        Column("next try", is_number=True),
        Column("last error"),
    )
    fullest = sorted(backlog, key=lambda each: -each.recipients)
    yield Line()
    yield Table(columns, tuple(_backlog_row(each, now) for each in fullest[:limit]))
    if left := fullest[limit:]:
        lines = counted(len(left), "line")
        recipients = counted(sum(each.recipients for each in left), "recipient")
        yield Line()
        yield Line(f"Not shown: {lines} with {recipients} (see --limit).")


def _backlog_row(backlog: Backlog, now: datetime) -> tuple[str, ...]:
    return (
        one_line(backlog.destination),
        backlog.state,
        f"{backlog.recipients:,}",
        age_text(_secs(backlog.oldest_submitted_at, now)),
        _next_try(backlog, now),
        one_line(backlog.last_reason or ""),
    )


def _next_try(backlog: Backlog, now: datetime) -> str:
    if backlog.state == "claimed":
        return "now"
    if backlog.state == "held" or backlog.next_due_at is None:
        return "-"
    wait = _secs(now, backlog.next_due_at)
    return "due" if wait <= 0 else f"in {age_text(wait)}"


def _backlog_json(backlog: Backlog) -> dict[str, Any]:
    return {
        "destination": backlog.destination,
        "state": backlog.state,
        "recipients": backlog.recipients,
        "oldest_submitted_at": iso_text(backlog.oldest_submitted_at),
        "next_due_at": iso_text(backlog.next_due_at),
        "last_reason": backlog.last_reason,
    }


# --- messages


def _message_row(status: InternalMessageStatus, now: datetime) -> tuple[str, ...]:
    left = [recipient for recipient in status.recipients if not recipient.result.completed]
    first = left[0] if left else status.recipients[0]
    reason = first.result.reason
    return (
        one_line(status.message_id),
        age_text(_secs(status.submitted_at, now)),
        state_of(first),
        f"{len(left):,}",
        one_line(first.address if reason is None else f"{first.address}: {reason}"),
    )


def _message_facts(status: InternalMessageStatus, now: datetime) -> Iterator[tuple[str, str]]:
    yield "state", status.public().state
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


def _recipient_lines(recipient: InternalRecipientStatus, now: datetime) -> Iterator[Line]:
    yield Line(one_line(recipient.recipient), "heading")
    yield Line(f"  {recipient.result}", state_of(recipient))
    for fact in _recipient_facts(recipient, now):
        yield Line(f"  {fact}")
    for attempt in recipient.attempts:
        yield Line(f"  {_visited(attempt)}")
        yield Line(f"      {_said(attempt)}", attempt.state)


def _recipient_facts(recipient: InternalRecipientStatus, now: datetime) -> Iterator[str]:
    if recipient.result.completed:
        return
    due = "" if recipient.due_at is None or is_held(recipient) else f", {_due(recipient.due_at, now)}"
    yield f"destination {one_line(recipient.route_key)}{due}"
    if recipient.crashes:
        yield f"passes in a row that came to no end: {recipient.crashes}"
    if recipient.dot_sent:
        yield "the final dot may have been sent, and nobody heard the reply yet"


def _due(due_at: datetime, now: datetime) -> str:
    wait = _secs(now, due_at)
    return f"due in {age_text(wait)}" if wait > 0 else f"due {age_text(-wait)} ago"


def _visited(attempt: Attempt) -> str:
    where = attempt.host if attempt.ip is None else f"{attempt.host} [{attempt.ip}]"
    how = "" if attempt.ip is None else f", {'in clear' if attempt.tls is None else attempt.tls}"
    return one_line(f"{moment_text(attempt.at)}  {where}, {attempt.duration_secs:.1f} s{how}")


def _said(attempt: Attempt) -> str:
    said = attempt.reason if attempt.reply is None else str(attempt.reply)
    perhaps = " (may have been delivered)" if attempt.uncertain else ""
    return one_line(f"{attempt.state} at {attempt.phase}{perhaps}: {said or 'no reason is known'}")


# --- instants


def _secs(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


def _ago(at: datetime | None, now: datetime, never: str) -> str:
    return never if at is None else f"{age_text(_secs(at, now))} ago"
