"""Ending claims beyond the contract: what it costs, and a COMMIT that nobody answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mailstrom.abc import CLAIM_LIMIT, Order, Outcome, Selection, Settlement
from mailstrom.errors import StorageError
from mailstrom.event import EventKind
from mailstrom.status import Cause, Delivered, Failed
from mailstrom.storage.sql.queue import GIVEN_BACK_AT_ONCE
from mailstrom.storage.sql.settling import end_of
from mailstrom.testing.storage_kit import (
    LATER,
    NOW,
    WHOLE_LEASE_SECS,
    addresses_of,
    an_entry,
    deferred_until,
    delivered_to,
    id_of,
    settlement,
)
from tests.unit.storage.sql.memory import MemorySqlStorage

DELIVERED = Delivered(tries=1)


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


@pytest.mark.parametrize("count", [1, 50])
def test_results_take_four_statements_however_many_claims_they_end(
    storage: MemorySqlStorage, count: int
) -> None:
    storage.store([an_entry(f"m{number}", f"u@d{number}.example") for number in range(count)])
    settlements = [settlement(storage.claimed(), DELIVERED) for _ in range(count)]

    texts = storage.texts_of(lambda: storage.settle(settlements, NOW))

    assert len(texts) == 4


def test_a_claim_is_lost_to_an_impostor_in_the_same_call_only(storage: MemorySqlStorage) -> None:
    storage.store([an_entry()])
    claim = storage.claimed()
    settlements = [settlement(replace(claim, owner=owner), DELIVERED) for owner in ("two", "one", "two")]

    assert storage.settle(settlements, NOW) == [False, True, False]


@pytest.mark.parametrize("result", [DELIVERED, deferred_until(LATER), deferred_until(None)])
@pytest.mark.parametrize("order", [None, Order.CANCEL, Order.HOLD])
def test_what_a_lost_commit_has_settled_is_settled(
    storage: MemorySqlStorage, result: Delivered, order: Order | None
) -> None:
    """Row 49."""
    storage.store([an_entry()])
    claim = storage.claimed()
    if order is not None:
        storage.order(order, Selection(message_id=id_of("one")), NOW)
    storage.lost_replies = 1

    assert storage.settle([settlement(claim, result)], NOW) == [True]

    assert len(storage.events()) == 2
    assert storage.is_idle() is (result != deferred_until(LATER) or order is not None)


def test_what_a_lost_commit_has_not_settled_is_settled_now(storage: MemorySqlStorage) -> None:
    """Row 49."""
    storage.store([an_entry("one", "a@one.example"), an_entry("two", "b@two.example")])
    done, open_ = (settlement(storage.claimed(), DELIVERED) for _ in range(2))
    storage.settle([done], NOW)

    assert storage.perform(storage._settling.settle([done, open_], NOW, [end_of(done), end_of(open_)])) == [
        True,
        True,
    ]

    assert list(storage.retrieve_all_incomplete()) == []
    assert len(storage.events()) == 4


def test_after_a_lost_commit_a_claim_that_was_lost_is_still_lost(storage: MemorySqlStorage) -> None:
    """Row 49, 52."""
    storage.store([an_entry()])
    lost = storage.claimed()
    storage.advance_lease_clock(WHOLE_LEASE_SECS)
    storage.settle([settlement(storage.claimed(), DELIVERED)], NOW)
    storage.lost_replies = 1

    assert storage.settle([settlement(lost, DELIVERED)], NOW) == [False]


@pytest.mark.parametrize("ending", ["given back", "nothing", "another result", "another recipient"])
def test_after_a_lost_commit_what_ended_otherwise_is_not_taken(
    storage: MemorySqlStorage, ending: str
) -> None:
    """Row 49."""
    storage.store([an_entry("one", "a@dest.example", "b@dest.example")])
    claim = storage.claimed()
    refused = Failed(tries=1, cause=Cause.REFUSED)
    outcomes: tuple[Outcome, ...] = (Outcome(address="a@dest.example", result=refused),)
    match ending:
        case "given back":
            storage.give_back(claim)
        case "nothing":
            storage.give_back(claim)
            outcomes = ()
        case "another result":
            storage.settle([settlement(claim, DELIVERED)], NOW)
        case _:
            storage.settle([Settlement(claim=claim, outcomes=(delivered_to("b@dest.example"),))], NOW)
            outcomes = (delivered_to("c@dest.example"),)

    again = Settlement(claim=claim, outcomes=outcomes)

    assert storage.perform(storage._settling.settle([again], NOW, [end_of(again)])) == [False]


def test_what_is_settled_again_after_a_call_whose_end_nobody_knows_is_taken(
    storage: MemorySqlStorage,
) -> None:
    """Row 49: the call comes again, with what has come since."""
    storage.store([an_entry("one", "a@one.example"), an_entry("two", "b@two.example")])
    done, new = (settlement(storage.claimed(), DELIVERED) for _ in range(2))
    storage.lost_ends = 1
    with pytest.raises(StorageError, match="not known"):
        storage.settle([done], NOW)

    assert storage.settle([done, new], NOW) == [True, True]
    assert storage.settle([done, new], NOW) == [False, False]

    assert [event.kind for event in storage.events()].count(EventKind.DELIVERED) == 2


def test_a_mark_of_the_dot_needs_all_the_recipients(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("one", "a@dest.example", "b@dest.example")])
    claim = storage.claimed()
    storage.settle([Settlement(claim=claim, outcomes=(delivered_to("a@dest.example"),))], NOW)

    assert not storage.mark_dot_sent(claim, addresses_of(claim))
    assert storage.mark_dot_sent(claim, ["b@dest.example"])

    marked = {each.address: each.dot_sent for each in storage.retrieve_status(id_of("one")).recipients}
    assert marked == {"a@dest.example": False, "b@dest.example": True}


def test_an_address_that_stands_twice_in_a_message_is_settled_twice(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("one", "a@dest.example", "a@dest.example")])
    claim = storage.claimed()

    storage.settle([Settlement(claim=claim, outcomes=(delivered_to("a@dest.example"),))], NOW)

    assert storage.retrieve_status(id_of("one")).completed_at == NOW


def test_what_was_cancelled_while_it_was_claimed_is_completed_by_the_last_order(
    storage: MemorySqlStorage,
) -> None:
    storage.store([an_entry("one", "a@dest.example", "b@dest.example")])
    claim = storage.claimed()
    for address, now in (("a@dest.example", LATER), ("b@dest.example", NOW)):
        storage.order(Order.CANCEL, Selection(address=address), now)

    storage.give_back(claim)

    assert storage.retrieve_status(id_of("one")).completed_at == LATER


@pytest.mark.parametrize("count", [1, 2, 50])
def test_claims_are_given_back_in_two_statements_however_many_they_are(
    storage: MemorySqlStorage, count: int
) -> None:
    storage.store([an_entry(f"{number}", f"{number}@dest.example") for number in range(count)])
    claims = [storage.claimed() for _ in range(count)]

    assert len(storage.texts_of(lambda: storage.give_back_many(claims))) == 2


def test_many_recipients_are_given_back_a_part_of_them_in_a_step(storage: MemorySqlStorage) -> None:
    """All of them at once would be in memory together, several times over."""
    count = 2 * GIVEN_BACK_AT_ONCE // CLAIM_LIMIT + 1
    addresses = [f"u{number}@dest.example" for number in range(CLAIM_LIMIT)]
    storage.store([an_entry(f"{number}", *addresses) for number in range(count)])
    claims = [storage.claimed() for _ in range(count)]

    assert len(storage.texts_of(lambda: storage.give_back_many(claims))) == 3 * 2

    assert storage.rows("SELECT count(*) FROM mailstrom_recipients WHERE token IS NOT NULL") == [(0,)]
