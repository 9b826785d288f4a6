"""The clauses of `SharedStorage` on keeping: what purge and forget take away, and what they leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from ..abc import Order
from ..errors import MessageNotFound
from ..status import Delivered
from .storage_kit import (
    EXPIRES_AT,
    LATER,
    NOW,
    Bench,
    a_keyed,
    an_attempt,
    an_entry,
    deferred_until,
    delivered_to,
    equal,
    holds,
    id_of,
    ids_of,
    raises,
    there,
    until_empty,
)

_LONG_AFTER = NOW + timedelta(days=36500)


def purge_comes_to_an_end(bench: Bench) -> None:
    _one_of_each_kind(bench)

    _purge_all(bench, _LONG_AFTER, limit=1)


def purge_never_touches_what_is_not_completed(bench: Bench) -> None:
    _one_of_each_kind(bench)
    left = ("queued", "deferred", "held", "claimed", "half")
    before = [bench.status(name) for name in left]

    _purge_all(bench, _LONG_AFTER)

    equal([bench.status(name) for name in left], before)
    equal(ids_of(bench.storage.retrieve_all_incomplete()), [id_of(name) for name in left])
    claimed = {claim.email.message_id: claim.email for claim in bench.claims(EXPIRES_AT)}
    equal(
        claimed,
        {
            id_of(name): an_entry(name, *_ADDRESSES[name])[0]
            for name in ("queued", "deferred", "held", "half")
        },
    )


def a_status_that_was_just_completed_outlives_purge(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), Delivered(tries=1))
    before = bench.status()

    _purge_all(bench, NOW)

    equal(bench.status(), before)
    equal(len(bench.storage.events()), 2)


def an_idempotency_key_is_known_after_purge(bench: Bench) -> None:
    bench.store(a_keyed("first"))
    bench.settle_all(bench.claim(), Delivered(tries=1))

    _purge_all(bench, NOW)

    equal(bench.store(a_keyed("again")), [id_of("first")])


def _purge_all(bench: Bench, now: datetime, limit: int = 1000) -> None:
    until_empty(partial(bench.storage.purge, now, limit=limit))


_ADDRESSES = {
    "done": ("a@done.example",),
    "queued": ("a@queued.example",),
    "deferred": ("a@deferred.example",),
    "held": ("a@held.example",),
    "claimed": ("a@claimed.example",),
    "half": ("b@half.example", "a@done.example"),
}


def _one_of_each_kind(bench: Bench) -> None:
    """A message of each kind: completed, and those with something left to do."""
    bench.store(*(an_entry(name, *addresses) for name, addresses in _ADDRESSES.items()))
    for claim in bench.claims():
        match claim.route_key:
            case "done.example":
                bench.settle_all(claim, Delivered(tries=1))
            case "deferred.example":
                bench.settle_all(claim, deferred_until(LATER))
            case "held.example":
                bench.settle_all(claim, deferred_until(None))
            case "queued.example" | "half.example":
                bench.storage.give_back(claim)


# Forget


def a_person_is_forgotten_wherever_the_address_is_completed(bench: Bench) -> None:
    bench.store(an_entry("one", "you@dest.example", "b@dest.example"), an_entry("two", "you@dest.example"))
    for claim in bench.claims():
        bench.settle_all(claim, Delivered(tries=1))
    _, other = bench.status("one").recipients

    equal([bench.storage.forget("you@dest.example", LATER) for _ in range(2)], [2, 0])

    equal(bench.status("one").recipients[-1], other)
    equal((bench.status("one").completed_at, bench.storage.is_idle()), (NOW, True))
    _is_nowhere(bench, "you@dest.example")


def a_person_is_forgotten_however_the_address_is_written(bench: Bench) -> None:
    bench.store(an_entry("one", "Jane.Doe@dest.example", "b@dest.example"))
    bench.settle_all(bench.claim(), Delivered(tries=1))

    equal(bench.storage.forget("jane.doe@DEST.example", LATER), 1)

    _is_nowhere(bench, "Jane.Doe@dest.example")


def the_attempts_of_whom_is_forgotten_are_gone(bench: Bench) -> None:
    bench.store(an_entry("one", "you@dest.example", "b@dest.example"))
    attempt = replace(an_attempt("mx.dest.example"), reason="<you@dest.example> is known")
    claim = bench.claim()
    bench.settle(claim, replace(delivered_to("you@dest.example"), attempts=(attempt,)))
    bench.settle(claim, delivered_to("b@dest.example"))

    bench.storage.forget("you@dest.example", LATER)

    holds("is known" not in repr(bench.status()), "no attempt of whom is forgotten")


def what_is_not_completed_is_not_forgotten(bench: Bench) -> None:
    bench.store(an_entry("one", "you@dest.example", "b@other.example"), an_entry("two", "b@other.example"))
    bench.settle_all(bench.claim(skip=["other.example"]), deferred_until(LATER))
    before, told = bench.status(), list(bench.storage.events())

    equal(bench.storage.forget("you@dest.example", LATER), 0)

    equal((bench.status(), list(bench.storage.events())), (before, told))
    equal(bench.claim(LATER, skip=["other.example"]).recipients[0].address, "you@dest.example")


def a_message_goes_on_for_the_others_when_one_is_forgotten(bench: Bench) -> None:
    bench.store(an_entry("one", "you@dest.example", "b@other.example"))
    bench.settle_all(bench.claim(skip=["other.example"]), Delivered(tries=1))

    equal(bench.storage.forget("you@dest.example", LATER), 1)

    claim = bench.claim()
    equal([each.address for each in claim.recipients], ["b@other.example"])
    bench.settle_all(claim, Delivered(tries=1), LATER)
    equal(bench.status().completed_at, LATER)
    _is_nowhere(bench, "you@dest.example")


def the_events_of_others_are_told_after_one_is_forgotten(bench: Bench) -> None:
    bench.store(an_entry("one", "you@dest.example", "b@dest.example"))
    bench.settle_all(bench.claim(), Delivered(tries=1))
    told = list(bench.storage.events())

    bench.storage.forget("you@dest.example", LATER)

    equal(list(bench.storage.events()), [each for each in told if each.address != "you@dest.example"])


def an_order_leaves_what_was_forgotten(bench: Bench) -> None:
    bench.store(an_entry("one", "you@one.example", "b@two.example"))
    bench.settle_all(bench.claim(skip=["two.example"]), Delivered(tries=1))
    bench.storage.forget("you@one.example", LATER)

    bench.order(Order.CANCEL)

    equal((bench.status().recipients[-1].result.state, bench.status().completed_at), ("failed", NOW))
    _is_nowhere(bench, "you@one.example")


def _is_nowhere(bench: Bench, address: str) -> None:
    """No status and no event names the address; what stands in its place is the storage's affair."""
    kept = [*bench.storage.retrieve_all_recent(), *bench.storage.retrieve_all_incomplete()]
    traces = [*bench.storage.events(), *(each for status in kept for each in status.recipients)]
    equal([each for each in traces if address.lower() in repr(each).lower()], [])


