"""What is next, in the order of turns: the candidates of a whole step, in two statements or three.

    1  the next route keys with something due, each with the first and the last of its streams
    2  the streams of those that have several, behind those that were served last
    3  so many turns of each as the step may come to; again where one had fewer: see `rotation`

A turn is a claim's worth: of what is due in a stream for a route key and was not taken in a turn before,
what fell due first, up to `CLAIM_LIMIT` recipients of one message. First each key behind the one that was
served last has a turn, as the alphabet goes round, then each that has something left has another, and so
on. Both databases tell rows of a recursion in the order in which they came to be, and find no more of them
than are asked for: so a step looks into an index a few times for each key, and three times for each turn.

SQLite, with one writer, finds the rows of the turns instead, several times as quickly: as many of each stream
as there are turns to be found, and one more, which tells where the last ends; and more where turns have more.

On PostgreSQL the rows are locked as they are found. What others have locked is passed over: the turn
goes to what is behind it, or, where nothing is, to nobody.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from ...abc import CLAIM_LIMIT, Terms
from . import rows
from .dialect import Dialect
from .keys import due_keys
from .rotation import Key, Past, Rotation, Served, Stream, Turn
from .script import Row, Script, Statement

__all__ = ["Picked", "Picking", "Turn", "Wanted", "admitted"]

NEXT = "\x01"  # behind a name: before every name that comes behind it, for names are printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many turns, of which route keys."""

    count: int
    after: str = ""  # those behind it come first
    skip: Collection[str] = ()
    granted: Sequence[Turn] = ()  # in this step before


@dataclass(frozen=True, slots=True)
class Picked:
    """Turns, and whether there are no more."""

    turns: Sequence[Turn]
    is_all: bool
    keys: Collection[str] | None = None  # that have any, where these are all that have


