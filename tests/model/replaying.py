"""Replaying traces of the model against a storage: after each step both must say the same.

Compared are the answers (a claim granted or refused and whom it shows, renewed or lost, marked,
settled, ordered), that tokens grow, and after each step what stands: every recipient's status,
`next_due` and `is_idle`. Which message a claim takes is the model's choice: the other route keys
are skipped. A worker's crash is that nobody goes on with its claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from mailstrom.abc import (
    Claim,
    InternalRecipientStatus,
    Order,
    Ordered,
    Selection,
    Settlement,
    SharedStorage,
)
from mailstrom.abc import Outcome as Settled
from mailstrom.errors import StorageError
from mailstrom.status import Deferred, Delivered, DeliveryResult, Failed
from mailstrom.testing.storage_kit import NOW, an_entry, id_of
from tests.model.state import EXPIRES, Job, Outcome, Row, State, Step
from tests.model.traces import Trace

UNIT = timedelta(minutes=10)
LEASE = timedelta(hours=1)
HALF_A_LEASE = timedelta(minutes=31)  # two of them are more than a whole one
TOLERANCE = timedelta(minutes=1)  # a database's lease clock goes on by itself


class Disagreement(AssertionError):
    """The storage says something else than the model."""


class Replies(Protocol):
    """What can lose the reply to the next call."""

    loses_reply: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The storages of two workers, on one queue that nobody else uses."""

    storages: tuple[SharedStorage, SharedStorage]
    advance_lease_clock: Callable[[float], None]
    replies: tuple[Replies, Replies] | None = None  # None: no reply can be lost


@dataclass(slots=True, kw_only=True)
class Replay:
    """One trace, on messages of its own."""

    desk: Desk
    name: str
    messages: Sequence[int]  # each recipient's message
    owners: tuple[str, str]
    claims: dict[int, Claim] = field(default_factory=dict)  # by worker
    last_token: int = -1
    now: int = 0

    def run(self, trace: Trace) -> None:
        """Raises `Disagreement` with the steps so far."""
        self._store()
        done: list[Step] = []
        try:
            for step, after in trace.way:  # what stands there, another trace has compared
                done.append(step)
                self._take(step, after)
            for step, after in trace.rest:
                done.append(step)
                self._take(step, after)
                self._compare(after)
        except (AssertionError, StorageError) as error:
            told = "\n  ".join(map(str, done))
            raise Disagreement(f"{error}\n  {told}") from error
        finally:
            self._clear()

    def _store(self) -> None:
        for message in sorted(set(self.messages)):
            addresses = [self._address(each) for each, own in enumerate(self.messages) if own == message]
            email, status = an_entry(self._message(message), *addresses, route_key=self._key(message))
            self.desk.storages[0].store([(email, replace(status, expires_at=_at(EXPIRES)))])

    def _clear(self) -> None:
        """Nothing of it is left to do, so that the next trace meets only its own."""
        self.desk.advance_lease_clock(2 * LEASE.total_seconds())
        for message in sorted(set(self.messages)):
            self._order(Order.CANCEL, Selection(message_id=id_of(self._message(message))))

    # Steps

    def _take(self, step: Step, after: State) -> None:
        match step.name:
            case "claim":
                self._claim(step, after)
            case "renew":
                self._renew(step)
            case "mark":
                named = [self._address(each) for each in step.positions]
                _equal("marked", self._storage(step).mark_dot_sent(self._claimed(step), named), step.answer)
            case "settle" | "settle unheard" | "settle again":
                self._settle(step)
            case "give back" | "stop":
                until = None if step.until is None else _at(step.until)
                self._storage(step).give_back(self._claimed(step), until)
            case "order":
                self._give_order(step)
            case "half a lease passes":
                self.desk.advance_lease_clock(HALF_A_LEASE.total_seconds())
        self.now = after.now

    def _claim(self, step: Step, after: State) -> None:
        assert step.worker is not None
        claim = self._storage(step).claim(
            _at(self.now),
            owner=self.owners[step.worker],
            lease=LEASE,
            skip=[self._key(each) for each in set(self.messages) if each != step.message],
            backoff=[UNIT] if self.now < EXPIRES else [],
        )
        _equal("granted", claim is not None, step.answer)
        if claim is None:
            return
        job = after.jobs[step.worker]
        assert job is not None
        _equal("claim", [_as_row(each) for each in claim.recipients], _shown(job))
        addresses = [each.address for each in claim.recipients]
        _equal("addresses", addresses, list(map(self._address, step.positions)))
        assert claim.token > self.last_token, f"token {claim.token} after {self.last_token}"
        self.last_token = claim.token
        self.claims[step.worker] = claim

    def _renew(self, step: Step) -> None:
        [renewed] = self._storage(step).renew([self._claimed(step)], LEASE)
        _equal("renewed", renewed is not None, step.answer)

    def _settle(self, step: Step) -> None:
        assert step.worker is not None
        storage = self._storage(step)
        outcomes = map(self._outcome, step.positions, step.outcomes)
        settlement = Settlement(claim=self._claimed(step), outcomes=tuple(outcomes))
        if step.name == "settle unheard" and self.desk.replies is not None:
            self.desk.replies[step.worker].loses_reply = True
            try:
                storage.settle([settlement], _at(self.now))
            except StorageError:
                return
            raise AssertionError("the reply was to be lost")
        if step.name == "settle again" and self.desk.replies is None:
            return
        [taken] = storage.settle([settlement], _at(self.now))
        if step.answer is not None:
            _equal("settled", taken, step.answer)

    def _give_order(self, step: Step) -> None:
        assert step.order is not None
        [position] = step.positions
        message = id_of(self._message(self.messages[position]))
        found = self._order(step.order, Selection(message_id=message, address=self._address(position)))
        told = [("claimed" if each.claimed else "changed") for each in found]
        _equal("ordered", told, [] if step.answer == "nothing" else [step.answer])

    # What stands

    def _compare(self, state: State) -> None:
        for message in sorted(set(self.messages)):
            status = self.desk.storages[0].retrieve_status(id_of(self._message(message)))
            expected = [_plain(row) for row in state.rows if row.message == message]
            _equal("recipients", [_as_row(each) for each in status.recipients], expected)
            is_completed = all(row.is_final for row in state.rows if row.message == message)
            _equal("completed_at is set", status.completed_at is not None, is_completed)
        if not any(row.held and row.lease for row in state.rows):  # disputed
            _equal("is_idle", self.desk.storages[1].is_idle(), _is_idle(state))
        self._compare_next_due(state)

    def _compare_next_due(self, state: State) -> None:
        found = self.desk.storages[1].next_due(_at(state.now))
        is_lapsed = any(row.token is not None and not row.lease for row in state.rows)
        if is_lapsed and found is not None and found <= _at(state.now):
            return  # that a lease has ended may be told, before any claim has met it
        expected = min((_next_at(row, state.now) for row in state.rows if not row.is_final), default=None)
        if found is None or expected is None:
            _equal("next_due", found, expected)
        elif expected <= _at(state.now):
            assert found <= _at(state.now), f"next_due: expected {expected} or before, got {found}"
        else:
            assert abs(found - expected) < TOLERANCE, f"next_due: expected {expected}, got {found}"

    # Names

    def _storage(self, step: Step) -> SharedStorage:
        assert step.worker is not None
        return self.desk.storages[step.worker]

    def _claimed(self, step: Step) -> Claim:
        assert step.worker is not None
        return self.claims[step.worker]

    def _message(self, message: int) -> str:
        return f"{self.name}-{message}"

    def _key(self, message: int) -> str:
        return f"m{message}.example"

    def _address(self, position: int) -> str:
        return f"r{position}@{self._key(self.messages[position])}"

    def _outcome(self, position: int, outcome: Outcome) -> Settled:
        return Settled(address=self._address(position), result=_result(outcome), crashes=outcome.crashes)

    def _order(self, order: Order, selection: Selection) -> Sequence[Ordered]:
        return self.desk.storages[0].order(order, selection, _at(self.now))


