"""How work is taken: what fell due, the next route key's turn, and a lease for it.

    1  what waited and fell due, and what claims had whose lease ended, is ready now
    2  the first route key behind the one that was served last which has something due that may
       be taken: key by key, each with one look into an index; then, of what fell due there
       first, up to `CLAIM_LIMIT` recipients of one message
    3  the email, unless it is at hand
    4  a new token, and with it owner, lease and crash on their rows

On PostgreSQL what another worker is just taking is passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from ...abc import CLAIM_LIMIT, Claim, Outcome
from ...status import Deferred
from .. import changes
from . import rows
from .dialect import Dialect
from .emails import Loaded, RecentEmails
from .keys import due_keys
from .rows import MICROSECOND, Standing
from .script import Script, Statement
from .writing import Change, Writing, freed, stopped

MOVED_AT_ONCE = 1000  # rows of each kind, in one claim


class Claiming:
    """The statements that claim; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        self._writing = Writing(dialect)
        self._emails = RecentEmails()
        self._make_ready = _make_ready(dialect)
        self._pick = f"""
            {due_keys(dialect)}
            {rows.standings(dialect)}
            r.place = 'ready' AND (r.route_key, r.due_at, r.seq) = (
                SELECT h.route_key, h.due_at, h.seq FROM {t}recipients AS h
                WHERE h.place = 'ready' AND h.due_at <= :now
                    AND h.route_key = (SELECT route_key FROM due_keys LIMIT 1)
                ORDER BY h.due_at, h.seq, h.position LIMIT 1 {dialect.skip_locked.format("h")})
            ORDER BY r.position LIMIT {CLAIM_LIMIT} {dialect.skip_locked.format("r")}"""
        self._first_key = f"{due_keys(dialect)} SELECT route_key FROM due_keys LIMIT 1"
        self._load = f"""
            SELECT m.envelope, m.submitted_at, m.send_at, b.content, CAST((
                SELECT {dialect.all_texts.format("listed.address")} FROM (
                    SELECT address FROM {t}recipients WHERE seq = :seq ORDER BY position) AS listed) AS TEXT)
            FROM {t}messages AS m JOIN {t}bodies AS b ON b.seq = m.seq WHERE m.seq = :seq"""
        self._new_token = Statement(dialect.new_token, {})
        self._take = f"""
            UPDATE {t}recipients SET place = 'claimed', crashes = crashes + 1, owner = :owner, token = :token,
                lease_until = {dialect.lease_now} + :lease, mark = NULL, marked_at = NULL
            WHERE seq = :seq AND {dialect.among.format("position", ":positions")}
            RETURNING lease_until"""
        self._lose = f"""
            UPDATE {t}recipients SET owner = NULL, token = NULL, lease_until = NULL,
                place = CASE WHEN place = 'claimed' THEN 'ready' ELSE place END
            WHERE (seq, position) IN (
                SELECT r.seq, r.position FROM {t}recipients AS r
                WHERE {dialect.among.format("r.token", ":tokens")} AND r.lease_until IS NOT NULL
                {dialect.skip_locked.format("r")})"""

    def claim(
        self, now: datetime, *, owner: str, lease: timedelta, skip: Collection[str], after: str
    ) -> Script[Claim | None]:
        """The next due work, of the route keys behind `after` first; see `SharedStorage.claim`."""
        yield Statement(self._make_ready, {"now": rows.micros(now)})
        passed = set(skip)
        while True:
            found = yield from self._pick_next(now, passed, after)
            if found is None:
                return None
            free = yield from self._stop_marked(found, now)
            loaded = (yield from self._loaded(free)) if free else None
            if loaded is not None:
                return (yield from self._grant(free, loaded, owner, lease))
            yield from self._hold(free, now)

    def _pick_next(self, now: datetime, passed: set[str], after: str) -> Script[list[Standing] | None]:
        """Rows that are locked now, of one message and route key; None: nothing is due."""
        while True:
            given = {"now": rows.micros(now), "skip": rows.as_json(sorted(passed)), "after": after}
            if found := (yield Statement(self._pick, given)):
                return [rows.standing_of(row) for row in found]
            busy = yield Statement(self._first_key, given)
            if not busy:
                return None
            passed.add(busy[0][0])  # others are just taking all that is due there

    def _stop_marked(self, found: Sequence[Standing], now: datetime) -> Script[list[Standing]]:
        """Carries out what was asked while an earlier claim had them; those that may be claimed."""
        free: list[Standing] = []
        marked: list[Change] = []
        for each in found:
            after = changes.lapsed(each.recipient, mark=each.mark, expires_at=each.expires_at)
            if after is each.recipient:
                free.append(each)
            else:
                marked.append(Change(after=stopped(each, after, now), at=now))
        yield from self._writing.write(marked)
        return free

    def _loaded(self, free: Sequence[Standing]) -> Script[Loaded | None]:
        """Their email; None: its octets are not there any more."""
        seq = free[0].seq
        loaded = self._emails.get(seq)
        if loaded is None:
            found = yield Statement(self._load, {"seq": seq})
            if not found:
                return None
            envelope, submitted_at, send_at, content, addresses = found[0]
            email = rows.email_of(free[0].message_id, envelope, addresses, content)
            loaded = Loaded(email, rows.instant(submitted_at), rows.maybe_instant(send_at))
        if len(free) < len(loaded.email.recipients):
            self._emails.keep(seq, loaded)
        return loaded

    def _grant(self, free: Sequence[Standing], loaded: Loaded, owner: str, lease: timedelta) -> Script[Claim]:
        token = int((yield self._new_token)[0][0])
        if lost := {each.token for each in free if each.lease_until is not None}:
            yield Statement(self._lose, {"tokens": rows.as_json(list(lost))})
        given = {
            "seq": free[0].seq,
            "positions": rows.as_json([each.position for each in free]),
            "owner": owner,
            "token": token,
            "lease": lease // MICROSECOND,
        }
        taken = yield Statement(self._take, given)
        return Claim(
            email=loaded.email,
            route_key=free[0].recipient.route_key,
            recipients=tuple(each.recipient for each in free),
            submitted_at=loaded.submitted_at,
            send_at=loaded.send_at,
            expires_at=free[0].expires_at,
            owner=owner,
            token=token,
            lease_until=rows.instant(taken[0][0]),
        )

    def _hold(self, free: Sequence[Standing], now: datetime) -> Script[None]:
        """Lets nobody try what cannot be sent: somebody has removed the octets from outside."""
        yield from self._writing.write([_without_content(each, now) for each in free])


def _without_content(standing: Standing, now: datetime) -> Change:
    recipient = standing.recipient
    held = Deferred(tries=recipient.result.tries, reason="held: the content is gone from the storage")
    after = changes.settled(recipient, Outcome(address=recipient.address, result=held), expires_at=None)
    return Change(after=freed(standing, after, now), at=now, told=True)


def _make_ready(dialect: Dialect) -> str:
    fell_due = [
        f"""SELECT seq, position FROM (
            SELECT r.seq, r.position FROM {dialect.prefix}recipients AS r WHERE r.place = '{place}'
                AND r.{ends} <= {instant} ORDER BY r.{ends} LIMIT {MOVED_AT_ONCE}
                {dialect.skip_locked.format("r")}) AS {place}"""
        for place, ends, instant in (
            ("later", "due_at", ":now"),
            ("held", "due_at", ":now"),
            ("claimed", "lease_until", dialect.lease_now),
        )
    ]
    return f"""
        WITH fallen AS ({" UNION ALL ".join(fell_due)})
        UPDATE {dialect.prefix}recipients SET place = 'ready'
        WHERE (seq, position) IN (SELECT seq, position FROM fallen)"""
