"""Claims of one step beyond the contract: one transaction, what it costs, and what a lost COMMIT leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mailstrom.abc import CLAIM_LIMIT, Claim, Terms
from mailstrom.errors import StorageError
from mailstrom.status import Delivered
from mailstrom.storage.sql.claiming import MOVED_AT_ONCE
from mailstrom.testing.storage_kit import LATER, LEASE, NOW, WHOLE_LEASE_SECS, an_entry, id_of, settlement
from tests.unit.storage.sql.memory import MemorySqlStorage


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


def stored(storage: MemorySqlStorage, count: int) -> list[str]:
    """The names of so many messages, for two domains by turns."""
    names = [f"{number}" for number in range(count)]
    storage.store([an_entry(name, f"u@{'ab'[int(name) % 2]}.example") for name in names])
    return names


def terms(limit: int = 50, **more: Any) -> Terms:
    return Terms(owner="one", lease=LEASE, limit=limit, **more)


def are_settled(storage: MemorySqlStorage, claims: list[Claim]) -> bool:
    """Each claim stood until now."""
    return all(storage.settle([settlement(claim, Delivered(tries=1)) for claim in claims], NOW))


def test_a_step_is_one_transaction(storage: MemorySqlStorage) -> None:
    stored(storage, 5)
    storage.transactions.clear()

    storage.claim_many(NOW, terms())

    assert len(storage.transactions) == 1


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_a_step_takes_seven_statements_however_many_claims_it_grants(
    storage: MemorySqlStorage, limit: int
) -> None:
    stored(storage, 60)
    storage.asked.clear()

    claims = storage.claim_many(NOW, terms(limit))

    assert (len(claims), len(storage.asked)) == (limit, 7)


def test_a_step_takes_one_statement_more_where_leases_have_ended(storage: MemorySqlStorage) -> None:
    stored(storage, 50)
    storage.claim_many(NOW, terms())
    storage.advance_lease_clock(WHOLE_LEASE_SECS)
    storage.asked.clear()

    claims = storage.claim_many(NOW, terms())

    assert (len(claims), len(storage.asked)) == (50, 8)


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_a_step_takes_one_statement_more_where_streams_take_turns(
    storage: MemorySqlStorage, limit: int
) -> None:
    storage.store([an_entry(f"{number}", stream=f"s{number % 7}") for number in range(60)])
    storage.asked.clear()

    claims = storage.claim_many(NOW, terms(limit))

    assert (len(claims), len(storage.asked)) == (limit, 8)


def test_where_streams_end_in_a_step_the_others_are_asked_once_more_for_all_that_is_left(
    storage: MemorySqlStorage,
) -> None:
    storage.store([an_entry(f"{number}", stream="" if number < 60 else f"s{number}") for number in range(70)])
    storage.asked.clear()

    claims = storage.claim_many(NOW, terms(50))

    assert (len(claims), len(storage.asked)) == (50, 9)


def test_more_streams_than_a_key_was_thought_to_need_are_looked_for_where_others_end(
    storage: MemorySqlStorage,
) -> None:
    mail = [("a", number) for number in range(40)] + [("b", number) for number in range(2)]
    storage.store([an_entry(f"{key}{n}", f"u@{key}.example", stream=f"{n}") for key, n in mail])

    claims = storage.claim_many(NOW, terms(42))

    assert len({claim.email.message_id for claim in claims}) == 42


@pytest.mark.parametrize("streams", [1, 10, 1000])
def test_a_step_costs_as_much_however_much_waits(storage: MemorySqlStorage, streams: int) -> None:
    """Claims of one route key, after the first that has learnt whose turn it is."""
    efforts = []
    for first, last in ((0, 1000), (1000, 5000)):
        storage.store([an_entry(f"{n}", stream=f"s{n % streams}") for n in range(first, last)])
        storage.claim_many(NOW, terms(20))
        efforts.append(storage.effort_of(lambda: storage.claim_many(NOW, terms(20))))

    assert efforts[1] < 1.2 * efforts[0]


def test_the_turns_of_streams_go_on_where_the_last_step_ended(storage: MemorySqlStorage) -> None:
    storage.store([an_entry(f"{name}{n}", stream=name) for n in range(2) for name in "abc"])

    steps = [[claim.email.message_id[0] for claim in storage.claim_many(NOW, terms(2))] for _ in range(3)]

    assert steps == [["a", "b"], ["c", "a"], ["b", "c"]]


def test_a_step_whose_commit_fails_ends_the_turn_of_no_stream(storage: MemorySqlStorage) -> None:
    storage.store([an_entry(f"{name}{n}", stream=name) for n in range(2) for name in "abc"])
    storage.failing_commits = 1

    with pytest.raises(StorageError, match="disk is full"):
        storage.claim_many(NOW, terms(2))

    assert [claim.email.message_id[0] for claim in storage.claim_many(NOW, terms(2))] == ["a", "b"]


def test_what_one_route_key_is_admitted_for_is_granted_in_one_step(storage: MemorySqlStorage) -> None:
    storage.store([an_entry(f"{number}") for number in range(60)])
    storage.asked.clear()

    claims = storage.claim_many(NOW, terms(admits=lambda _, before: len(before) < 20))

    assert [claim.email.message_id for claim in claims] == [id_of(f"{number}") for number in range(20)]
    assert len(storage.asked) == 7  # there is no other key


def test_keys_that_are_refused_one_after_the_other_are_asked_for_in_ever_larger_parts(
    storage: MemorySqlStorage,
) -> None:
    storage.store([an_entry(f"{number}", f"u@d{number}.example") for number in range(300)])
    storage.asked.clear()

    claims = storage.claim_many(NOW, terms(1, admits=lambda key, _: key == "d99.example"))

    assert [claim.route_key for claim in claims] == ["d99.example"]
    assert [each.params["count"] for each in storage.asked if "due_keys" in each.sql] == [
        *(1, 2, 4, 8, 16, 32, 64, 128, 200)
    ]


def test_of_turns_behind_one_that_comes_to_nothing_none_is_counted_as_granted(
    storage: MemorySqlStorage,
) -> None:
    """An order ended it, or it cannot be read: what was admitted beside it is asked for again."""
    storage.store([an_entry(f"{key}{number}", f"u@{key}.example") for number in range(2) for key in "abc"])
    storage.rows("UPDATE mailstrom_recipients SET result = '' WHERE seq = 2")

    claims = storage.claim_many(NOW, terms(admits=lambda _, before: len(before) < 3))

    assert [claim.email.message_id for claim in claims] == [id_of(each) for each in ("a0", "c0", "a1")]


def test_the_email_of_a_message_to_many_is_read_once_in_a_step(storage: MemorySqlStorage) -> None:
    """Row 59."""
    storage.store([an_entry("big", *(f"u{number}@dest.example" for number in range(3 * CLAIM_LIMIT)))])
    storage.asked.clear()

    claims = storage.claim_many(NOW, terms())

    assert len([each for each in storage.asked if "m.envelope" in each.sql]) == 1
    assert [claim.email is claims[0].email for claim in claims] == [True] * 3


def test_a_step_whose_commit_nobody_answered_is_those_claims(storage: MemorySqlStorage) -> None:
    """Row 49."""
    names = stored(storage, 3)
    storage.lost_replies = 1

    claims = storage.claim_many(NOW, terms())

    assert sorted(claim.email.message_id for claim in claims) == [id_of(name) for name in names]
    assert [storage.retrieve_status(id_of(name)).recipients[0].crashes for name in names] == [1, 1, 1]
    assert are_settled(storage, claims)


def test_a_step_of_which_one_claim_is_over_since_still_stands(storage: MemorySqlStorage) -> None:
    """Row 49: an order may have ended it before anybody asked whether the COMMIT was performed."""
    stored(storage, 3)
    granted = storage.perform(storage._claiming.claim(NOW, terms(), after=""))

    for each in granted[:2]:
        storage.give_back(each.claim)

    assert storage.perform(storage._claiming.stand(granted))
    storage.give_back(granted[2].claim)
    assert not storage.perform(storage._claiming.stand(granted))


def test_a_step_that_granted_nothing_is_made_again_where_nobody_answered(storage: MemorySqlStorage) -> None:
    storage.lost_replies = 1

    assert storage.claim_many(NOW, terms()) == []


def test_a_step_whose_commit_fails_has_granted_nothing(storage: MemorySqlStorage) -> None:
    """Nor is the turn of any route key over, nor are their emails known."""
    names = stored(storage, 4)
    storage.failing_commits = 1

    with pytest.raises(StorageError, match="disk is full"):
        storage.claim_many(NOW, terms(3))

    assert [storage.retrieve_status(id_of(name)).recipients[0].crashes for name in names] == [0] * 4
    assert [claim.route_key[0] for claim in storage.claim_many(NOW, terms(3))] == ["a", "b", "a"]


def test_the_turn_goes_on_behind_the_last_key_of_a_step(storage: MemorySqlStorage) -> None:
    storage.store([an_entry(f"{key}{n}", f"{key}{n}@{key}.example") for n in range(2) for key in "abc"])

    steps = [[claim.route_key[0] for claim in storage.claim_many(NOW, terms(2))] for _ in range(3)]

    assert steps == [["a", "b"], ["c", "a"], ["b", "c"]]


def test_a_step_makes_ready_as_much_as_it_can_use_and_no_more_than_that(storage: MemorySqlStorage) -> None:
    """A wave that falls due at once is not written in one transaction."""
    count = 5 * MOVED_AT_ONCE
    storage.store([an_entry("one", *(f"u{number}@dest.example" for number in range(count)), due_at=LATER)])

    left = []
    for limit in (9, 12):
        assert len(storage.claim_many(LATER, terms(limit))) == limit
        left += storage.rows("SELECT count(*) FROM mailstrom_recipients WHERE place = 'later'")

    assert left == [(4 * MOVED_AT_ONCE,), (2 * MOVED_AT_ONCE,)]


def test_what_fell_due_for_keys_that_are_passed_over_is_not_made_ready_without_end(
    storage: MemorySqlStorage,
) -> None:
    count = 3 * MOVED_AT_ONCE
    storage.store([an_entry("one", *(f"u{number}@dest.example" for number in range(count)), due_at=LATER)])

    assert storage.claim_many(LATER, terms(skip=["dest.example"])) == []

    ready = "SELECT count(*) FROM mailstrom_recipients WHERE place = 'ready'"
    assert storage.rows(ready) == [(MOVED_AT_ONCE,)]
