"""The clauses of `SharedStorage` on claims and leases: each name is the sentence that it checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from ..abc import CLAIM_LIMIT, Order
from ..status import Delivered
from .storage_kit import (
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
    results_at_once,
    there,
    with_first,
)

_WAITS = [timedelta(0), timedelta(minutes=2), timedelta(minutes=4)]  # and then none

# What a claim takes


def a_claim_has_one_message_and_one_route_key(bench: Bench) -> None:
    bench.store(
        an_entry("m1", "a@one.example", "b@two.example", "c@one.example"), an_entry("m2", "d@one.example")
    )

    found = {(claim.email.message_id, claim.route_key): addresses_of(claim) for claim in bench.claims()}

    equal(
        found,
        {
            (id_of("m1"), "one.example"): ["a@one.example", "c@one.example"],
            (id_of("m1"), "two.example"): ["b@two.example"],
            (id_of("m2"), "one.example"): ["d@one.example"],
        },
    )


def a_claim_has_at_most_a_hundred_recipients(bench: Bench) -> None:
    """Row 59."""
    addresses = [f"u{number}@dest.example" for number in range(2 * CLAIM_LIMIT + 1)]
    bench.store(an_entry("big", *addresses))

    claims = bench.claims()

    equal([len(claim.recipients) for claim in claims], [CLAIM_LIMIT, CLAIM_LIMIT, 1])
    equal(sorted(addresses_of(*claims)), sorted(addresses))


def the_claims_of_a_large_message_are_settled_apart(bench: Bench) -> None:
    bench.store(an_entry("big", *(f"u{number}@dest.example" for number in range(150))))
    hundred, fifty = bench.claims()

    holds(bench.settle_all(fifty, Delivered(tries=1)), "settle of the second half")
    bench.storage.give_back(hundred)

    equal(bench.status("big").completed_at, None)
    again = bench.claim()
    equal((sorted(addresses_of(again)), len(again.recipients)), (sorted(addresses_of(hundred)), CLAIM_LIMIT))
    holds(bench.settle_all(again, Delivered(tries=1)), "settle of the first half")
    equal(bench.status("big").completed_at, NOW)


def what_is_not_due_is_not_claimed(bench: Bench) -> None:
    bench.store(an_entry(due_at=NOW + timedelta(seconds=1)))

    bench.nothing_to_claim(NOW)

    bench.claim(NOW + timedelta(seconds=1))


def recipients_of_one_message_fall_due_apart(bench: Bench) -> None:
    email, status = an_entry("one", "a@dest.example", "b@dest.example")
    later = replace(status.recipients[0], due_at=NOW + timedelta(seconds=9))
    bench.store((email, with_first(status, later)))

    equal(addresses_of(bench.claim()), ["b@dest.example"])

    bench.nothing_to_claim()
    equal(addresses_of(bench.claim(NOW + timedelta(seconds=9))), ["a@dest.example"])


def what_fell_due_apart_is_claimed_apart_the_first_first(bench: Bench) -> None:
    email, status = an_entry("one", "a@dest.example", "b@dest.example", "c@dest.example")
    later = replace(status.recipients[0], due_at=NOW + timedelta(seconds=9))
    bench.store((email, with_first(status, later)))

    claims = bench.claims(NOW + timedelta(hours=1))

    equal(
        [addresses_of(claim) for claim in claims], [["b@dest.example", "c@dest.example"], ["a@dest.example"]]
    )


def what_is_held_is_not_claimed(bench: Bench) -> None:
    bench.store(an_entry(due_at=None))

    bench.nothing_to_claim(NOW + timedelta(days=999))
    equal((bench.storage.next_due(NOW), bench.storage.is_idle()), (None, True))


def what_is_claimed_is_not_claimed_again(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()

    bench.advance_lease_clock(MOST_OF_LEASE_SECS)

    bench.nothing_to_claim()


def threads_that_claim_at_once_share_no_recipient(bench: Bench) -> None:
    addresses = [f"u{number}@d{number % 7}.example" for number in range(70)]
    bench.store(*(an_entry(f"m{each}", each) for each in addresses))

    claims = [claim for claims in results_at_once([bench.claims] * 6) for claim in claims]

    equal(sorted(addresses_of(*claims)), sorted(addresses))
    equal(len({claim.token for claim in claims}), len(claims))


# Fair order


def a_route_key_with_much_mail_does_not_hide_another(bench: Bench) -> None:
    busy = [an_entry(f"b{number}", f"u{number}@busy.example") for number in range(50)]
    bench.store(*busy, an_entry("q1", "a@quiet.example"), an_entry("q2", "b@quiet.example"))

    keys = [bench.claim().route_key for _ in range(5)]

    holds(keys.count("quiet.example") == 2, f"quiet.example twice in five claims, not {keys}")


def a_hundred_of_one_route_key_hide_another_for_one_claim_at_most(bench: Bench) -> None:
    bench.store(*(an_entry(f"b{number}", f"u{number}@a-busy.example") for number in range(100)))
    bench.store(an_entry("q", "a@z-quiet.example", due_at=NOW + timedelta(seconds=1)))
    now = NOW + timedelta(hours=1)

    keys = [bench.claim(now).route_key for _ in range(2)]

    holds("z-quiet.example" in keys, f"z-quiet.example in the first two claims, not {keys}")


def each_route_key_has_its_turn(bench: Bench) -> None:
    keys = [f"d{number}.example" for number in range(5)]
    bench.store(*(an_entry(f"{each}-{number}", f"a@{each}") for number in range(3) for each in keys))

    turns = [bench.claim().route_key for _ in range(15)]

    equal([sorted(turns[start : start + 5]) for start in (0, 5, 10)], [keys] * 3)


def within_a_route_key_what_fell_due_first_comes_first(bench: Bench) -> None:
    due_at = {name: NOW - timedelta(minutes=minutes) for name, minutes in (("b", 2), ("c", 1), ("a", 3))}
    bench.store(*(an_entry(name, due_at=due_at[name]) for name in due_at))

    equal([claim.email.message_id for claim in bench.claims()], [id_of("a"), id_of("b"), id_of("c")])


def of_what_fell_due_at_once_the_first_stored_comes_first(bench: Bench) -> None:
    for name in ("c", "a", "b"):
        bench.store(an_entry(name))

    equal([claim.email.message_id for claim in bench.claims()], [id_of("c"), id_of("a"), id_of("b")])


def skipped_route_keys_are_not_claimed(bench: Bench) -> None:
    bench.store(an_entry("a", "a@one.example"), an_entry("b", "b@two.example"))

    equal(bench.claim(skip=["one.example"]).route_key, "two.example")
    bench.nothing_to_claim(skip=["one.example"])

    equal(bench.claim().route_key, "one.example")


def many_route_keys_may_be_skipped(bench: Bench) -> None:
    keys = [f"d{number}.example" for number in range(300)]
    bench.store(*(an_entry(key, f"a@{key}") for key in keys))

    equal(bench.claim(skip=keys[:-1]).route_key, keys[-1])
    bench.nothing_to_claim(skip=keys)


# Written ahead


def a_claim_is_written_ahead_as_a_crash(bench: Bench) -> None:
    """Row 56."""
    bench.store(an_entry())

    claim = bench.claim()

    equal([each.crashes for each in claim.recipients], [0])
    equal([each.crashes for each in bench.status().recipients], [1])


def a_claim_whose_lease_ended_is_claimable_with_the_crash_counted(bench: Bench) -> None:
    """Row 56."""
    bench.store(an_entry())
    crashes = []
    for _ in range(3):
        crashes.append(bench.claim().recipients[0].crashes)
        bench.advance_lease_clock(WHOLE_LEASE_SECS)

    equal(crashes, [0, 1, 2])


def after_each_crash_in_a_row_it_is_claimable_after_the_wait_for_that(bench: Bench) -> None:
    """Row 56: not tried in a hot loop."""
    bench.store(an_entry())
    due_at = [NOW, NOW, NOW + _WAITS[1], NOW + _WAITS[1] + _WAITS[2], NOW + _WAITS[1] + _WAITS[2]]
    for crashes, now in enumerate(due_at):
        bench.nothing_to_claim(now - timedelta(seconds=1))
        equal(bench.storage.next_due(NOW), now)
        equal(bench.claim(now, backoff=_WAITS).recipients[0].crashes, crashes)
        bench.advance_lease_clock(WHOLE_LEASE_SECS)


def each_recipient_waits_for_its_own_crashes(bench: Bench) -> None:
    email, status = an_entry("one", "a@dest.example", "b@dest.example")
    bench.store((email, with_first(status, replace(status.recipients[0], crashes=1))))
    bench.claim(backoff=_WAITS)
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    equal(addresses_of(bench.claim()), ["b@dest.example"])
    equal(addresses_of(bench.claim(NOW + _WAITS[1])), ["a@dest.example"])


def what_is_given_back_or_settled_does_not_wait_for_a_crash(bench: Bench) -> None:
    bench.store(an_entry("back", "a@one.example"), an_entry("settled", "b@two.example"))
    waits = [timedelta(hours=1)]
    back, settled = bench.claim(backoff=waits), bench.claim(backoff=waits)

    bench.storage.give_back(back)
    bench.settle_all(settled, deferred_until(NOW))

    equal(bench.storage.next_due(NOW), NOW)
    equal([claim.recipients[0].due_at for claim in bench.claims()], [NOW, NOW])


def what_waits_after_a_crash_can_be_retried_at_once(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim(backoff=[timedelta(hours=1)])
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    equal(len(bench.order(Order.RETRY)), 1)

    bench.claim(NOW)


def what_was_settled_does_not_come_again_when_the_lease_ends(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    bench.settle(bench.claim(), delivered_to("a@dest.example"))

    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    equal(addresses_of(bench.claim()), ["b@dest.example"])


def a_lease_is_as_long_as_was_asked(bench: Bench) -> None:
    bench.store(an_entry("a", "a@one.example"), an_entry("b", "b@two.example"))
    short = there(bench.storage.claim(NOW, owner="one", lease=LEASE / 2), "a claim")
    bench.claim()

    bench.advance_lease_clock(MOST_OF_LEASE_SECS)

    equal(bench.claim(owner="two").route_key, short.route_key)
    bench.nothing_to_claim()


def tokens_only_grow(bench: Bench) -> None:
    bench.store(an_entry("a"), an_entry("b"))
    first, second = bench.claim(), bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    tokens = [first.token, second.token, bench.claim().token, bench.claim().token]

    equal(tokens, sorted(set(tokens)))


def no_token_comes_again_after_give_back_and_settle(bench: Bench) -> None:
    bench.store(an_entry("a"), an_entry("b"))
    tokens = []
    for end in (bench.storage.give_back, lambda claim: bench.settle_all(claim, deferred_until(NOW))) * 4:
        claim = bench.claim()
        tokens.append(claim.token)
        end(claim)

    equal(tokens, sorted(set(tokens)))


CLAIM_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_claim_has_one_message_and_one_route_key,
    a_claim_has_at_most_a_hundred_recipients,
    the_claims_of_a_large_message_are_settled_apart,
    what_is_not_due_is_not_claimed,
    recipients_of_one_message_fall_due_apart,
    what_fell_due_apart_is_claimed_apart_the_first_first,
    what_is_held_is_not_claimed,
    what_is_claimed_is_not_claimed_again,
    threads_that_claim_at_once_share_no_recipient,
    a_route_key_with_much_mail_does_not_hide_another,
    a_hundred_of_one_route_key_hide_another_for_one_claim_at_most,
    each_route_key_has_its_turn,
    within_a_route_key_what_fell_due_first_comes_first,
    of_what_fell_due_at_once_the_first_stored_comes_first,
    skipped_route_keys_are_not_claimed,
    many_route_keys_may_be_skipped,
    a_claim_is_written_ahead_as_a_crash,
    a_claim_whose_lease_ended_is_claimable_with_the_crash_counted,
    after_each_crash_in_a_row_it_is_claimable_after_the_wait_for_that,
    each_recipient_waits_for_its_own_crashes,
    what_is_given_back_or_settled_does_not_wait_for_a_crash,
    what_waits_after_a_crash_can_be_retried_at_once,
    what_was_settled_does_not_come_again_when_the_lease_ends,
    a_lease_is_as_long_as_was_asked,
    tokens_only_grow,
    no_token_comes_again_after_give_back_and_settle,
)
