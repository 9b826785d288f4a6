"""Claims and marks of one call over a plain storage that fails for some: nothing is done by halves."""

from __future__ import annotations

import pytest

from mailstrom.abc import Claim, Terms
from mailstrom.errors import StorageError
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.storage_kit import LEASE, NOW, addresses_of, an_entry, id_of, settlement
from tests.unit.storage.lifting import DELIVERED, Failing, lifted


def holding(plain: Failing, *names: str) -> ExclusiveStorage:
    """A lifted storage with these messages for one domain."""
    storage = lifted(plain)
    storage.store([an_entry(name) for name in names])
    return storage


def step(storage: ExclusiveStorage, limit: int = 50) -> list[Claim]:
    """What one step grants."""
    return storage.claim_many(NOW, Terms(owner="one", lease=LEASE, limit=limit))


def names_of(claims: list[Claim]) -> list[str]:
    """Which messages they are of."""
    return [claim.email.message_id.partition("@")[0] for claim in claims]


@pytest.mark.parametrize("method", ["update_status", "retrieve"])
def test_a_step_that_fails_for_all_grants_nothing_and_says_so(method: str) -> None:
    plain = Failing(durable=True)
    storage = holding(plain, "a", "b")
    plain.fails = {method}

    with pytest.raises(StorageError, match="the disk is gone"):
        step(storage)

    assert [storage.retrieve_status(id_of(name)).recipients[0].crashes for name in "ab"] == [0, 0]
    plain.fails = set()
    assert names_of(step(storage)) == ["a", "b"]


@pytest.mark.parametrize("method", ["update_status", "retrieve"])
def test_what_a_step_fails_for_alone_is_left_out_and_not_counted_as_a_crash(method: str) -> None:
    plain = Failing(durable=True)
    storage = holding(plain, "a", "bad", "c")
    plain.fails = {f"{method} {id_of('bad')}"}

    claims = step(storage)

    assert names_of(claims) == ["a", "c"]
    assert storage.retrieve_status(id_of("bad")).recipients[0].crashes == 0
    assert storage.settle([settlement(claim, DELIVERED) for claim in claims], NOW) == [True, True]


def test_a_storage_that_begins_to_fail_within_a_step_grants_what_it_had_written() -> None:
    """Else these would be claimed by nobody until their leases are over."""
    plain = Failing(durable=True)
    storage = holding(plain, *"abcdefg")
    plain.fails = {f"update_status {id_of(name)}" for name in "cdefg"}

    assert names_of(step(storage)) == ["a", "b"]

    with pytest.raises(StorageError, match="the disk is gone"):
        step(storage)


def test_each_claim_of_a_step_is_written_ahead() -> None:
    plain = Failing(durable=True)
    storage = holding(plain, "a", "b", "c")

    step(storage, limit=2)

    assert [plain.statuses[id_of(name)].recipients[0].crashes for name in "abc"] == [1, 1, 0]


def test_a_call_in_which_a_mark_cannot_be_written_fails_and_may_be_made_again() -> None:
    """Row 46: nobody sends a dot then, so a mark that was made before it does no harm."""
    plain = Failing(durable=True)
    storage = holding(plain, "a", "bad", "c")
    claims = step(storage)
    dots = [(claim, addresses_of(claim)) for claim in claims]
    plain.fails = {f"update_status {id_of('bad')}"}

    with pytest.raises(StorageError, match="the disk is gone"):
        storage.mark_dots_sent(dots)

    plain.fails = set()
    assert storage.mark_dots_sent(dots) == [True, True, True]
    assert [storage.retrieve_status(id_of(name)).recipients[0].dot_sent for name in ("a", "bad", "c")] == [
        True,
        True,
        True,
    ]


class Skip(frozenset[str]):
    """Route keys that count who asks for them."""

    asked: int = 0

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return super().__contains__(key)


def test_each_key_is_asked_about_once_in_a_step() -> None:
    storage = lifted(Failing())
    storage.store([an_entry(f"m{number}", f"you@d{number % 3}.example") for number in range(9)])
    skip = Skip({"d0.example"})

    claims = storage.claim_many(NOW, Terms(owner="one", lease=LEASE, limit=50, skip=skip))

    assert [claim.route_key for claim in claims] == ["d1.example", "d2.example"] * 3
    assert skip.asked == 3


def test_keys_that_are_passed_over_are_not_asked_about_one_by_one_where_they_are_many() -> None:
    """All domains of a large provider have one lane, which may be full."""
    storage = lifted(Failing())
    keys = [f"d{number}.example" for number in range(500)]
    storage.store([an_entry(key, f"you@{key}") for key in keys])
    skip = Skip(keys[:-1])

    [claim] = storage.claim_many(NOW, Terms(owner="one", lease=LEASE, limit=50, skip=skip))
    assert storage.next_due(NOW, skip) == NOW + LEASE

    assert (claim.route_key, skip.asked < 100) == (keys[-1], True)


def test_a_claim_that_is_not_written_ahead_is_shown_and_goes_with_what_is_written_next() -> None:
    plain = Failing(durable=False)
    storage = lifted(plain)
    storage.store([an_entry("one", "you@a.example", "you@b.example")])

    first, _ = step(storage)

    shown = storage.retrieve_status(id_of("one"))
    assert ([each.crashes for each in shown.recipients], plain.writes) == ([1, 1], 0)
    assert storage.retrieve_all_incomplete() == [shown]
    storage.settle([settlement(first, DELIVERED)], NOW)
    written = plain.statuses[id_of("one")]
    assert [each.crashes for each in written.recipients] == [0, 1]
    assert storage.retrieve_status(id_of("one")) == written
