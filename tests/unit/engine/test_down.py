"""Row 61, a lane that is down: who has a place in it, and for whom an answer holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mailstrom.engine.down import ANY_NUMBER, FRESH_SECS, Down
from mailstrom.engine.gates import DownGate
from mailstrom.engine.lanes import Lanes
from mailstrom.engine.paces import KEPT_SECS, LANES_KEPT, Paces
from mailstrom.engine.slot import Answer, Slot
from mailstrom.engine.unvisited import unvisited
from mailstrom.schedule.verdict import Scope, Verdict
from mailstrom.status import Attempt, Phase

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LANE = "mx.example"
WHY = Verdict(state="deferred", scope=Scope.HOST, phase=Phase.CONNECT, reason="nobody is there")


def at(secs: float) -> datetime:
    return NOON + timedelta(seconds=secs)


def an_answer(began: float, secs: float = 30.0) -> Answer:
    return Answer(began_at=at(began), told_at=at(began + secs), host=LANE, verdict=WHY)


def a_slot(due: float, key: str = "a.example") -> Slot:
    return Slot(key, LANE, at(due))


def test_one_delivery_at_a_time_is_let_in() -> None:
    down = Down(0.0)
    first, second = a_slot(1), a_slot(1)

    taken = [down.takes(first), down.takes(second), down.takes(first)]
    room = down.room("b.example")
    down.leaves(second)
    still_none = down.room("b.example")
    down.leaves(first)

    assert taken == [True, False, True]
    assert (room, still_none, down.room("b.example")) == (0, 0, 1)
    assert (first.answer, second.answer) == (None, None)


def test_its_answer_holds_for_what_was_due_when_it_began_and_for_nobody_else() -> None:
    down, probe = Down(0.0), a_slot(0)
    down.takes(probe)
    down.hears(probe, an_answer(began=10), now=40.0)
    down.leaves(probe)

    before, just_then, after = (a_slot(due) for due in (5, 10, 10.001))
    taken = [down.takes(each) for each in (before, just_then, after)]

    assert taken == [True, True, True]
    assert [each.answer for each in (before, just_then, after)] == [an_answer(10), an_answer(10), None]
    assert not down.takes(a_slot(11))  # `after` is the next probe


def test_what_anybody_else_heard_is_no_answer() -> None:
    """It began before the lane was down."""
    down, probe = Down(0.0), a_slot(0)
    down.takes(probe)

    down.hears(a_slot(0), an_answer(began=10), now=40.0)

    assert (down.heard, down.room("a.example")) == (None, 0)


def test_there_is_room_for_a_key_until_something_of_it_is_met_for_which_the_answer_does_not_hold() -> None:
    """In a route key what fell due first is claimed first."""
    down, probe = Down(0.0), a_slot(0)
    down.takes(probe)
    down.hears(probe, an_answer(began=10), now=40.0)

    rooms = [down.room("a.example")]
    down.takes(a_slot(20))
    rooms += [down.room("a.example"), down.room("b.example")]
    down.hears(probe, an_answer(began=50), now=80.0)
    rooms += [down.room("a.example")]

    assert rooms == [ANY_NUMBER, 0, ANY_NUMBER, ANY_NUMBER]


def test_an_answer_that_is_old_holds_for_nobody() -> None:
    """The worker may have been paused for a day."""
    down, probe = Down(0.0), a_slot(0)
    down.takes(probe)
    down.hears(probe, an_answer(began=10), now=40.0)
    down.leaves(probe)

    down.forget_answer(40.0 + FRESH_SECS - 1)
    fresh = down.room("a.example")
    down.forget_answer(40.0 + FRESH_SECS)

    assert (fresh, down.room("a.example")) == (ANY_NUMBER, 1)


def test_the_attempt_of_who_was_not_asked_for_has_no_address_and_says_so() -> None:
    assert unvisited(an_answer(began=0), at(31)) == Attempt(
        at=at(31),
        host=LANE,
        phase=Phase.CONNECT,
        state="deferred",
        reason="not asked again; at 2030-01-01 12:00:30 UTC it was: nobody is there",
    )


# In the lanes


def brought_down(lanes: Lanes, key: str = "a.example", now: float = 30.0) -> None:
    slots = [lanes.enter(key, at(0)) for _ in range(4)]
    for slot in slots:
        assert lanes.move(slot, LANE, now)
    assert [lanes.failed(slot, an_answer(began=0), now) for slot in slots] == [False, False, False, True]
    for slot in slots:
        lanes.leave(slot)


def test_a_lane_that_is_down_admits_one_then_all_that_its_answer_holds_for() -> None:
    lanes = Lanes(20)
    brought_down(lanes)

    alone = [lanes.admits("a.example", before) for before in ([], ["a.example"])]
    probe = lanes.enter("a.example", at(1))
    closed = set(lanes.closed_keys)
    lanes.failed(probe, an_answer(began=31), 61.0)
    many = [lanes.admits("a.example", ["a.example"] * count) for count in (0, 100)]

    assert (alone, closed, many) == ([True, False], {"a.example"}, [True, True])


def test_a_key_that_is_learned_while_its_lane_is_down_is_closed_at_once() -> None:
    """Else its mail is claimed and given back round and round."""
    lanes = Lanes(20)
    brought_down(lanes)
    lanes.enter("a.example", at(1))

    late = lanes.enter("late.example", at(1))
    moved = lanes.move(late, LANE, 31.0)
    lanes.leave(late)

    assert (moved, lanes.closed_keys) == (False, {"a.example", "late.example"})


def test_a_claim_finds_in_its_slot_that_another_has_asked() -> None:
    """Of a key that was known to lead there, and of one that turns out to."""
    lanes = Lanes(20)
    brought_down(lanes)
    probe = lanes.enter("a.example", at(1))
    lanes.failed(probe, an_answer(began=31), 61.0)

    known, new = lanes.enter("a.example", at(2)), lanes.enter("new.example", at(2))

    assert (known.answer, new.answer) == (an_answer(31), None)
    assert lanes.move(new, LANE, 62.0)
    assert new.answer == an_answer(31)


def test_whoever_reaches_the_lane_opens_it_as_one_that_was_never_used() -> None:
    opened: list[str] = []
    lanes = Lanes(20, lambda: opened.append("opened"))
    brought_down(lanes)

    lanes.succeeded(LANE, 40.0)

    assert opened == ["opened"]
    assert [lanes.admits("a.example", ["a.example"] * count) for count in (4, 5)] == [True, False]
    gate = lanes.gate("a.example", 40.0)
    assert gate is not None
    assert (gate.limit, gate.down) == (5, None)


def test_a_probe_that_ends_without_an_answer_makes_room_for_the_next() -> None:
    """Its message may have expired, or gone elsewhere: its domain has moved."""
    lanes = Lanes(20)
    brought_down(lanes)
    probe = lanes.enter("a.example", at(1))

    lanes.move(probe, "elsewhere.example", 31.0)

    assert lanes.admits("b.example", [])
    assert lanes.gate("a.example", 31.0) is not None
    slot = lanes.enter("c.example", at(1))
    assert lanes.move(slot, LANE, 31.0)


def test_the_gate_of_a_lane_that_is_down_says_since_when_and_whether_it_is_being_asked() -> None:
    lanes = Lanes(20)
    brought_down(lanes, now=30.0)

    idle = lanes.gate("a.example", 50.0)
    probe = lanes.enter("a.example", at(1))
    asked = lanes.gate("a.example", 60.0)
    lanes.failed(probe, an_answer(began=31), 61.0)
    lanes.leave(probe)
    told = lanes.gate("a.example", 70.0)

    assert [gate.down for gate in (idle, asked, told) if gate] == [
        DownGate(secs=20.0, is_asked=False, heard=None),
        DownGate(secs=30.0, is_asked=True, heard=None),
        DownGate(secs=40.0, is_asked=False, heard="nobody is there"),
    ]


def test_more_room_is_told_only_where_somebody_may_wait_for_it() -> None:
    """Each success would wake the worker."""
    opened: list[str] = []
    lanes = Lanes(20, lambda: opened.append("opened"))
    slots = [lanes.enter("a.example") for _ in range(5)]
    for slot in slots:
        lanes.move(slot, LANE, 0.0)

    lanes.succeeded(LANE, 1.0)  # all 5 places were taken
    lanes.succeeded(LANE, 1.0)  # now there are 6

    assert opened == ["opened"]


# The memory


def test_a_pace_that_was_not_used_for_a_while_is_forgotten_but_for_one_in_use() -> None:
    paces = Paces(20)
    for lane in ("idle", "busy", "used"):
        paces.succeeded(lane, 0.0)
    paces.succeeded("used", 10.0)

    paces.forget_unused(KEPT_SECS, {"busy"})

    assert [paces.room(lane) for lane in ("idle", "busy", "used")] == [5, 6, 7]


def test_only_the_paces_of_the_lanes_used_last_are_kept() -> None:
    paces = Paces(20)

    for number in range(LANES_KEPT + 1):
        paces.succeeded(f"{number}", 0.0)

    assert (paces.room("0"), paces.room("1"), len(paces._of)) == (5, 6, LANES_KEPT)
