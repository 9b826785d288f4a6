"""What a claim can ask for while it lasts: more time, and the mark before the final dot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ...abc import Claim
from . import rows
from .dialect import Dialect
from .rows import MICROSECOND
from .script import Batch, Script, Statement

_Places = dict[str, list[tuple[int, int]]]  # by address: seq, position


class Leasing:
    """The statements on claims that last; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        self._renew = f"""
            WITH mine AS (
                SELECT r.seq, r.position FROM {t}recipients AS r
                WHERE {dialect.among.format("r.token", ":tokens")} AND r.owner = :owner
                    AND r.lease_until IS NOT NULL
                ORDER BY r.seq, r.position {dialect.for_update.format("r")})
            UPDATE {t}recipients SET place = 'claimed', lease_until = {dialect.lease_now} + :lease
            WHERE (seq, position) IN (SELECT seq, position FROM mine)
            RETURNING token, lease_until"""
        self._at_once = dialect.at_once
        self._markable = f"""
            SELECT r.token, r.owner, r.address, r.seq, r.position FROM {t}recipients AS r
            WHERE {dialect.among.format("r.token", ":tokens")}
                AND r.lease_until IS NOT NULL AND r.mark IS NULL"""
        self._mark = f"UPDATE {t}recipients SET dot_sent = 1 WHERE seq = :seq AND position = :position"
        self._mark_alone = f"""
            UPDATE {t}recipients SET dot_sent = 1
            WHERE {dialect.among.format("token", ":tokens")} AND lease_until IS NOT NULL AND mark IS NULL
                AND owner = :owner
            RETURNING token"""
        nth, nth_text = dialect.nth, dialect.nth_text
        # each claim's rows are found by its token, whatever a planner thinks of the JSON (OFFSET): else every
        # row might be compared with every address. Then they are locked, and looked at only now: one that
        # another call just ended would be left out, and the rest marked
        self._mark_dots_sent = f"""
            WITH asked AS MATERIALIZED (
                SELECT {nth.format("value", 0)} AS dot, {nth.format("value", 1)} AS wanted,
                    {nth.format("value", 2)} AS token, {nth_text.format("value", 3)} AS owner,
                    ARRAY({dialect.each_text.format(nth_text.format("value", 4))}) AS addresses
                FROM {dialect.each.format(":asked")}),
            named AS MATERIALIZED (
                SELECT asked.dot, asked.wanted, asked.token, asked.owner, of_token.seq, of_token.position
                FROM asked CROSS JOIN LATERAL (
                    SELECT r.seq, r.position FROM {t}recipients AS r
                    WHERE r.token = asked.token AND r.lease_until IS NOT NULL
                        AND r.address = ANY (asked.addresses) OFFSET 0) AS of_token),
            locked AS (
                SELECT named.dot, named.wanted, r.seq, r.position, r.token = named.token
                    AND r.owner = named.owner AND r.lease_until IS NOT NULL AND r.mark IS NULL AS is_free
                FROM named CROSS JOIN {t}recipients AS r
                WHERE r.seq = named.seq AND r.position = named.position
                ORDER BY r.seq, r.position {dialect.for_update.format("r")})
            UPDATE {t}recipients SET dot_sent = 1
            WHERE (seq, position) IN (SELECT seq, position FROM (
                SELECT seq, position, wanted, count(*) FILTER (WHERE is_free) OVER (PARTITION BY dot) AS free
                FROM locked) AS counted
                WHERE free = wanted)
            RETURNING token, owner, address"""

    def renew(self, claims: Sequence[Claim], lease: timedelta) -> Script[list[Claim | None]]:
        """Each claim with a later `lease_until`, or None where it was lost."""
        until: dict[tuple[int, str], datetime] = {}
        for owner in {claim.owner for claim in claims}:
            tokens = rows.as_json([claim.token for claim in claims if claim.owner == owner])
            given = {"tokens": tokens, "owner": owner, "lease": lease // MICROSECOND}
            for token, lease_until in (yield Statement(self._renew, given)):
                until[token, owner] = rows.instant(lease_until)
        renewed = [(claim, until.get((claim.token, claim.owner))) for claim in claims]
        return [None if ends is None else replace(claim, lease_until=ends) for claim, ends in renewed]

    def mark_dots_sent(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> Script[list[bool]]:
        """Marks these recipients of each claim; False, and no change, where it may not send to them all.

        In one statement, or where there is one writer in two, which take it a third of the time; there
        those who are alone in their claims, as most are, take a third of that.
        """
        if self._at_once:
            return (yield from self._mark_at_once(dots))
        alone = [claim for claim, addresses in dots if _is_alone(claim, addresses)]
        marked = yield from self._mark_those_alone(alone)
        others = [(claim, addresses) for claim, addresses in dots if not _is_alone(claim, addresses)]
        done = iter((yield from self._mark_by_rows(others)) if others else ())
        return [
            (claim.token, claim.owner) in marked if _is_alone(claim, addresses) else next(done)
            for claim, addresses in dots
        ]

    def _mark_those_alone(self, claims: Sequence[Claim]) -> Script[set[tuple[int, str]]]:
        """Which of these claims, each of one recipient, could be marked."""
        marked: set[tuple[int, str]] = set()
        for owner in {claim.owner for claim in claims}:
            tokens = rows.as_json([claim.token for claim in claims if claim.owner == owner])
            found = yield Statement(self._mark_alone, {"tokens": tokens, "owner": owner})
            marked.update((token, owner) for (token,) in found)
        return marked

    def _mark_at_once(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> Script[list[bool]]:
        asked = [
            (dot, _rows_of(claim, addresses), claim.token, claim.owner, list(set(addresses)))
            for dot, (claim, addresses) in enumerate(dots)
        ]
        marked = set((yield Statement(self._mark_dots_sent, {"asked": rows.as_json(asked)})))
        named = [{(claim.token, claim.owner, address) for address in addresses} for claim, addresses in dots]
        return [bool(each) and each <= marked for each in named]

    def _mark_by_rows(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> Script[list[bool]]:
        markable: dict[tuple[int, str], _Places] = {}
        tokens = rows.as_json(list({claim.token for claim, _ in dots}))
        found = yield Statement(self._markable, {"tokens": tokens})
        for token, owner, address, seq, position in found:
            markable.setdefault((token, owner), {}).setdefault(address, []).append((seq, position))
        marked: list[dict[str, object]] = []
        done: list[bool] = []
        for claim, addresses in dots:
            mine = markable.get((claim.token, claim.owner), {})
            places = [place for address in set(addresses) for place in mine.get(address, ())]
            done.append(bool(places) and len(places) == _rows_of(claim, addresses))
            if done[-1]:
                marked += [{"seq": seq, "position": position} for seq, position in places]
        if marked:
            yield Batch(self._mark, marked)
        return done


def _is_alone(claim: Claim, addresses: Collection[str]) -> bool:
    """The claim is for one recipient, and that is meant."""
    return len(claim.recipients) == len(addresses) == 1 and claim.recipients[0].address in addresses


def _rows_of(claim: Claim, addresses: Collection[str]) -> int:
    """How many they are, where each is the claim's: an address may stand twice in a message."""
    if len(claim.recipients) == 1:
        return len(set(addresses))
    times = Counter(recipient.address for recipient in claim.recipients)
    return sum(times[address] or 1 for address in set(addresses))
