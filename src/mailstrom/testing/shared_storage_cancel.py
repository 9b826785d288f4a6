"""The clauses of `SharedStorage` on cancelling: each name is the sentence that it checks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ..abc import Order, Selection
from ..status import Cause, Delivered
from .storage_kit import (
    LATER,
    NOW,
    WHOLE_LEASE_SECS,
    Bench,
    addresses_of,
    an_entry,
    deferred_until,
    delivered_to,
    equal,
    gone_by_cancel,
    holds,
    refuted,
)


def a_cancelled_message_is_not_tried_again(bench: Bench) -> None:
    bench.store(an_entry("one", "a@one.example", "b@two.example"))

    changed = bench.order(Order.CANCEL)

    results = [(each.after.result.state, each.after.result.cause) for each in changed]
    equal(results, [("failed", Cause.CANCELLED)] * 2)
    equal(
        (bench.status().completed_at, bench.status().recipients), (NOW, tuple(each.after for each in changed))
    )
    bench.nothing_to_claim()
    equal((bench.storage.is_idle(), bench.storage.next_due(NOW)), (True, None))


def cancel_leaves_what_is_completed(bench: Bench) -> None:
    bench.store(an_entry("one", "a@one.example", "b@two.example"))
    bench.settle_all(bench.claim(skip=["two.example"]), Delivered(tries=1))

    equal([each.before.address for each in bench.order(Order.CANCEL)], ["b@two.example"])

    status = bench.status()
    equal([each.result.state for each in status.recipients], ["delivered", "failed"])
    equal((bench.order(Order.CANCEL, LATER), bench.status()), ([], status))


def a_cancelled_recipient_keeps_what_was_known_of_it(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), deferred_until(LATER))

    [changed] = bench.order(Order.CANCEL)

    equal((changed.after.result.tries, changed.after.due_at), (1, None))
    holds("busy" in str(changed.after.result.reason), f"the reason before, not {changed.after.result.reason}")


def cancel_does_not_undo_a_delivery_under_way(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()

    bench.order(Order.CANCEL)

    equal((bench.first().result.state, bench.status().completed_at), ("queued", None))
    holds(bench.settle_all(claim, Delivered(tries=1)), "settle after cancel")
    equal((bench.first().result, bench.status().completed_at), (Delivered(tries=1), NOW))


def no_final_dot_is_sent_to_whom_an_order_waits_for(bench: Bench) -> None:
    for order in (Order.CANCEL, Order.HOLD):
        bench.store(an_entry(order))
        claim = bench.claim()

        bench.order(order, name=order)

        refuted(bench.storage.mark_dot_sent(claim, addresses_of(claim)), f"mark_dot_sent after {order}")
        equal([each.dot_sent for each in bench.status(order).recipients], [False])
        bench.storage.give_back(claim)


def a_final_dot_may_be_sent_again_once_a_hold_is_released(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.order(Order.HOLD)

    bench.order(Order.RELEASE)

    holds(bench.storage.mark_dot_sent(claim, addresses_of(claim)), "mark_dot_sent after RELEASE")


def a_deferral_after_cancel_is_a_failure(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.order(Order.CANCEL)

    holds(bench.settle_all(claim, deferred_until(NOW)), "settle after cancel")

    gone_by_cancel(bench)


def a_claim_given_back_after_cancel_is_a_failure(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.order(Order.CANCEL)

    bench.storage.give_back(claim)

    bench.nothing_to_claim()
    gone_by_cancel(bench)


def a_claim_whose_lease_ends_after_cancel_is_a_failure(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()
    bench.order(Order.CANCEL)

    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    bench.nothing_to_claim()
    gone_by_cancel(bench)


def a_lapsed_claim_is_cancelled_at_once(bench: Bench) -> None:
    bench.store(an_entry())
    lapsed = bench.claim()
    bench.storage.mark_dot_sent(lapsed, addresses_of(lapsed))
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.nothing_to_claim(NOW - timedelta(days=1))

    equal([each.claimed for each in bench.order(Order.CANCEL)], [False])

    gone_by_cancel(bench)
    equal(bench.first().result.uncertain, True)
    refuted(bench.settle_all(lapsed, Delivered(tries=1)), "settle by a lapsed claim after cancel")
    gone_by_cancel(bench)


def a_hold_after_the_lease_ended_does_not_undo_the_cancel_before_it(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()
    bench.order(Order.CANCEL)
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.storage.next_due(NOW)

    bench.order(Order.HOLD)

    bench.nothing_to_claim()
    gone_by_cancel(bench)


def a_release_after_the_lease_ended_does_not_undo_the_cancel_before_it(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()
    bench.order(Order.CANCEL)
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    equal([bench.order(order) for order in (Order.RELEASE, Order.RETRY)], [[], []])

    bench.nothing_to_claim()
    gone_by_cancel(bench)


def what_a_slow_worker_delivered_counts_though_another_of_its_recipients_was_cancelled(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    claim = bench.claim(backoff=[LATER - NOW])
    bench.storage.mark_dot_sent(claim, addresses_of(claim))
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.nothing_to_claim()
    bench.storage.order(Order.CANCEL, Selection(address="b@dest.example"), NOW)

    refuted(bench.storage.mark_dot_sent(claim, addresses_of(claim)), "a final dot for whom it has no more")
    holds(bench.settle(claim, delivered_to("a@dest.example")), "settle for whom it still has")

    equal([each.result.state for each in bench.status().recipients], ["delivered", "failed"])


CANCEL_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_cancelled_message_is_not_tried_again,
    cancel_leaves_what_is_completed,
    a_cancelled_recipient_keeps_what_was_known_of_it,
    cancel_does_not_undo_a_delivery_under_way,
    no_final_dot_is_sent_to_whom_an_order_waits_for,
    a_final_dot_may_be_sent_again_once_a_hold_is_released,
    a_deferral_after_cancel_is_a_failure,
    a_claim_given_back_after_cancel_is_a_failure,
    a_claim_whose_lease_ends_after_cancel_is_a_failure,
    a_lapsed_claim_is_cancelled_at_once,
    a_hold_after_the_lease_ended_does_not_undo_the_cancel_before_it,
    a_release_after_the_lease_ended_does_not_undo_the_cancel_before_it,
    what_a_slow_worker_delivered_counts_though_another_of_its_recipients_was_cancelled,
)
