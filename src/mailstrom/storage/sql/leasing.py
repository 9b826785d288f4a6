"""What a claim can ask for while it lasts: more time, and the mark before the final dot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ...abc import Claim
from . import rows
from .dialect import Dialect
from .rows import MICROSECOND
from .script import Script, Statement


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
        self._lock = f"""
            SELECT r.seq FROM {t}recipients AS r
            WHERE {dialect.among.format("r.token", ":tokens")} AND r.lease_until IS NOT NULL
            ORDER BY r.seq, r.position {dialect.for_update.format("r")}"""
        # locked first: one that another call just ends would be left out, and the rest marked
        self._mark_dot_sent = f"""
            WITH mine AS (
                SELECT r.seq, r.position, r.address FROM {t}recipients AS r
                WHERE r.token = :token AND r.owner = :owner AND r.lease_until IS NOT NULL
                    AND r.mark IS NULL AND r.address IN ({dialect.each_text.format(":addresses")})
                ORDER BY r.seq, r.position {dialect.for_update.format("r")})
            UPDATE {t}recipients SET dot_sent = 1 WHERE (seq, position) IN (SELECT seq, position FROM mine)
                AND :count = (SELECT count(DISTINCT address) FROM mine)
            RETURNING seq"""

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
        """Marks these recipients of each claim; False, and no change, where it may not send to them all."""
        if len(dots) > 1:  # in the order of the queue, in which all others lock, too
            yield Statement(self._lock, {"tokens": rows.as_json([claim.token for claim, _ in dots])})
        marked = []
        for claim, addresses in dots:
            marked.append((yield from self._mark(claim, addresses)))
        return marked

    def _mark(self, claim: Claim, addresses: Collection[str]) -> Script[bool]:
        named = sorted(set(addresses))
        given = {
            "token": claim.token,
            "owner": claim.owner,
            "addresses": rows.as_json(named),
            "count": len(named),
        }
        return bool((yield Statement(self._mark_dot_sent, given)))
