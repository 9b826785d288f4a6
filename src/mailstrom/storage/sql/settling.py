"""How claims end: with results, or given back.

A claim's recipients are found by its token, and locked; what nobody holds any more is not among
them. So a claim that was lost, settled or given back finds nothing, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from ...abc import Claim, InternalRecipientStatus, Order, Outcome, Settlement
from .. import changes
from . import rows
from .dialect import Dialect
from .rows import Standing
from .script import Script, Statement
from .writing import Change, Writing, freed

_Held = dict[tuple[int | None, str | None], list[Standing]]  # by token and owner


End = tuple[int, str, frozenset[str]]


def end_of(settlement: Settlement) -> End:
    """Which claim it ends, for whom."""
    claim = settlement.claim
    return claim.token, claim.owner, frozenset(outcome.address for outcome in settlement.outcomes)


class Settling:
    """The statements that end claims; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        self._writing = Writing(dialect)
        self._held = f"""
            {rows.standings(dialect)}
            {dialect.among.format("r.token", ":tokens")} AND r.lease_until IS NOT NULL
            ORDER BY r.seq, r.position {dialect.for_update.format("r")}"""
        self._ended = f"""
            {rows.standings(dialect)}
            r.seq = (SELECT seq FROM {t}messages WHERE message_id = :message_id)
                AND r.token = :token AND r.owner = :owner AND r.lease_until IS NULL"""

    def settle(
        self, settlements: Sequence[Settlement], now: datetime, doubtful: Collection[End] = ()
    ) -> Script[list[bool]]:
        """Which of the settlements are taken; see `SharedStorage.settle`.

        `doubtful`: those that were committed perhaps, and nobody answered; they are taken where
        their results stand there by this claim.
        """
        done: list[bool] = []
        for settlement in settlements:
            is_doubtful = end_of(settlement) in doubtful
            done += [is_doubtful and (yield from self._is_done(settlement))]
        open_ = [each for each, is_done in zip(settlements, done, strict=True) if not is_done]
        taken = iter((yield from self._settle(open_, now)) if open_ else ())
        return [is_done or next(taken) for is_done in done]

    def _settle(self, settlements: Sequence[Settlement], now: datetime) -> Script[list[bool]]:
        held = yield from self._holding([settlement.claim for settlement in settlements])
        taken: list[bool] = []
        ended: list[Change] = []
        for settlement in settlements:
            found = _taken(held, settlement, now)
            taken.append(found is not None)
            ended += found or ()
        yield from self._writing.write(ended)
        return taken

    def give_back(self, claim: Claim, not_before: datetime | None) -> Script[None]:
        """Undoes the claim, for those of its recipients that it still has."""
        held = (yield from self._holding([claim])).get((claim.token, claim.owner), [])
        before = {recipient.address: recipient for recipient in claim.recipients}
        yield from self._writing.write(
            [_given_back(each, before[each.recipient.address], not_before) for each in held]
        )

    def _holding(self, claims: Sequence[Claim]) -> Script[_Held]:
        """The recipients that the claims still have."""
        tokens = rows.as_json([claim.token for claim in claims])
        held: _Held = {}
        for row in (yield Statement(self._held, {"tokens": tokens})):
            standing = rows.standing_of(row)
            held.setdefault((standing.token, standing.owner), []).append(standing)
        return held

    def _is_done(self, settlement: Settlement) -> Script[bool]:
        claim = settlement.claim
        given = {"message_id": claim.email.message_id, "token": claim.token, "owner": claim.owner}
        ended = [rows.standing_of(row) for row in (yield Statement(self._ended, given))]
        standing = {each.recipient.address: each for each in ended}
        return bool(settlement.outcomes) and all(
            outcome.address in standing and _came_of(standing[outcome.address], outcome)
            for outcome in settlement.outcomes
        )


def _taken(held: _Held, settlement: Settlement, now: datetime) -> list[Change] | None:
    """What the settlement changes, which is held no more; None: its claim does not have all of that."""
    fence = settlement.claim.token, settlement.claim.owner
    mine = held.get(fence, [])
    outcomes = {outcome.address: outcome for outcome in settlement.outcomes}
    if not mine or not outcomes.keys() <= {each.recipient.address for each in mine}:
        return None
    ended = [each for each in mine if each.recipient.address in outcomes]
    held[fence] = [each for each in mine if each.recipient.address not in outcomes]
    return [_settled(each, outcomes[each.recipient.address], now) for each in ended]


def _settled(standing: Standing, outcome: Outcome, now: datetime) -> Change:
    after = _result(standing, outcome, standing.mark)
    return Change(after=freed(standing, after, now, known=True), at=now, told=True)


def _result(standing: Standing, outcome: Outcome, mark: Order | None) -> InternalRecipientStatus:
    return changes.settled(standing.recipient, outcome, mark=mark, expires_at=standing.expires_at)


def _came_of(standing: Standing, outcome: Outcome) -> bool:
    """The result that stands there is this outcome's, whatever an order made of it."""
    possible = (_result(standing, outcome, mark).result for mark in (None, Order.CANCEL, Order.HOLD))
    return standing.recipient.result in possible


def _given_back(standing: Standing, before: InternalRecipientStatus, not_before: datetime | None) -> Change:
    after = changes.given_back(before, not_before, mark=standing.mark, expires_at=standing.expires_at)
    due = before.due_at if not_before is None else None  # it was, when it was claimed
    return Change(after=freed(standing, after, due or rows.EPOCH), at=standing.marked_at or rows.EPOCH)
