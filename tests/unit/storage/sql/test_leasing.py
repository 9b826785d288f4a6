"""Marks of one call beyond the contract: what they cost, and in which order they lock."""

from __future__ import annotations

import json
from collections.abc import Collection

from mailstrom.abc import Claim
from mailstrom.storage.sql.dialect import postgres
from mailstrom.storage.sql.leasing import Leasing
from mailstrom.storage.sql.script import Batch, Row, Statement, perform
from mailstrom.testing.storage_kit import addresses_of, an_entry
from tests.unit.storage.sql.memory import MemorySqlStorage


def dots_of(storage: MemorySqlStorage, *names: str) -> list[tuple[Claim, Collection[str]]]:
    """Marks for a claim of each of these new messages."""
    storage.store([an_entry(name) for name in names])
    claims = [storage.claimed() for _ in names]
    return [(claim, addresses_of(claim)) for claim in claims]


def test_a_mark_that_comes_alone_takes_one_statement_and_each_more_another() -> None:
    with MemorySqlStorage() as storage:
        one, *three = dots_of(storage, "a", "b", "c", "d")

        texts = [storage.texts_of(lambda dots=dots: storage.mark_dots_sent(dots)) for dots in ([one], three)]

    assert [len(each) for each in texts] == [1, 1 + 3]


def test_what_several_marks_need_is_locked_before_the_first_in_the_order_of_the_queue() -> None:
    """As an order locks what it meets: else each could wait for the other."""
    with MemorySqlStorage() as storage:
        dots = dots_of(storage, "a", "b", "c")[::-1]
    asked: list[Statement] = []

    def answer(statement: Statement | Batch) -> list[Row]:
        assert isinstance(statement, Statement)
        asked.append(statement)
        return []

    perform(Leasing(postgres("queue")).mark_dots_sent(dots), answer)

    _, locks = asked[0].sql.split("ORDER BY ")
    assert locks == "r.seq, r.position FOR UPDATE OF r"
    assert json.loads(str(asked[0].params["tokens"])) == [claim.token for claim, _ in dots]
