"""How SQLite finds what a statement asks for: by an index, never by reading all recipients."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from mailstrom.abc import Claim, Order, Selection, Terms
from mailstrom.status import Delivered
from mailstrom.storage.sql.claiming import Claiming
from mailstrom.storage.sql.contents import Contents
from mailstrom.storage.sql.controlling import Controlling
from mailstrom.storage.sql.dialect import postgres
from mailstrom.storage.sql.events import Events
from mailstrom.storage.sql.leasing import Leasing
from mailstrom.storage.sql.notes import Notes
from mailstrom.storage.sql.reading import Reading
from mailstrom.storage.sql.settling import Settling
from mailstrom.storage.sql.storing import Storing
from mailstrom.storage.sql.tables import first_tables, tables_of_blocks
from mailstrom.storage.sql.waiting import Waiting
from mailstrom.storage.sql.writing import Writing
from mailstrom.testing.storage_kit import LEASE, NOW, an_entry, id_of, settlement
from tests.unit.storage.sql.memory import MemorySqlStorage

_STEP = Terms(owner="one", lease=LEASE, limit=10)

Call = Callable[[MemorySqlStorage], object]

LARGE = replace(an_entry("large")[0], content=b"x" * 1_000_000), an_entry("large")[1]


def claimed_large(storage: MemorySqlStorage) -> Claim:
    storage.store([LARGE])
    claims = storage.claim_many(NOW, Terms(owner="one", lease=LEASE, limit=9, content_limit=1))
    return next(each for each in claims if each.email.message_id == id_of("large"))


CALLS: dict[str, Call] = {
    "claim large": claimed_large,
    "read content": lambda storage: storage.read_content(claimed_large(storage), 500_000),
    "store": lambda storage: storage.store([an_entry("new")]),
    "claim": lambda storage: storage.claimed(),
    "claim of several streams": lambda storage: storage.claim_many(NOW, _STEP),
    "claim nothing": lambda storage: storage.claim(NOW, owner="one", lease=LEASE, skip=["dest.example"]),
    "renew": lambda storage: storage.renew([storage.claimed()], LEASE),
    "mark": lambda storage: storage.mark_dot_sent(storage.claimed(), ["you@dest.example"]),
    "mark two": lambda storage: storage.mark_dots_sent([(storage.claimed(), ["a"]) for _ in range(2)]),
    "settle": lambda storage: storage.settle([settlement(storage.claimed(), Delivered(tries=1))], NOW),
    "give back": lambda storage: storage.give_back(storage.claimed()),
    "give back two": lambda storage: storage.give_back_many(storage.claim_many(NOW, _STEP)[:2]),
    "next due": lambda storage: storage.next_due(NOW, ["dest.example"]),
    "is idle": lambda storage: storage.is_idle(),
    "pull in": lambda storage: storage.pull_in(NOW),
    "retrieve": lambda storage: storage.retrieve_status(id_of("one")),
    "cancel one": lambda storage: storage.order(Order.CANCEL, Selection(message_id=id_of("one")), NOW),
    "order many": lambda storage: storage.order(Order.HOLD, Selection(destination="dest.example"), NOW),
    "incomplete": lambda storage: storage.retrieve_all_incomplete(Selection(state="queued"), limit=10),
    "recent": lambda storage: storage.retrieve_all_recent(),
    "overview": lambda storage: storage.overview(NOW),
    "events": lambda storage: storage.events(),
    "forget": lambda storage: storage.forget("you@dest.example", NOW),
    "purge": lambda storage: storage.purge(NOW),
}

PARTS = (
    *(Claiming, Contents, Controlling, Events, Leasing, Notes),
    *(Reading, Settling, Storing, Waiting, Writing),
)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_no_table_is_read_from_end_to_end(call: Call) -> None:
    with MemorySqlStorage() as storage:
        storage.store([an_entry("one"), an_entry("two", stream="other"), an_entry("three", priority="low")])
        storage.asked.clear()
        call(storage)

        plans = {each.sql: plan_of(storage, each.sql) for each in list(storage.asked)}

    whole = {sql: steps for sql, steps in plans.items() if any(map(is_whole_scan, steps))}
    assert whole == {}


def test_the_texts_of_statements_are_made_once() -> None:
    with MemorySqlStorage() as storage:
        storage.store([an_entry("one", "a@one.example"), an_entry("two", "b@two.example")])

        texts = [storage.texts_of(storage.claimed) for _ in range(2)]

    assert [one is two for one, two in zip(*texts, strict=True)] == [True] * 7


def test_no_statement_of_postgresql_has_what_its_drivers_take_for_a_parameter() -> None:
    """`%` is psycopg's, `::` would be read as the parameter behind it."""
    dialect = postgres("queue")
    parts = [make(dialect) for make in PARTS]

    texts = [*first_tables(dialect), *tables_of_blocks(dialect)]
    texts += [str(value) for part in parts for value in vars(part).values()]

    assert [text for text in texts if "%" in text or "::" in text] == []


def plan_of(storage: MemorySqlStorage, sql: str) -> list[str]:
    given = {name: json.dumps([1]) for name in re.findall(r":(\w+)", sql)}
    return [step for *_, step in storage.rows(f"EXPLAIN QUERY PLAN {sql}", **given)]


def is_whole_scan(step: str) -> bool:
    """SCAN of a table of ours, unless an index leads through it that holds only what is looked for."""
    scanned = re.match(r"SCAN (mailstrom_(?:messages|recipients|events|bodies|blocks)|[mrehd])\b", step)
    partial = re.search(r"_(open|unreported|ready|turns|later|held|claimed|token|delivered)\b", step)
    return scanned is not None and partial is None
