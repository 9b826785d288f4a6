"""The clauses of `SharedStorage` on marks before final dots that share a call: `mark_dots_sent`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

from ..abc import Claim, Order
from ..status import Delivered
from .storage_kit import WHOLE_LEASE_SECS, Bench, addresses_of, an_entry, delivered_to, equal

_A, _B = "a@dest.example", "b@dest.example"


def marks_in_one_call_stand_each_for_itself_in_any_order(bench: Bench) -> None:
    for number, kinds in enumerate(permutations(("lost", "stopped", "fine"))):
        names = {kind: f"{kind}{number}" for kind in kinds}
        claims = {kind: _claimed(bench, names[kind]) for kind in kinds}
        bench.storage.give_back(claims["lost"])
        bench.order(Order.CANCEL, name=names["stopped"])

        marked = bench.storage.mark_dots_sent([(claims[kind], addresses_of(claims[kind])) for kind in kinds])

        equal(marked, [kind == "fine" for kind in kinds])
        equal({kind: bench.first(names[kind]).dot_sent for kind in kinds}, _only("fine"))
        _clear(bench, claims)


def marks_in_one_call_are_each_for_their_own_addresses(bench: Bench) -> None:
    bench.store(an_entry("one", _A, _B), an_entry("two", _A, _B))
    one, two = bench.claim_many(2)

    equal(bench.storage.mark_dots_sent([(one, [_A]), (two, [_B])]), [True, True])

    marks = [[each.dot_sent for each in bench.status(name).recipients] for name in ("one", "two")]
    equal(marks, [[True, False], [False, True]])


def a_mark_for_one_that_the_claim_lacks_stops_no_other_mark(bench: Bench) -> None:
    bench.store(an_entry("one", _A, _B), an_entry("two", _A))
    one, two = bench.claim_many(2)
    bench.settle(one, delivered_to(_A))

    equal(bench.storage.mark_dots_sent([(one, [_A, _B]), (two, [_A])]), [False, True])

    equal([each.dot_sent for each in bench.status("one").recipients], [False, False])
    equal(bench.first("two").dot_sent, True)


def two_marks_of_one_claim_in_one_call_are_both_made(bench: Bench) -> None:
    bench.store(an_entry("one", _A, _B))
    claim = bench.claim()

    equal(bench.storage.mark_dots_sent([(claim, [_A]), (claim, [_B])]), [True, True])

    equal([each.dot_sent for each in bench.status().recipients], [True, True])


def no_marks_are_no_answers(bench: Bench) -> None:
    equal(bench.storage.mark_dots_sent([]), [])


def each_mark_of_one_call_shows_in_the_next_claim(bench: Bench) -> None:
    bench.store(an_entry("one"), an_entry("two"), an_entry("three"))
    one, _, three = bench.claim_many(3)

    bench.storage.mark_dots_sent([(each, addresses_of(each)) for each in (one, three)])

    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    equal([each.dot_sent for claim in bench.claim_many(3) for each in claim.recipients], [True, False, True])


def _claimed(bench: Bench, name: str) -> Claim:
    bench.store(an_entry(name))
    return bench.claim()


def _only(kind: str) -> dict[str, bool]:
    return {each: each == kind for each in ("lost", "stopped", "fine")}


def _clear(bench: Bench, claims: dict[str, Claim]) -> None:
    """Nothing is left to do."""
    for claim in (claims["stopped"], claims["fine"], bench.claim()):
        bench.settle_all(claim, Delivered(tries=1))


DOT_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    marks_in_one_call_stand_each_for_itself_in_any_order,
    marks_in_one_call_are_each_for_their_own_addresses,
    a_mark_for_one_that_the_claim_lacks_stops_no_other_mark,
    two_marks_of_one_claim_in_one_call_are_both_made,
    no_marks_are_no_answers,
    each_mark_of_one_call_shows_in_the_next_claim,
)
