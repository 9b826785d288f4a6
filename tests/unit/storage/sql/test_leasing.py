"""Marks of one call beyond the contract: what they cost, and in which order they lock."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest

from mailstrom.abc import Claim, Settlement
from mailstrom.storage.sql.dialect import postgres
from mailstrom.storage.sql.leasing import Leasing
from mailstrom.testing.storage_kit import NOW, addresses_of, an_entry, delivered_to
from tests.unit.storage.sql.memory import MemorySqlStorage


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


def dots_of(storage: MemorySqlStorage, *names: str) -> list[tuple[Claim, Collection[str]]]:
    """Marks for a claim of each of these new messages."""
    storage.store([an_entry(name, f"{name}@dest.example") for name in names])
    claims = [storage.claimed() for _ in names]
    return [(claim, addresses_of(claim)) for claim in claims]


@pytest.mark.parametrize("count", [1, 2, 50])
def test_marks_of_claims_for_one_take_one_statement_however_many_they_are(
    storage: MemorySqlStorage, count: int
) -> None:
    dots = dots_of(storage, *(f"{number}" for number in range(count)))

    assert len(storage.texts_of(lambda: storage.mark_dots_sent(dots))) == 1


@pytest.mark.parametrize("count", [1, 2, 50])
def test_marks_of_claims_for_several_take_two_statements_however_many_they_are(
    storage: MemorySqlStorage, count: int
) -> None:
    storage.store([an_entry(f"{number}", "a@dest.example", "b@dest.example") for number in range(count)])
    claims = [storage.claimed() for _ in range(count)]
    dots = [(claim, addresses_of(claim)) for claim in claims]

    assert len(storage.texts_of(lambda: storage.mark_dots_sent(dots))) == 2


def test_marks_for_one_and_for_several_are_answered_each_in_its_place(storage: MemorySqlStorage) -> None:
    alone, lost = dots_of(storage, "one", "two")
    storage.store([an_entry("three", "a@dest.example", "b@dest.example")])
    several = storage.claimed()
    storage.settle([Settlement(claim=lost[0], outcomes=(delivered_to("two@dest.example"),))], NOW)
    of_nobody = (alone[0], ["else@dest.example"])

    asked = [lost, (several, addresses_of(several)), of_nobody, alone]

    assert storage.mark_dots_sent(asked) == [False, True, False, True]


def test_of_two_marks_for_one_claim_each_is_answered_for_itself(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("one", "a@dest.example", "b@dest.example")])
    claim = storage.claimed()
    storage.settle([Settlement(claim=claim, outcomes=(delivered_to("a@dest.example"),))], NOW)
    both, rest = addresses_of(claim), ["b@dest.example"]

    assert storage.mark_dots_sent([(claim, both), (claim, rest), (claim, rest), (claim, [])]) == [
        *(False, True, True, False)
    ]


def test_an_address_that_stands_twice_in_a_message_is_marked_twice(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("one", "a@dest.example", "a@dest.example")])

    assert storage.mark_dot_sent(storage.claimed(), ["a@dest.example"])

    assert storage.rows("SELECT dot_sent FROM mailstrom_recipients") == [(1,), (1,)]


def test_what_marks_need_is_locked_in_the_order_of_the_queue(storage: MemorySqlStorage) -> None:
    """As an order locks what it meets: else each could wait for the other."""
    text = Leasing(postgres("queue"))._mark_dots_sent

    locked, _ = text.split("UPDATE queue.recipients")
    assert locked.split("ORDER BY ")[1].strip(" )\n") == "r.seq, r.position FOR UPDATE OF r"