class Picking:
    """The statements that find turns, which are made once, and whose turn it was."""

    def __init__(self, dialect: Dialect) -> None:
        self.served = Served()
        self._keys = _keys(dialect)
        self._streams = _streams(dialect)
        self._at_once = dialect.at_once
        self._turns = _turns(dialect) if self._at_once else _rows_of_turns(dialect)

    def pick(self, now: datetime, terms: Wanted) -> Script[Picked]:
        """The next turns."""
        found = yield Statement(
            self._keys,
            {
                "now": rows.micros(now),
                "skip": rows.as_json(sorted(terms.skip)),
                "after": terms.after,
                "count": terms.count,
            },
        )
        several = yield from self._several(now, [row for row in found if row[1] != row[2]], terms)
        keys = [several.get(row[0]) or _key_of_one(*row[:2]) for row in found]
        rotation = Rotation(keys, terms.count)
        find = self._find if self._at_once else self._find_rows
        while asked := rotation.wanted():
            yield from find(now, asked)
        return Picked(
            rotation.turns,
            is_all=len(rotation.turns) < terms.count and not rotation.is_cut,
            keys=[row[0] for row in found] if len(found) < terms.count else None,
        )

    def _several(self, now: datetime, found: Sequence[Row], terms: Wanted) -> Script[dict[str, Key]]:
        """By name the keys that have several streams, with those that come next at each level."""
        if not found:
            return {}
        past = self.served.of([row[0] for row in found], terms.granted)
        most = -(-terms.count // len(found))
        asked = [(key, *part, most) for key, *ends in found for part in _parts(past[key], *ends)]
        numbered = rows.as_json([(at, *each) for at, each in enumerate(asked)])
        told = yield Statement(self._streams, {"now": rows.micros(now), "asked": numbered})
        names: defaultdict[tuple[str, int], dict[str, None]] = defaultdict(dict)
        for at, name in sorted(told, key=itemgetter(0)):  # a part after the other
            key, level, *_ = asked[at]
            names[key, level][name] = None
        keys = {key: Key.of(key, turn) for key, (turn, _) in past.items()}
        for (key, level), each in names.items():
            keys[key].levels[level].extend(_known(level, list(each), most))
        return keys

    def _find(self, now: datetime, wanted: Sequence[tuple[Stream, str, int]]) -> Script[None]:
        """So many turns of each stream for that key, or as many as there are."""
        asked = [
            (at, route_key, stream.level, stream.name, number, stream.behind)
            for at, (stream, route_key, number) in enumerate(wanted)
        ]
        found = yield Statement(self._turns, {"now": rows.micros(now), "asked": rows.as_json(asked)})
        for at, place in found:
            stream, route_key, _ = wanted[at]
            _, seq, _, positions = json.loads(place)
            stream.found.append(Turn(route_key, seq, tuple(positions), None if stream.is_alone else stream))
            stream.behind = place
        counts = Counter(at for at, _ in found)
        for at, (stream, _, number) in enumerate(wanted):
            stream.is_dry = counts[at] < number

    def _find_rows(self, now: datetime, wanted: Sequence[tuple[Stream, str, int]]) -> Script[None]:
        """The same where nobody else writes: from the rows, of which a stream may bring more turns."""
        asked = [
            (at, route_key, stream.level, stream.name, *json.loads(stream.behind)[:3])
            for at, (stream, route_key, _) in enumerate(wanted)
        ]
        limit = max(number * stream.rows_a_turn for stream, _, number in wanted) + 1
        given = {"now": rows.micros(now), "asked": rows.as_json(asked), "rows": limit}
        found = yield Statement(self._turns, given)
        of_streams = {at: list(those) for at, those in groupby(found, key=itemgetter(0))}
        for at, (stream, route_key, _) in enumerate(wanted):
            those = of_streams.get(at, [])
            stream.is_dry = len(those) < limit
            turns = _in_turns(those, is_cut=not stream.is_dry)
            for _, seq, positions in turns:
                stream.found.append(
                    Turn(route_key, seq, tuple(positions), None if stream.is_alone else stream)
                )
            if turns:
                due_at, seq, positions = turns[-1]
                stream.behind = rows.as_json((due_at, seq, positions[-1]))
            if not stream.is_dry:
                stream.rows_a_turn = -(-limit // len(turns)) if turns else CLAIM_LIMIT


def _in_turns(those: Iterable[Row], *, is_cut: bool) -> list[tuple[int, int, list[int]]]:
    """The rows of a stream by turns: due_at, seq, positions. `is_cut`: the last may lack some."""
    turns: list[tuple[int, int, list[int]]] = []
    latest: tuple[int, int, list[int]] = (0, 0, [])
    for _, due_at, seq, position in those:
        if seq == latest[1] and due_at == latest[0] and len(latest[2]) < CLAIM_LIMIT:
            latest[2].append(position)
        else:
            latest = (due_at, seq, [position])
            turns.append(latest)
    if is_cut and len(latest[2]) < CLAIM_LIMIT:
        turns.pop()
    return turns


def _key_of_one(route_key: str, stream: str) -> Key:
    level, name = json.loads(stream)
    return Key.of(route_key, 0, Stream(level, name, is_alone=True))


def _parts(past: Past, first: str, last: str) -> Iterator[tuple[int, str]]:
    """The levels, and from which name on: behind the stream that was served last, then from the first."""
    for level in range(json.loads(first)[0], json.loads(last)[0] + 1):
        if (name := past[1].get(level)) is not None:
            yield level, name + NEXT
        yield level, ""


def _known(level: int, names: Sequence[str], most: int) -> Iterator[Stream]:
    """The streams of these names, and where there may be more what stands for them."""
    yield from (Stream(level, name) for name in names[:most])
    if len(names) >= most:
        yield Stream(level, "", is_cut=True)


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


def _keys(dialect: Dialect) -> str:
    def stream(at_end: str) -> str:
        found = dialect.array_of.format("r.priority, r.stream")
        return f"""(SELECT CAST({found} AS TEXT) FROM {dialect.prefix}recipients AS r
            WHERE r.place = 'ready' AND r.route_key = k.route_key
            ORDER BY r.priority{at_end}, r.stream{at_end} LIMIT 1)"""

    return f"""
        {due_keys(dialect)}
        SELECT k.route_key, {stream("")}, {stream(" DESC")}
        FROM (SELECT route_key FROM due_keys LIMIT :count) AS k"""


def _in_stream(dialect: Dialect, row: str, stream: str, columns: str, behind: str) -> str:
    """The row is in that stream, these columns are behind that, and it is due."""
    is_of = f"{row}.priority, {row}.stream", f"{stream}.level, {stream}.stream"
    first = dialect.side.format(*is_of, columns, ">", behind)
    return f"{first} AND {dialect.side.format(*is_of, f'{row}.due_at', '<=', ':now')}"


def _streams(dialect: Dialect) -> str:
    t, nth, text = dialect.prefix, dialect.nth, dialect.nth_text

    def following(names: str) -> str:
        return f"""(SELECT r.stream FROM {t}recipients AS r WHERE r.place = 'ready'
            AND r.route_key = s.route_key AND r.priority = s.level AND r.stream {names}
            ORDER BY r.stream LIMIT 1)"""

    in_stream = _in_stream(dialect, "d", "s", "d.due_at", str(rows.LONG_AGO))
    is_due = f"""(SELECT 1 FROM {t}recipients AS d WHERE d.place = 'ready' AND d.route_key = s.route_key
        AND {in_stream} ORDER BY d.priority, d.stream, d.due_at LIMIT 1) IS NOT NULL"""
    return f"""
        WITH RECURSIVE asked (number, route_key, level, behind, most) AS (
            SELECT {nth.format("value", 0)}, {text.format("value", 1)}, {nth.format("value", 2)},
                {text.format("value", 3)}, {nth.format("value", 4)} FROM {dialect.each.format(":asked")}),
        streams (number, route_key, level, most, stream) AS (
            SELECT s.number, s.route_key, s.level, s.most, {following(">= s.behind")} FROM asked AS s
            UNION ALL
            SELECT s.number, s.route_key, s.level, s.most - CASE WHEN {is_due} THEN 1 ELSE 0 END,
                {following("> s.stream")}
            FROM streams AS s WHERE s.stream IS NOT NULL AND s.most > 0)
        SELECT s.number, s.stream FROM streams AS s WHERE s.stream IS NOT NULL AND s.most > 0 AND {is_due}"""


def _turns(dialect: Dialect) -> str:
    t, nth, text = dialect.prefix, dialect.nth, dialect.nth_text
    place = ", ".join(nth.format("t.found", at) for at in range(3))
    turn = "route_key", "priority", "stream", "due_at", "seq"
    order = rows.columns((*turn[1:], "position"), "h")
    in_stream = _in_stream(dialect, "h", "t", "h.due_at, h.seq, h.position", place)
    head = f"""
        SELECT {{}} FROM {t}recipients AS h
        WHERE h.place = 'ready' AND h.route_key = t.route_key AND {in_stream}
        ORDER BY {order} LIMIT 1 {dialect.skip_locked.format("h")}"""
    next_rows = f"""
        SELECT r.due_at, r.seq, r.position FROM {t}recipients AS r
        WHERE r.place = 'ready' AND ({rows.columns(turn, "r")}) = ({head.format(rows.columns(turn, "h"))})
            AND r.position >= ({head.format("h.position")})
        ORDER BY r.position LIMIT {CLAIM_LIMIT} {dialect.skip_locked.format("r")}"""
    found = dialect.array_of.format(
        f"min(n.due_at), min(n.seq), max(n.position), {dialect.array_of_all.format('n.position')}"
    )
    return f"""
        WITH RECURSIVE turns (lap, number, route_key, level, stream, most, found) AS (
            SELECT 0, {nth.format("value", 0)}, {text.format("value", 1)}, {nth.format("value", 2)},
                {text.format("value", 3)}, {nth.format("value", 4)}, {text.format("value", 5)}
            FROM {dialect.each.format(":asked")}
            UNION ALL
            SELECT t.lap + 1, t.number, t.route_key, t.level, t.stream, t.most, (
                SELECT CASE WHEN count(*) > 0 THEN CAST({found} AS TEXT) END FROM ({next_rows}) AS n)
            FROM turns AS t WHERE t.found IS NOT NULL AND t.lap < t.most)
        SELECT number, found FROM turns WHERE lap > 0 AND found IS NOT NULL"""


def _rows_of_turns(dialect: Dialect) -> str:
    """Of SQLite alone. Behind IN, not in FROM: there a subquery knows nothing of the tables beside it."""
    t, nth, text = dialect.prefix, dialect.nth, dialect.nth_text
    numbers = zip(("level", "due_at", "seq", "position"), (2, 4, 5, 6), strict=True)
    asked = ", ".join(f"{nth.format('value', at)} AS {name}" for name, at in numbers)
    in_stream = _in_stream(dialect, "r", "a", "r.due_at, r.seq, r.position", "a.due_at, a.seq, a.position")
    return f"""
        SELECT a.number, h.due_at, h.seq, h.position
        FROM (SELECT {nth.format("value", 0)} AS number, {text.format("value", 1)} AS route_key,
                {text.format("value", 3)} AS stream, {asked} FROM {dialect.each.format(":asked")}) AS a
            CROSS JOIN {t}recipients AS h
        WHERE h.rowid IN (
            SELECT r.rowid FROM {t}recipients AS r
            WHERE r.place = 'ready' AND r.route_key = a.route_key AND {in_stream}
            ORDER BY r.priority, r.stream, r.due_at, r.seq, r.position LIMIT :rows)
        ORDER BY a.number, h.due_at, h.seq, h.position"""
