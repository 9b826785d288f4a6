"""The clauses of `SharedStorage` on claims that are granted, and given back, in one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from ..abc import CLAIM_LIMIT, Order
from ..status import Delivered
from .storage_kit import (
    LATER,
    LEASE,
    NOW,
    WHOLE_LEASE_SECS,
    Bench,
    Entry,
    addresses_of,
    an_entry,
    deferred_until,
    equal,
    holds,
    id_of,
    results_at_once,
    until_empty,
)

_ALL = 50  # claims: more than there are

# What a step grants


def a_step_grants_no_more_claims_than_were_asked_for(bench: Bench) -> None:
    bench.store(*_mail(a=3, b=2))

    steps = [len(bench.claim_many(limit)) for limit in (3, 1, 3)]

    equal(steps, [3, 1, 1])


def what_fits_is_granted_in_one_step(bench: Bench) -> None:
    bench.store(*_mail(a=3, b=1), an_entry("both", "x@a.example", "y@b.example"))

    claims = bench.claim_many(_ALL)

    equal(
        sorted((claim.email.message_id, *addresses_of(claim)) for claim in claims),
        sorted(
            [
                *((id_of(f"a{number}"), f"u{number}@a.example") for number in range(3)),
                (id_of("b0"), "u0@b.example"),
                (id_of("both"), "x@a.example"),
                (id_of("both"), "y@b.example"),
            ]
        ),
    )
    equal([each.crashes for name in ("a0", "both") for each in bench.status(name).recipients], [1, 1, 1])
    bench.nothing_to_claim()


def where_nothing_is_due_a_step_grants_nothing(bench: Bench) -> None:
    bench.store(an_entry(due_at=LATER))

    equal(bench.claim_many(_ALL), [])


def claims_of_one_step_share_no_recipient_and_no_token(bench: Bench) -> None:
    names = [f"u{number}@d{number % 3}.example" for number in range(10)]
    bench.store(*(an_entry(name, name) for name in names))

    claims = bench.claim_many(_ALL)

    equal(sorted(addresses_of(*claims)), sorted(names))
    equal(sorted({claim.token for claim in claims}), [claim.token for claim in claims])


def claims_of_one_step_stand_each_for_itself(bench: Bench) -> None:
    bench.store(*_mail(a=3))
    settled, given_back, held = bench.claim_many(_ALL)

    holds(bench.settle_all(settled, Delivered(tries=1)), "settle of the first")
    bench.storage.give_back(given_back)

    renewed = bench.storage.renew([settled, given_back, held], LEASE)
    equal([each is not None for each in renewed], [False, False, True])
    equal([bench.first(f"a{number}").crashes for number in range(3)], [0, 0, 1])


def the_recipients_of_a_large_message_come_in_several_claims_of_one_step(bench: Bench) -> None:
    """Row 59."""
    addresses = [f"u{number}@dest.example" for number in range(2 * CLAIM_LIMIT + 1)]
    large = an_entry("big", *addresses)
    bench.store(large)

    claims = bench.claim_many(3)

    equal([len(claim.recipients) for claim in claims], [CLAIM_LIMIT, CLAIM_LIMIT, 1])
    equal(sorted(addresses_of(*claims)), sorted(addresses))
    equal([claim.email for claim in claims], [large[0]] * 3)


def each_claim_of_a_step_has_its_own_email(bench: Bench) -> None:
    one, two = an_entry("one", "a@a.example", "b@b.example"), an_entry("two", "c@a.example", "d@b.example")
    bench.store(one, two)

    found = {address: claim.email for claim in bench.claim_many(_ALL) for address in addresses_of(claim)}

    equal(found, {address: email for email, _ in (one, two) for address in email.recipients})


def however_much_falls_due_at_once_a_step_grants_as_much_as_was_asked_for(bench: Bench) -> None:
    """Row 59."""
    bench.store(an_entry("big", *(f"u{number}@dest.example" for number in range(1100)), due_at=LATER))

    equal([len(claim.recipients) for claim in bench.claim_many(_ALL, LATER)], [CLAIM_LIMIT] * 11)


def each_claim_of_a_step_has_the_lease_and_the_wait_after_a_crash(bench: Bench) -> None:
    """Row 56."""
    bench.store(*_mail(a=1, b=1))
    wait = timedelta(minutes=2)
    bench.claim_many(_ALL, backoff=lambda: [wait])

    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    equal(bench.claim_many(_ALL), [])
    again = bench.claim_many(_ALL, NOW + wait)
    equal([each.crashes for claim in again for each in claim.recipients], [1, 1])


def each_claim_of_a_step_has_a_wait_of_its_own(bench: Bench) -> None:
    """Row 56: what dies together comes back apart."""
    bench.store(*_mail(a=3))
    waits = iter([timedelta(minutes=minutes)] for minutes in (4, 2, 6))
    bench.claim_many(_ALL, backoff=lambda: next(waits))
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    again = [bench.claim_many(_ALL, NOW + timedelta(minutes=minutes)) for minutes in (2, 4, 6)]

    equal([[claim.email.message_id for claim in claims] for claims in again], _each_alone("a1", "a0", "a2"))


def threads_that_claim_in_steps_at_once_share_no_recipient(bench: Bench) -> None:
    addresses = [f"u{number}@d{number % 7}.example" for number in range(70)]
    bench.store(*(an_entry(f"m{each}", each) for each in addresses))
    steps = results_at_once([partial(until_empty, partial(bench.claim_many, 4))] * 4)

    claims = [claim for taken in steps for step in taken for claim in step]

    equal(sorted(addresses_of(*claims)), sorted(addresses))
    equal(len({claim.token for claim in claims}), len(claims))


# Fair order


def in_one_step_a_route_key_with_much_mail_does_not_hide_another(bench: Bench) -> None:
    bench.store(*_mail(busy=20, quiet=2))

    keys = [claim.route_key for claim in bench.claim_many(5)]

    holds(keys.count("quiet.example") == 2, f"quiet.example twice in five claims, not {keys}")


def from_step_to_step_each_route_key_has_its_turn(bench: Bench) -> None:
    bench.store(*_mail(a=3, b=3, c=3, d=3, e=3))

    turns = [claim.route_key[0] for _ in range(5) for claim in bench.claim_many(3)]

    equal([sorted(turns[start : start + 5]) for start in (0, 5, 10)], [[*"abcde"]] * 3)


def in_one_step_what_fell_due_first_in_its_route_key_comes_first(bench: Bench) -> None:
    due_at = {name: NOW - timedelta(minutes=minutes) for name, minutes in (("b", 2), ("c", 1), ("a", 3))}
    bench.store(*(an_entry(name, due_at=due_at[name]) for name in due_at))

    equal([claim.email.message_id for claim in bench.claim_many(_ALL)], [id_of("a"), id_of("b"), id_of("c")])


# What is passed over


def in_one_step_skipped_route_keys_are_not_claimed(bench: Bench) -> None:
    bench.store(*_mail(a=2, b=2, c=2))

    equal(_keys_of(bench, skip=["a.example", "c.example"]), ["b", "b"])

    equal(sorted(_keys_of(bench)), ["a", "a", "c", "c"])


def a_route_key_that_is_not_admitted_is_passed_over_and_others_go_on(bench: Bench) -> None:
    bench.store(*_mail(a=2, b=2, c=2))

    equal(sorted(_keys_of(bench, admits=lambda key, _: key != "b.example")), ["a", "a", "c", "c"])

    equal([bench.first(f"b{number}").crashes for number in range(2)], [0, 0])
    equal(_keys_of(bench), ["b", "b"])


def before_each_claim_of_a_step_it_is_asked_whether_it_is_admitted_beside_those_before(bench: Bench) -> None:
    bench.store(*_mail(a=4, b=1, c=4))

    equal(sorted(_keys_of(bench, admits=_two_of_each)), ["a", "a", "b", "c", "c"])

    equal(sorted(_keys_of(bench, admits=_two_of_each)), ["a", "a", "c", "c"])


def a_step_that_may_grant_nothing_leaves_all_as_it_was(bench: Bench) -> None:
    bench.store(*_mail(a=2, b=2))

    equal(_keys_of(bench, admits=lambda *_: False), [])

    equal(bench.storage.next_due(NOW), NOW)
    equal(sorted(_keys_of(bench)), ["a", "a", "b", "b"])


def what_an_order_ended_is_not_counted_as_admitted(bench: Bench) -> None:
    """It was claimed when the order came, and its lease is over since."""
    bench.store(an_entry("ended", due_at=NOW - timedelta(minutes=1)), an_entry("next"))
    bench.claim()
    bench.order(Order.CANCEL, name="ended")
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    claims = bench.claim_many(_ALL, admits=lambda _, before: not before)

    equal([claim.email.message_id for claim in claims], [id_of("next")])


def what_was_deferred_in_one_step_is_claimed_in_one_step(bench: Bench) -> None:
    bench.store(*_mail(a=2, b=2))
    for claim in bench.claim_many(_ALL):
        bench.settle_all(claim, deferred_until(LATER))

    equal(bench.claim_many(_ALL), [])

    equal(len(bench.claim_many(_ALL, LATER)), 4)


# Giving back


def the_claims_of_one_step_are_given_back_in_one_step(bench: Bench) -> None:
    bench.store(*_mail(a=3, b=2), an_entry("both", "x@a.example", "y@b.example"))
    names = "a0", "a1", "a2", "b0", "b1", "both"
    before = [bench.status(name) for name in names]

    bench.storage.give_back_many(bench.claim_many(_ALL))

    equal([bench.status(name) for name in names], before)
    equal(len(bench.claim_many(_ALL)), 7)


def a_claim_that_was_lost_keeps_no_other_from_being_given_back(bench: Bench) -> None:
    """Nor does one that is named twice."""
    bench.store(*_mail(a=4))
    settled, first, lost, last = bench.claim_many(_ALL)
    bench.settle_all(settled, Delivered(tries=1))
    bench.storage.give_back(lost)
    (anew,) = bench.claim_many(_ALL)

    bench.storage.give_back_many([settled, first, first, lost, last])
    bench.storage.give_back_many([])

    equal([bench.first(f"a{number}").crashes for number in range(4)], [0, 0, 1, 0])
    holds(bench.settle_all(anew, Delivered(tries=1)), "settle of what was claimed anew")
    equal(len(bench.claim_many(_ALL)), 2)


def what_was_asked_of_claims_takes_effect_when_they_are_given_back_in_one_step(bench: Bench) -> None:
    bench.store(*_mail(a=3))
    claims = bench.claim_many(_ALL)
    bench.order(Order.HOLD, name="a0")
    bench.order(Order.CANCEL, name="a1")

    bench.storage.give_back_many(claims)

    equal([bench.first(f"a{number}").result.state for number in range(3)], ["deferred", "failed", "queued"])
    equal([claim.email.message_id for claim in bench.claim_many(_ALL)], [id_of("a2")])


def _mail(**counts: int) -> list[Entry]:
    """So many messages for each of these domains: `a0`, `a1` ... for a.example."""
    return [
        an_entry(f"{name}{number}", f"u{number}@{name}.example")
        for name, count in counts.items()
        for number in range(count)
    ]


def _each_alone(*names: str) -> list[list[str]]:
    return [[id_of(name)] for name in names]


def _keys_of(bench: Bench, **terms: Any) -> list[str]:
    """The route keys of all that one step grants, by their first letters."""
    return [claim.route_key[0] for claim in bench.claim_many(_ALL, **terms)]


def _two_of_each(route_key: str, before: Sequence[str]) -> bool:
    return before.count(route_key) < 2


STEP_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_step_grants_no_more_claims_than_were_asked_for,
    what_fits_is_granted_in_one_step,
    where_nothing_is_due_a_step_grants_nothing,
    claims_of_one_step_share_no_recipient_and_no_token,
    claims_of_one_step_stand_each_for_itself,
    the_recipients_of_a_large_message_come_in_several_claims_of_one_step,
    each_claim_of_a_step_has_its_own_email,
    however_much_falls_due_at_once_a_step_grants_as_much_as_was_asked_for,
    each_claim_of_a_step_has_the_lease_and_the_wait_after_a_crash,
    each_claim_of_a_step_has_a_wait_of_its_own,
    threads_that_claim_in_steps_at_once_share_no_recipient,
    in_one_step_a_route_key_with_much_mail_does_not_hide_another,
    from_step_to_step_each_route_key_has_its_turn,
    in_one_step_what_fell_due_first_in_its_route_key_comes_first,
    in_one_step_skipped_route_keys_are_not_claimed,
    a_route_key_that_is_not_admitted_is_passed_over_and_others_go_on,
    before_each_claim_of_a_step_it_is_asked_whether_it_is_admitted_beside_those_before,
    a_step_that_may_grant_nothing_leaves_all_as_it_was,
    what_an_order_ended_is_not_counted_as_admitted,
    what_was_deferred_in_one_step_is_claimed_in_one_step,
    the_claims_of_one_step_are_given_back_in_one_step,
    a_claim_that_was_lost_keeps_no_other_from_being_given_back,
    what_was_asked_of_claims_takes_effect_when_they_are_given_back_in_one_step,
)
