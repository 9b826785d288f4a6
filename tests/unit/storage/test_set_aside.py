"""What a plain storage fails for alone is set aside; where it fails for all, it says so each time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from mailstrom.abc import InternalMessageStatus, PreparedEmail
from mailstrom.errors import StorageError
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.storage_kit import LEASE, NOW, an_entry
from tests.contract.plain_storage import PlainStorage
from tests.unit.storage.lifting import claimed, settle


class Spoiled(PlainStorage):
    """Cannot read some of its emails."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: set[str] = set()

    def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
        if message_id.partition("@")[0] in self.unreadable:
            raise OSError(5, "bad sector")
        return super().retrieve(message_id)


class Bench:
    """A lifted storage with messages for one domain, of which some cannot be read."""

    def __init__(self, names: Iterable[str], unreadable: Iterable[str]) -> None:
        self.plain = Spoiled()
        self.plain.unreadable = set(unreadable)
        self.instant = 0.0
        self.storage = ExclusiveStorage(self.plain, lease_clock=lambda: self.instant)
        for name in names:
            self.storage.store([an_entry(name)])

    def claimed(self) -> str:
        """Which message the next claim is of."""
        return claimed(self.storage).email.message_id.partition("@")[0]

    def has_none(self) -> bool:
        return self.storage.claim(NOW, owner="one", lease=LEASE) is None


def test_an_email_that_cannot_be_read_does_not_hold_up_those_behind_it() -> None:
    """Row 56: one route key, so fairness between route keys is no help."""
    bench = Bench(["bad", "one", "two"], ["bad"])

    assert [bench.claimed(), bench.claimed()] == ["one", "two"]
    assert bench.has_none()


def test_many_that_cannot_be_read_delay_those_behind_them_by_a_few_calls() -> None:
    bad = [f"bad{number}" for number in range(5)]
    bench = Bench([*bad, "good"], bad)

    with pytest.raises(StorageError, match="bad sector"):
        bench.claimed()

    assert bench.claimed() == "good"


@pytest.mark.parametrize("count", [1, 3, 5])
def test_where_none_can_be_read_every_call_says_so_and_all_are_had_at_once_when_they_can(count: int) -> None:
    """Row 48: a storage that fails for all is no fault of a message."""
    names = [f"{number}" for number in range(count)]
    bench = Bench(names, names)
    for _ in range(20):
        with pytest.raises(StorageError, match="bad sector"):
            bench.claimed()

    bench.plain.unreadable.clear()

    assert sorted(bench.claimed() for _ in names) == names


def test_what_was_set_aside_is_tried_again_later_and_later_and_falls_due_then() -> None:
    bench = Bench(["bad", "good"], ["bad"])
    settle(bench.storage, claimed(bench.storage))
    waits = []
    for _ in range(10):
        due_at = bench.storage.next_due(NOW, skip=())
        assert due_at is not None
        waits.append((due_at - NOW).total_seconds())
        bench.instant += waits[-1]
        assert bench.has_none()

    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_what_was_set_aside_and_can_be_read_again_is_claimed() -> None:
    bench = Bench(["bad", "good"], ["bad"])
    bench.claimed()
    bench.plain.unreadable.clear()
    assert bench.has_none()

    bench.instant += 5

    assert bench.claimed() == "bad"
