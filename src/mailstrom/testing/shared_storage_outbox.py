"""The clauses of `SharedStorage` on storing in the caller's own transaction, `Bench.in_transaction`."""

from __future__ import annotations

from collections.abc import Callable

from ..abc import Event
from ..errors import DuplicateMessage, IdempotencyConflict, MessageNotFound
from ..status import Delivered
from .storage_kit import NOW, Bench, a_keyed, an_entry, equal, id_of, ids_of, raises


def what_was_stored_goes_out_when_the_transaction_commits(bench: Bench) -> None:
    email, status = an_entry()

    with bench.transaction() as transaction:
        equal(transaction.binding.store([(email, status)]), [email.message_id])
        transaction.commit()

    equal(bench.status(), status)
    claim = bench.claim()
    equal((claim.email, claim.recipients), (email, status.recipients))
    equal([each.message_id for each in bench.storage.events()], [email.message_id])


def what_was_stored_is_nowhere_before_the_commit(bench: Bench) -> None:
    with bench.transaction() as transaction:
        transaction.binding.store([an_entry()])

        raises(MessageNotFound, bench.status)
        equal(list(bench.storage.retrieve_all_incomplete()), [])
        equal((list(bench.storage.events()), bench.storage.next_due(NOW)), ([], None))


def a_rollback_leaves_nothing(bench: Bench) -> None:
    with bench.transaction() as transaction:
        transaction.binding.store([a_keyed("one"), an_entry("two")])
        transaction.rollback()

    _there_is_nothing(bench)
    equal(bench.store(a_keyed("other", fingerprint="other"), an_entry("two")), [id_of("other"), id_of("two")])


def a_transaction_that_was_left_leaves_nothing(bench: Bench) -> None:
    with bench.transaction() as transaction:
        transaction.binding.store([an_entry()])

    _there_is_nothing(bench)


def several_calls_in_a_transaction_go_out_together(bench: Bench) -> None:
    with bench.transaction() as transaction:
        for name in ("a", "b"):
            transaction.binding.store([an_entry(name)])
        transaction.commit()

    equal(ids_of(bench.storage.retrieve_all_incomplete()), [id_of("a"), id_of("b")])


def what_is_refused_leaves_the_transaction_as_it_was(bench: Bench) -> None:
    bench.store(a_keyed("known"))

    with bench.transaction() as transaction:
        transaction.binding.store([an_entry("a")])
        entries = [an_entry("b"), an_entry("known")]
        equal(raises(DuplicateMessage, lambda: transaction.binding.store(entries)).index, 1)
        conflict = [an_entry("b"), an_entry("c"), a_keyed("d", fingerprint="other")]
        equal(raises(IdempotencyConflict, lambda: transaction.binding.store(conflict)).index, 2)
        transaction.binding.store([an_entry("b")])
        transaction.commit()

    equal(ids_of(bench.storage.retrieve_all_incomplete()), [id_of("known"), id_of("a"), id_of("b")])


def an_idempotency_key_holds_in_a_transaction(bench: Bench) -> None:
    """Row 60."""
    bench.store(a_keyed("first"))

    with bench.transaction() as transaction:
        equal(transaction.binding.store([a_keyed("again"), an_entry("b")]), [id_of("first"), id_of("b")])
        equal(transaction.binding.store([a_keyed("c", "new"), a_keyed("d", "new")]), [id_of("c")] * 2)
        transaction.commit()

    equal(len(bench.storage.retrieve_all_incomplete()), 3)


def an_open_transaction_does_not_hold_up_events(bench: Bench) -> None:
    bench.store(an_entry("before"))

    with bench.transaction() as transaction:
        transaction.binding.store([an_entry("inside")])
        equal([each.message_id for each in bench.storage.events()], [id_of("before")])
        last = bench.storage.events()[-1].cursor
        transaction.commit()

    equal([each.message_id for each in bench.storage.events(last)], [id_of("inside")])


def _there_is_nothing(bench: Bench) -> None:
    equal((list(bench.storage.retrieve_all_incomplete()), list(bench.storage.events())), ([], []))
    bench.nothing_to_claim()
    equal((bench.storage.is_idle(), bench.storage.next_due(NOW)), (True, None))


OUTBOX_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    what_was_stored_goes_out_when_the_transaction_commits,
    what_was_stored_is_nowhere_before_the_commit,
    a_rollback_leaves_nothing,
    a_transaction_that_was_left_leaves_nothing,
    several_calls_in_a_transaction_go_out_together,
    what_is_refused_leaves_the_transaction_as_it_was,
    an_idempotency_key_holds_in_a_transaction,
    an_open_transaction_does_not_hold_up_events,
)


# Where several write at once


def an_open_transaction_holds_up_nobody(bench: Bench) -> None:
    bench.store(an_entry("before", "a@one.example"))

    with bench.transaction() as transaction:
        transaction.binding.store([a_keyed("inside")])
        bench.store(a_keyed("beside", "other key"), an_entry("again", "b@two.example"))
        told = [each.message_id for each in bench.storage.events()]
        for claim in bench.claims():
            bench.settle_all(claim, Delivered(tries=1))
        transaction.commit()

    equal(told, [id_of(name) for name in ("before", "beside", "again")])
    equal(bench.claim().email.message_id, id_of("inside"))


def events_of_writers_that_commit_in_reverse_order_are_all_told(bench: Bench) -> None:
    with bench.transaction() as first, bench.transaction() as second:
        first.binding.store([an_entry("first")])
        second.binding.store([an_entry("second")])
        second.commit()
        [told] = bench.storage.events()
        first.commit()

    equal(told.message_id, id_of("second"))
    equal([each.message_id for each in bench.storage.events(told.cursor)], [id_of("first")])
    equal([each.message_id for each in bench.storage.events()], [id_of("second"), id_of("first")])


def a_transaction_that_commits_late_is_told_behind_every_cursor(bench: Bench) -> None:
    with bench.transaction() as transaction:
        transaction.binding.store([an_entry("late")])
        seen: list[Event] = []
        for number in range(3):
            bench.store(an_entry(f"m{number}"))
            seen += bench.storage.events(seen[-1].cursor if seen else None)
        transaction.commit()

    seen += bench.storage.events(seen[-1].cursor)
    equal([each.message_id for each in seen], [id_of(name) for name in ("m0", "m1", "m2", "late")])
    equal(list(bench.storage.events()), seen)


def a_transaction_that_is_rolled_back_leaves_no_gap_to_wait_for(bench: Bench) -> None:
    with bench.transaction() as transaction:
        transaction.binding.store([an_entry("gone")])
        bench.store(an_entry("beside"))
        transaction.rollback()

    bench.store(an_entry("after"))
    equal([each.message_id for each in bench.storage.events()], [id_of("beside"), id_of("after")])


OVERLAPPING_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    an_open_transaction_holds_up_nobody,
    events_of_writers_that_commit_in_reverse_order_are_all_told,
    a_transaction_that_commits_late_is_told_behind_every_cursor,
    a_transaction_that_is_rolled_back_leaves_no_gap_to_wait_for,
)