KEEPING_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    purge_comes_to_an_end,
    purge_never_touches_what_is_not_completed,
    a_status_that_was_just_completed_outlives_purge,
    an_idempotency_key_is_known_after_purge,
    a_person_is_forgotten_wherever_the_address_is_completed,
    a_person_is_forgotten_however_the_address_is_written,
    the_attempts_of_whom_is_forgotten_are_gone,
    what_is_not_completed_is_not_forgotten,
    a_message_goes_on_for_the_others_when_one_is_forgotten,
    the_events_of_others_are_told_after_one_is_forgotten,
    an_order_leaves_what_was_forgotten,
)


# For a storage that says how long it keeps what is completed


def a_completed_message_is_there_until_its_retention_is_over(bench: Bench) -> None:
    bench.store(a_keyed("done"), an_entry("open", due_at=None))
    bench.settle_all(bench.claim(), Delivered(tries=1))
    over = NOW + there(bench.status_retention, "status_retention=")

    _purge_all(bench, over - timedelta(seconds=1))
    equal((bench.status("done").completed_at, len(bench.storage.events())), (NOW, 3))

    _purge_all(bench, over + timedelta(seconds=1))
    raises(MessageNotFound, lambda: bench.status("done"))
    equal(ids_of(bench.storage.retrieve_all_incomplete()), [id_of("open")])


def what_was_purged_is_told_no_more(bench: Bench) -> None:
    bench.store(an_entry("done"), an_entry("open", due_at=None))
    bench.settle_all(bench.claim(), Delivered(tries=1))

    _purge_all(bench, NOW + there(bench.status_retention, "status_retention=") + timedelta(seconds=1))

    equal([each.message_id for each in bench.storage.events() if each.message_id == id_of("done")], [])


def cursors_go_on_after_purge(bench: Bench) -> None:
    bench.store(an_entry("done"))
    bench.settle_all(bench.claim(), Delivered(tries=1))
    last = bench.storage.events()[-1].cursor

    _purge_all(bench, NOW + there(bench.status_retention, "status_retention=") + timedelta(seconds=1))
    bench.store(an_entry("new"))

    equal([each.message_id for each in bench.storage.events(last)], [id_of("new")])


def an_id_and_a_key_are_free_after_purge(bench: Bench) -> None:
    bench.store(a_keyed("done"))
    bench.settle_all(bench.claim(), Delivered(tries=1))

    _purge_all(bench, NOW + there(bench.status_retention, "status_retention=") + timedelta(seconds=1))

    equal(bench.store(a_keyed("done", fingerprint="other")), [id_of("done")])
    bench.claim()


def purge_removes_a_small_batch_in_each_call(bench: Bench) -> None:
    bench.store(*(an_entry(f"m{number}") for number in range(10)))
    for claim in bench.claims():
        bench.settle_all(claim, Delivered(tries=1))
    over = NOW + there(bench.status_retention, "status_retention=") + timedelta(seconds=1)

    removed = until_empty(partial(bench.storage.purge, over, limit=3))

    holds(max(removed) <= 3, f"3 in each call at most, not {removed}")
    equal(list(bench.storage.events()), [])


RETENTION_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_completed_message_is_there_until_its_retention_is_over,
    what_was_purged_is_told_no_more,
    cursors_go_on_after_purge,
    an_id_and_a_key_are_free_after_purge,
    purge_removes_a_small_batch_in_each_call,
)
