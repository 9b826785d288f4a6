"""The clauses of `SharedStorage` on several workers at one queue, which `Bench.another` opens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..abc import EVERYTHING, Claim, Note, Order
from ..errors import DuplicateMessage, IdempotencyConflict
from ..status import Delivered
from .storage_kit import (
    LATER,
    NOW,
    WHOLE_LEASE_SECS,
    Bench,
    a_keyed,
    addresses_of,
    an_entry,
    at_once,
    deferred_until,
    equal,
    holds,
    id_of,
    ids_of,
    raises,
    refuted,
    results_at_once,
    there,
    until_empty,
)

_RACES = 10


def what_one_stores_the_other_claims(bench: Bench) -> None:
    email, status = an_entry()
    bench.store((email, status))

    claim = bench.beside().claim(owner="two")

    equal((claim.email, claim.recipients), (email, status.recipients))
    bench.nothing_to_claim()


def a_claim_is_seen_by_the_other_as_written_ahead(bench: Bench) -> None:
    bench.store(an_entry())
    beside = bench.beside()

    claim = bench.claim()
    bench.storage.mark_dot_sent(claim, addresses_of(claim))

    beside.nothing_to_claim()
    equal((beside.first().crashes, beside.first().dot_sent), (1, True))
    equal(beside.storage.is_idle(), False)


def a_result_is_seen_by_the_other(bench: Bench) -> None:
    bench.store(an_entry())
    beside = bench.beside()

    bench.settle_all(bench.claim(), deferred_until(LATER))

    equal(beside.status(), bench.status())
    equal(beside.storage.next_due(NOW), LATER)
    holds(beside.settle_all(beside.claim(LATER), Delivered(tries=2)), "settle by the other")
    equal((bench.status().completed_at, bench.storage.is_idle()), (NOW, True))


def what_one_gives_back_the_other_claims(bench: Bench) -> None:
    bench.store(an_entry())
    beside = bench.beside()

    bench.storage.give_back(bench.claim())

    equal(beside.claim(owner="two").recipients[0].crashes, 0)


def a_claim_whose_lease_ended_is_taken_over_by_the_other(bench: Bench) -> None:
    """Rows 50 and 52."""
    bench.store(an_entry())
    beside = bench.beside()
    late = bench.claim()
    bench.storage.mark_dot_sent(late, addresses_of(late))
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    taken = beside.claim(owner="two")

    equal([(each.crashes, each.dot_sent) for each in taken.recipients], [(1, True)])
    before = beside.status()
    refuted(bench.settle_all(late, Delivered(tries=1)), "settle by the late one")
    equal((bench.renew(late), bench.status()), (None, before))
    holds(beside.settle_all(taken, Delivered(tries=1)), "settle by the other")


def a_renewed_claim_is_not_taken_over(bench: Bench) -> None:
    bench.store(an_entry())
    beside = bench.beside()
    claim = bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)

    there(bench.renew(claim), "the renewed claim")

    beside.nothing_to_claim()
    holds(bench.settle_all(claim, Delivered(tries=1)), "settle")


def workers_at_once_share_no_recipient_and_no_token(bench: Bench) -> None:
    addresses = [f"u{number}@d{number % 7}.example" for number in range(70)]
    bench.store(*(an_entry(f"m{each}", each) for each in addresses))
    benches = [bench, bench.beside(), bench.beside()] * 2

    found = results_at_once([partial(one.claims, owner=f"{at}") for at, one in enumerate(benches)])

    claims = [claim for claims in found for claim in claims]
    equal(sorted(addresses_of(*claims)), sorted(addresses))
    equal(len({claim.token for claim in claims}), len(claims))


def workers_that_claim_in_steps_at_once_share_no_recipient(bench: Bench) -> None:
    addresses = [f"u{number}@d{number % 7}.example" for number in range(70)]
    bench.store(*(an_entry(f"m{each}", each) for each in addresses))
    benches = [bench, bench.beside(), bench.beside()]
    asked = [partial(one.claim_many, 4, owner=f"{at}") for at, one in enumerate(benches)]

    steps = results_at_once([partial(until_empty, each) for each in asked])

    claims = [claim for taken in steps for step in taken for claim in step]
    equal(sorted(addresses_of(*claims)), sorted(addresses))
    equal(len({claim.token for claim in claims}), len(claims))


def tokens_grow_whoever_claims(bench: Bench) -> None:
    bench.store(an_entry())
    benches = [bench, bench.beside()]
    tokens = []
    for one in benches * 3:
        claim = one.claim()
        tokens.append(claim.token)
        one.storage.give_back(claim)

    equal(tokens, sorted(set(tokens)))


def of_two_that_race_for_one_recipient_one_gets_it(bench: Bench) -> None:
    beside = bench.beside()
    for number in range(_RACES):
        bench.store(an_entry(f"m{number}"))
        mine, other = results_at_once([bench.claims, beside.claims])
        equal([claim.email.message_id for claim in (*mine, *other)], [id_of(f"m{number}")])


def of_a_late_result_and_who_takes_over_at_once_one_counts(bench: Bench) -> None:
    """Row 52."""
    beside = bench.beside()
    for number in range(_RACES):
        bench.store(an_entry(f"m{number}"))
        late = bench.claim()
        bench.advance_lease_clock(WHOLE_LEASE_SECS)
        taken: list[Claim] = []

        def take_over(taken: list[Claim] = taken) -> None:
            taken += beside.claims(owner="two")

        equal(at_once([partial(bench.settle_all, late, Delivered(tries=1)), take_over]), [])

        equal(len(taken), 0 if bench.status(f"m{number}").completed else 1)
        holds(all(beside.settle_all(each, Delivered(tries=2)) for each in taken), "settle by who took over")


def two_that_settle_one_message_at_once_complete_it(bench: Bench) -> None:
    beside = bench.beside()
    for number in range(_RACES):
        bench.store(an_entry(f"m{number}", "a@one.example", "b@two.example"))
        first, second = bench.claim(), beside.claim(owner="two")
        settles = [
            partial(bench.settle_all, first, Delivered(tries=1)),
            partial(beside.settle_all, second, Delivered(tries=1)),
        ]
        equal((results_at_once(settles), bench.status(f"m{number}").completed_at), ([True, True], NOW))
    equal((bench.storage.is_idle(), list(beside.storage.retrieve_all_incomplete())), (True, []))


def an_idempotency_key_holds_between_the_two(bench: Bench) -> None:
    """Row 60."""
    beside = bench.beside()
    bench.store(a_keyed("first"))

    equal(beside.store(a_keyed("again"), an_entry("other")), [id_of("first"), id_of("other")])

    raises(IdempotencyConflict, lambda: beside.store(a_keyed("b", fingerprint="other")))
    equal(raises(DuplicateMessage, lambda: beside.store(an_entry("first"))).index, 0)
    equal(ids_of(bench.storage.retrieve_all_incomplete()), [id_of("first"), id_of("other")])


def of_two_that_race_for_one_idempotency_key_one_stores(bench: Bench) -> None:
    """Row 60."""
    beside = bench.beside()
    for number in range(_RACES):
        calls = [
            partial(bench.store, a_keyed(f"a{number}", f"key{number}")),
            partial(beside.store, a_keyed(f"b{number}", f"key{number}")),
        ]
        first, second = results_at_once(calls)
        equal(first, second)

    equal(len(bench.claims()), _RACES)


def of_two_that_race_to_store_one_id_one_succeeds(bench: Bench) -> None:
    beside = bench.beside()
    for number in range(_RACES):
        entry = an_entry(f"m{number}")
        errors = at_once([partial(bench.store, entry), partial(beside.store, entry)])
        equal([type(error) for error in errors], [DuplicateMessage])

    equal(len(bench.claims()), _RACES)


def an_order_reaches_what_the_other_has_claimed(bench: Bench) -> None:
    bench.store(an_entry("a", "a@one.example"), an_entry("b", "b@two.example"))
    beside = bench.beside()
    claims = bench.claims()

    equal([each.claimed for each in beside.storage.order(Order.CANCEL, EVERYTHING, NOW)], [True, True])

    bench.settle_all(claims[0], Delivered(tries=1))
    bench.settle_all(claims[1], deferred_until(LATER))
    states = [beside.first(claim.email.message_id.partition("@")[0]).result.state for claim in claims]
    equal(states, ["delivered", "failed"])


def a_cancel_races_a_settle_to_one_end(bench: Bench) -> None:
    beside = bench.beside()
    bench.store(*(an_entry(f"m{number}", f"u{number}@d{number}.example") for number in range(20)))
    claims = bench.claims()
    for claim in claims[:10]:
        bench.storage.give_back(claim)

    def settle() -> None:
        for claim in claims[10:]:
            holds(bench.settle_all(claim, Delivered(tries=1)), "settle of what is claimed")

    equal(at_once([settle, partial(beside.storage.order, Order.CANCEL, EVERYTHING, NOW)]), [])

    results = [each.result for each in bench.storage.events() if each.result]
    equal((len(results), bench.storage.is_idle()), (20, True))
    equal(sorted(each.state for each in results), ["delivered"] * 10 + ["failed"] * 10)


def a_cancel_that_races_a_deferral_ends_it(bench: Bench) -> None:
    beside = bench.beside()
    for number in range(_RACES):
        bench.store(an_entry(f"m{number}"))
        settle = partial(bench.settle_all, bench.claim(), deferred_until(LATER))
        cancel = partial(beside.order, Order.CANCEL, name=f"m{number}")

        equal(at_once([settle, cancel]), [])

        equal(bench.first(f"m{number}").result.state, "failed")


def both_are_told_the_same_events(bench: Bench) -> None:
    beside = bench.beside()
    for number in range(5):
        bench.store(an_entry(f"m{number}"))
        beside.settle_all(beside.claim(), Delivered(tries=1))

    told = list(bench.storage.events())

    equal((list(beside.storage.events()), len(told)), (told, 10))
    equal(list(beside.storage.events(told[3].cursor)), told[4:])


def workers_that_read_events_while_they_store_are_told_the_same(bench: Bench) -> None:
    """Each event has a cursor of its own: who goes on behind one passes over nothing."""
    beside = bench.beside()

    def work(one: Bench, name: str) -> None:
        for number in range(10):
            one.store(an_entry(f"{name}{number}"))
            one.storage.events()

    calls = [partial(work, one, name) for one, name in zip([bench, beside] * 3, "abcdef", strict=True)]
    equal(at_once(calls), [])

    told = list(bench.storage.events())
    equal((list(beside.storage.events()), len({each.message_id for each in told})), (told, 60))
    equal(len({each.cursor for each in told}), 60)


def a_note_of_one_is_known_to_the_other(bench: Bench) -> None:
    beside = bench.beside()
    kept = there(bench.storage.put_note(_note("one"), NOW), "the note")

    equal(beside.storage.note("sts", "key", NOW), kept)
    changed = there(beside.storage.put_note(replace(kept, value="two"), NOW), "the note changed")

    equal(bench.storage.put_note(replace(kept, value="late"), NOW), None)
    equal(bench.storage.note("sts", "key", NOW), changed)


def of_eight_that_race_for_one_note_one_wins(bench: Bench) -> None:
    benches = [bench, bench.beside()] * 4
    for number in range(_RACES):
        note = _note("x", f"key{number}")
        taken = results_at_once([partial(one.storage.put_note, note, NOW) for one in benches])
        equal((len(taken), taken.count(None)), (8, 7))


def a_message_is_recent_for_one_of_the_two(bench: Bench) -> None:
    beside = bench.beside()
    bench.store(an_entry())
    bench.settle_all(bench.claim(), Delivered(tries=1))

    equal([len(one.storage.retrieve_all_recent()) for one in (bench, beside)], [1, 0])


def what_others_did_may_be_looked_for(bench: Bench) -> None:
    secs = there(bench.storage.poll_secs, "poll_secs of a storage that several share")

    holds(0 < secs <= 60, f"a look every minute at least, not {secs}")
    equal(bench.beside().storage.identity, there(bench.storage.identity, "an identity"))


def _note(value: str, key: str = "key") -> Note:
    return Note(namespace="sts", key=key, value=value, expires_at=LATER)


SEVERAL_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    what_one_stores_the_other_claims,
    a_claim_is_seen_by_the_other_as_written_ahead,
    a_result_is_seen_by_the_other,
    what_one_gives_back_the_other_claims,
    a_claim_whose_lease_ended_is_taken_over_by_the_other,
    a_renewed_claim_is_not_taken_over,
    workers_at_once_share_no_recipient_and_no_token,
    workers_that_claim_in_steps_at_once_share_no_recipient,
    tokens_grow_whoever_claims,
    of_two_that_race_for_one_recipient_one_gets_it,
    of_a_late_result_and_who_takes_over_at_once_one_counts,
    two_that_settle_one_message_at_once_complete_it,
    an_idempotency_key_holds_between_the_two,
    of_two_that_race_for_one_idempotency_key_one_stores,
    of_two_that_race_to_store_one_id_one_succeeds,
    an_order_reaches_what_the_other_has_claimed,
    a_cancel_races_a_settle_to_one_end,
    a_cancel_that_races_a_deferral_ends_it,
    both_are_told_the_same_events,
    workers_that_read_events_while_they_store_are_told_the_same,
    a_note_of_one_is_known_to_the_other,
    of_eight_that_race_for_one_note_one_wins,
    a_message_is_recent_for_one_of_the_two,
    what_others_did_may_be_looked_for,
)
