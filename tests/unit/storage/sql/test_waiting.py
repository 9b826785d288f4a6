"""What is looked ahead to: due times that are held, and more of them than fit into one batch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from mailstrom.storage.sql.controlling import PULLED_AT_ONCE
from mailstrom.testing.storage_kit import (
    EXPIRES_AT,
    LATER,
    LEASE,
    NOW,
    an_entry,
    deferred_until,
    settlement,
)
from tests.unit.storage.sql.memory import MemorySqlStorage


@pytest.fixture
def storage() -> Iterator[MemorySqlStorage]:
    with MemorySqlStorage() as storage:
        yield storage


def test_what_is_held_for_ever_does_not_hide_what_is_held_until_it_expires(storage: MemorySqlStorage) -> None:
    storage.store([an_entry("one", due_at=None), an_entry("two")])
    storage.settle([settlement(storage.claimed(), deferred_until(None))], NOW)

    assert storage.next_due(NOW) == EXPIRES_AT


def test_what_was_held_until_it_expired_leaves_the_storage_idle_until_it_is_claimed(
    storage: MemorySqlStorage,
) -> None:
    storage.store([an_entry()])
    storage.settle([settlement(storage.claimed(), deferred_until(None))], NOW)

    assert storage.claim(EXPIRES_AT, owner="one", lease=LEASE, skip=["dest.example"]) is None
    idle = [storage.is_idle()]
    storage.claimed(EXPIRES_AT)
    idle.append(storage.is_idle())

    assert idle == [True, False]


def test_where_something_is_due_nobody_looks_at_what_the_other_keys_have(storage: MemorySqlStorage) -> None:
    def effort(keys: int) -> int:
        storage.store([an_entry(f"{keys}.{n}", f"you@d{n}.example") for n in range(keys)])
        return storage.effort_of(lambda: storage.next_due(LATER, ["d0.example"]))

    assert effort(2) == effort(200)
    assert storage.next_due(LATER, ["d0.example"]) == LATER


def test_what_is_next_takes_one_question(storage: MemorySqlStorage) -> None:
    """An idle worker on PostgreSQL asks it each second."""
    storage.store([an_entry()])

    assert [len(storage.texts_of(lambda now=now: storage.next_due(now))) for now in (NOW, LATER)] == [1, 1]


def test_more_are_pulled_in_than_fit_into_one_batch(storage: MemorySqlStorage) -> None:
    count = PULLED_AT_ONCE + 1
    storage.store([an_entry("one", *(f"u{number}@dest.example" for number in range(count)))])
    while (claim := storage.claim(NOW, owner="one", lease=LEASE)) is not None:
        storage.settle([settlement(claim, deferred_until(NOW + timedelta(days=999)))], NOW)

    assert [storage.pull_in(LATER) for _ in range(2)] == [count, 0]


def test_what_a_clock_far_ahead_made_ready_is_pulled_in(storage: MemorySqlStorage) -> None:
    """Row 45."""
    ahead = NOW + timedelta(days=999)
    storage.store([an_entry()])
    storage.settle([settlement(storage.claimed(), deferred_until(ahead))], NOW)
    storage.give_back(storage.claimed(ahead))

    assert storage.pull_in(LATER) == 1

    assert storage.next_due(NOW) == LATER
