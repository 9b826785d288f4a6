"""The clauses of `SharedStorage` on crashes: the process dies behind each step of a delivery.

A crash is a storage that is left as it stands: not closed, its claims not given back. The next
process opens the same queue with `Bench.reopen`, and the leases end. Whatever step was the last,
nothing is lost, what is settled stays settled, the final dot is known of, the crash is counted,
and the dead process's claim, should it come back, can do nothing. A crash before a step is one
behind the step before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

from ..abc import EVERYTHING, Claim, Note, Order
from ..status import Delivered
from .storage_kit import (
    LATER,
    LEASE,
    NOW,
    Bench,
    a_keyed,
    addresses_of,
    an_entry,
    deferred_until,
    delivered_to,
    equal,
    id_of,
    ids_of,
    refuted,
    there,
)

_A, _B = "a@dest.example", "b@dest.example"
_NAMES = ("done", "half", "deferred", "held", "queued")
_Left: TypeAlias = dict[str, tuple[str, int, bool]]


def _store(bench: Bench, _: list[Claim]) -> None:
    bench.store(an_entry("one", _A, _B))


def _claim(bench: Bench, claims: list[Claim]) -> None:
    claims.append(bench.claim(owner="dead"))


def _renew(bench: Bench, claims: list[Claim]) -> None:
    claims[-1] = there(bench.renew(claims[-1]), "the renewed claim")


def _mark_dot_sent(bench: Bench, claims: list[Claim]) -> None:
    bench.storage.mark_dot_sent(claims[-1], [_A])


def _settle_a(bench: Bench, claims: list[Claim]) -> None:
    bench.settle(claims[-1], delivered_to(_A))


def _give_back(bench: Bench, claims: list[Claim]) -> None:
    bench.storage.give_back(claims[-1])


def _settle_b(bench: Bench, claims: list[Claim]) -> None:
    bench.settle_all(claims[-1], deferred_until(NOW))


#: Each step of a delivery, and who is left to deliver after it: result, crashes, whether the dot was sent.
_STORY: tuple[tuple[Callable[[Bench, list[Claim]], None], _Left], ...] = (
    (_store, {_A: ("queued", 0, False), _B: ("queued", 0, False)}),
    (_claim, {_A: ("queued", 1, False), _B: ("queued", 1, False)}),
    (_renew, {_A: ("queued", 1, False), _B: ("queued", 1, False)}),
    (_mark_dot_sent, {_A: ("queued", 1, True), _B: ("queued", 1, False)}),
    (_settle_a, {_B: ("queued", 1, False)}),
    (_give_back, {_B: ("queued", 0, False)}),
    (_claim, {_B: ("queued", 1, False)}),
    (_settle_b, {_B: ("deferred", 0, False)}),
)


def a_queue_that_was_never_used_outlives_a_crash(bench: Bench) -> None:
    equal((bench.crashed().claims(), bench.storage.is_idle()), ([], True))


def a_crash_after_store_loses_nothing(bench: Bench) -> None:
    """Window W1."""
    _crash_after(bench, 1)


def a_crash_after_claim_is_counted(bench: Bench) -> None:
    """Window W2."""
    _crash_after(bench, 2)


def a_crash_after_renew_is_counted(bench: Bench) -> None:
    """Window W2."""
    _crash_after(bench, 3)


def a_crash_after_the_final_dot_is_seen_as_one(bench: Bench) -> None:
    """Window W3: also where the reply came, and settle did not."""
    _crash_after(bench, 4)


def a_crash_after_settle_does_not_undo_it(bench: Bench) -> None:
    """Window W4."""
    _crash_after(bench, 5)


def a_crash_after_several_claims_and_marks_in_one_call_is_seen_in_each(bench: Bench) -> None:
    """Windows W2 and W3."""
    bench.store(an_entry("one"), an_entry("two"), an_entry("three"))
    claims = bench.claim_many(3, owner="dead")
    bench.storage.mark_dots_sent([(each, addresses_of(each)) for each in claims[::2]])

    survivor = bench.crashed()

    again = [each for claim in survivor.claim_many(3) for each in claim.recipients]
    equal([(each.crashes, each.dot_sent) for each in again], [(1, True), (1, False), (1, True)])
    equal(survivor.storage.renew(claims, LEASE), [None] * 3)


def a_crash_after_give_back_is_not_counted(bench: Bench) -> None:
    _crash_after(bench, 6)


def a_crash_after_a_second_claim_is_counted(bench: Bench) -> None:
    _crash_after(bench, 7)


def a_crash_after_a_deferral_does_not_undo_it(bench: Bench) -> None:
    _crash_after(bench, 8)


def _crash_after(bench: Bench, steps: int) -> None:
    claims: list[Claim] = []
    for step, _ in _STORY[:steps]:
        step(bench, claims)
    _, left = _STORY[steps - 1]
    _goes_on(bench.crashed(), left, claims)


def _goes_on(survivor: Bench, left: _Left, dead: list[Claim]) -> None:
    """The next process finds just what was left, ends it, and the dead one has no part in it."""
    found = survivor.claims()
    recipients = [each for claim in found for each in claim.recipients]
    equal({each.address: (each.result.state, each.crashes, each.dot_sent) for each in recipients}, left)
    equal(len(recipients), len(left))
    for late in dead:
        refuted(survivor.settle_all(late, deferred_until(LATER)), "settle by the dead")
    for claim in found:
        survivor.settle_all(claim, Delivered(tries=2))
    results = {each.address: each.result for each in survivor.status().recipients}
    equal(results, {address: Delivered(tries=2 if address in left else 1) for address in (_A, _B)})
    equal((survivor.status().completed_at, survivor.storage.is_idle()), (NOW, True))


def each_crash_in_a_row_is_counted(bench: Bench) -> None:
    """Row 56."""
    bench.store(an_entry())
    for crashes in range(5):
        equal(bench.claim().recipients[0].crashes, crashes)
        bench = bench.crashed()


def the_wait_for_a_crash_outlives_it(bench: Bench) -> None:
    """Row 56."""
    bench.store(an_entry("waits", "a@one.example"), an_entry("other", "b@two.example", due_at=None))
    bench.claim(backoff=[LATER - NOW])

    survivor = bench.crashed()

    survivor.nothing_to_claim(LATER - timedelta(seconds=1))
    equal(survivor.storage.next_due(NOW), LATER)
    survivor.claim(LATER)


def a_crash_of_many_claims_loses_none(bench: Bench) -> None:
    entries = [
        an_entry(f"m{number}", f"a@d{number % 5}.example", f"b{number}@x.example") for number in range(20)
    ]
    bench.store(*entries)
    claims = bench.claims()
    for claim in claims[::2]:
        bench.settle_all(claim, Delivered(tries=1))

    survivor = bench.crashed()

    left = {(claim.email.message_id, claim.route_key) for claim in claims[1::2]}
    equal({(claim.email.message_id, claim.route_key) for claim in survivor.claims()}, left)


# What else outlives a crash


def every_status_outlives_a_crash(bench: Bench) -> None:
    for name in _NAMES:
        due_at = LATER if name == "queued" else NOW
        bench.store(an_entry(name, f"a@{name}.example", "b@none.example", due_at=due_at))
    for claim in bench.claims():
        match claim.route_key:
            case "done.example" | "half.example":
                bench.settle_all(claim, Delivered(tries=1))
            case "none.example" if claim.email.message_id != id_of("done"):
                bench.storage.give_back(claim)
            case "held.example":
                bench.settle_all(claim, deferred_until(None))
            case _:
                bench.settle_all(claim, deferred_until(LATER))
    before = [bench.status(name) for name in _NAMES]

    survivor = bench.crashed()

    equal([survivor.status(name) for name in _NAMES], before)
    equal(survivor.storage.next_due(NOW, ["none.example"]), LATER)


def orders_outlive_a_crash(bench: Bench) -> None:
    bench.store(*(an_entry(name, f"a@{name}.example", due_at=LATER) for name in ("cancel", "hold", "retry")))
    bench.order(Order.CANCEL, name="cancel")
    bench.order(Order.HOLD, name="hold")
    bench.order(Order.RETRY, name="retry")

    survivor = bench.crashed()

    equal([claim.route_key for claim in survivor.claims()], ["retry.example"])
    equal(survivor.first("cancel").result.state, "failed")
    equal(ids_of(survivor.storage.retrieve_all_incomplete(replace(EVERYTHING, held=True))), [id_of("hold")])


def who_waits_has_a_body_after_another_of_the_message_is_forgotten(bench: Bench) -> None:
    bench.store(an_entry("one", "you@dest.example", "b@other.example"))
    bench.settle_all(bench.claim(skip=["other.example"]), Delivered(tries=1))

    bench.storage.forget("you@dest.example", LATER)

    survivor = bench.crashed()
    claim = survivor.claim()
    equal(addresses_of(claim), ["b@other.example"])
    equal(survivor.content_of(claim), an_entry("one")[0].content)


def what_close_left_is_claimed_by_the_next_process(bench: Bench) -> None:
    bench.store(an_entry())
    before = bench.status()

    bench.storage.close()

    equal(bench.crashed().claim().recipients, before.recipients)


CRASH_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_queue_that_was_never_used_outlives_a_crash,
    a_crash_after_store_loses_nothing,
    a_crash_after_claim_is_counted,
    a_crash_after_renew_is_counted,
    a_crash_after_the_final_dot_is_seen_as_one,
    a_crash_after_settle_does_not_undo_it,
    a_crash_after_several_claims_and_marks_in_one_call_is_seen_in_each,
    a_crash_after_give_back_is_not_counted,
    a_crash_after_a_second_claim_is_counted,
    a_crash_after_a_deferral_does_not_undo_it,
    each_crash_in_a_row_is_counted,
    the_wait_for_a_crash_outlives_it,
    a_crash_of_many_claims_loses_none,
    every_status_outlives_a_crash,
    orders_outlive_a_crash,
    who_waits_has_a_body_after_another_of_the_message_is_forgotten,
    what_close_left_is_claimed_by_the_next_process,
)


# What belongs to the queue where several processes share it: more than the messages alone


def an_order_on_what_was_claimed_outlives_a_crash(bench: Bench) -> None:
    bench.store(an_entry("cancel", "a@cancel.example"), an_entry("hold", "a@hold.example"))
    bench.claims()
    bench.order(Order.CANCEL, name="cancel")
    bench.order(Order.HOLD, name="hold")

    survivor = bench.crashed()

    survivor.nothing_to_claim()
    equal(survivor.first("cancel").result.state, "failed")
    equal(ids_of(survivor.storage.retrieve_all_incomplete(replace(EVERYTHING, held=True))), [id_of("hold")])


def an_idempotency_key_outlives_a_crash(bench: Bench) -> None:
    """Row 60."""
    bench.store(a_keyed("first"), a_keyed("done", "key of what is done"))
    bench.settle_all(bench.claim(), Delivered(tries=1))
    bench.settle_all(bench.claim(), Delivered(tries=1))

    survivor = bench.crashed()

    entries = [a_keyed("again"), a_keyed("again, too", "key of what is done")]
    equal(survivor.store(*entries), [id_of("first"), id_of("done")])
    survivor.nothing_to_claim()


def tokens_go_on_growing_after_a_crash(bench: Bench) -> None:
    bench.store(an_entry())
    tokens = []
    for _ in range(3):
        tokens.append(bench.claim().token)
        bench = bench.crashed()

    equal(tokens, sorted(set(tokens)))


def events_and_cursors_outlive_a_crash(bench: Bench) -> None:
    bench.store(an_entry("one"), an_entry("two"))
    bench.settle_all(bench.claim(), Delivered(tries=1))
    told = list(bench.storage.events())

    survivor = bench.crashed()
    survivor.store(an_entry("new"))

    equal(list(survivor.storage.events())[:3], told)
    equal([each.message_id for each in survivor.storage.events(told[-1].cursor)], [id_of("new")])


def notes_and_versions_outlive_a_crash(bench: Bench) -> None:
    kept = there(bench.storage.put_note(_note("kept"), NOW), "a note")
    gone = there(bench.storage.put_note(replace(_note("gone"), key="gone"), NOW), "a note")
    bench.storage.put_note(replace(gone, expires_at=NOW), NOW)

    survivor = bench.crashed()

    equal(survivor.storage.note("sts", "key", NOW), kept)
    new = there(survivor.storage.put_note(replace(gone, version=0), NOW), "a note")
    refuted(new.version in (kept.version, gone.version), "a version that comes again")


def _note(value: str) -> Note:
    return Note(namespace="sts", key="key", value=value, expires_at=LATER)


SHARED_CRASH_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    an_order_on_what_was_claimed_outlives_a_crash,
    an_idempotency_key_outlives_a_crash,
    tokens_go_on_growing_after_a_crash,
    events_and_cursors_outlive_a_crash,
    notes_and_versions_outlive_a_crash,
)
