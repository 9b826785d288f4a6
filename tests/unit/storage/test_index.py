"""Leases in the index: which of them ends first, and what is left of those that are over."""

from __future__ import annotations

from mailstrom.storage.index import Lease, LeaseIndex
from mailstrom.testing.storage_kit import NOW, an_entry


def granted(index: LeaseIndex, name: str, domain: str, ends: float) -> Lease:
    """A lease on the one recipient of a new message."""
    index.add(an_entry(name, f"you@{domain}")[1])
    taken = index.take(NOW, ())
    assert taken is not None
    message, route_key, positions = taken
    before = {position: message.recipients[position] for position in positions}
    return index.grant(message, route_key, before, "one", ends)


def test_the_first_end_of_a_lease_is_that_of_one_which_lasts_and_is_not_skipped() -> None:
    index = LeaseIndex()
    keys = [f"d{number}.example" for number in range(5)]
    given_up, prolonged, *_ = [
        granted(index, f"m{number}", key, 10.0 + number) for number, key in enumerate(keys)
    ]
    index.release(given_up, list(given_up.before))
    index.prolong(prolonged, 99.0)

    found = [index.next_lease_end(skip) for skip in ((), keys[2:3], keys[2:4], keys[2:], keys[1:])]
    assert found == [12.0, 13.0, 14.0, 99.0, None]


def test_a_lease_that_is_over_is_no_first_end_until_it_is_prolonged() -> None:
    index = LeaseIndex()
    lease = granted(index, "one", "dest.example", 10.0)

    index.lapse(10.0)

    assert (lease.lapsed, index.next_lease_end(())) == (True, None)
    index.prolong(lease, 20.0)
    assert (lease.lapsed, index.next_lease_end(())) == (False, 20.0)


def test_leases_that_were_given_up_take_no_room_until_they_would_have_ended() -> None:
    index = LeaseIndex()
    for number in range(1000):
        lease = granted(index, f"m{number}", "dest.example", 10.0 + number)
        index.release(lease, list(lease.before))
        index.lapse(0.0)

    assert index._ends == []
