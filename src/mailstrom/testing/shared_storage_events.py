"""The clauses of `SharedStorage` on events: each name is the sentence that it checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..abc import EVERYTHING, Event, Order, Outcome
from ..errors import DuplicateMessage
from ..event import EventKind
from ..status import Cause, Delivered, DeliveryResult, Failed
from .storage_kit import (
    EXPIRES_AT,
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
    id_of,
    raises,
    there,
)

_KINDS = {
    "deferred": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "failed": EventKind.FAILED,
}


def a_new_queue_has_no_events(bench: Bench) -> None:
    equal(list(bench.storage.events()), [])


def every_change_of_a_full_life_is_told_in_order(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))
    failed = Failed(tries=1, cause=Cause.REFUSED, reason="no")
    first, second = deferred_until(LATER), replace(deferred_until(EXPIRES_AT), tries=2)
    bench.settle(bench.claim(), _outcome("a@dest.example", first))
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.settle(bench.claim(), _outcome("b@dest.example", failed))
    bench.settle_all(bench.claim(LATER), second, LATER)
    bench.settle_all(bench.claim(EXPIRES_AT), Delivered(tries=3), EXPIRES_AT)

    equal(
        _without_cursor(bench.storage.events()),
        [
            _accepted("one"),
            _event("a@dest.example", first),
            _event("b@dest.example", failed),
            replace(_event("a@dest.example", second), at=LATER),
            replace(_event("a@dest.example", Delivered(tries=3)), at=EXPIRES_AT),
        ],
    )


def each_recipient_of_a_settle_is_told(bench: Bench) -> None:
    bench.store(an_entry("one", "a@dest.example", "b@dest.example"))

    bench.settle_all(bench.claim(), Delivered(tries=1))

    told = _without_cursor(bench.storage.events())[1:]
    equal(told, [_event(address, Delivered(tries=1)) for address in ("a@dest.example", "b@dest.example")])


def what_is_cancelled_is_told_as_failed(bench: Bench) -> None:
    bench.store(an_entry("one", "a@one.example", "b@two.example"))

    changed = bench.order(Order.CANCEL, LATER)

    told = _without_cursor(bench.storage.events())[1:]
    equal(told, [replace(_event(each.after.address, each.after.result), at=LATER) for each in changed])
    equal(len(told), 2)


def a_deferral_that_cancel_turned_is_told_as_failed_once(bench: Bench) -> None:
    bench.store(an_entry())
    claim = bench.claim()
    bench.order(Order.CANCEL)
    equal(len(bench.storage.events()), 1)

    bench.settle_all(claim, deferred_until(LATER))

    told = _without_cursor(bench.storage.events())[1:]
    equal(told, [_event("you@dest.example", bench.first().result)])
    equal(told[0].kind, EventKind.FAILED)


def a_claim_whose_lease_ends_after_cancel_is_told_as_failed(bench: Bench) -> None:
    bench.store(an_entry())
    bench.claim()
    bench.order(Order.CANCEL)

    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    bench.nothing_to_claim()

    told = list(bench.storage.events())[1:]
    equal([(each.kind, each.result) for each in told], [(EventKind.FAILED, bench.first().result)])


def what_is_no_result_is_not_told(bench: Bench) -> None:
    bench.store(an_entry())
    lost = bench.claim()
    bench.advance_lease_clock(WHOLE_LEASE_SECS)
    claim = bench.claim()
    bench.storage.mark_dot_sent(claim, addresses_of(claim))
    bench.renew(claim)
    bench.settle_all(lost, Delivered(tries=1))
    bench.storage.give_back(claim, LATER)
    for order in (Order.RETRY, Order.HOLD, Order.RELEASE):
        bench.order(order)

    equal(_without_cursor(bench.storage.events()), [_accepted("one")])


def what_is_not_stored_is_not_told(bench: Bench) -> None:
    bench.store(a_keyed("one"))

    bench.store(a_keyed("again"))
    raises(DuplicateMessage, lambda: bench.store(an_entry("new"), an_entry("one")))

    equal(_without_cursor(bench.storage.events()), [_accepted("one")])


# Cursors


def behind_each_cursor_the_rest_is_told(bench: Bench) -> None:
    told = _ten_events(bench)

    equal([list(bench.storage.events(each.cursor)) for each in told], [told[at + 1 :] for at in range(10)])
    cursors = [there(each.cursor, "a cursor") for each in told]
    equal(cursors, sorted(set(cursors)))


def events_are_told_in_parts_without_a_gap(bench: Bench) -> None:
    told = _ten_events(bench)

    for limit in (1, 3, 10):
        cursors = [None, *(each.cursor for each in told[limit - 1 :: limit])]
        parts = [list(bench.storage.events(cursor, limit=limit)) for cursor in cursors]
        equal(parts, [told[at : at + limit] for at in range(0, 11, limit)])


def any_number_of_consumers_are_told_the_same(bench: Bench) -> None:
    told = _ten_events(bench)

    bench.storage.events(told[4].cursor)

    equal([list(bench.storage.events()) for _ in range(3)], [told] * 3)


def what_comes_after_the_last_cursor_is_told(bench: Bench) -> None:
    last = _ten_events(bench)[-1].cursor
    equal(list(bench.storage.events(last)), [])

    bench.store(an_entry("new"))

    equal(_without_cursor(bench.storage.events(last)), [_accepted("new")])


def whoever_follows_while_threads_store_misses_nothing(bench: Bench) -> None:
    done: list[int] = []
    seen: list[Event] = []

    def store(thread: int) -> None:
        try:
            for number in range(10):
                bench.store(an_entry(f"m{thread}-{number}"))
        finally:
            done.append(thread)

    def follow() -> None:
        while len(done) < 4:
            seen.extend(bench.storage.events(seen[-1].cursor if seen else None, limit=7))

    equal(at_once([follow, *(partial(store, thread) for thread in range(4))]), [])

    seen.extend(bench.storage.events(seen[-1].cursor if seen else None))
    equal((seen, len(seen)), (list(bench.storage.events()), 40))


def a_recipient_that_is_cancelled_while_it_is_settled_is_told_once(bench: Bench) -> None:
    bench.store(*(an_entry(f"m{number}", f"u{number}@d{number}.example") for number in range(20)))
    claims = bench.claims()

    def settle() -> None:
        for claim in claims:
            bench.settle_all(claim, Delivered(tries=1))

    equal(at_once([settle, partial(bench.storage.order, Order.CANCEL, EVERYTHING, NOW)]), [])

    told = [each.address for each in bench.storage.events() if each.kind is EventKind.DELIVERED]
    equal((sorted(map(str, told)), bench.storage.is_idle()), (sorted(addresses_of(*claims)), True))


def _ten_events(bench: Bench) -> list[Event]:
    """Five messages, each accepted and delivered."""
    for number in range(5):
        bench.store(an_entry(f"m{number}"))
        bench.settle_all(bench.claim(), Delivered(tries=1))
    told = list(bench.storage.events())
    equal([each.message_id for each in told], [id_of(f"m{number // 2}") for number in range(10)])
    return told


def _accepted(name: str) -> Event:
    return Event(kind=EventKind.ACCEPTED, at=NOW, message_id=id_of(name))


def _event(address: str, result: DeliveryResult) -> Event:
    return Event(kind=_KINDS[result.state], at=NOW, message_id=id_of("one"), address=address, result=result)


def _outcome(address: str, result: DeliveryResult) -> Outcome:
    return Outcome(address=address, result=result)


def _without_cursor(events: Sequence[Event]) -> list[Event]:
    return [replace(each, cursor=None) for each in events]


EVENT_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    a_new_queue_has_no_events,
    every_change_of_a_full_life_is_told_in_order,
    each_recipient_of_a_settle_is_told,
    what_is_cancelled_is_told_as_failed,
    a_deferral_that_cancel_turned_is_told_as_failed_once,
    a_claim_whose_lease_ends_after_cancel_is_told_as_failed,
    what_is_no_result_is_not_told,
    what_is_not_stored_is_not_told,
    behind_each_cursor_the_rest_is_told,
    events_are_told_in_parts_without_a_gap,
    any_number_of_consumers_are_told_the_same,
    what_comes_after_the_last_cursor_is_told,
    whoever_follows_while_threads_store_misses_nothing,
    a_recipient_that_is_cancelled_while_it_is_settled_is_told_once,
)
