"""How work is taken: what fell due, the next route key's turn, and a lease for it.

    1  what waited and fell due, and what claims had whose lease ended, is ready now
    2  the first route key behind the one that was served last which has something due that may
       be taken: key by key, each with one look into an index; then, of what fell due there
       first, up to `CLAIM_LIMIT` recipients of one message
    3  the email, unless it is at hand
    4  a new token, and with it owner, lease, crash and the wait after that on their rows

On PostgreSQL what another worker is just taking is passed over.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ...abc import CLAIM_LIMIT, Claim, Outcome, Terms
from ...status import Deferred, printable
from .. import changes
from . import rows
from .dialect import Dialect
from .emails import Loaded, RecentEmails
from .keys import due_keys
from .rows import MICROSECOND, Standing
from .script import Script, Statement
from .writing import Change, Writing, freed, stopped

_log = logging.getLogger("mailstrom.storage")

MOVED_AT_ONCE = 1000  # rows of each kind, at first; as many again where claims have used them up


@dataclass(frozen=True, slots=True)
class Granted:
    """A claim, and its email, which is kept for the next ones once the claim is committed."""

    claim: Claim
    loaded: Loaded


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
        self._write_ahead = f"""
            UPDATE {t}recipients SET place = 'claimed', crashes = crashes + 1, owner = :owner, token = :token,
                due_at = coalesce(:now + {dialect.nth.format(":waits", "crashes")}, due_at),
                lease_until = {dialect.lease_now} + :lease, mark = NULL, marked_at = NULL
            WHERE seq = :seq AND {dialect.among.format("position", ":positions")}
            RETURNING lease_until"""
        self._find = f"""
            SELECT 1 FROM {t}recipients WHERE token = :token AND owner = :owner AND lease_until = :lease_until
                AND seq = (SELECT seq FROM {t}messages WHERE message_id = :message_id)"""
        self._lose = f"""
            UPDATE {t}recipients SET owner = NULL, token = NULL, lease_until = NULL,
                place = CASE WHEN place = 'claimed' THEN 'ready' ELSE place END
            WHERE (seq, position) IN (
                SELECT r.seq, r.position FROM {t}recipients AS r
                WHERE {dialect.among.format("r.token", ":tokens")} AND r.lease_until IS NOT NULL
                {dialect.skip_locked.format("r")})"""

    def claim(self, now: datetime, terms: Terms, *, after: str) -> Script[list[Granted]]:
        """The next due work, of the route keys behind `after` first; see `SharedStorage.claim_many`."""
        passed = set(terms.skip)
        granted: list[Granted] = []
        count = -1
        while count < len(granted) < terms.limit:
            count = len(granted)
            moved = yield Statement(self._make_ready, {"now": rows.micros(now)})
            after = yield from self._claim_ready(now, terms, passed, granted, after)
            if len(moved) < MOVED_AT_ONCE:
                break
        return granted

    def stand(self, granted: Sequence[Granted]) -> Script[bool]:
        """The claims are there, though nobody answered to their COMMIT: all are, if one is."""
        for each in granted:
            if (yield from self._stands(each.claim)):
                return True
        return False

    def _claim_ready(
        self, now: datetime, terms: Terms, passed: set[str], granted: list[Granted], after: str
    ) -> Script[str]:
        """Claims what is ready, up to the limit; the route key that came last."""
        while len(granted) < terms.limit:
            found = yield from self._pick_next(now, passed, after)
            if found is None:
                break
            after = found[0].recipient.route_key
            if terms.admits(after, [each.claim.route_key for each in granted]):
                granted += yield from self._take(found, now, terms, granted)
            else:
                passed.add(after)
        return after

    def _take(
        self, found: Sequence[Standing], now: datetime, terms: Terms, before: Sequence[Granted]
    ) -> Script[list[Granted]]:
        """The claim for those of them that may be claimed, if any."""
        free = yield from self._stop(found, now)
        if not free:
            return []
        loaded = yield from self._loaded(free, before)
        if isinstance(loaded, Loaded):
            return [Granted((yield from self._grant(free, loaded, now, terms)), loaded)]
        yield from self._hold(free, loaded, now)
        return []

    def _stands(self, claim: Claim) -> Script[bool]:
        given = {
            "token": claim.token,
            "owner": claim.owner,
            "lease_until": rows.micros(claim.lease_until),
            "message_id": claim.email.message_id,
        }
        return bool((yield Statement(self._find, given)))

    def keep(self, granted: Granted) -> None:
        """Keeps the email of a claim that is committed, where more of its recipients may follow."""
        if len(granted.claim.recipients) < len(granted.loaded.email.recipients):
            self._emails.keep(granted.loaded)

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

    def _stop(self, found: Sequence[Standing], now: datetime) -> Script[list[Standing]]:
        """Carries out what was asked while an earlier claim had them; those that may be claimed."""
        free: list[Standing] = []
        marked: list[Change] = []
        unreadable: list[Standing] = []
        for each in found:
            after = changes.lapsed(each.recipient, mark=each.mark, expires_at=each.expires_at)
            if after is not each.recipient:
                marked.append(Change(after=stopped(each, after, now), at=now))
            elif each.is_readable:
                free.append(each)
            else:
                unreadable.append(each)
        yield from self._writing.write(marked)
        yield from self._hold(unreadable, rows.UNREADABLE, now)
        return free

    def _loaded(self, free: Sequence[Standing], before: Sequence[Granted]) -> Script[Loaded | str]:
        """Their email, or why it cannot be sent."""
        message_id, fingerprint = free[0].message_id, free[0].fingerprint
        for each in before:
            if (each.loaded.email.message_id, each.loaded.fingerprint) == (message_id, fingerprint):
                return each.loaded
        kept = self._emails.get(message_id, fingerprint)
        if kept is not None:
            return kept
        found = yield Statement(self._load, {"seq": free[0].seq})
        if not found:
            return "the content is gone from the storage"
        envelope, submitted_at, send_at, content, addresses = found[0]
        email = rows.email_of(message_id, envelope, addresses, content)
        if email is None:
            return "its envelope cannot be read"
        return Loaded(email, fingerprint, rows.instant(submitted_at), rows.maybe_instant(send_at))

    def _grant(self, free: Sequence[Standing], loaded: Loaded, now: datetime, terms: Terms) -> Script[Claim]:
        token = int((yield self._new_token)[0][0])
        if lost := {each.token for each in free if each.lease_until is not None}:
            yield Statement(self._lose, {"tokens": rows.as_json(list(lost))})
        given = {
            "seq": free[0].seq,
            "positions": rows.as_json([each.position for each in free]),
            "owner": terms.owner,
            "token": token,
            "lease": terms.lease // MICROSECOND,
            "now": rows.micros(now),
            "waits": rows.as_json([wait // MICROSECOND or None for wait in terms.backoff()]),
        }
        taken = yield Statement(self._write_ahead, given)
        return Claim(
            email=loaded.email,
            route_key=free[0].recipient.route_key,
            recipients=tuple(each.recipient for each in free),
            submitted_at=loaded.submitted_at,
            send_at=loaded.send_at,
            expires_at=free[0].expires_at,
            owner=terms.owner,
            token=token,
            lease_until=rows.instant(taken[0][0]),
        )

    def _hold(self, those: Sequence[Standing], reason: str, now: datetime) -> Script[None]:
        """Lets nobody try what cannot be sent: somebody has changed the rows from outside, say."""
        for message_id in {each.message_id for each in those}:
            _log.error("%s: held: %s", printable(message_id), reason)
        yield from self._writing.write([_held(each, f"held: {reason}", now) for each in those])


def _held(standing: Standing, reason: str, now: datetime) -> Change:
    recipient = standing.recipient
    held = Deferred(tries=recipient.result.tries, reason=reason)
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
        WHERE (seq, position) IN (SELECT seq, position FROM fallen)
        RETURNING 1"""
