"""The clauses of `SharedStorage` on asking: who is selected, what is incomplete, how full the queue is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from ..abc import EVERYTHING, Backlog, InternalMessageStatus, Order, Selection
from ..status import Cause, Deferred, Delivered, Failed
from .storage_kit import (
    EXPIRES_AT,
    LATER,
    NOW,
    Bench,
    an_entry,
    deferred_until,
    equal,
    id_of,
    ids_of,
)

_SECOND = timedelta(seconds=1)


def _selected(batch: str) -> tuple[tuple[Selection, str], ...]:
    """Who is selected of the recipients of `_a_mixed_queue`, by their first letters."""
    return (
        (EVERYTHING, "abcdef"),
        (Selection(message_id=id_of(f"{batch}5")), "ef"),
        (Selection(message_id=id_of("none")), ""),
        (Selection(address="b@two.example"), "b"),
        (Selection(address="B@Two.EXAMPLE"), "b"),
        (Selection(address="b@one.example"), ""),
        (Selection(domain="one.example"), "ace"),
        (Selection(domain="ne.example"), ""),
        (Selection(destination="relay:smart"), "d"),
        (Selection(destination="two.example"), "bf"),
        (Selection(sender="other@sender.example"), "b"),
        (Selection(sender="Other@Sender.Example"), "b"),
        (Selection(sender=""), "d"),
        (Selection(state="queued"), "adef"),
        (Selection(state="deferred"), "bc"),
        (Selection(held=True), "c"),
        (Selection(held=False), "abdef"),
        (Selection(submitted_before=NOW + 2 * _SECOND), "ab"),
        (Selection(domain="one.example", state="queued"), "ae"),
        (Selection(message_id=id_of(f"{batch}5"), domain="two.example"), "f"),
        (Selection(domain="one.example", held=False, submitted_before=NOW + 4 * _SECOND), "a"),
        (Selection(sender="me@sender.example", destination="two.example", state="deferred"), ""),
        (Selection(state="deferred", held=False), "b"),
        (Selection(address="e@one.example", destination="two.example"), ""),
    )


def incomplete_messages_are_found_by_each_field_of_a_selection(bench: Bench) -> None:
    _a_mixed_queue(bench, "m")
    messages = {"a": "m1", "b": "m2", "c": "m3", "d": "m4", "e": "m5", "f": "m5"}

    for selection, letters in _selected("m"):
        found = _names(bench.storage.retrieve_all_incomplete(selection))
        equal((selection, found), (selection, sorted({messages[each] for each in letters})))


def what_is_cancelled_is_selected_by_each_field(bench: Bench) -> None:
    _reaches(bench, Order.CANCEL, "abcdef")


def what_is_held_is_selected_by_each_field(bench: Bench) -> None:
    _reaches(bench, Order.HOLD, "abdef")


def what_is_released_is_selected_by_each_field(bench: Bench) -> None:
    _reaches(bench, Order.RELEASE, "c")


def what_is_retried_is_selected_by_each_field(bench: Bench) -> None:
    _reaches(bench, Order.RETRY, "b")


def _reaches(bench: Bench, order: Order, changeable: str) -> None:
    """The order changes those of the selected that it can change, and nobody else."""
    batch = ""
    for number in range(len(_selected(batch))):
        if not batch:
            batch = f"{number}-"
            _a_mixed_queue(bench, batch)
        selection, letters = _selected(batch)[number]
        changed = [each.before.address[0] for each in bench.storage.order(order, selection, NOW)]
        equal((selection, changed), (selection, [each for each in letters if each in changeable]))
        if changed:
            bench.storage.order(Order.CANCEL, EVERYTHING, NOW)
            batch = ""


def what_is_claimed_is_selected_by_the_state_before(bench: Bench) -> None:
    bench.store(an_entry("one", "a@one.example"), an_entry("two", "b@two.example"))
    bench.settle_all(bench.claim(skip=["one.example"]), deferred_until(LATER))
    bench.claims(LATER)

    states = [Selection(state="queued"), Selection(state="deferred"), Selection(held=False)]
    found = [ids_of(bench.storage.retrieve_all_incomplete(each)) for each in states]

    equal(found, [[id_of("one")], [id_of("two")], [id_of("one"), id_of("two")]])


def what_is_completed_is_never_selected(bench: Bench) -> None:
    bench.store(an_entry("one", "a@one.example", "b@two.example"))
    bench.settle_all(bench.claim(skip=["two.example"]), Delivered(tries=1))

    equal(list(bench.storage.retrieve_all_incomplete(Selection(domain="one.example"))), [])
    equal(list(bench.storage.retrieve_all_incomplete(Selection(domain="two.example"))), [bench.status()])


def incomplete_messages_are_told_whole_and_oldest_first(bench: Bench) -> None:
    entries = [an_entry(name, f"a@{name}.example", "b@two.example") for name in ("c", "a", "b")]
    for entry in entries:
        bench.store(entry)

    equal(list(bench.storage.retrieve_all_incomplete()), [status for _, status in entries])
    equal(list(bench.storage.retrieve_all_incomplete(limit=2)), [status for _, status in entries[:2]])
    selected = bench.storage.retrieve_all_incomplete(Selection(destination="two.example"), limit=2)
    equal(list(selected), [status for _, status in entries[:2]])


def a_partly_completed_or_held_message_is_incomplete(bench: Bench) -> None:
    bench.store(an_entry("half", "a@one.example", "b@two.example"), an_entry("held", due_at=None))
    bench.settle_all(bench.claim(skip=["two.example"]), Delivered(tries=1))

    equal(_names(bench.storage.retrieve_all_incomplete()), ["half", "held"])


def a_completed_message_is_recent_in_one_call(bench: Bench) -> None:
    bench.store(an_entry("done"), an_entry("open", due_at=None))
    bench.settle_all(bench.claim(), Delivered(tries=1))

    equal([_names(bench.storage.retrieve_all_recent()) for _ in range(2)], [["done", "open"], ["open"]])


def a_message_is_recent_once_more_when_it_is_completed(bench: Bench) -> None:
    bench.store(an_entry("one"))
    calls = [_names(bench.storage.retrieve_all_recent())]
    bench.settle_all(bench.claim(), Delivered(tries=1))
    calls += [_names(bench.storage.retrieve_all_recent()) for _ in range(2)]

    equal(calls, [["one"], ["one"], []])


# How full it is


def an_empty_queue_has_no_backlog(bench: Bench) -> None:
    found = bench.storage.overview(NOW)

    equal((found.backlog, found.oldest_due_at, found.last_delivered_at), ((), None, None))


def the_backlog_is_told_by_destination_and_state(bench: Bench) -> None:
    _a_mixed_queue(bench, "m")
    bench.claim(NOW, skip=["one.example", "two.example"])

    expected = {
        ("one.example", "held"): (1, NOW + 2 * _SECOND, EXPIRES_AT, "busy"),
        ("one.example", "queued"): (2, NOW, NOW, None),
        ("relay:smart", "claimed"): (1, NOW + 3 * _SECOND),
        ("two.example", "deferred"): (1, NOW + _SECOND, LATER, "busy"),
        ("two.example", "queued"): (1, NOW + 4 * _SECOND, NOW, None),
    }
    backlog = bench.storage.overview(NOW).backlog
    equal([(each.destination, each.state) for each in backlog], list(expected))
    equal([_told(each) for each in backlog], list(expected.values()))


def _told(each: Backlog) -> tuple[object, ...]:
    told = (each.recipients, each.oldest_submitted_at)
    return told if each.state == "claimed" else (*told, each.next_due_at, each.last_reason)


def the_backlog_tells_the_reason_of_the_last_submitted(bench: Bench) -> None:
    bench.store(*(an_entry(name, submitted_at=NOW + index * _SECOND) for index, name in enumerate("ab")))
    for claim in bench.claims():
        reason = "first" if claim.email.message_id == id_of("a") else "last"
        bench.settle_all(claim, Deferred(reason=reason, next_attempt_at=LATER))

    [backlog] = bench.storage.overview(NOW).backlog

    equal((backlog.recipients, backlog.oldest_submitted_at, backlog.last_reason), (2, NOW, "last"))


def the_oldest_due_time_is_of_what_waits_to_be_claimed(bench: Bench) -> None:
    for minutes, name in enumerate(("later", "due", "claimed", "held"), start=-1):
        bench.store(an_entry(name, f"a@{name}.example", due_at=NOW - timedelta(minutes=minutes)))
    bench.order(Order.HOLD, name="held")
    bench.claim(skip=["later.example", "due.example"])

    equal(bench.storage.overview(NOW).oldest_due_at, NOW)
    equal(bench.storage.overview(NOW - _SECOND).oldest_due_at, None)


def the_last_delivery_is_remembered(bench: Bench) -> None:
    bench.store(*(an_entry(name, f"a@{name}.example") for name in ("one", "two")))
    bench.settle_all(bench.claim(), Delivered(tries=1), NOW)
    bench.settle_all(bench.claim(), Failed(tries=1, cause=Cause.REFUSED), LATER)

    equal(bench.storage.overview(LATER).last_delivered_at, NOW)


def _a_mixed_queue(bench: Bench, batch: str) -> None:
    """Six recipients: b is deferred until LATER, c is held, the others are due now."""
    bench.store(
        an_entry(f"{batch}1", "a@one.example", submitted_at=NOW),
        an_entry(f"{batch}2", "b@two.example", submitted_at=NOW + _SECOND, sender="other@sender.example"),
        an_entry(f"{batch}3", "c@one.example", submitted_at=NOW + 2 * _SECOND),
        an_entry(
            f"{batch}4", "d@three.example", submitted_at=NOW + 3 * _SECOND, sender="", route_key="relay:smart"
        ),
        an_entry(f"{batch}5", "e@one.example", "f@two.example", submitted_at=NOW + 4 * _SECOND),
    )
    for claim in bench.claims():
        match claim.recipients[0].address[0]:
            case "b":
                bench.settle_all(claim, deferred_until(LATER))
            case "c":
                bench.settle_all(claim, deferred_until(None))
            case _:
                bench.storage.give_back(claim)


def _names(statuses: Iterable[InternalMessageStatus]) -> list[str]:
    return [message_id.partition("@")[0] for message_id in ids_of(statuses)]


SELECTION_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    incomplete_messages_are_found_by_each_field_of_a_selection,
    what_is_cancelled_is_selected_by_each_field,
    what_is_held_is_selected_by_each_field,
    what_is_released_is_selected_by_each_field,
    what_is_retried_is_selected_by_each_field,
    what_is_claimed_is_selected_by_the_state_before,
    what_is_completed_is_never_selected,
    incomplete_messages_are_told_whole_and_oldest_first,
    a_partly_completed_or_held_message_is_incomplete,
    a_completed_message_is_recent_in_one_call,
    a_message_is_recent_once_more_when_it_is_completed,
    an_empty_queue_has_no_backlog,
    the_backlog_is_told_by_destination_and_state,
    the_backlog_tells_the_reason_of_the_last_submitted,
    the_oldest_due_time_is_of_what_waits_to_be_claimed,
    the_last_delivery_is_remembered,
)
