"""How many deliveries a lane takes at once, and what its route keys have to do with it."""

from __future__ import annotations

from dataclasses import replace

from mailstrom.engine.gates import LaneGate
from mailstrom.engine.lanes import KEYS_KNOWN, Lanes, Slot

RELAY = "relay:r.example"


def moved(lanes: Lanes, route_key: str, lane: str, now: float = 0.0) -> Slot | None:
    """A slot that came to its lane; None where that had no room."""
    slot = lanes.enter(route_key)
    if lanes.move(slot, lane, now):
        return slot
    lanes.leave(slot)
    return None


def known(lanes: Lanes, lane: str, *route_keys: str) -> None:
    """The keys are known to lead to the lane, which is idle."""
    for route_key in route_keys:
        slot = moved(lanes, route_key, lane)
        assert slot is not None
        lanes.leave(slot)


def test_a_lane_takes_as_many_deliveries_as_it_has_slots() -> None:
    lanes = Lanes(per_lane=2)

    taken = [moved(lanes, f"{key}.example", "mx.example") is not None for key in "abc"]

    assert taken == [True, True, False]


def test_a_claim_counts_in_its_lane_from_the_beginning() -> None:
    """Else a whole queue for one lane is claimed, and given back, for each delivery that ends."""
    lanes = Lanes(per_lane=2)
    known(lanes, "mx.example", "a.example")

    lanes.enter("a.example")
    after_one = lanes.closed_keys == set()
    lanes.enter("a.example")

    assert after_one
    assert lanes.closed_keys == {"a.example"}


def test_claims_whose_lane_is_not_known_yet_are_as_many_as_a_lane_takes() -> None:
    """A domain whose look-ups hang does not fill the worker."""
    lanes = Lanes(per_lane=2)

    slots = [lanes.enter("slow.example") for _ in range(2)]
    closed = set(lanes.closed_keys)
    lanes.leave(slots[0])

    assert closed == {"slow.example"}
    assert lanes.closed_keys == set()


def test_every_route_key_of_a_full_lane_is_closed_and_no_other() -> None:
    lanes = Lanes(per_lane=1)
    known(lanes, "mx.example", "a.example", "b.example")
    known(lanes, "other.example", "c.example")

    lanes.enter("a.example")

    assert lanes.closed_keys == {"a.example", "b.example"}
    assert [key in lanes.closed_keys for key in ("a.example", "b.example", "c.example", "new.example")] == [
        True,
        True,
        False,
        False,
    ]


def test_claims_that_are_made_together_are_admitted_as_many_as_the_lane_has_room_for() -> None:
    lanes = Lanes(per_lane=3)
    known(lanes, "mx.example", "a.example", "b.example")
    lanes.enter("a.example")

    assert lanes.admits("b.example", ["c.example", "a.example"])
    assert not lanes.admits("b.example", ["a.example", "c.example", "b.example"])
    assert lanes.admits("c.example", ["a.example", "b.example", "c.example"])


def test_claims_whose_lane_is_not_known_yet_are_admitted_as_many_as_a_lane_takes() -> None:
    lanes = Lanes(per_lane=2)

    admitted = [lanes.admits("new.example", ["new.example"] * count) for count in range(4)]

    assert admitted == [True, True, False, False]


def test_asking_whether_a_claim_is_admitted_takes_no_room() -> None:
    """A storage asks again where it makes a step again."""
    lanes = Lanes(per_lane=1)

    assert [lanes.admits("a.example", []) for _ in range(3)] == [True] * 3


def test_into_a_held_lane_one_is_admitted_once_its_hold_is_over() -> None:
    """Row 32: one probe in 15 minutes."""
    lanes = Lanes(per_lane=5)
    known(lanes, RELAY, RELAY)
    lanes.hold(RELAY, until=900.0)

    lanes.admit_probes(now=899.0)
    before = lanes.admits(RELAY, [])
    lanes.admit_probes(now=900.0)
    probe_alone, beside_a_probe = lanes.admits(RELAY, []), lanes.admits(RELAY, [RELAY])
    lanes.enter(RELAY)
    behind_it = lanes.admits(RELAY, [])

    assert (before, probe_alone, beside_a_probe, behind_it) == (False, True, False, False)


