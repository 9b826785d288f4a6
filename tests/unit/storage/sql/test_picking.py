"""Turns: a step grants what claims one by one would, in the same order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstrom.abc import CLAIM_LIMIT, Claim, Terms
from mailstrom.records import Priority
from mailstrom.storage.sql.picking import Wanted
from mailstrom.testing.storage_kit import LEASE, NOW, addresses_of, an_entry
from tests.unit.storage.sql.memory import MemorySqlStorage

Admits = Callable[[str, Sequence[str]], bool]

#: For which domain, to how many, how many minutes ago it fell due, in which stream, of which priority.
MESSAGES = st.lists(
    st.tuples(
        st.sampled_from("aaabcde"),
        st.sampled_from([1, 2, CLAIM_LIMIT + 1]),
        st.integers(-1, 2),
        st.sampled_from(["", "", "s", "t", "u", "v"]),
        st.sampled_from(get_args(Priority)),
    ),
    max_size=16,
)
Messages = Sequence[tuple[str, int, int, str, Priority]]
SKIPPED = st.sets(st.sampled_from(["a.example", "c.example", "e.example"]), max_size=2)


def test_a_key_has_one_turn_in_each_lap_wherever_laps_begin() -> None:
    with MemorySqlStorage() as storage:
        storage.store([an_entry(f"{key}{n}", f"u{n}@{key}.example") for n in range(2) for key in "abc"])

        found = {after: turns_of(storage, after) for after in ("", "a.example", "b", "c.example", "z")}

    assert found == {
        "": "abcabc",
        "a.example": "bcabca",
        "b": "bcabca",
        "c.example": "abcabc",
        "z": "abcabc",
    }


def test_no_more_keys_and_turns_are_looked_for_than_are_asked_for() -> None:
    with MemorySqlStorage() as storage:
        storage.store([an_entry(f"{n}", f"u@d{n:03}.example") for n in range(20)])
        few = storage.effort_of(lambda: turns_of(storage, "", count=5))
        storage.store([an_entry(f"more{n}", f"u@e{n:03}.example") for n in range(1000)])

        many = storage.effort_of(lambda: turns_of(storage, "", count=5))

    assert many < 1.2 * few


def test_the_last_hundred_of_a_message_to_many_are_found_as_quickly_as_the_first() -> None:
    """Row 59."""
    with MemorySqlStorage() as storage:
        storage.store([an_entry("big", *(f"u{n}@dest.example" for n in range(30 * CLAIM_LIMIT)))])
        first = storage.effort_of(lambda: turns_of(storage, "", count=1))
        storage.claim_many(NOW, Terms(owner="one", lease=LEASE, limit=28))

        last = storage.effort_of(lambda: turns_of(storage, "", count=1))

    assert last < 1.2 * first


@settings(max_examples=60, deadline=None)
@given(MESSAGES, SKIPPED, st.integers(1, 30), st.integers(1, 4), st.integers(1, 9))
def test_a_step_grants_what_claims_one_by_one_would(
    messages: Messages, skip: set[str], limit: int, of_each: int, of_all: int
) -> None:
    def admits(route_key: str, before: Sequence[str]) -> bool:
        return before.count(route_key) < of_each and (route_key[0] in "ab" or len(before) < of_all)

    at_once, by_turns = (filled(messages) for _ in range(2))
    with at_once, by_turns:
        for _ in range(2):
            terms = Terms(owner="one", lease=LEASE, limit=limit, skip=skip, admits=admits)
            granted = at_once.claim_many(NOW, terms)

            assert told(granted) == told(one_by_one(by_turns, limit, skip, admits))


def turns_of(storage: MemorySqlStorage, after: str, count: int = 50) -> str:
    """The first letters of the keys whose turns they are."""
    wanted = Wanted(count=count, after=after)
    picked = storage.perform(storage._claiming._picking.pick(NOW, wanted))
    return "".join(turn.route_key[0] for turn in picked.turns)


def filled(messages: Messages) -> MemorySqlStorage:
    storage = MemorySqlStorage()
    storage.store(
        [
            an_entry(
                f"{number}",
                *(f"u{reader}@{key}.example" for reader in range(readers)),
                due_at=NOW - timedelta(minutes=minutes),
                stream=stream,
                priority=priority,
            )
            for number, (key, readers, minutes, stream, priority) in enumerate(messages)
        ]
    )
    return storage


def one_by_one(storage: MemorySqlStorage, limit: int, skip: set[str], admits: Admits) -> list[Claim]:
    claims: list[Claim] = []

    def beside(route_key: str, _: Sequence[str]) -> bool:
        return admits(route_key, [claim.route_key for claim in claims])

    while len(claims) < limit:
        alone = Terms(owner="one", lease=LEASE, skip=skip, admits=beside)
        if not (found := storage.claim_many(NOW, alone)):
            break
        claims += found
    return claims


def told(claims: Sequence[Claim]) -> list[tuple[str, int, list[str]]]:
    """Which message's recipients each claim has, and its token."""
    return [(claim.email.message_id, claim.token, addresses_of(claim)) for claim in claims]
