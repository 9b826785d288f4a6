"""How claims end: with results, or given back.

A claim's recipients are found by its token, and locked; what nobody holds any more is not among
them. So a claim that was lost, settled or given back finds nothing, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from ...abc import Claim, InternalRecipientStatus, Order, Outcome, Settlement
from .. import changes
from . import rows
from .dialect import Dialect
from .rows import Standing
from .script import Script, Statement
from .writing import Change, Completion, Writing, freed

End = tuple[int, str, frozenset[str]]


class _Held(NamedTuple):
    """A recipient that a claim still has, by columns: what of it counts when that ends."""

    seq: int
    position: int
    owner: str
    token: int
    address: str
    attempts: str
    recipient: str
    route_key: str
    mark: str | None
    marked_at: int | None
    expires_at: int | None  # the message's


_HeldBy = dict[tuple[int, str], list[_Held]]  # by token and owner


def end_of(settlement: Settlement) -> End:
    """Which claim it ends, for whom."""
    claim = settlement.claim
    return claim.token, claim.owner, frozenset(outcome.address for outcome in settlement.outcomes)


class Settling:
    """The statements that end claims; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        self._writing = Writing(dialect)
        *of_recipient, of_message = _Held._fields
        message = dialect.looked_up.format(f"{t}messages", "m", "m.seq = r.seq")
        self._held = f"""
            SELECT {rows.columns(of_recipient, "r")}, m.{of_message} FROM {t}recipients AS r {message}
            WHERE m.seq = r.seq AND {dialect.among.format("r.token", ":tokens")} AND r.lease_until IS NOT NULL
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
        if not doubtful:
            return (yield from self._settle(settlements, now))
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
        completions: list[Completion] = []
        others: list[Change] = []
        for settlement in settlements:
            ended = _taken(held, settlement)
            taken.append(bool(ended))
            for each, outcome in ended:
                if outcome.result.completed:
                    completions.append(_completed(each, outcome))
                else:
                    others.append(_settled(each, outcome, now))
        yield from self._writing.write(others, completions, now)
        return taken

    def give_back(self, claims: Sequence[Claim], not_before: datetime | None) -> Script[None]:
        """Undoes the claims, for those of their recipients that they still have."""
        held = yield from self._holding(claims)
        ended: list[Change] = []
        for claim in claims:
            before = {recipient.address: recipient for recipient in claim.recipients}
            mine = held.pop((claim.token, claim.owner), ())  # once, if it is named twice
            ended += [_given_back(each, before[each.address], not_before) for each in mine]
        yield from self._writing.write(ended)

    def _holding(self, claims: Sequence[Claim]) -> Script[_HeldBy]:
        """The recipients that the claims still have."""
        tokens = rows.as_json([claim.token for claim in claims])
        held: _HeldBy = {}
        for row in (yield Statement(self._held, {"tokens": tokens})):
            each = _Held._make(row)
            held.setdefault((each.token, each.owner), []).append(each)
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


def _taken(held: _HeldBy, settlement: Settlement) -> list[tuple[_Held, Outcome]]:
    """Whom the settlement ends, who are held no more; nobody: its claim does not have all of them."""
    fence = settlement.claim.token, settlement.claim.owner
    mine = held.get(fence, [])
    outcomes = {outcome.address: outcome for outcome in settlement.outcomes}
    if not mine or not outcomes.keys() <= {each.address for each in mine}:
        return []
    held[fence] = [each for each in mine if each.address not in outcomes]
    return [(each, outcomes[each.address]) for each in mine if each.address in outcomes]


def _completed(held: _Held, outcome: Outcome) -> Completion:
    attempts = changes.attempts_after(rows.attempts_of(held.attempts), outcome)
    return Completion(held.seq, held.position, held.address, outcome.result, rows.attempts_text(attempts))


def _settled(held: _Held, outcome: Outcome, now: datetime) -> Change:
    before = InternalRecipientStatus(
        recipient=held.recipient,
        address=held.address,
        route_key=held.route_key,
        result=outcome.result,
        attempts=rows.attempts_of(held.attempts),
    )
    after = changes.settled(
        before, outcome, mark=rows.mark_of(held.mark), expires_at=rows.maybe_instant(held.expires_at)
    )
    return Change(after=freed(held, after, now, known=True), at=now, told=True)


def _came_of(standing: Standing, outcome: Outcome) -> bool:
    """The result that stands there is this outcome's, whatever an order made of it."""
    possible = (
        changes.settled(standing.recipient, outcome, mark=mark, expires_at=standing.expires_at).result
        for mark in (None, Order.CANCEL, Order.HOLD)
    )
    return standing.recipient.result in possible


def _given_back(held: _Held, before: InternalRecipientStatus, not_before: datetime | None) -> Change:
    mark, expires_at = rows.mark_of(held.mark), rows.maybe_instant(held.expires_at)
    after = changes.given_back(before, not_before, mark=mark, expires_at=expires_at)
    due = before.due_at if not_before is None else None  # it was, when it was claimed
    at = rows.EPOCH if held.marked_at is None else rows.instant(held.marked_at)
    return Change(after=freed(held, after, due or rows.EPOCH), at=at)