def test_one_alone_is_admitted_into_a_lane_that_has_not_let_us_in_yet() -> None:
    """Row 32."""
    lanes = Lanes(per_lane=5)
    known(lanes, RELAY, RELAY)
    lanes.send_one_ahead(RELAY)
    lanes.admit_probes(now=0.0)

    assert (lanes.admits(RELAY, []), lanes.admits(RELAY, [RELAY])) == (True, False)


def test_a_slot_that_is_left_opens_the_keys_again() -> None:
    lanes = Lanes(per_lane=1)
    slot = moved(lanes, "a.example", "mx.example")
    assert slot is not None

    lanes.leave(slot)

    assert lanes.closed_keys == set()
    assert moved(lanes, "a.example", "mx.example")


def test_a_key_learned_while_its_lane_is_full_is_closed_at_once() -> None:
    lanes = Lanes(per_lane=1)
    moved(lanes, "a.example", "mx.example")

    assert moved(lanes, "late.example", "mx.example") is None
    assert lanes.closed_keys == {"a.example", "late.example"}


def test_a_key_whose_mx_set_changed_follows_its_new_lane() -> None:
    lanes = Lanes(per_lane=1)
    slot = moved(lanes, "a.example", "old.example")
    assert slot is not None
    lanes.enter("b.example")

    assert lanes.move(slot, "new.example", 0.0)
    assert moved(lanes, "c.example", "old.example")
    assert lanes.closed_keys == {"a.example", "b.example", "c.example"}


def test_nothing_is_remembered_of_lanes_that_no_key_leads_to_any_more() -> None:
    """A domain may publish another MX set every day."""
    lanes = Lanes(per_lane=1)

    for day in range(100):
        known(lanes, f"mx{day}.example", "a.example")

    assert (len(lanes._keys_of), len(lanes._busy)) == (1, 0)


def test_keys_of_idle_lanes_are_forgotten_when_there_are_too_many() -> None:
    lanes = Lanes(per_lane=1)
    moved(lanes, "busy.example", "mx.example")

    for number in range(KEYS_KNOWN):
        lanes.leave(lanes.enter(f"{number}.example"))

    assert len(lanes._lane_of) <= KEYS_KNOWN
    assert "busy.example" in lanes.closed_keys


def test_a_held_lane_takes_nothing_before_its_time_then_one_probe() -> None:
    """Row 32: one probe in 15 minutes."""
    lanes = Lanes(per_lane=5)
    known(lanes, RELAY, RELAY)
    lanes.hold(RELAY, until=900.0)

    before = moved(lanes, RELAY, RELAY, now=899.0)
    lanes.admit_probes(now=900.0)
    keys_for_the_probe = set(lanes.closed_keys)
    probe = lanes.enter(RELAY)
    keys_after_it = set(lanes.closed_keys)

    assert (before, keys_for_the_probe, keys_after_it) == (None, set(), {RELAY})
    assert lanes.move(probe, RELAY, 900.0)
    assert moved(lanes, RELAY, RELAY, now=900.0) is None


def test_a_lane_that_is_held_while_claims_are_on_their_way_refuses_them() -> None:
    """Row 32."""
    lanes = Lanes(per_lane=5)
    known(lanes, RELAY, RELAY)
    first, second = lanes.enter(RELAY), lanes.enter(RELAY)
    assert lanes.move(first, RELAY, 0.0)

    lanes.hold(RELAY, until=900.0)

    assert not lanes.move(second, RELAY, 1.0)


def test_a_probe_that_gets_through_opens_the_lane_and_says_so() -> None:
    told: list[str] = []
    lanes = Lanes(per_lane=5, opened=lambda: told.append("opened"))
    lanes.hold(RELAY, until=900.0)
    assert moved(lanes, RELAY, RELAY, now=900.0)

    lanes.clear_hold(RELAY)

    assert (set(lanes.closed_keys), told) == (set(), ["opened"])
    assert moved(lanes, RELAY, RELAY, now=900.0)


def test_the_next_probe_is_the_earliest_hold_that_is_still_to_end() -> None:
    lanes = Lanes(per_lane=5)
    lanes.hold("a", until=900.0)
    lanes.hold("b", until=500.0)

    assert lanes.next_probe(now=0.0) == 500.0
    assert lanes.next_probe(now=600.0) == 900.0
    assert lanes.next_probe(now=1000.0) is None


