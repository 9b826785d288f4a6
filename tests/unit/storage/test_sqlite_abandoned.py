"""The claims of the dead where there are no locks that would tell who lives: on Windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from mailstrom.storage.sql.script import Script
from mailstrom.storage.sqlite_abandoned import LONGEST_LEASE_SECS, AbandonedClaims
from mailstrom.testing.storage_kit import LEASE, NOW, an_entry
from tests.unit.storage.sql.memory import MemorySqlStorage
from tests.unit.storage.sqlite_kit import LeaseClock

T = TypeVar("T")


@pytest.mark.parametrize(
    ("passed_secs", "is_over"),
    [(-LONGEST_LEASE_SECS - 60, True), (0, False)],
    ids=["the clock has begun anew", "the same clock"],
)
def test_a_lease_from_before_the_machines_start_is_over(passed_secs: float, is_over: bool) -> None:
    """The lease clock begins anew with the machine: it would last until it comes there again."""
    with MemorySqlStorage() as storage:
        storage.advance_lease_clock(1_000_000)
        storage.store([an_entry()])
        storage.claimed()
        storage.advance_lease_clock(passed_secs)

        def perform(script: Callable[[], Script[T]]) -> T:
            return storage.perform(script())

        AbandonedClaims(None, read=perform, write=perform, clock=LeaseClock()).end()

        assert (storage.claim(NOW, owner="after", lease=LEASE) is not None) == is_over
