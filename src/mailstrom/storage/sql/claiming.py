"""How work is taken: what fell due, the next turns, and a lease for each. A whole step at once:

    1  what waited and fell due, and what claims had whose lease ended, is ready now
    2  the next turns: see `picking`
    3  the rows of those that are admitted
    4  their emails, where they are not at hand
    5  new tokens
    6  with these owner, lease, crash and the wait after that, on their rows

That is all where each turn comes to a claim. The step begins again at 2 behind the first that does not:
a route key is not admitted, what was asked of an earlier claim takes effect, something cannot be read.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from ...abc import Claim, Outcome, Terms
from ...status import Deferred, printable
from .. import changes
from . import rows
from .contents import Contents
from .dialect import Dialect
from .emails import Loaded, RecentEmails
from .picking import Picking, Turn, Wanted, admitted
from .rows import MICROSECOND, Standing
from .script import Row, Script, Statement
from .writing import Change, Writing, freed, stopped

_log = logging.getLogger("mailstrom.storage")

MOVED_AT_ONCE = 1000  # rows of each kind, at first; as many again where claims have used them up
TURNS_AT_ONCE = 200  # or the limit of the step
GONE = "the content is gone from the storage"

_CONTENT = 4  # where it stands in a row that `_load` brings

_Taken = tuple[list[Standing], Loaded]  # what a claim is for, of one turn
_Ahead = tuple[int, int, int, int | None]  # of a row: seq, position, token, due_at


class Granted(NamedTuple):
    """A claim, and its email, which is kept for the next ones once the claim is committed."""

    claim: Claim
    loaded: Loaded
    turn: Turn


@dataclass(slots=True)
class _Step:
    """How far it has come."""

    now: datetime
    terms: Terms
    after: str  # the route key whose turn was the last
    passed: set[str]  # route keys
    granted: list[Granted] = field(default_factory=list)

    @property
    def turns(self) -> list[Turn]:
        return [each.turn for each in self.granted]

    @property
    def keys(self) -> list[str]:
        return [each.claim.route_key for each in self.granted]


class Claiming:
    """The statements that claim; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t, nth = dialect.prefix, dialect.nth
        self._writing = Writing(dialect)
        self._emails = RecentEmails()
        self._contents = Contents(dialect)
        self._picking = Picking(dialect)
        self._make_ready = _make_ready(dialect)
        self._picked = f"""
            {rows.standings(dialect)} (r.seq, r.position) IN (
                SELECT {nth.format("value", 0)}, {nth.format("value", 1)} FROM {dialect.each.format(":rows")})
            ORDER BY r.seq, r.position"""
        self._load = f"""
            SELECT m.seq, m.envelope, m.submitted_at, m.send_at, b.content, CAST((
                SELECT {dialect.array_of_all.format("listed.address")} FROM (
                    SELECT address FROM {t}recipients WHERE seq = m.seq ORDER BY position) AS listed) AS TEXT)
            FROM {t}messages AS m LEFT JOIN {t}bodies AS b ON b.seq = m.seq
            WHERE {dialect.among.format("m.seq", ":seqs")}"""
        self._new_tokens = dialect.new_tokens
        self._write_ahead = f"""
            UPDATE {t}recipients SET place = 'claimed', crashes = crashes + 1, owner = :owner,
                token = given.token, due_at = coalesce(given.due_at, {t}recipients.due_at),
                lease_until = {dialect.lease_now} + :lease, mark = NULL, marked_at = NULL
            FROM (SELECT {nth.format("value", 0)} AS seq, {nth.format("value", 1)} AS position,
                    {nth.format("value", 2)} AS token, {nth.format("value", 3)} AS due_at
                FROM {dialect.each.format(":rows")}) AS given
            WHERE {t}recipients.seq = given.seq AND {t}recipients.position = given.position
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
        step = _Step(now, terms, after, set(terms.skip))
        count = -1
        while count < len(step.granted) < terms.limit:
            count = len(step.granted)
            moved = yield Statement(self._make_ready, {"now": rows.micros(now)})
            yield from self._claim_ready(step)
            if len(moved) < MOVED_AT_ONCE:
                break
        return step.granted

    def stand(self, granted: Sequence[Granted]) -> Script[bool]:
        """The claims are there, though nobody answered to their COMMIT: all are, if one is."""
        for each in granted:
            if (yield from self._stands(each.claim)):
                return True
        return False

    def keep(self, granted: Sequence[Granted]) -> None:
        """Of claims that are committed: whose turn it was, and the emails of which more may follow."""
        self._picking.served.note([each.turn for each in granted])
        for each in granted:
            if len(each.claim.recipients) < len(each.loaded.email.recipients):
                self._emails.keep(each.loaded)

    def _claim_ready(self, step: _Step) -> Script[None]:
        """Claims what is ready, up to the limit."""
        count = step.terms.limit
        while len(step.granted) < step.terms.limit:
            wanted = Wanted(count=count, after=step.after, skip=step.passed, granted=step.turns)
            picked = yield from self._picking.pick(step.now, wanted)
            all_went = yield from self._take(picked.turns, step)
            if all_went and (picked.is_all or _are_over(picked.keys, step.passed)):
                break
            count = max(count, min(2 * count, TURNS_AT_ONCE))  # many may be refused one after the other

    def _take(self, turns: Sequence[Turn], step: _Step) -> Script[bool]:
        """Claims for these turns, up to the first that is admitted and comes to nothing; there was none."""
        told = admitted(turns, step.terms, step.keys)
        taken = yield from self._taken([turn for turn, is_admitted in told if is_admitted], step)
        claimed: list[tuple[Turn, _Taken]] = []
        all_went = True
        for turn, is_admitted in told:
            step.after = turn.route_key
            if not is_admitted:
                step.passed.add(turn.route_key)
            elif (each := taken.pop(0)) is not None:
                claimed.append((turn, each))
            else:
                all_went = False  # what comes behind it was admitted beside a claim that there is not
                break
        if claimed:
            step.granted += yield from self._grant(claimed, step)
        return all_went

    def _taken(self, turns: Sequence[Turn], step: _Step) -> Script[list[_Taken | None]]:
        """What each of the turns is for; None: nothing of it may be claimed."""
        if not turns:
            return []
        free = yield from self._stop((yield from self._standing(turns)), step.now)
        loaded = yield from self._loaded([each[0] for each in free if each], step)
        taken: list[_Taken | None] = []
        for each in free:
            email = loaded[each[0].seq] if each else None
            if isinstance(email, str):
                yield from self._hold(each, email, step.now)
            taken.append((each, email) if isinstance(email, Loaded) else None)
        return taken

    def _standing(self, turns: Sequence[Turn]) -> Script[list[list[Standing]]]:
        """The rows of each turn."""
        places = [(turn.seq, position) for turn in turns for position in turn.positions]
        found = yield Statement(self._picked, {"rows": rows.as_json(places)})
        standing = {(each.seq, each.position): each for each in map(rows.standing_of, found)}
        return [[standing[turn.seq or 0, position] for position in turn.positions] for turn in turns]

    def _stop(self, found: Sequence[Sequence[Standing]], now: datetime) -> Script[list[list[Standing]]]:
        """Carries out what was asked while an earlier claim had them; of each turn who may be claimed."""
        free: list[list[Standing]] = []
        marked: list[Change] = []
        unreadable: list[Standing] = []
        for turn in found:
            free.append([])
            for each in turn:
                after = each.recipient
                if each.mark is not None:
                    after = changes.lapsed(after, mark=each.mark, expires_at=each.expires_at)
                if after is not each.recipient:
                    marked.append(Change(after=stopped(each, after, now), at=now))
                elif each.is_readable:
                    free[-1].append(each)
                else:
                    unreadable.append(each)
        yield from self._writing.write(marked)
        yield from self._hold(unreadable, rows.UNREADABLE, now)
        return free

    def _loaded(self, those: Sequence[Standing], step: _Step) -> Script[dict[int, Loaded | str]]:
        """Their emails by `seq`, or why one cannot be sent."""
        at_hand = {each.claim.email.message_id: each.loaded for each in step.granted}
        loaded: dict[int, Loaded | str] = {}
        missing: dict[int, Standing] = {}
        for each in those:
            kept = at_hand.get(each.message_id) or self._emails.get(each.message_id, each.fingerprint)
            if kept is not None and kept.suits(step.terms.content_limit):
                loaded[each.seq] = kept
            else:
                missing[each.seq] = each
                loaded[each.seq] = GONE
        if missing:
            loaded |= yield from self._read(missing, step.terms.content_limit)
        return loaded

    def _read(self, missing: Mapping[int, Standing], limit: int | None) -> Script[dict[int, Loaded | str]]:
        found = yield Statement(self._load, {"seqs": rows.as_json(list(missing))})
        loaded = {row[0]: _loaded(missing[row[0]], row) for row in found if row[_CONTENT] is not None}
        if len(loaded) < len(found):
            in_blocks = {row[0]: row for row in found if row[_CONTENT] is None}
            for seq, octets in (yield from self._contents.sizes(list(in_blocks))).items():
                loaded[seq] = yield from self._read_blocks(missing[seq], in_blocks[seq], octets, limit)
        return loaded

    def _read_blocks(
        self, standing: Standing, row: Row, octets: int, limit: int | None
    ) -> Script[Loaded | str]:
        """What has so many octets in blocks: without them where the limit allows that."""
        stored = _loaded(standing, row)
        if isinstance(stored, Loaded) and stored.email.octets != octets:
            return GONE
        if isinstance(stored, str) or stored.suits(limit):
            return stored
        whole = yield from self._contents.whole(standing.seq)
        return _loaded(standing, (*row[:_CONTENT], whole, *row[_CONTENT + 1 :]))

    def _grant(self, taken: Sequence[tuple[Turn, _Taken]], step: _Step) -> Script[list[Granted]]:
        tokens = _tokens((yield Statement(self._new_tokens, {"count": len(taken)})), len(taken))
        if lost := {each.token for _, (free, _) in taken for each in free if each.lease_until is not None}:
            yield Statement(self._lose, {"tokens": rows.as_json(list(lost))})
        given = {
            "rows": rows.as_json(
                [
                    ahead
                    for token, (_, (free, _)) in zip(tokens, taken, strict=True)
                    for ahead in _written_ahead(token, free, step)
                ]
            ),
            "owner": step.terms.owner,
            "lease": step.terms.lease // MICROSECOND,
        }
        ((lease_until,), *_) = yield Statement(self._write_ahead, given)
        ends = rows.instant(lease_until)
        return [
            Granted(
                Claim(
                    email=loaded.email,
                    route_key=free[0].recipient.route_key,
                    recipients=tuple([each.recipient for each in free]),
                    submitted_at=loaded.submitted_at,
                    send_at=loaded.send_at,
                    expires_at=free[0].expires_at,
                    owner=step.terms.owner,
                    token=token,
                    lease_until=ends,
                ),
                loaded,
                turn,
            )
            for token, (turn, (free, loaded)) in zip(tokens, taken, strict=True)
        ]

    def _stands(self, claim: Claim) -> Script[bool]:
        given = {
            "token": claim.token,
            "owner": claim.owner,
            "lease_until": rows.micros(claim.lease_until),
            "message_id": claim.email.message_id,
        }
        return bool((yield Statement(self._find, given)))

    def _hold(self, those: Sequence[Standing], reason: str, now: datetime) -> Script[None]:
        """Lets nobody try what cannot be sent: somebody has changed the rows from outside, say."""
        for message_id in {each.message_id for each in those}:
            _log.error("%s: held: %s", printable(message_id), reason)
        yield from self._writing.write([_held(each, f"held: {reason}", now) for each in those])


def _are_over(keys: Collection[str] | None, passed: Collection[str]) -> bool:
    return keys is not None and all(key in passed for key in keys)


def _tokens(drawn: Sequence[Row], count: int) -> list[int]:
    """As many, ascending."""
    tokens = sorted(token for (token,) in drawn)
    return tokens if len(tokens) == count else list(range(tokens[-1] - count + 1, tokens[-1] + 1))


def _written_ahead(token: int, free: Sequence[Standing], step: _Step) -> list[_Ahead]:
    """With its token, when each is due should the claim end in a crash; None: its turn stays where it is."""
    backoff = step.terms.backoff()
    ahead: list[_Ahead] = []
    for each in free:
        crashes = each.recipient.crashes
        wait = backoff[crashes] if crashes < len(backoff) else None
        ahead.append((each.seq, each.position, token, rows.micros(step.now + wait) if wait else None))
    return ahead


def _loaded(standing: Standing, row: Row) -> Loaded | str:
    _, envelope, submitted_at, send_at, content, addresses = row
    email = rows.email_of(standing.message_id, envelope, addresses, content)
    if email is None:
        return "its envelope cannot be read"
    return Loaded(email, standing.fingerprint, rows.instant(submitted_at), rows.maybe_instant(send_at))


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
