"""The clauses of `SharedStorage` on when there is work: each name is the sentence that it checks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from ..status import Delivered
from .storage_kit import (
    EXPIRES_AT,
    LATER,
    NOW,
    WHOLE_LEASE_SECS,
    Bench,
    an_entry,
    at_once,
    deferred_until,
    equal,
    holds,
    there,
)

_AHEAD = NOW + timedelta(days=3650)
_LISTENING_SECS = 5.0  # 2 s, and a slow machine


def next_due_is_the_earliest_due_time(bench: Bench) -> None:
    times = [NOW + timedelta(minutes=minute) for minute in (7, 3, 5)]
    bench.store(
        *(an_entry(f"m{number}", f"a@d{number}.example", due_at=at) for number, at in enumerate(times))
    )
    skips = ((), ("d1.example",), ("d1.example", "d2.example"), ("d0.example", "d1.example", "d2.example"))

    equal([bench.storage.next_due(NOW, skip) for skip in skips], [times[1], times[2], times[0], None])


def what_is_due_already_is_due_no_later_than_now(bench: Bench) -> None:
    bench.store(an_entry(due_at=NOW - timedelta(days=1)), an_entry("two", "a@two.example"))

    due_at = there(bench.storage.next_due(NOW), "next_due of work that is due")

    holds(due_at <= NOW, f"due at {NOW} or before, not {due_at}")


def next_due_is_the_end_of_a_lease_where_all_is_claimed(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()
    bench.advance_lease_clock(20)

    due_at = there(bench.storage.next_due(NOW), "the end of the lease")

    expected = NOW + timedelta(seconds=40)
    holds(abs(due_at - expected) < timedelta(seconds=10), f"about {expected}, not {due_at}")
    equal(bench.storage.next_due(NOW, ["dest.example"]), None)


def what_a_lease_ended_for_is_due_at_once(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    due_at = there(bench.storage.next_due(NOW), "next_due of work whose lease ended")

    holds(due_at <= NOW, f"due at {NOW} or before, not {due_at}")


def a_due_time_far_ahead_is_claimed_by_a_now_that_is_as_far(bench: Bench) -> None:
    """Row 45: due times are judged by the caller's clock, whichever way it jumps."""
    bench.store(an_entry("a", "a@one.example", due_at=_AHEAD), an_entry("b", "b@two.example"))

    for claim in [bench.claim(_AHEAD), bench.claim(_AHEAD)]:
        bench.storage.give_back(claim)

    equal(bench.claim(NOW).route_key, "two.example")
    bench.nothing_to_claim(NOW)
    equal(bench.storage.next_due(NOW, ["two.example"]), _AHEAD)


def a_lease_does_not_end_by_the_wall_clock(bench: Bench) -> None:
    """Row 45."""
    bench.store(an_entry())
    bench.claim()

    bench.nothing_to_claim(_AHEAD)


# Idle


def a_storage_is_idle_when_nothing_is_left_to_try(bench: Bench) -> None:
    idle = [bench.storage.is_idle()]
    bench.store(an_entry())
    idle.append(bench.storage.is_idle())
    claim = bench.claim()
    idle.append(bench.storage.is_idle())
    bench.settle_all(claim, Delivered(tries=1))
    idle.append(bench.storage.is_idle())

    equal(idle, [True, False, False, True])
    equal(bench.storage.next_due(NOW), None)


def a_storage_with_what_is_due_later_is_not_idle(bench: Bench) -> None:
    bench.store(an_entry("one", due_at=LATER), an_entry("two"))
    bench.settle_all(bench.claim(), deferred_until(LATER))

    equal(bench.storage.is_idle(), False)


def a_storage_with_a_claim_whose_lease_ended_is_not_idle(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    equal(bench.storage.is_idle(), False)


# Pulling in


def what_is_deferred_for_too_long_is_pulled_in(bench: Bench) -> None:
    """Row 45."""
    bench.store(an_entry("a", "a@one.example"), an_entry("b", "b@two.example"))
    for claim in bench.claims():
        bench.settle_all(claim, deferred_until(_AHEAD if claim.route_key == "one.example" else LATER))
    latest = NOW + timedelta(days=5)

    equal([bench.storage.pull_in(latest) for _ in range(2)], [1, 0])

    equal((bench.first("a").due_at, bench.first("b").due_at), (latest, LATER))
    equal(bench.storage.next_due(NOW, ["two.example"]), latest)
    bench.claim(latest, skip=["two.example"])


def what_is_queued_for_later_is_not_pulled_in(bench: Bench) -> None:
    bench.store(an_entry(due_at=_AHEAD))

    equal(bench.storage.pull_in(NOW), 0)

    equal(bench.storage.next_due(NOW), _AHEAD)


def what_waits_after_a_crash_is_pulled_in(bench: Bench) -> None:
    """Row 45: also where it was never tried."""
    bench.store(an_entry())
    bench.claim(backoff=[timedelta(days=999)])
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    equal(bench.storage.pull_in(LATER), 1)

    equal(bench.storage.next_due(NOW), LATER)
    bench.nothing_to_claim(NOW)
    bench.claim(LATER)


def what_is_held_is_not_pulled_in(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), deferred_until(None))

    equal(bench.storage.pull_in(NOW), 0)

    equal((bench.first().due_at, bench.storage.is_idle()), (EXPIRES_AT, True))


def pulling_in_a_message_leaves_its_other_recipients(bench: Bench) -> None:
    bench.store(an_entry("one", "a@one.example", "b@two.example"))
    bench.settle_all(bench.claim(skip=["two.example"]), deferred_until(_AHEAD))
    other = bench.status().recipients[1]

    bench.storage.pull_in(LATER)

    equal(bench.status().recipients[1], other)
    equal(bench.first().due_at, LATER)


# Listening


def listening_ends_soon_after_it_is_over(bench: Bench) -> None:
    over = threading.Event()
    began = time.monotonic()

    equal(at_once([partial(bench.storage.listen, _hear_nothing, over.is_set), over.set]), [])

    secs = time.monotonic() - began
    holds(secs < _LISTENING_SECS, f"an end within {_LISTENING_SECS} s, not {secs} s")


def _hear_nothing() -> None:
    """Nobody is woken."""


DUE_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    next_due_is_the_earliest_due_time,
    what_is_due_already_is_due_no_later_than_now,
    next_due_is_the_end_of_a_lease_where_all_is_claimed,
    what_a_lease_ended_for_is_due_at_once,
    a_due_time_far_ahead_is_claimed_by_a_now_that_is_as_far,
    a_lease_does_not_end_by_the_wall_clock,
    a_storage_is_idle_when_nothing_is_left_to_try,
    a_storage_with_what_is_due_later_is_not_idle,
    a_storage_with_a_claim_whose_lease_ended_is_not_idle,
    what_is_deferred_for_too_long_is_pulled_in,
    what_is_queued_for_later_is_not_pulled_in,
    what_waits_after_a_crash_is_pulled_in,
    what_is_held_is_not_pulled_in,
    pulling_in_a_message_leaves_its_other_recipients,
    listening_ends_soon_after_it_is_over,
)
