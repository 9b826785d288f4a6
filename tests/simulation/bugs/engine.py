"""Slips in the engine: scheduler, lanes, leases, jobs, results, hand-over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mailstrom.engine import triage
from mailstrom.engine.announce import Announcer
from mailstrom.engine.claimer import Claimer
from mailstrom.engine.committer import Committer
from mailstrom.engine.hand_over import HandOver
from mailstrom.engine.job import Job
from mailstrom.engine.lanes import Lanes
from mailstrom.engine.leases import Leases
from mailstrom.engine.recorder import Recorder
from mailstrom.engine.runtime import Runtime
from mailstrom.engine.worker import CLAIMS_AT_ONCE, Engine

from . import replaces

# --- scheduler


@replaces(Engine, "wake")
def a_wake_up_is_lost(right: Any, self: Any) -> None:
    """Who stored something wakes nobody."""


@replaces(Engine, "_end_job")
def the_end_of_a_job_wakes_nobody(right: Any, self: Any, job: Any) -> None:
    was_set = self._wake.is_set()
    right(self, job)
    if not was_set:
        self._wake.clear()


@replaces(Engine, "_room")
def the_session_limit_is_ignored(right: Any, self: Any) -> int:
    is_stuck = self._committer.is_stuck and not self._committer.admits_one
    return 0 if self._asked.takes_nothing.is_set() or is_stuck else CLAIMS_AT_ONCE


@replaces(Runtime, "pause")
def a_pause_is_ignored(right: Any, self: Any) -> None:
    pass


@replaces(Engine, "resume")
def a_pause_never_ends(right: Any, self: Any) -> None:
    pass


@replaces(Claimer, "secs_until_due")
async def the_next_due_time_comes_too_late(right: Any, self: Any, **named: Any) -> float | None:
    secs = await right(self, **named)
    return secs if not secs else secs + 3600.0


# --- lanes


@replaces(Lanes, "__init__")
def the_lane_limit_is_off_by_one(right: Any, self: Any, per_lane: int, *more: Any, **named: Any) -> None:
    right(self, per_lane + 1, *more, **named)


@replaces(Lanes, "leave")
def a_slot_is_never_given_back(right: Any, self: Any, slot: Any) -> None:
    pass


@replaces(Lanes, "_room")
def full_lanes_are_not_skipped(right: Any, self: Any, lane: str, route_key: str) -> int:
    return max(int(right(self, lane, route_key)), 1)


@replaces(Lanes, "move")
def every_lane_is_the_same(right: Any, self: Any, slot: Any, lane: str, now: float) -> bool:
    return bool(right(self, slot, "all", now))


# --- leases and the final dot


@replaces(Leases, "_renew")
async def leases_are_never_renewed(right: Any, self: Any, jobs: Any) -> None:
    pass


@replaces(Job, "_holds_lease")
def only_the_storage_knows_when_a_lease_ends(right: Any, self: Any) -> bool:
    return True


@replaces(Job, "may_send_dot")
async def the_dot_goes_without_its_mark(right: Any, self: Any, addresses: Any) -> bool:
    if not self._holds_lease():
        return False
    self.awaiting_dot = frozenset(addresses)
    self.check_not_stopped()
    return True


@replaces(Job, "may_send_dot")
async def the_answer_to_the_mark_is_ignored(right: Any, self: Any, addresses: Any) -> bool:
    await right(self, addresses)
    return True


@replaces(Job, "may_send_dot")
async def only_the_first_recipient_is_marked(right: Any, self: Any, addresses: Any) -> bool:
    may = bool(await right(self, list(addresses)[:1]))
    self.awaiting_dot = frozenset(addresses)
    return may


@replaces(triage, "_without_a_host")
def the_mark_is_not_looked_at_after_a_crash(right: Any, recipient: Any, *more: Any) -> Any:
    return right(replace(recipient, dot_sent=False), *more)


@replaces(triage, "gives_up_at")
def what_has_expired_is_sent(right: Any, *args: Any) -> None:
    return None


# --- results


@replaces(Committer, "_settle")
def only_the_first_of_a_batch_is_recorded(right: Any, self: Any, batch: Any) -> Any:
    return [*right(self, batch[:1]), *((waiting, True) for waiting in batch[1:])]


@replaces(Committer, "_settle_what_is_there")
def a_batch_is_dropped_after_an_error(right: Any, self: Any) -> Any:
    with self._lock:
        batch = list(self._waiting)
    try:
        return right(self)
    except Exception:
        self.is_stuck = False
        return [(waiting, False) for waiting in batch]


@replaces(Committer, "settle")
def a_result_is_recorded_for_the_whole_claim(right: Any, self: Any, claim: Any, outcomes: Any) -> Any:
    """Who was not heard of yet becomes what the first one is."""
    known = {outcome.address for outcome in outcomes}
    others = [each.address for each in claim.recipients if each.address not in known]
    more = [replace(outcomes[0], address=address) for address in others]
    return right(self, claim, [*outcomes, *more])


@replaces(Recorder, "passed")
async def a_result_without_a_delivery_is_forgotten(right: Any, self: Any, job: Any, passed: Any) -> None:
    """What failed or is deferred is not written down."""
    await right(self, job, {a: each for a, each in passed.items() if each[0].state == "delivered"})


@replaces(Announcer, "settled")
def observers_hear_nothing(right: Any, self: Any, claim: Any, before: Any, outcomes: Any) -> None:
    self._changed(claim.email.message_id)


@replaces(Announcer, "settled")
def observers_hear_everything_twice(right: Any, self: Any, *args: Any) -> None:
    right(self, *args)
    right(self, *args)


@replaces(Announcer, "settled")
def nobody_who_waits_is_woken(right: Any, self: Any, claim: Any, before: Any, outcomes: Any) -> None:
    changed, self._changed = self._changed, lambda message_id: None
    right(self, claim, before, outcomes)
    self._changed = changed


# --- hand-over


@replaces(HandOver, "_see_through")
async def results_under_way_are_dropped_at_the_end(right: Any, self: Any, job: Any) -> None:
    self._arrived(job, False)
