"""How many deliveries a lane takes at once, and what its route keys have to do with it."""

from __future__ import annotations

from mailstrom.engine.lanes import Lanes


def test_a_lane_takes_as_many_deliveries_as_it_has_slots() -> None:
    lanes = Lanes(per_lane=2)

    taken = [lanes.take("mx.example", now=0.0) for _ in range(3)]

    assert taken == [True, True, False]


def test_every_route_key_of_a_full_lane_is_closed_and_no_other() -> None:
    lanes = Lanes(per_lane=1)
    lanes.learn("a.example", "mx.example")
    lanes.learn("b.example", "mx.example")
    lanes.learn("c.example", "other.example")

    lanes.take("mx.example", now=0.0)

    assert lanes.closed_keys == {"a.example", "b.example"}


def test_a_released_slot_opens_the_keys_again() -> None:
    lanes = Lanes(per_lane=1)
    lanes.learn("a.example", "mx.example")
    lanes.take("mx.example", now=0.0)

    lanes.release("mx.example")

    assert lanes.closed_keys == frozenset()
    assert lanes.take("mx.example", now=0.0)


def test_a_key_learned_while_its_lane_is_full_is_closed_at_once() -> None:
    lanes = Lanes(per_lane=1)
    lanes.take("mx.example", now=0.0)

    lanes.learn("late.example", "mx.example")

    assert lanes.closed_keys == {"late.example"}


def test_a_key_whose_mx_set_changed_follows_its_new_lane() -> None:
    lanes = Lanes(per_lane=1)
    lanes.learn("a.example", "old.example")
    lanes.take("old.example", now=0.0)

    lanes.learn("a.example", "new.example")

    assert lanes.closed_keys == frozenset()


def test_a_held_lane_takes_nothing_before_its_time_then_one_probe() -> None:
    """Row 32: one probe in 15 minutes."""
    lanes = Lanes(per_lane=5)
    lanes.learn("relay:r.example", "relay:r.example")
    lanes.hold("relay:r.example", until=900.0)

    before = lanes.take("relay:r.example", now=899.0)
    lanes.admit_probes(now=900.0)
    keys_for_the_probe = lanes.closed_keys
    probes = [lanes.take("relay:r.example", now=900.0) for _ in range(2)]

    assert (before, keys_for_the_probe, probes) == (False, frozenset(), [True, False])
    assert lanes.closed_keys == {"relay:r.example"}


def test_a_probe_that_gets_through_opens_the_lane() -> None:
    lanes = Lanes(per_lane=5)
    lanes.learn("relay:r.example", "relay:r.example")
    lanes.hold("relay:r.example", until=900.0)
    lanes.take("relay:r.example", now=900.0)

    lanes.clear_hold("relay:r.example")

    assert lanes.closed_keys == frozenset()
    assert lanes.take("relay:r.example", now=900.0)


def test_the_next_probe_is_the_earliest_hold_that_is_still_to_end() -> None:
    lanes = Lanes(per_lane=5)
    lanes.hold("a", until=900.0)
    lanes.hold("b", until=500.0)

    assert lanes.next_probe(now=0.0) == 500.0
    assert lanes.next_probe(now=600.0) == 900.0
    assert lanes.next_probe(now=1000.0) is None
