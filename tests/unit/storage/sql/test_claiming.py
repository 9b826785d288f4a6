"""Claiming beyond the contract: what it costs, whose turn it is, and what it meets on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mailstrom.abc import CLAIM_LIMIT, EVERYTHING, Order, Selection, Settlement, Terms
from mailstrom.errors import StorageError
from mailstrom.status import Deferred, Delivered
from mailstrom.storage.sql.claiming import MOVED_AT_ONCE, Claiming
from mailstrom.storage.sql.dialect import SQLITE
from mailstrom.storage.sql.script import Batch, Row, Script, Statement, perform
from mailstrom.testing.storage_kit import (
    EXPIRES_AT,
    LATER,
    LEASE,
    NOW,
    WHOLE_LEASE_SECS,
    an_entry,
    deferred_until,
    id_of,
    settlement,
)
from tests.unit.storage.sql.memory import MemorySqlStorage

TERMS = Terms(owner="one", lease=LEASE)


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


def test_the_email_of_a_message_to_many_is_read_once(storage: MemorySqlStorage) -> None:
    """Row 59."""
    storage.store([an_entry("big", *(f"u{number}@dest.example" for number in range(3 * CLAIM_LIMIT)))])

    claims = [storage.claimed() for _ in range(3)]

    loads = [each for each in storage.asked if "m.envelope" in each.sql]
    assert len(loads) == 1
    assert [claim.email is claims[0].email for claim in claims] == [True] * 3


def test_what_was_read_of_a_message_that_was_never_committed_is_sent_for_no_other(
    storage: MemorySqlStorage,
) -> None:
    """SQLite gives the number of a row out again that was rolled back."""

    def stored_and_claimed() -> Script[None]:
        yield from storage._storing.store([an_entry("secret", "a@one.example", "b@two.example")])
        yield from storage._claiming.claim(NOW, TERMS, after="")

    storage.failing_commits = 1
    with pytest.raises(StorageError, match="disk is full"):
        storage.perform(stored_and_claimed())
    entry = an_entry("other", "c@one.example", "d@two.example")
    storage.store([entry])

    assert storage.claimed().email == entry[0]


def test_a_claim_whose_commit_nobody_answered_is_that_claim(storage: MemorySqlStorage) -> None:
    """Row 49."""
    storage.store([an_entry()])
    storage.lost_replies = 1

    claim = storage.claimed()

    assert storage.settle([settlement(claim, Delivered(tries=1))], NOW) == [True]
    assert storage.retrieve_status(id_of("one")).recipients[0].result == Delivered(tries=1)


def test_route_keys_take_turns_in_the_order_of_the_alphabet(storage: MemorySqlStorage) -> None:
    storage.store([an_entry(f"{key}{n}", f"{key}{n}@{key}.example") for n in range(2) for key in "bca"])

    keys = [storage.claimed().route_key[0] for _ in range(6)]

    assert keys == ["a", "b", "c", "a", "b", "c"]


def test_the_turn_goes_on_behind_a_key_that_has_nothing_left(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("b", "x@b.example"), an_entry("c", "x@c.example")])
    storage.claimed()

    storage.store([an_entry("a", "x@a.example"), an_entry("b2", "x@b.example")])

    assert [storage.claimed().route_key[0] for _ in range(3)] == ["c", "a", "b"]


def test_what_others_are_just_taking_is_passed_over() -> None:
    """As on PostgreSQL, where rows that are locked are not picked, and yet seen."""
    asked: list[Statement] = []
    stream = '[2, ""]'
    busy = iter([["busy.example"], ["busy.example.net", "busy.example.org"], []])

    def answer(statement: Statement | Batch) -> list[Row]:
        assert isinstance(statement, Statement)
        asked.append(statement)
        return [(key, stream, stream) for key in next(busy)] if "due_keys" in statement.sql else []

    granted = perform(Claiming(SQLITE).claim(NOW, replace(TERMS, skip=["a"]), after=""), answer)

    skips = [json.loads(str(each.params["skip"])) for each in asked if "due_keys" in each.sql]
    names = ["a", "busy.example", "busy.example.net", "busy.example.org"]
    assert (granted, skips) == ([], [names[:1], names[:2], names])


def test_what_fell_due_becomes_ready_a_part_at_a_time(storage: MemorySqlStorage) -> None:
    count = MOVED_AT_ONCE + CLAIM_LIMIT
    storage.store([an_entry("one", *(f"u{number}@dest.example" for number in range(count)), due_at=LATER)])
    ready = "SELECT count(*) FROM mailstrom_recipients WHERE place = 'ready'"

    found = []
    for _ in range(2):
        storage.claimed(LATER)
        found += storage.rows(ready)

    assert found == [(MOVED_AT_ONCE - CLAIM_LIMIT,), (MOVED_AT_ONCE - CLAIM_LIMIT,)]


def test_who_loses_one_recipient_to_another_claim_loses_the_claim(storage: MemorySqlStorage) -> None:
    """Row 52: half a claim would be sent to all its recipients."""
    storage.store([an_entry("one", *(f"u{number:03}@dest.example" for number in range(2 * CLAIM_LIMIT)))])
    first, second = storage.claimed(), storage.claimed()
    half = settlement(first, Delivered(tries=1)).outcomes[:50]
    storage.settle([Settlement(claim=first, outcomes=half)], NOW)
    storage.advance_lease_clock(WHOLE_LEASE_SECS)

    storage.claimed()  # the other half of the first, and half of the second

    assert storage.renew([first, second], LEASE) == [None, None]


def test_a_mark_outlives_the_claim_that_was_lost_with_it(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("one", *(f"u{number:03}@dest.example" for number in range(2 * CLAIM_LIMIT)))])
    first, second = storage.claimed(), storage.claimed()
    half = settlement(first, Delivered(tries=1)).outcomes[:50]
    storage.settle([Settlement(claim=first, outcomes=half)], NOW)
    last = second.recipients[-1].address
    storage.order(Order.CANCEL, Selection(address=last), NOW)
    storage.advance_lease_clock(WHOLE_LEASE_SECS)

    storage.claimed()
    rest = storage.claimed()

    assert last not in [each.address for each in rest.recipients]
    assert storage.retrieve_status(id_of("one")).recipients[-1].result.state == "failed"


def test_a_hold_that_took_effect_does_not_come_back_after_the_next_claim(storage: MemorySqlStorage) -> None:
    storage.store([an_entry()])
    storage.claimed()
    storage.order(Order.HOLD, EVERYTHING, NOW)
    storage.advance_lease_clock(WHOLE_LEASE_SECS)

    again = storage.claimed(EXPIRES_AT)
    storage.settle([settlement(again, deferred_until(EXPIRES_AT))], EXPIRES_AT)

    assert storage.retrieve_status(id_of("one")).recipients[0].result == deferred_until(EXPIRES_AT)


def test_a_renewed_claim_is_back_from_what_may_be_claimed(storage: MemorySqlStorage) -> None:
    storage.store([an_entry()])
    claim = storage.claimed()
    storage.advance_lease_clock(WHOLE_LEASE_SECS)
    assert storage.claim(NOW, owner="two", lease=LEASE, skip=[claim.route_key]) is None  # ready now

    storage.renew([claim], LEASE)

    assert storage.claim(NOW, owner="two", lease=LEASE) is None


def test_without_its_content_a_message_is_held_and_does_not_stop_the_others(
    storage: MemorySqlStorage,
) -> None:
    storage.store([an_entry("one"), an_entry("two")])
    storage.rows("DELETE FROM mailstrom_bodies WHERE seq = 1")

    assert storage.claimed().email.message_id == id_of("two")

    recipient = storage.retrieve_status(id_of("one")).recipients[0]
    assert recipient.result == Deferred(reason="held: the content is gone from the storage")
    assert (recipient.due_at, recipient.crashes) == (None, 0)


@pytest.mark.parametrize(
    "damage",
    [
        "recipients SET result = '{'",
        "recipients SET result = 'null'",
        """recipients SET result = replace(result, '"queued"', '"sought"')""",
        """messages SET envelope = replace(envelope, '{', '{"needs_more":true,')""",
        "messages SET envelope = ''",
    ],
)
def test_what_cannot_be_read_is_held_and_does_not_stop_the_others(
    storage: MemorySqlStorage, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    storage.store([an_entry("one"), an_entry("two")])
    storage.rows(f"UPDATE mailstrom_{damage} WHERE seq = 1")

    assert storage.overview(NOW).backlog[0].recipients == 2
    assert len(storage.retrieve_all_incomplete()) == 2
    assert storage.claimed().email.message_id == id_of("two")

    recipient = storage.retrieve_status(id_of("one")).recipients[0]
    assert (recipient.result.state, recipient.result.next_attempt_at) == ("deferred", None)
    assert [each.getMessage().split(": ")[:2] for each in caplog.records] == [[id_of("one"), "held"]]
    assert storage.order(Order.CANCEL, EVERYTHING, NOW)


def test_what_fell_due_by_a_clock_far_ahead_waits_again_by_the_right_one(storage: MemorySqlStorage) -> None:
    """Row 45."""
    storage.store([an_entry()])
    storage.settle([settlement(storage.claimed(), deferred_until(LATER))], NOW)
    storage.give_back(storage.claimed(LATER))

    assert storage.claim(NOW, owner="one", lease=LEASE) is None
    assert storage.next_due(NOW) == LATER
