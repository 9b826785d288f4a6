"""The clauses of `SharedStorage` on what an operator asks: cancel, hold, release and retry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from ..abc import EVERYTHING, Order
from ..status import Cause, Delivered, Queued
from .storage_kit import (
    EXPIRES_AT,
    LATER,
    LEASE,
    NOW,
    WHOLE_LEASE_SECS,
    Bench,
    addresses_of,
    an_entry,
    deferred_until,
    equal,
    holds,
)

# Hold and release


def what_was_held_is_not_tried_until_it_is_released(bench: Bench) -> None:
    bench.store(an_entry())

    [held] = bench.order(Order.HOLD)

    bench.nothing_to_claim(EXPIRES_AT - timedelta(seconds=1))
    equal((held.after.result.completed, held.after.result.next_attempt_at), (False, None))
    equal((bench.first(), bench.first().due_at), (held.after, EXPIRES_AT))
    equal((bench.storage.is_idle(), bench.storage.next_due(NOW)), (True, EXPIRES_AT))
    [released] = bench.order(Order.RELEASE, LATER)
    equal((released.before, released.after), (held.after, bench.first()))
    bench.nothing_to_claim(NOW)
    equal(bench.claim(LATER).recipients, (released.after,))


def what_was_held_falls_due_once_more_when_its_message_expires(bench: Bench) -> None:
    bench.store(an_entry())
    bench.order(Order.HOLD)

    bench.claim(EXPIRES_AT)


def a_deferred_recipient_is_held_and_released(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), deferred_until(LATER))

    bench.order(Order.HOLD)
    bench.nothing_to_claim(LATER)
    bench.order(Order.RELEASE)

    claimed = bench.claim(NOW).recipients[0]
    equal((claimed.result.state, claimed.result.tries, claimed.due_at), ("deferred", 1, NOW))
    equal((claimed.result.reason, claimed.result.next_attempt_at), ("busy", NOW))


def what_a_settle_held_is_released(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), deferred_until(None))

    bench.order(Order.RELEASE)

    bench.claim(NOW)


def release_forgets_the_crashes(bench: Bench) -> None:
    """Row 56: held after five crashes, and then given another five."""
    bench.store(an_entry())
    bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.order(Order.HOLD)

    bench.order(Order.RELEASE)

    equal(bench.claim().recipients[0].crashes, 0)


def a_hold_of_one_recipient_leaves_the_others(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))

    bench.storage.order(Order.HOLD, replace(EVERYTHING, address="a@dest.example"), NOW)

    equal(addresses_of(bench.claim()), ["b@dest.example"])


def release_leaves_what_is_not_held(bench: Bench) -> None:
    bench.store(an_entry(due_at=LATER))
    before = bench.status()

    equal((bench.order(Order.RELEASE), bench.status()), ([], before))


def what_was_never_tried_is_queued_again_when_it_is_released(bench: Bench) -> None:
    bench.store(an_entry("waits"), an_entry("claimed"))
    bench.order(Order.HOLD, name="waits")
    claim = bench.claim()
    bench.order(Order.HOLD, name="claimed")
    bench.storage.give_back(claim)

    for name in ("waits", "claimed"):
        [released] = bench.order(Order.RELEASE, LATER, name=name)
        equal((released.after.result, released.after.due_at), (Queued(next_attempt_at=LATER), LATER))
        equal(bench.first(name), released.after)


# What is claimed


def what_is_claimed_is_told_so_and_left_as_it_is(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    bench.claim()
    before = bench.status()

    for order in (Order.HOLD, Order.CANCEL):
        changed = bench.order(order)
        equal([(each.claimed, each.after) for each in changed], [(True, each.before) for each in changed])
        equal([each.before.address for each in changed], ["a@dest.example", "b@dest.example"])

    equal(bench.status(), before)


def a_delivery_under_way_counts_after_hold(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.order(Order.HOLD)

    holds(bench.settle_all(claim, Delivered(tries=1)), "settle after hold")

    equal((bench.first().result, bench.status().completed_at), (Delivered(tries=1), NOW))


def a_deferral_after_hold_is_held(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.order(Order.HOLD)

    bench.settle_all(claim, deferred_until(NOW))

    _is_held(bench)
    equal((bench.first().result.tries, bench.first().crashes), (1, 0))


def a_claim_given_back_after_hold_is_held(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.order(Order.HOLD)

    bench.storage.give_back(claim)

    _is_held(bench)
    equal(bench.first().crashes, 0)


def a_claim_whose_lease_ends_after_hold_is_held(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.storage.mark_dot_sent(claim, addresses_of(claim))
    bench.order(Order.HOLD)

    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    _is_held(bench)
    equal((bench.first().crashes, bench.first().dot_sent), (1, True))


def release_takes_a_hold_back_while_the_delivery_is_under_way(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.order(Order.HOLD)

    equal([each.claimed for each in bench.order(Order.RELEASE)], [True])

    bench.settle_all(claim, deferred_until(LATER))
    equal((bench.first().result, bench.first().due_at), (deferred_until(LATER), LATER))


def cancel_goes_before_hold_whichever_came_first(bench: Bench) -> None:
    bench.store(an_entry("a", "a@a.example"), an_entry("b", "b@b.example"))
    claims = bench.claims()
    for order in (Order.HOLD, Order.CANCEL):
        bench.order(order, name="a")
    for order in (Order.CANCEL, Order.HOLD, Order.RELEASE):
        bench.order(order, name="b")

    for claim in claims:
        bench.settle_all(claim, deferred_until(NOW))

    equal([bench.first(name).result.cause for name in "ab"], [Cause.CANCELLED] * 2)


def an_order_ends_with_the_claim_it_was_given_in(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.order(Order.HOLD)
    bench.settle_all(claim, deferred_until(NOW))
    bench.order(Order.RELEASE)

    bench.settle_all(bench.claim(), deferred_until(LATER))

    equal(bench.first().due_at, LATER)


def _is_held(bench: Bench) -> None:
    bench.nothing_to_claim(EXPIRES_AT - timedelta(seconds=1))
    equal((bench.first().result.next_attempt_at, bench.first().due_at), (None, EXPIRES_AT))
    equal((bench.storage.is_idle(), bench.status().completed_at), (True, None))
    equal(len(bench.storage.retrieve_all_incomplete(replace(EVERYTHING, held=True))), 1)


def release_undoes_a_hold_that_met_a_claim_which_crashed(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()
    bench.order(Order.HOLD)
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    [changed] = bench.order(Order.RELEASE)

    equal((changed.after.due_at, changed.after.crashes, changed.claimed), (NOW, 0, False))
    bench.claim()


def what_is_held_behind_a_final_dot_is_uncertain(bench: Bench) -> None:
    bench.store(an_entry())
    crashed = bench.claim()
    bench.storage.mark_dot_sent(crashed, addresses_of(crashed))
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    bench.order(Order.HOLD)

    equal((bench.first().result.state, bench.first().result.uncertain), ("deferred", True))
    bench.order(Order.RELEASE)
    equal([(each.dot_sent, each.result.uncertain) for each in bench.claim().recipients], [(True, True)])


def what_is_held_behind_a_crash_is_ended_also_where_it_was_due_at_its_very_expiry(bench: Bench) -> None:
    bench.store(an_entry(due_at=EXPIRES_AT))
    bench.claim(EXPIRES_AT)
    bench.order(Order.HOLD, EXPIRES_AT)
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    claims = [bench.storage.claim(EXPIRES_AT, owner="two", lease=LEASE) for _ in range(2)]

    equal([addresses_of(claim) for claim in claims if claim is not None], [["you@dest.example"]])


def a_queue_is_not_idle_while_what_was_held_is_claimed_to_be_ended(bench: Bench) -> None:
    bench.store(an_entry())
    bench.order(Order.HOLD)
    equal(bench.storage.is_idle(), True)

    bench.claim(EXPIRES_AT)

    equal(bench.storage.is_idle(), False)


# Retry


def retry_leaves_what_a_hold_met_in_a_claim_which_crashed(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim(backoff=[LATER - NOW])
    bench.order(Order.HOLD)
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    equal(bench.order(Order.RETRY), [])

    bench.nothing_to_claim(LATER)
    equal(bench.first().result.next_attempt_at, None)


def what_is_retried_is_due_now(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), deferred_until(LATER))

    [changed] = bench.order(Order.RETRY)

    equal((changed.before.due_at, changed.after), (LATER, bench.first()))
    equal((changed.after.due_at, changed.after.result), (NOW, deferred_until(NOW)))
    bench.claim(NOW)


def what_was_to_be_sent_later_is_retried_as_well(bench: Bench) -> None:
    bench.store(an_entry(due_at=LATER))

    equal(len(bench.order(Order.RETRY)), 1)

    bench.claim(NOW)


def retry_leaves_what_is_held_or_due_or_claimed(bench: Bench) -> None:
    bench.store(an_entry("held", "a@a.example"), an_entry("due", "b@b.example"))
    bench.order(Order.HOLD, name="held")
    equal(list(bench.storage.order(Order.RETRY, EVERYTHING, NOW)), [])
    bench.claim()
    before = [bench.status(name) for name in ("held", "due")]

    equal(list(bench.storage.order(Order.RETRY, EVERYTHING, NOW)), [])

    equal([bench.status(name) for name in ("held", "due")], before)


# Every order


def an_order_twice_changes_nothing_the_second_time(bench: Bench) -> None:
    for order in (Order.RETRY, Order.HOLD, Order.RELEASE, Order.CANCEL):
        bench.store(an_entry(f"{order}-free", "a@dest.example", due_at=LATER))
        bench.store(an_entry(f"{order}-claimed", "a@other.example"))
    claims = bench.claims()

    for order in (Order.RETRY, Order.HOLD, Order.RELEASE, Order.HOLD, Order.CANCEL):
        holds(len(bench.storage.order(order, EVERYTHING, NOW)) >= 4, f"a first {order}")
        equal((order, list(bench.storage.order(order, EVERYTHING, NOW))), (order, []))

    equal(len(claims), 4)


def what_is_completed_is_not_changed_by_any_order(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), Delivered(tries=1))
    before = bench.status()

    equal([list(bench.storage.order(order, EVERYTHING, LATER)) for order in Order], [[]] * 4)

    equal(bench.status(), before)


def an_order_says_what_was_and_what_is(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example"), an_entry("two", "b@dest.example", due_at=LATER))

    for order in (Order.RETRY, Order.HOLD, Order.RELEASE, Order.CANCEL):
        before = {name: bench.first(name) for name in ("one", "two")}
        changed = bench.storage.order(order, EVERYTHING, NOW)
        told = {each.message_id.partition("@")[0]: (each.before, each.after) for each in changed}
        equal(told, {name: (before[name], bench.first(name)) for name in told})


ORDER_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    what_was_held_is_not_tried_until_it_is_released,
    what_was_held_falls_due_once_more_when_its_message_expires,
    a_deferred_recipient_is_held_and_released,
    what_a_settle_held_is_released,
    release_forgets_the_crashes,
    a_hold_of_one_recipient_leaves_the_others,
    release_leaves_what_is_not_held,
    what_was_never_tried_is_queued_again_when_it_is_released,
    what_is_claimed_is_told_so_and_left_as_it_is,
    a_delivery_under_way_counts_after_hold,
    a_deferral_after_hold_is_held,
    a_claim_given_back_after_hold_is_held,
    a_claim_whose_lease_ends_after_hold_is_held,
    release_takes_a_hold_back_while_the_delivery_is_under_way,
    cancel_goes_before_hold_whichever_came_first,
    an_order_ends_with_the_claim_it_was_given_in,
    release_undoes_a_hold_that_met_a_claim_which_crashed,
    what_is_held_behind_a_final_dot_is_uncertain,
    what_is_held_behind_a_crash_is_ended_also_where_it_was_due_at_its_very_expiry,
    a_queue_is_not_idle_while_what_was_held_is_claimed_to_be_ended,
    retry_leaves_what_a_hold_met_in_a_claim_which_crashed,
    what_is_retried_is_due_now,
    what_was_to_be_sent_later_is_retried_as_well,
    retry_leaves_what_is_held_or_due_or_claimed,
    an_order_twice_changes_nothing_the_second_time,
    what_is_completed_is_not_changed_by_any_order,
    an_order_says_what_was_and_what_is,
)
