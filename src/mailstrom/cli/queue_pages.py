"""How full the queue is: values of the storage in, pages and JSON out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from ..records import Backlog, Overview
from ..status import one_line
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


def trouble_page(place: str, now: datetime, error: str) -> Page:
    """Stands in the place of the overview while the queue cannot be reached."""
    return [
        Line(f"The queue in {place}, {moment_text(now)}", "heading"),
        Line(f"It cannot be reached: {one_line(error)}", "unhealthy"),
    ]


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


def _secs(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


def _ago(at: datetime | None, now: datetime, never: str) -> str:
    return never if at is None else f"{age_text(_secs(at, now))} ago"
