"""Whatever the order of calls: no recipient in two hands, no end undone, nothing lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mailstrom.abc import (
    Claim,
    InternalMessageStatus,
    InternalRecipientStatus,
    Order,
    Ordered,
    Outcome,
    Selection,
    Settlement,
    Terms,
)
from mailstrom.status import Cause, Deferred, Delivered, DeliveryResult, Failed
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.storage_kit import NOW, an_entry, settlement
from tests.contract.plain_storage import PlainStorage

RESULTS = st.sampled_from(
    [
        Delivered(tries=1),
        Failed(tries=1, cause=Cause.REFUSED),
        Deferred(tries=1, next_attempt_at=NOW),
        Deferred(tries=1, next_attempt_at=NOW + timedelta(minutes=5)),
        Deferred(tries=1),
    ]
)
PICK = st.integers(0, 99)


class AnyOrder(RuleBasedStateMachine):
    """A queue of a few messages, two owners, a process that may die."""

    def __init__(self) -> None:
        super().__init__()
        self.minutes = 0
        self.secs = 0.0
        self.stored = 0
        self.claims: list[Claim] = []
        self.ends: dict[str, DeliveryResult] = {}
        self.last_token = 0
        self.holds: set[str] = set()  # addresses that HOLD was ordered for, and nothing else since
        self.holds_in_memory: set[str] = set()  # the same, while they were claimed

    @initialize(durable=st.booleans())
    def begin(self, durable: bool) -> None:
        self.plain = PlainStorage(durable=durable)
        self.storage = self._lifted()

    @rule(recipients=st.integers(1, 4), held=st.booleans())
    def store(self, recipients: int, held: bool) -> None:
        addresses = [f"u{self.stored}-{number}@d{number % 2}.example" for number in range(recipients)]
        self.storage.store([an_entry(f"m{self.stored}", *addresses, due_at=None if held else NOW)])
        self.stored += 1

    @rule(skip=st.sets(st.sampled_from(["d0.example", "d1.example"]), max_size=1), limit=st.integers(1, 4))
    def claim(self, skip: set[str], limit: int) -> None:
        terms = Terms(owner="one", lease=timedelta(seconds=60), skip=skip, limit=limit)
        claims = self.storage.claim_many(self._now(), terms)
        assert len(claims) <= limit
        for claim in claims:
            assert claim.token > self.last_token
            assert claim.route_key not in skip
            self.last_token = claim.token
            self._note(claim)

    def _note(self, claim: Claim) -> None:
        taken = {each.address for each in claim.recipients}
        assert not taken & (self.holds | self.holds_in_memory)
        assert not taken & self.ends.keys()
        for other in self.claims:
            if self.storage.renew([other], timedelta(seconds=60)) != [None]:
                assert not taken & {each.address for each in self._open(other)}
        self.claims.append(claim)

    @rule(pick=PICK, count=st.integers(1, 4), result=RESULTS)
    def settle(self, pick: int, count: int, result: DeliveryResult) -> None:
        if not self.claims:
            return
        claim = self.claims[pick % len(self.claims)]
        outcomes = tuple(Outcome(address=each.address, result=result) for each in claim.recipients[:count])
        before = self.plain.statuses[claim.email.message_id]
        if self.storage.settle([Settlement(claim=claim, outcomes=outcomes)], self._now()) == [False]:
            assert self.plain.statuses[claim.email.message_id] == before

    @rule(pick=PICK)
    def mark(self, pick: int) -> None:
        if self.claims:
            claim = self.claims[pick % len(self.claims)]
            self.storage.mark_dot_sent(claim, [each.address for each in claim.recipients])

    @rule(pick=PICK, minutes=st.integers(0, 5))
    def give_back(self, pick: int, minutes: int) -> None:
        if self.claims:
            later = self._now() + timedelta(minutes=minutes) if minutes else None
            self.storage.give_back(self.claims.pop(pick % len(self.claims)), later)

    @rule(asked=st.sampled_from(Order), pick=PICK, limit=st.integers(1, 4))
    def order(self, asked: Order, pick: int, limit: int) -> None:
        if self.stored:
            selection = Selection(message_id=f"m{pick % self.stored}@sender.example")
            done = self.storage.order(asked, selection, self._now(), limit=limit)
            assert len(done) <= limit
            for each in done:
                self._obeyed(asked, each)

    @rule()
    def pull_in(self) -> None:
        self.storage.pull_in(self._now())

    @rule(secs=st.sampled_from([1.0, 61.0]))
    def lease_clock_moves(self, secs: float) -> None:
        self.secs += secs

    @rule(minutes=st.integers(-5, 10))
    def wall_clock_moves(self, minutes: int) -> None:
        self.minutes = max(0, self.minutes + minutes)

    @rule()
    def process_dies(self) -> None:
        if self.plain.durable:
            self.claims.clear()
            self.holds_in_memory.clear()
            self.last_token = 0
            self.storage = self._lifted()

    @invariant()
    def no_end_is_undone(self) -> None:
        for status in self._statuses():
            for recipient in status.recipients:
                if recipient.result.completed:
                    assert self.ends.setdefault(recipient.address, recipient.result) == recipient.result
                else:
                    assert recipient.address not in self.ends
            assert status.completed == (status.completed_at is not None)

    @invariant()
    def idle_means_that_nothing_is_left_to_try(self) -> None:
        due = [each for status in self._statuses() for each in status.recipients if each.due_at is not None]
        held = [each for each in due if each.result.state == "deferred" and not each.result.next_attempt_at]
        assert self.storage.is_idle() is (len(due) == len(held))
        assert (self.storage.next_due(self._now()) is None) is (not due)

    def teardown(self) -> None:
        """Everything that is not held comes to its end."""
        if not hasattr(self, "storage"):
            return
        self.secs += 61
        later = self._now() + timedelta(days=1)
        while (claim := self.storage.claim(later, owner="last", lease=timedelta(seconds=60))) is not None:
            assert self.storage.settle([settlement(claim, Delivered())], later) == [True]
        assert self.storage.is_idle()
        self.no_end_is_undone()

    def _obeyed(self, asked: Order, ordered: Ordered) -> None:
        assert not ordered.before.result.completed
        assert (ordered.after == ordered.before) is ordered.claimed
        address = ordered.after.address
        for held in (self.holds, self.holds_in_memory):
            held.discard(address)
        if asked is Order.HOLD:
            (self.holds_in_memory if ordered.claimed else self.holds).add(address)

    def _lifted(self) -> ExclusiveStorage:
        return ExclusiveStorage(self.plain, lease_clock=lambda: self.secs)

    def _now(self) -> datetime:
        return NOW + timedelta(minutes=self.minutes)

    def _statuses(self) -> list[InternalMessageStatus]:
        names = (f"m{number}@sender.example" for number in range(self.stored))
        return [self.storage.retrieve_status(name) for name in names]

    def _open(self, claim: Claim) -> list[InternalRecipientStatus]:
        """Those of the claim's recipients that it still holds."""
        return list(self.storage._index._leases[claim.token].before.values())


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCallsInAnyOrder = AnyOrder.TestCase