def test_one_goes_ahead_into_a_lane_that_has_not_let_us_in_yet() -> None:
    """Row 32."""
    lanes = Lanes(per_lane=5)
    lanes.send_one_ahead(RELAY)

    assert moved(lanes, RELAY, RELAY)
    assert moved(lanes, RELAY, RELAY) is None
    assert lanes.next_probe(now=0.0) is None


def test_other_trouble_than_a_refusal_ends_the_caution_and_no_hold() -> None:
    """Row 32."""
    lanes = Lanes(per_lane=5)
    lanes.send_one_ahead("cautious")
    lanes.hold("held", until=900.0)

    lanes.clear_caution("cautious")
    lanes.clear_caution("held")

    assert [moved(lanes, lane, lane) is not None for lane in ("cautious", "held")] == [True, False]


def test_the_gate_of_a_key_is_that_of_the_lane_to_which_it_is_known_to_lead() -> None:
    lanes = Lanes(per_lane=1)
    unknown = lanes.gate("a.example", now=0.0)
    moved(lanes, "a.example", "mx.example")

    found = [lanes.gate(f"{key}.example", now=0.0) for key in "ab"]

    assert unknown is None
    assert found == [LaneGate(lane="mx.example", in_use=1, limit=1, is_shut=True), None]


def test_the_gate_of_a_held_lane_says_for_how_long_until_its_probe_goes_in() -> None:
    lanes = Lanes(per_lane=5)
    known(lanes, RELAY, RELAY)
    lanes.hold(RELAY, until=900.0)

    during, after = lanes.gate(RELAY, now=300.0), lanes.gate(RELAY, now=1000.0)
    lanes.admit_probes(now=1000.0)
    admitting = lanes.gate(RELAY, now=1000.0)

    shut = LaneGate(lane=RELAY, in_use=0, limit=5, is_shut=True, held_secs=600.0)
    assert during == shut
    assert after == replace(shut, held_secs=0.0)
    assert admitting == replace(shut, held_secs=0.0, is_shut=False)


def test_a_lane_rests_until_its_time_then_one_asks() -> None:
    """Nobody at all could be reached: each destination is asked seldom."""
    lanes = Lanes(20)
    known(lanes, "mx.example", "a.example")

    lanes.rest("mx.example", until=10.0)
    lanes.admit_probes(9.0)
    before = (set(lanes.closed_keys), lanes.next_probe(9.0), moved(lanes, "b.example", "mx.example", 9.0))
    lanes.admit_probes(10.0)
    probe = [lanes.admits("a.example", keys) for keys in ([], ["a.example"])]

    assert before == ({"a.example"}, 10.0, None)
    assert probe == [True, False]
    assert moved(lanes, "a.example", "mx.example", 10.0)
    assert moved(lanes, "a.example", "mx.example", 10.0) is None


def test_all_that_rests_opens_together_and_begins_anew() -> None:
    told: list[str] = []
    lanes = Lanes(20, lambda: told.append("opened"))
    for lane in ("one", "two"):
        known(lanes, lane, f"{lane}.example")
        lanes.succeeded(lane, 0.0)
        lanes.rest(lane, until=900.0)

    lanes.wake_all()

    assert (set(lanes.closed_keys), told) == (set(), ["opened"])
    gate = lanes.gate("one.example", 1.0)
    assert gate == LaneGate(lane="one", in_use=0, limit=5, is_shut=False)


def test_a_key_whose_look_ups_fail_counts_in_a_lane_of_its_own_until_they_succeed() -> None:
    lanes = Lanes(20)
    known(lanes, "mx.example", "a.example", "b.example")
    slot = lanes.enter("a.example")

    lanes.stray(slot)
    lanes.rest(slot.lane, until=900.0)
    lanes.leave(slot)

    assert lanes.closed_keys == {"a.example"}
    assert lanes.is_closed("a.example")
    slot = lanes.enter("a.example")
    assert lanes.move(slot, "mx.example", 1.0)
    assert lanes.closed_keys == set()


def test_the_keys_of_lanes_that_are_shut_without_a_delivery_are_never_forgotten() -> None:
    """What is closed and not named to the storage would be asked for again and again."""
    lanes = Lanes(20)
    slot = lanes.enter("silent.example")
    lanes.rest(slot.lane, until=900.0)
    lanes.leave(slot)

    for number in range(KEYS_KNOWN):
        lanes.leave(lanes.enter(f"{number}.example"))

    assert list(lanes.closed_keys) == ["silent.example"]
