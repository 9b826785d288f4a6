"""What is next, in the order of turns: the candidates of a whole step, found in one statement.

A turn is a claim's worth: of what is due for a route key and was not taken in a turn before, what fell
due first, up to `CLAIM_LIMIT` recipients of one message. First each key behind the one that was served
last has a turn, as the alphabet goes round, then each that has something left has another, and so on.
Both databases tell rows of a recursion in the order in which they came to be, and find no more of them
than are asked for: so a step looks into the index twice for each key, and three times for each turn.

On PostgreSQL the rows are locked as they are found. What others have locked is passed over: the turn
goes to what is behind it, or, where nothing is, to nobody.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from ...abc import CLAIM_LIMIT, Terms
from . import rows
from .dialect import Dialect
from .keys import due_keys
from .script import Script, Statement


@dataclass(frozen=True, slots=True)
class Turn:
    """A claim's worth of rows of one message, which are locked now; none: others are taking them."""

    route_key: str
    seq: int | None = None
    positions: tuple[int, ...] = ()


class Picking:
    """The statement that finds turns; it is made once."""

    def __init__(self, dialect: Dialect) -> None:
        t, nth = dialect.prefix, dialect.nth
        behind = f"({nth.format('t.found', 0)}, {nth.format('t.found', 1)}, {nth.format('t.found', 2)})"
        head = f"""
            SELECT {{}} FROM {t}recipients AS h
            WHERE h.place = 'ready' AND h.route_key = t.route_key AND h.due_at <= :now
                AND (h.due_at, h.seq, h.position) > {behind}
            ORDER BY h.due_at, h.seq, h.position LIMIT 1 {dialect.skip_locked.format("h")}"""
        next_rows = f"""
            SELECT r.due_at, r.seq, r.position FROM {t}recipients AS r
            WHERE r.place = 'ready'
                AND (r.route_key, r.due_at, r.seq) = ({head.format("h.route_key, h.due_at, h.seq")})
                AND r.position >= ({head.format("h.position")})
            ORDER BY r.position LIMIT {CLAIM_LIMIT} {dialect.skip_locked.format("r")}"""
        found = dialect.array_of.format(
            f"min(n.due_at), min(n.seq), max(n.position), {dialect.array_of_all.format('n.position')}"
        )
        self._pick = f"""
            {due_keys(dialect)}, turns (lap, route_key, found) AS (
                SELECT 0, first.route_key, CAST('[{rows.LONG_AGO},-1,-1]' AS TEXT)
                FROM (SELECT route_key FROM due_keys LIMIT :count) AS first
                UNION ALL
                SELECT t.lap + 1, t.route_key, (
                    SELECT CASE WHEN count(*) > 0 THEN CAST({found} AS TEXT) END FROM ({next_rows}) AS n)
                FROM turns AS t WHERE t.found IS NOT NULL)
            SELECT route_key, found FROM turns WHERE lap = 1 OR (lap > 1 AND found IS NOT NULL)
            LIMIT :count"""

    def pick(self, now: datetime, skip: Collection[str], after: str, count: int) -> Script[list[Turn]]:
        """The next turns, of the route keys behind `after` first; fewer than `count`: there are no more."""
        given = {"now": rows.micros(now), "skip": rows.as_json(sorted(skip)), "after": after, "count": count}
        return [_turn(*row) for row in (yield Statement(self._pick, given))]


def admitted(turns: Sequence[Turn], terms: Terms, granted: Sequence[str]) -> list[tuple[Turn, bool]]:
    """The turns, up to the limit, and whether each is admitted beside those with these route keys and those
    before it; a key that is not, or has nothing, has no other turn.
    """
    keys, passed = list(granted), set[str]()
    told: list[tuple[Turn, bool]] = []
    for turn in turns:
        if len(keys) == terms.limit:
            break
        if turn.route_key in passed:
            continue
        is_admitted = bool(turn.positions) and terms.admits(turn.route_key, keys)
        if is_admitted:
            keys.append(turn.route_key)
        else:
            passed.add(turn.route_key)
        told.append((turn, is_admitted))
    return told


def _turn(route_key: str, found: str | None) -> Turn:
    if found is None:
        return Turn(route_key)
    _, seq, _, positions = json.loads(found)
    return Turn(route_key, seq, tuple(positions))
