"""What the queue is asked: statuses, and how full it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from ...abc import Backlog, InternalMessageStatus, InternalRecipientStatus, Overview, Selection
from ...errors import MessageNotFound
from . import rows
from .dialect import Dialect
from .script import Row, Script, Statement
from .selecting import conditions

T = TypeVar("T")

MESSAGES_AT_ONCE = 1000
NO_LIMIT = 1 << 62


class Reading:
    """The statements that read; they are made once, but for what a selection says."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        self._messages = f"SELECT m.seq, {rows.columns(rows.MESSAGE, 'm')} FROM {t}messages AS m WHERE"
        self._selected = f"EXISTS (SELECT 1 FROM {t}recipients AS r WHERE r.seq = m.seq AND"
        self._one = f"{self._messages} m.message_id = :message_id"
        self._recent = tuple(
            f"{self._messages} {which} ORDER BY m.seq"
            for which in ("m.completed_at IS NULL", "m.reported = 0 AND m.completed_at IS NOT NULL")
        )
        self._recipients = f"""
            SELECT r.seq, {rows.columns(rows.RECIPIENT, "r")} FROM {t}recipients AS r
            WHERE {dialect.among.format("r.seq", ":seqs")} ORDER BY r.seq, r.position"""
        self._report = f"""
            UPDATE {t}messages SET reported = 1
            WHERE message_id IN ({dialect.each_text.format(":message_ids")})"""
        self._backlog = _backlog(dialect)
        self._last_delivered = f"SELECT at FROM {t}events WHERE kind = 'delivered' ORDER BY id DESC LIMIT 1"

    def status(self, message_id: str) -> Script[InternalMessageStatus]:
        """The status; raises `MessageNotFound`."""
        found = yield Statement(self._one, {"message_id": message_id})
        if not found:
            raise MessageNotFound(message_id)
        [status] = yield from self._whole(found)
        return status

    def incomplete(self, selection: Selection, limit: int | None) -> Script[list[InternalMessageStatus]]:
        """Messages with work left among the recipients selected, oldest first."""
        where = conditions(selection)
        sql = (
            f"{self._messages} {where.of_message} AND {self._selected} {where.of_recipient})"
            " ORDER BY m.seq LIMIT :limit"
        )
        found = yield Statement(sql, {**where.given, "limit": NO_LIMIT if limit is None else limit})
        return (yield from self._whole(found))

    def recent(self) -> Script[list[InternalMessageStatus]]:
        """What is not completed, and what is and was not reported yet, oldest first."""
        found: list[Row] = []
        for sql in self._recent:
            found += yield Statement(sql, {})
        return (yield from self._whole(sorted(found, key=lambda row: int(row[0]))))

    def report(self, message_ids: Sequence[str]) -> Script[None]:
        """Notes that these were reported as completed."""
        for some in _in_parts(message_ids):
            yield Statement(self._report, {"message_ids": rows.as_json(some)})

    def overview(self, now: datetime) -> Script[Overview]:
        """How full the queue is."""
        backlog = [_backlog_of(row) for row in (yield Statement(self._backlog, {}))]
        waiting = [each.next_due_at for each in backlog if each.state in ("queued", "deferred")]
        delivered = yield Statement(self._last_delivered, {})
        return Overview(
            backlog=tuple(backlog),
            oldest_due_at=min((each for each in waiting if each and each <= now), default=None),
            last_delivered_at=rows.instant(delivered[0][0]) if delivered else None,
        )

    def _whole(self, found: Sequence[Row]) -> Script[list[InternalMessageStatus]]:
        """The messages in the same order, with their recipients."""
        whole: list[InternalMessageStatus] = []
        for some in _in_parts(found):
            recipients: dict[int, list[InternalRecipientStatus]] = {seq: [] for seq, *_ in some}
            for seq, *row in (yield Statement(self._recipients, {"seqs": rows.as_json(list(recipients))})):
                recipients[seq].append(rows.recipient_of(tuple(row)))
            whole += [rows.message_of(row[1:], recipients[row[0]]) for row in some]
        return whole


def _backlog(dialect: Dialect) -> str:
    t = dialect.prefix
    return f"""
        SELECT route_key, standing, recipients, oldest, next_due, result FROM (
            SELECT route_key, standing, result,
                count(*) OVER alike AS recipients,
                min(submitted_at) OVER alike AS oldest,
                min(due_at) OVER alike AS next_due,
                row_number() OVER (
                    PARTITION BY route_key, standing ORDER BY submitted_at DESC, seq DESC, position DESC
                ) AS place_from_end
            FROM (
                SELECT r.route_key, r.result, r.due_at, r.seq, r.position, m.submitted_at,
                    CASE WHEN {rows.claimed(dialect)} = 1 THEN 'claimed'
                        WHEN r.held = 1 THEN 'held' ELSE r.state END AS standing
                FROM {t}messages AS m CROSS JOIN {t}recipients AS r
                WHERE m.completed_at IS NULL AND r.seq = m.seq AND r.place <> 'completed'
            ) AS one
            WINDOW alike AS (PARTITION BY route_key, standing)
        ) AS counted
        WHERE place_from_end = 1 ORDER BY route_key, standing"""


def _backlog_of(row: Row) -> Backlog:
    route_key, standing, recipients, oldest, next_due, result = row
    return Backlog(
        destination=route_key,
        state=standing,
        recipients=recipients,
        oldest_submitted_at=rows.instant(oldest),
        next_due_at=rows.maybe_instant(next_due),
        last_reason=rows.result_of(result, standing).reason,
    )


def _in_parts(found: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(found), MESSAGES_AT_ONCE):
        yield found[start : start + MESSAGES_AT_ONCE]
