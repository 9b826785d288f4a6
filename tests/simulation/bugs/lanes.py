"""Slips in lanes and networks: the pace of a lane, a host that is down, a network that is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mailstrom.engine import delivery, reach
from mailstrom.engine.contacts import Contact
from mailstrom.engine.down import Down
from mailstrom.engine.lanes import Lanes
from mailstrom.engine.pace import Pace
from mailstrom.engine.paces import Paces
from mailstrom.engine.reach import Reach

from . import replaces

# --- the pace of a lane


@replaces(Pace, "after_failure")
def the_room_of_a_lane_never_shrinks(right: Any, self: Any) -> Any:
    return replace(right(self), room=self.room)


@replaces(Pace, "after_success")
def a_lane_has_all_its_room_after_one_success(right: Any, self: Any, most: int) -> Any:
    return Pace(most)


@replaces(Paces, "__init__")
def a_lane_begins_with_all_its_room(right: Any, self: Any, most: int, initial: int = 0) -> None:
    right(self, most, most)


@replaces(Pace, "is_down")
def one_failure_brings_a_lane_down(right: Any, self: Any) -> bool:
    return bool(self.failures)


@replaces(Contact, "opened")
def what_a_host_says_of_a_message_is_taken_for_trouble_of_the_host(right: Any, self: Any) -> None:
    """Nothing but a delivery counts for the host then."""
    self._connected()


# --- a lane that is down


@replaces(Down, "takes")
def all_ask_a_host_that_is_down_at_once(right: Any, self: Any, slot: Any) -> bool:
    right(self, slot)
    return True


@replaces(Down, "room")
def nobody_asks_a_host_that_is_down(right: Any, self: Any, route_key: str) -> int:
    return 0


@replaces(Down, "takes")
def an_answer_holds_for_what_falls_due_later(right: Any, self: Any, slot: Any) -> bool:
    if self._answer is not None:
        slot.answer = self._answer
        return True
    return bool(right(self, slot))


@replaces(Down, "leaves")
def a_probe_never_ends(right: Any, self: Any, slot: Any) -> None:
    pass


@replaces(Paces, "down")
def one_lane_that_is_down_stands_for_all(right: Any, self: Any, lane: str) -> Any:
    return right(self, lane) or next((down for _, down in self.all_down()), None)


@replaces(Paces, "succeeded")
def a_lane_that_was_down_never_opens(right: Any, self: Any, lane: str, now: float) -> bool:
    return self.down(lane) is None and bool(right(self, lane, now))


@replaces(delivery, "settle_unvisited")
async def an_answer_without_a_visit_is_no_try(
    right: Any, job: Any, some: Any, answer: Any, *more: Any
) -> bool:
    no_try = replace(answer, verdict=replace(answer.verdict, counts_as_try=False))
    return bool(await right(job, some, no_try, *more))


@replaces(Lanes, "failed")
def the_answer_of_another_pass_is_believed(right: Any, self: Any, slot: Any, answer: Any, now: float) -> bool:
    """It began before those were due who are told of it."""
    down = self._paces.down(slot.lane)
    if down is not None:
        down._probe = down._probe or slot
    return bool(right(self, slot, replace(answer, began_at=answer.told_at), now))


# --- a network that is lost


@replaces(reach, "DESTINATIONS")
def one_destination_is_the_whole_network(right: Any) -> int:
    return 1


@replaces(reach, "SILENCE_SECS")
def a_network_is_lost_at_once(right: Any) -> float:
    return 0.0


@replaces(Reach, "is_suspected")
def dead_destinations_are_a_lost_network(right: Any, self: Any) -> bool:
    return len(self._row) >= reach.DESTINATIONS


@replaces(Reach, "missed")
def a_lost_network_spends_tries(right: Any, self: Any, destination: str, **more: Any) -> None:
    right(self, destination, **more)


@replaces(Reach, "reached")
def a_lost_network_never_ends(right: Any, self: Any, destination: str, now: float) -> bool:
    return False


@replaces(Reach, "_may_spare")
def a_destination_is_spared_for_ever(right: Any, self: Any, destination: str, now: float) -> bool:
    return True


@replaces(reach, "LONGEST_WAIT_SECS")
def what_rests_is_asked_again_once_a_day(right: Any) -> float:
    return 86_400.0


@replaces(Lanes, "admit_probes")
def what_rests_is_never_asked_again(right: Any, self: Any, now: float) -> None:
    right(self, now)
    self._admitting.clear()
