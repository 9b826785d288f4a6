"""Every storage keeps the contract, and the contract catches those that do not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mailstrom.abc import Claim, InternalMessageStatus, Outcome, PreparedEmail, SharedStorage, Storage
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.storage_contract import (
    SHARED_CLAUSES,
    STORAGE_CLAUSES,
    Bench,
    check_shared_storage,
    check_storage,
)
from tests.contract.plain_storage import PlainStorage

PLAIN: dict[str, Callable[[], Storage]] = {"memory": MemoryStorage, "six methods": PlainStorage}
SHARED: dict[str, Callable[[], Storage]] = {
    **PLAIN,
    "six methods, durable": lambda: PlainStorage(durable=True),
}


class LeaseClock:
    """A lease clock that only the test moves."""

    def __init__(self) -> None:
        self.secs = 1000.0

    def __call__(self) -> float:
        return self.secs

    def advance(self, secs: float) -> None:
        self.secs += secs


@pytest.mark.parametrize("clause", STORAGE_CLAUSES, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("kind", PLAIN)
def test_a_storage_keeps_the_clause(kind: str, clause: Callable[[Storage], None]) -> None:
    clause(PLAIN[kind]())


@pytest.mark.parametrize("clause", SHARED_CLAUSES, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("kind", SHARED)
def test_a_lifted_storage_keeps_the_clause(kind: str, clause: Callable[[Bench], None]) -> None:
    clock = LeaseClock()
    storage = ExclusiveStorage(SHARED[kind](), lease_clock=clock)

    clause(Bench(storage=storage, advance_lease_clock=clock.advance))


def test_the_contract_needs_no_test_runner() -> None:
    clock = LeaseClock()

    reports = [
        check_storage(MemoryStorage),
        check_shared_storage(lambda: ExclusiveStorage(MemoryStorage(), lease_clock=clock), clock.advance),
    ]

    assert [str(report) for report in reports] == [
        f"{len(clauses)} of {len(clauses)} clauses hold" for clauses in (STORAGE_CLAUSES, SHARED_CLAUSES)
    ]
    for report in reports:
        report.raise_if_broken()


# Planted bugs: each storage is wrong in one thing, and the contract must say so


class Overwrites(PlainStorage):
    """A known id replaces the message that waits."""

    def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
        self.emails[status.message_id], self.statuses[status.message_id] = email, status


class LosesHeld(PlainStorage):
    """Lists only what is due."""

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        found = super().retrieve_all_incomplete()
        return [each for each in found if any(recipient.due_at for recipient in each.recipients)]


class NewestFirst(PlainStorage):
    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        return super().retrieve_all_incomplete()[::-1]


class Mends(PlainStorage):
    """Makes line ends right that were right."""

    def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
        email, status = super().retrieve(message_id)
        return replace(email, content=email.content.replace(b"\r", b"")), status


class StoresUnknown(PlainStorage):
    def update_status(self, status: InternalMessageStatus) -> None:
        self.statuses[status.message_id] = status


class AlwaysRecent(PlainStorage):
    def retrieve_all_recent(self) -> list[InternalMessageStatus]:
        return list(self.statuses.values())


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        (Overwrites, "a_known_id_is_refused_and_nothing_changes"),
        (LosesHeld, "a_held_message_is_incomplete"),
        (NewestFirst, "incomplete_messages_are_listed_oldest_first"),
        (Mends, "content_comes_back_octet_for_octet"),
        (StoresUnknown, "an_unknown_id_is_message_not_found"),
        (AlwaysRecent, "a_completed_message_is_recent_once"),
    ],
)
def test_a_broken_storage_breaks_its_clause(broken: Callable[[], Storage], clause: str) -> None:
    report = check_storage(broken)

    assert clause in [each.clause for each in report.broken]
    with pytest.raises(AssertionError, match=clause):
        report.raise_if_broken()


class NoToken(ExclusiveStorage):
    """Settles for whoever comes."""

    def settle(self, claim: Claim, outcomes: Sequence[Outcome], now: datetime) -> bool:
        current = max(self._index._leases, default=claim.token)
        return super().settle(replace(claim, token=current), outcomes, now)


class NoLease(ExclusiveStorage):
    """Keeps what was claimed for ever."""

    def claim(
        self, now: datetime, *, owner: str, lease: timedelta, skip: Collection[str] = ()
    ) -> Claim | None:
        return super().claim(now, owner=owner, lease=timedelta(days=365), skip=skip)


class ForgetsCrashes(ExclusiveStorage):
    def claim(
        self, now: datetime, *, owner: str, lease: timedelta, skip: Collection[str] = ()
    ) -> Claim | None:
        claim = super().claim(now, owner=owner, lease=lease, skip=skip)
        if claim is None:
            return None
        return replace(claim, recipients=tuple(replace(each, crashes=0) for each in claim.recipients))


class IgnoresSkip(ExclusiveStorage):
    def claim(
        self, now: datetime, *, owner: str, lease: timedelta, skip: Collection[str] = ()
    ) -> Claim | None:
        return super().claim(now, owner=owner, lease=lease)


class Unfair(ExclusiveStorage):
    """The route key that came first is served until it is empty."""

    first: str | None = None

    def claim(
        self, now: datetime, *, owner: str, lease: timedelta, skip: Collection[str] = ()
    ) -> Claim | None:
        others = {key for key in self._index._queue._routes if key != self.first}
        claim = None
        if self.first is not None and self.first not in skip:
            claim = super().claim(now, owner=owner, lease=lease, skip={*skip, *others})
        claim = claim or super().claim(now, owner=owner, lease=lease, skip=skip)
        self.first = None if claim is None else claim.route_key
        return claim


class SettlesAll(ExclusiveStorage):
    """A result for one recipient is taken for all of the claim."""

    def settle(self, claim: Claim, outcomes: Sequence[Outcome], now: datetime) -> bool:
        spread = [replace(outcomes[0], address=each.address) for each in claim.recipients]
        return super().settle(claim, spread, now)


class GiveBackCostsATry(ExclusiveStorage):
    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        outcomes = [
            Outcome(address=each.address, result=replace(each.result, tries=1, next_attempt_at=each.due_at))
            for each in claim.recipients
        ]
        self.settle(claim, outcomes, claim.submitted_at)


class ForgetsDot(ExclusiveStorage):
    def mark_dot_sent(self, claim: Claim, addresses: Collection[str]) -> bool:
        return self.renew(claim, timedelta(seconds=60)) is not None


class StoresHalf(ExclusiveStorage):
    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        return [super(StoresHalf, self).store([entry])[0] for entry in entries]


class CancelsClaimed(ExclusiveStorage):
    """Takes a delivery that is under way for cancelled."""

    def cancel(self, message_id: str, now: datetime) -> InternalMessageStatus:
        for lease in list(self._index._leases.values()):
            self._index.release(lease, list(lease.before))
        return super().cancel(message_id, now)


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        (NoToken, "a_lost_claim_can_do_nothing"),
        (NoLease, "a_claim_whose_lease_ended_is_claimable_with_the_crash_counted"),
        (ForgetsCrashes, "a_claim_whose_lease_ended_is_claimable_with_the_crash_counted"),
        (IgnoresSkip, "skipped_route_keys_are_not_claimed"),
        (Unfair, "a_route_key_with_much_mail_does_not_hide_another"),
        (SettlesAll, "recipients_without_an_outcome_stay_claimed"),
        (GiveBackCostsATry, "a_given_back_claim_counts_no_crash_and_no_try"),
        (ForgetsDot, "the_dot_sent_mark_shows_in_the_next_claim"),
        (StoresHalf, "of_several_entries_all_are_stored_or_none"),
        (CancelsClaimed, "cancel_does_not_undo_a_delivery_under_way"),
    ],
)
def test_a_broken_shared_storage_breaks_its_clause(broken: Callable[..., SharedStorage], clause: str) -> None:
    clock = LeaseClock()

    report = check_shared_storage(lambda: broken(MemoryStorage(), lease_clock=clock), clock.advance)

    assert clause in [each.clause for each in report.broken]
