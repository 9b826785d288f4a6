"""How an operator interferes: orders, and due times that are pulled in.

Whoever is being tried at the moment only gets a mark; it takes effect when the claim ends.
The rules stand in `storage.changes`; here are the conditions that find the rows to which an
order applies, so that `limit` of them can be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ...abc import Order, Ordered, Selection
from .. import changes
from . import rows
from .dialect import Dialect
from .rows import Standing
from .script import Script, Statement
from .selecting import conditions
from .writing import Change, Writing, stopped

PULLED_AT_ONCE = 1000

#: To whom an order applies, of those that nobody has claimed, and of those that are claimed.
_APPLIES: Mapping[Order, tuple[str, str]] = {
    Order.CANCEL: ("1 = 1", "(r.mark IS NULL OR r.mark <> 'cancel')"),
    Order.HOLD: ("r.held = 0", "r.mark IS NULL"),
    Order.RELEASE: ("r.held = 1", "r.mark = 'hold'"),
    Order.RETRY: ("r.held = 0 AND r.due_at > :now", "1 = 0"),
}


class Controlling:
    """The statements of an operator; they are made once, but for what a selection says."""

    def __init__(self, dialect: Dialect) -> None:
        self._writing = Writing(dialect)
        claimed = rows.claimed(dialect)
        self._select = rows.oldest_standings(dialect)
        self._lock = f"ORDER BY r.seq, r.position LIMIT :limit {dialect.for_update.format('r')}"
        self._applies = {
            order: f"CASE WHEN {claimed} = 1 THEN {to_claimed} ELSE {to_others} END"
            for order, (to_others, to_claimed) in _APPLIES.items()
        }
        self._deferred_beyond = f"""
            {self._select} m.completed_at IS NULL AND r.state = 'deferred' AND r.held = 0
                AND r.due_at > :latest AND {claimed} = 0 {self._lock}"""

    def order(self, order: Order, selection: Selection, now: datetime, limit: int) -> Script[list[Ordered]]:
        """Those for whom the order was carried out, oldest first."""
        where = conditions(selection)
        sql = (
            f"{self._select} {where.of_message} AND {where.of_recipient} AND {self._applies[order]}"
            f" {self._lock}"
        )
        found = yield Statement(sql, {**where.given, "now": rows.micros(now), "limit": limit})
        done = [
            (before, after)
            for before in map(rows.standing_of, found)
            if (after := _ordered(order, before, now)) is not None
        ]
        yield from self._writing.write([Change(after=after, at=now) for _, after in done])
        return [_told(before, after) for before, after in done]

    def pull_in(self, latest: datetime) -> Script[int]:
        """Makes deferred recipients that are due after `latest` due then; how many they were."""
        count = 0
        while True:
            given = {"latest": rows.micros(latest), "limit": PULLED_AT_ONCE}
            found = yield Statement(self._deferred_beyond, given)
            yield from self._writing.write([_pulled_in(rows.standing_of(row), latest) for row in found])
            count += len(found)
            if len(found) < PULLED_AT_ONCE:
                return count


def _ordered(order: Order, standing: Standing, now: datetime) -> Standing | None:
    """What the order makes of it; None: it does not apply."""
    mark = None if standing.lease_until is None else changes.marked(order, standing.mark)
    marked_at = standing.marked_at if mark is standing.mark else now
    if standing.is_claimed:
        return None if mark is standing.mark else replace(standing, mark=mark, marked_at=marked_at)
    after = changes.ordered(order, standing.recipient, now, expires_at=standing.expires_at)
    # a late result must not undo it: a claim whose lease has ended gets the mark, too
    return None if after is None else stopped(replace(standing, mark=mark, marked_at=marked_at), after, now)


def _told(before: Standing, after: Standing) -> Ordered:
    return Ordered(
        message_id=before.message_id,
        before=before.recipient,
        after=after.recipient,
        claimed=before.is_claimed,
    )


def _pulled_in(standing: Standing, latest: datetime) -> Change:
    # it waits: nothing is due at the latest instant that anything may be due
    after = changes.retried(standing.recipient, latest)
    return Change(after=stopped(standing, after, rows.EPOCH), at=latest)
