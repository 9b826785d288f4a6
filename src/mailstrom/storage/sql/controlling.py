"""How an operator interferes: orders, and due times that are pulled in.

Whoever is being tried at the moment only gets a mark; it takes effect when the claim ends.
The rules stand in `storage.changes`; here are the conditions that find the rows to which an
order applies, so that `limit` of them can be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ...abc import Order, Ordered, Selection
from ...records import Cursor
from .. import changes
from . import rows
from .dialect import Dialect
from .keys import ready_keys
from .rows import Standing
from .script import Script, Statement
from .selecting import conditions
from .writing import After, Change, Writing, as_it_stands, stopped

PULLED_AT_ONCE = 1000

#: To whom an order applies, of those that nobody has claimed, and of those that are claimed.
#: A mark with one that nobody has claimed is what a claim left whose lease ran out.
_APPLIES: Mapping[Order, tuple[str, str]] = {
    Order.CANCEL: ("1 = 1", "(r.mark IS NULL OR r.mark <> 'cancel')"),
    Order.HOLD: ("r.held = 0 AND r.mark IS NULL", "r.mark IS NULL"),
    Order.RELEASE: (
        "CASE WHEN r.mark IS NULL THEN r.held = 1 ELSE r.mark <> 'cancel' END",
        "r.mark = 'hold'",
    ),
    Order.RETRY: ("r.held = 0 AND r.mark IS NULL AND r.due_at > :now", "1 = 0"),
}


class Controlling:
    """The statements of an operator; they are made once, but for what a selection says."""

    def __init__(self, dialect: Dialect) -> None:
        self._writing = Writing(dialect)
        claimed = rows.claimed(dialect)
        self._select = rows.oldest_standings(dialect)
        # the message, too: there the database begins to read
        self._behind = "m.seq >= :after_seq AND (r.seq, r.position) > (:after_seq, :after_position)"
        self._lock = f"ORDER BY r.seq, r.position LIMIT :limit {dialect.for_update.format('r')}"
        self._applies = {
            order: f"CASE WHEN {claimed} = 1 THEN {to_claimed} ELSE {to_others} END"
            for order, (to_others, to_claimed) in _APPLIES.items()
        }
        self._deferred_beyond = _deferred_beyond(dialect)

    def order(
        self, order: Order, selection: Selection, now: datetime, after: Cursor, limit: int
    ) -> Script[list[Ordered]]:
        """Those for whom the order was carried out, oldest first."""
        where = conditions(selection)
        sql = (
            f"{self._select} {where.of_message} AND {where.of_recipient} AND {self._behind}"
            f" AND {self._applies[order]} {self._lock}"
        )
        seq, position = after
        given = {"after_seq": seq, "after_position": position, "now": rows.micros(now), "limit": limit}
        found = yield Statement(sql, {**where.given, **given})
        done = [
            (before, changed)
            for before in map(rows.standing_of, found)
            if (changed := _ordered(order, before, now)) is not None
        ]
        yield from self._writing.write([Change(after=changed, at=now) for _, changed in done])
        return [_told(before, changed) for before, changed in done]

    def pull_in(self, latest: datetime) -> Script[int]:
        """Makes some of the deferred recipients due then that are due after `latest`; how many they were."""
        found = yield Statement(self._deferred_beyond, {"latest": rows.micros(latest), "after": ""})
        yield from self._writing.write([_pulled_in(rows.standing_of(row), latest) for row in found])
        return len(found)


def _deferred_beyond(dialect: Dialect) -> str:
    """Those that wait, or did when a clock stood ahead and called them ready, or claimed."""
    t = dialect.prefix
    those = f"""
        SELECT seq, position FROM (
            SELECT r.seq, r.position FROM {{}} WHERE {{}}
                AND (r.state = 'deferred' OR r.crashes > 0) AND r.held = 0 AND r.due_at > :latest {{}}
                LIMIT {PULLED_AT_ONCE}
        ) AS those"""
    places = (
        (f"{t}recipients AS r", "r.place = 'later'", "ORDER BY r.due_at DESC"),
        (f"keys CROSS JOIN {t}recipients AS r", "r.place = 'ready' AND r.route_key = keys.route_key", ""),
        (f"{t}recipients AS r", f"r.place = 'claimed' AND r.lease_until <= {dialect.lease_now}", ""),
    )
    return f"""
        {ready_keys(dialect)}, beyond AS ({" UNION ALL ".join(those.format(*place) for place in places)})
        {rows.standings(dialect)} (r.seq, r.position) IN (SELECT seq, position FROM beyond)
            AND r.due_at > :latest ORDER BY r.seq, r.position {dialect.for_update.format("r")}"""


def _ordered(order: Order, standing: Standing, now: datetime) -> After | None:
    """What the order makes of it; None: it does not apply."""
    mark = None if standing.lease_until is None else changes.marked(order, standing.mark)
    marked = standing._replace(mark=mark, marked_at=None if mark is None else now)
    if standing.is_claimed:
        return None if mark is standing.mark else as_it_stands(marked, marked.recipient, marked.place)
    after = changes.ordered(
        order, standing.recipient, now, mark=standing.mark, expires_at=standing.expires_at
    )
    # a late result must not undo it: a claim whose lease has ended gets the mark, too
    return None if after is None else stopped(marked, after, now)


def _told(before: Standing, after: After) -> Ordered:
    return Ordered(
        cursor=(before.seq, before.position),
        message_id=before.message_id,
        before=before.recipient,
        after=after.recipient,
        claimed=before.is_claimed,
    )


def _pulled_in(standing: Standing, latest: datetime) -> Change:
    # it waits: nothing is due at the latest instant that anything may be due
    after = changes.retried(standing.recipient, latest)
    return Change(after=stopped(standing, after, rows.EPOCH), at=latest)
