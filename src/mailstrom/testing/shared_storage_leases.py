"""The clauses of `SharedStorage` on claims that are renewed, marked, given back and lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from ..abc import Claim, Order, Selection
from ..status import Delivered
from .storage_kit import (
    LATER,
    LEASE,
    MOST_OF_LEASE_SECS,
    NOW,
    WHOLE_LEASE_SECS,
    Bench,
    addresses_of,
    an_entry,
    deferred_until,
    delivered_to,
    equal,
    holds,
    id_of,
    refuted,
    there,
)


def a_renewed_claim_lasts_longer(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.advance_lease_clock(MOST_OF_LEASE_SECS)

    renewed = there(bench.renew(claim), "the renewed claim")

    holds(renewed.lease_until > claim.lease_until, f"a later lease_until than {claim.lease_until}")
    equal(replace(renewed, lease_until=claim.lease_until), claim)
    bench.advance_lease_clock(MOST_OF_LEASE_SECS)
    bench.nothing_to_claim()
    holds(bench.settle_all(renewed, Delivered(tries=1)), "settle of a renewed claim")


def a_claim_settles_whichever_of_its_renewals_is_shown(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.renew(claim)

    holds(bench.settle_all(claim, Delivered(tries=1)), "settle by the claim as it was before renew")


def of_several_claims_each_is_renewed_or_lost_for_itself(bench: Bench) -> None:
    bench.store(*(an_entry(name, f"a@{name}.example") for name in ("one", "two", "three")))
    claims = bench.claims()
    bench.storage.give_back(claims[1])

    renewed = bench.storage.renew(claims, LEASE)

    equal([each and each.token for each in renewed], [claims[0].token, None, claims[2].token])
    equal(bench.storage.renew([], LEASE), [])


def a_claim_whose_lease_ended_is_not_lost_yet(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    there(bench.renew(claim), "a renewed claim")

    bench.nothing_to_claim()
    holds(bench.settle_all(claim, Delivered(tries=1)), "settle")


def a_claim_whose_lease_ended_may_still_settle(bench: Bench) -> None:
    """Row 52."""
    bench.store(an_entry("one", "a@one.example"), an_entry("two", "b@two.example"))
    claim = bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.claim(skip=[claim.route_key])  # whatever it does about claims that ended, it has done

    holds(bench.settle_all(claim, Delivered(tries=1)), "settle")

    bench.nothing_to_claim()


def a_lost_claim_can_do_nothing(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    lost = bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    current = bench.claim(owner="two")

    _can_do_nothing(bench, lost)

    bench.nothing_to_claim()
    holds(bench.settle_all(current, Delivered(tries=1)), "settle of the current claim")


def an_owner_cannot_settle_with_an_older_token(bench: Bench) -> None:
    """Row 52: the same worker, after a pause."""
    bench.store(an_entry())
    lost = bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    current = bench.claim()

    _can_do_nothing(bench, lost)

    holds(bench.settle_all(current, Delivered(tries=1)), "settle of the current claim")


def a_claim_of_which_a_part_was_claimed_anew_is_lost(bench: Bench) -> None:
    """Row 52: it is not renewed for the rest, and then sent to all."""
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    lost = bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.storage.order(Order.HOLD, Selection(address="b@dest.example"), NOW)
    equal(addresses_of(bench.claim(owner="two")), ["a@dest.example"])

    _can_do_nothing(bench, lost)

    refuted(bench.settle(lost, delivered_to("b@dest.example")), "settle of what nobody has claimed anew")


def a_claim_does_nothing_for_another_owner(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()

    _can_do_nothing(bench, replace(claim, owner="another"))

    holds(bench.settle_all(claim, Delivered(tries=1)), "settle by the owner")


def a_settled_claim_can_do_nothing(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.settle_all(claim, deferred_until(NOW))

    _can_do_nothing(bench, claim)

    bench.claim()


def a_claim_that_was_given_back_can_do_nothing(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.storage.give_back(claim)

    _can_do_nothing(bench, claim)

    bench.claim()


def _can_do_nothing(bench: Bench, lost: Claim) -> None:
    before, told = bench.status(), list(bench.storage.events())

    equal(bench.renew(lost), None)
    refuted(bench.storage.mark_dot_sent(lost, addresses_of(lost)), "mark_dot_sent by a lost claim")
    refuted(bench.settle_all(lost, Delivered(tries=1)), "settle by a lost claim")
    bench.storage.give_back(lost, NOW + timedelta(days=1))

    equal((bench.status(), list(bench.storage.events())), (before, told))


# Giving back


def a_given_back_claim_counts_no_crash_and_no_try(bench: Bench) -> None:
    bench.store(an_entry())
    before = bench.status()

    bench.storage.give_back(bench.claim())

    equal(bench.status(), before)
    equal(bench.claim().recipients, before.recipients)


def a_claim_is_given_back_for_later(bench: Bench) -> None:
    bench.store(an_entry())
    later = NOW + timedelta(minutes=5)

    bench.storage.give_back(bench.claim(), later)

    equal(bench.storage.next_due(NOW), later)
    bench.nothing_to_claim(later - timedelta(seconds=1))
    equal(bench.claim(later).recipients[0].crashes, 0)


def what_was_settled_is_not_given_back(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    claim = bench.claim()
    bench.settle(claim, delivered_to("a@dest.example"))

    bench.storage.give_back(claim)

    equal([each.result.state for each in bench.status().recipients], ["delivered", "queued"])
    equal(addresses_of(bench.claim()), ["b@dest.example"])


def a_crash_before_is_counted_after_a_claim_was_given_back(bench: Bench) -> None:
    bench.store(an_entry())
    bench.storage.mark_dot_sent(bench.claim(), ["you@dest.example"])
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    bench.storage.give_back(bench.claim())

    again = bench.claim().recipients[0]
    equal((again.crashes, again.dot_sent), (1, True))


# The final dot


def the_dot_sent_mark_shows_in_the_next_claim(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))

    holds(bench.storage.mark_dot_sent(bench.claim(), ["a@dest.example"]), "mark_dot_sent")

    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    equal({each.address: each.dot_sent for each in bench.claim().recipients}, _MARKED)


_MARKED = {"a@dest.example": True, "b@dest.example": False}


def the_dot_sent_mark_is_seen_at_once(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))

    bench.storage.mark_dot_sent(bench.claim(), ["a@dest.example"])

    equal({each.address: each.dot_sent for each in bench.status().recipients}, _MARKED)


def the_final_dot_is_not_marked_for_some_where_another_is_settled(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    claim = bench.claim()
    bench.settle(claim, delivered_to("a@dest.example"))

    refuted(bench.storage.mark_dot_sent(claim, addresses_of(claim)), "mark_dot_sent for what is settled")

    equal([each.dot_sent for each in bench.status().recipients], [False, False])


def a_settle_takes_the_dot_sent_mark_away(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.storage.mark_dot_sent(claim, addresses_of(claim))
    bench.settle_all(claim, replace(deferred_until(NOW), uncertain=True))

    equal([each.dot_sent for each in bench.claim().recipients], [False])


def whoever_is_claimed_is_being_tried_until_the_lease_ends(bench: Bench) -> None:
    bench.store(an_entry("one", "a@one.example", "b@two.example"), an_entry("two", "c@three.example"))
    equal(dict(bench.storage.being_tried(id_of("one"))), {})
    claim = bench.claim(skip=["two.example", "three.example"])

    tried = bench.storage.being_tried(id_of("one"))

    equal([*tried], addresses_of(claim))
    holds(0 < tried["a@one.example"].lease_secs <= LEASE.total_seconds(), "a lease that is not over yet")
    equal(dict(bench.storage.being_tried(id_of("two"))), {})
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    equal(dict(bench.storage.being_tried(id_of("one"))), {})


def an_order_that_waits_for_the_end_of_a_claim_is_told(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()
    marks = []

    for order in (Order.HOLD, Order.RELEASE, Order.CANCEL):
        bench.order(order)
        [tried] = bench.storage.being_tried(id_of("one")).values()
        marks.append(tried.mark)

    equal(marks, [Order.HOLD, None, Order.CANCEL])


def what_is_settled_or_given_back_is_tried_no_more(bench: Bench) -> None:
    bench.store(an_entry("one", "a@one.example"), an_entry("two", "b@two.example"))
    claims = bench.claims()

    bench.settle_all(claims[0], deferred_until(LATER))
    bench.storage.give_back(claims[1])

    equal([dict(bench.storage.being_tried(id_of(name))) for name in ("one", "two")], [{}, {}])


LEASE_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_renewed_claim_lasts_longer,
    a_claim_settles_whichever_of_its_renewals_is_shown,
    of_several_claims_each_is_renewed_or_lost_for_itself,
    a_claim_whose_lease_ended_is_not_lost_yet,
    a_claim_whose_lease_ended_may_still_settle,
    a_lost_claim_can_do_nothing,
    an_owner_cannot_settle_with_an_older_token,
    a_claim_of_which_a_part_was_claimed_anew_is_lost,
    a_claim_does_nothing_for_another_owner,
    a_settled_claim_can_do_nothing,
    a_claim_that_was_given_back_can_do_nothing,
    a_given_back_claim_counts_no_crash_and_no_try,
    a_claim_is_given_back_for_later,
    what_was_settled_is_not_given_back,
    a_crash_before_is_counted_after_a_claim_was_given_back,
    the_dot_sent_mark_shows_in_the_next_claim,
    the_dot_sent_mark_is_seen_at_once,
    the_final_dot_is_not_marked_for_some_where_another_is_settled,
    a_settle_takes_the_dot_sent_mark_away,
    whoever_is_claimed_is_being_tried_until_the_lease_ends,
    an_order_that_waits_for_the_end_of_a_claim_is_told,
    what_is_settled_or_given_back_is_tried_no_more,
)
