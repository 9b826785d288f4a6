"""The clauses of `SharedStorage` on orders that are carried out part by part, with others at work between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..abc import EVERYTHING, Order, Ordered, Selection
from ..records import START
from .storage_kit import LATER, NOW, Bench, an_entry, deferred_until, equal, holds, id_of, until_empty


def an_order_is_carried_out_in_parts_oldest_first(bench: Bench) -> None:
    bench.store(*(an_entry(f"m{number}", "a@one.example", "b@two.example") for number in range(5)))

    parts = until_empty(partial(bench.storage.order, Order.HOLD, EVERYTHING, NOW, limit=3))

    equal([len(part) for part in parts], [3, 3, 3, 1])
    told = [(each.message_id, each.before.address[0]) for part in parts for each in part]
    equal(told, [(id_of(f"m{number}"), letter) for number in range(5) for letter in "ab"])


def an_order_over_several_parts_meets_everyone_once(bench: Bench) -> None:
    """Those that are being tried, too; with the cursor of one that a cancel has completed as well."""
    for number in range(5):
        bench.store(an_entry(f"m{number}", "a@one.example", "b@two.example", due_at=LATER))
        bench.order(Order.RETRY, name=f"m{number}")
        bench.settle_all(bench.claim(skip=["one.example"]), deferred_until(LATER))
        bench.claim()
    b = [(id_of(f"m{number}"), "b@two.example") for number in range(5)]
    both = [(id_of(f"m{number}"), address) for number in range(5) for address in ("a@one.example", b[0][1])]

    for order, expected in (
        (Order.RETRY, b),
        (Order.HOLD, both),
        (Order.RELEASE, both),
        (Order.CANCEL, both),
    ):
        equal((order, _met(bench, order, parts=5, limit=3)), (order, expected))


def an_order_does_not_meet_again_what_was_deferred_after_it_went_by(bench: Bench) -> None:
    """A worker beside it may be quicker than the order."""
    six = _three_messages(bench)

    equal(_met(bench, Order.RETRY, meanwhile=partial(_defer_what_is_due, bench)), six)

    equal([each.result.tries for each in bench.status("m0").recipients], [1, 1])


def an_order_does_not_meet_again_what_was_undone_after_it_went_by(bench: Bench) -> None:
    six = _three_messages(bench)

    for order, undone in ((Order.HOLD, Order.RELEASE), (Order.RELEASE, Order.HOLD)):
        undo = partial(bench.storage.order, undone, EVERYTHING, NOW)
        equal((order, _met(bench, order, meanwhile=undo)), (order, six))
        bench.storage.order(order, EVERYTHING, NOW)


def an_order_goes_on_within_a_message(bench: Bench) -> None:
    bench.store(an_entry("one", *(f"{letter}@dest.example" for letter in "abcde"), due_at=LATER))
    selection = Selection(message_id=id_of("one"))
    meanwhile = partial(_defer_what_is_due, bench)

    met = _met(bench, Order.RETRY, selection, parts=4, meanwhile=meanwhile)

    equal(met, [(id_of("one"), f"{letter}@dest.example") for letter in "abcde"])


def _three_messages(bench: Bench) -> list[tuple[str, str]]:
    """Six recipients that wait until LATER."""
    addresses = ("a@one.example", "b@two.example")
    bench.store(*(an_entry(f"m{number}", *addresses, due_at=LATER) for number in range(3)))
    return [(id_of(f"m{number}"), address) for number in range(3) for address in addresses]


def _defer_what_is_due(bench: Bench) -> None:
    for claim in bench.claims():
        bench.settle_all(claim, deferred_until(LATER))


def _met(
    bench: Bench,
    order: Order,
    selection: Selection = EVERYTHING,
    *,
    parts: int = 4,
    limit: int = 2,
    meanwhile: Callable[[], object] = lambda: None,
) -> list[tuple[str, str]]:
    """Whom the order met in so many parts, each behind the one before, the last of them empty."""
    met: list[Ordered] = []
    part: Sequence[Ordered] = ()
    for _ in range(parts):
        after = met[-1].cursor if met else START
        part = bench.storage.order(order, selection, NOW, after=after, limit=limit)
        holds(len(part) <= limit, f"{limit} in each part at most, not {len(part)}")
        met += part
        meanwhile()
    equal(list(part), [])
    return [(each.message_id, each.before.address) for each in met]


ORDER_PART_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    an_order_is_carried_out_in_parts_oldest_first,
    an_order_over_several_parts_meets_everyone_once,
    an_order_does_not_meet_again_what_was_deferred_after_it_went_by,
    an_order_does_not_meet_again_what_was_undone_after_it_went_by,
    an_order_goes_on_within_a_message,
)