def _at(instant: int) -> datetime:
    return NOW + instant * UNIT


def _result(outcome: Outcome) -> DeliveryResult:
    match outcome.state:
        case "delivered":
            return Delivered(tries=outcome.tries, uncertain=outcome.uncertain)
        case "failed":
            return Failed(tries=outcome.tries, uncertain=outcome.uncertain)
        case _:
            due = None if outcome.held or outcome.due is None else _at(outcome.due)
            return Deferred(
                tries=outcome.tries, reason="busy", next_attempt_at=due, uncertain=outcome.uncertain
            )


def _as_row(recipient: InternalRecipientStatus) -> dict[str, object]:
    result = recipient.result
    return {
        "state": result.state,
        "due": recipient.due_at,
        "tries": result.tries,
        "crashes": recipient.crashes,
        "dot_sent": recipient.dot_sent,
        "uncertain": result.uncertain,
        "held": result.state == "deferred" and result.next_attempt_at is None,
    }


def _plain(row: Row) -> dict[str, object]:
    given = row._asdict()
    plain = {name: given[name] for name in ("state", "tries", "crashes", "dot_sent", "uncertain", "held")}
    return {**plain, "due": None if row.due is None else _at(row.due)}


def _shown(job: Job) -> list[dict[str, object]]:
    return [_plain(part.before) for part in job.parts]


def _is_idle(state: State) -> bool:
    return all(row.is_final or (row.held and not row.lease) for row in state.rows)


def _next_at(row: Row, now: int) -> datetime:
    """When its lease ends, or else it falls due."""
    if row.lease:
        return _at(now) + (LEASE if row.lease == 2 else LEASE - HALF_A_LEASE)
    assert row.due is not None
    return _at(row.due)


def _equal(what: str, found: object, expected: object) -> None:
    assert found == expected, f"{what}: the model says {expected}, the storage {found}"
