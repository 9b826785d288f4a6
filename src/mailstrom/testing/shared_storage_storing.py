"""The clauses of `SharedStorage` on storing: each name is the sentence that it checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from ..abc import Order
from ..errors import ConfigError, DuplicateMessage, IdempotencyConflict, MessageNotFound
from ..message.prepared import DsnOptions
from ..status import Delivered
from .storage_kit import (
    NOW,
    Bench,
    a_keyed,
    an_entry,
    deferred_recipient,
    equal,
    id_of,
    ids_of,
    raises,
    results_at_once,
    with_first,
)


def stored_entries_are_claimable_with_their_email(bench: Bench) -> None:
    email, status = an_entry("one", "a@dest.example", "b@dest.example")

    equal(bench.store((email, status)), [email.message_id])

    claim = bench.claim()
    equal((claim.email, claim.route_key, claim.owner), (email, "dest.example", "one"))
    equal(claim.recipients, status.recipients)
    equal(
        (claim.submitted_at, claim.send_at, claim.expires_at),
        (status.submitted_at, status.send_at, status.expires_at),
    )


def every_field_of_an_email_comes_back(bench: Bench) -> None:
    email, status = an_entry(sender="")
    email = replace(
        email,
        content=bytes(range(256)) * 64 + b"\r\n",
        needs_smtputf8=True,
        needs_8bitmime=True,
        dsn=DsnOptions(ret="HDRS", envid="order 4711", notify=("SUCCESS", "DELAY")),
    )

    bench.store((email, status))

    equal(bench.claim().email, email)


def every_field_of_a_status_comes_back(bench: Bench) -> None:
    email, status = an_entry("one", "jörg@dest.example", "b@dest.example")
    odd = replace(
        deferred_recipient(status.recipients[0]), recipient='"Jörg \\"J\\" O\'Neil" <jörg@dest.example>'
    )
    status = with_first(status, odd)
    status = replace(
        status,
        submitted_at=NOW + timedelta(microseconds=1),
        metadata={"who": 'Jörg\'s "%s" {1}', "": ""},
        idempotency_key="key: ß",
        stream="stream: ß",
        priority="high",
        fingerprint="f",
    )

    bench.store((email, status))

    equal(bench.status(), status)
    equal(bench.status().submitted_at.utcoffset(), timedelta(0))


def a_message_may_have_no_end(bench: Bench) -> None:
    email, status = an_entry()
    status = replace(status, expires_at=None, send_at=None)

    bench.store((email, status))

    equal(bench.status(), status)
    equal((bench.claim().expires_at, bench.status().expires_at), (None, None))


def nothing_may_be_stored(bench: Bench) -> None:
    equal((bench.store(), bench.storage.is_idle()), ([], True))


def of_several_entries_all_are_stored_or_none(bench: Bench) -> None:
    bench.store(an_entry("known"))
    entries = [an_entry("a"), an_entry("b"), an_entry("known"), an_entry("c")]

    error = raises(DuplicateMessage, lambda: bench.store(*entries))

    equal(error.index, 2)
    equal(ids_of(bench.storage.retrieve_all_incomplete()), [id_of("known")])
    equal(len(bench.claims()), 1)


def what_was_refused_beside_another_may_be_stored_later(bench: Bench) -> None:
    bench.store(an_entry("known"))
    raises(DuplicateMessage, lambda: bench.store(a_keyed("a"), an_entry("known")))

    equal(bench.store(a_keyed("b", fingerprint="other"), an_entry("a")), [id_of("b"), id_of("a")])


def an_id_twice_in_one_call_is_refused(bench: Bench) -> None:
    error = raises(DuplicateMessage, lambda: bench.store(an_entry("a"), an_entry("a")))

    equal((error.index, list(bench.storage.retrieve_all_incomplete())), (1, []))


def a_completed_id_is_refused_as_well(bench: Bench) -> None:
    bench.store(an_entry())
    bench.settle_all(bench.claim(), Delivered(tries=1))

    error = raises(DuplicateMessage, lambda: bench.store(an_entry()))

    equal(error.index, 0)


def hundreds_of_entries_are_stored_in_one_call(bench: Bench) -> None:
    entries = [an_entry(f"m{number}", f"u{number}@dest.example") for number in range(300)]

    equal(bench.store(*entries), [email.message_id for email, _ in entries])

    equal(len(bench.storage.retrieve_all_incomplete()), 300)


# Idempotency keys


def an_idempotency_key_gives_the_first_id_and_stores_nothing(bench: Bench) -> None:
    bench.store(a_keyed("first"))

    ids = bench.store(a_keyed("again"), an_entry("other"))

    equal(ids, [id_of("first"), id_of("other")])
    raises(MessageNotFound, lambda: bench.status("again"))


def of_several_idempotency_keys_the_new_ones_are_stored(bench: Bench) -> None:
    bench.store(a_keyed("first-1", "key-1"), a_keyed("first-2", "key-2"))
    again = [a_keyed("again-2", "key-2"), a_keyed("new-3", "key-3"), a_keyed("again-1", "key-1")]

    ids = bench.store(*again)

    equal(ids, [id_of("first-2"), id_of("new-3"), id_of("first-1")])
    equal(len(bench.storage.retrieve_all_incomplete()), 3)


def a_call_that_is_repeated_with_its_keys_changes_nothing(bench: Bench) -> None:
    """Row 49: whoever did not get the answer asks again."""
    entries = [a_keyed("a", "key-a"), a_keyed("b", "key-b")]

    equal([bench.store(*entries) for _ in range(2)], [[id_of("a"), id_of("b")]] * 2)

    equal(len(bench.claims()), 2)


def an_idempotency_key_is_known_after_completion(bench: Bench) -> None:
    bench.store(a_keyed("first"))
    bench.settle_all(bench.claim(), Delivered(tries=1))

    equal(bench.store(a_keyed("again")), [id_of("first")])

    bench.nothing_to_claim()


def an_idempotency_key_is_known_after_cancel(bench: Bench) -> None:
    bench.store(a_keyed("first"))
    bench.order(Order.CANCEL, name="first")

    equal(bench.store(a_keyed("again")), [id_of("first")])

    bench.nothing_to_claim()


def an_idempotency_key_is_unknown_once_all_of_its_message_is_forgotten(bench: Bench) -> None:
    """Row 60: an id without a status would say that something was sent, and nothing shows it."""
    bench.store(a_keyed("first"))
    bench.settle_all(bench.claim(), Delivered(tries=1))
    bench.storage.forget("you@dest.example", NOW)

    equal(bench.store(a_keyed("again", fingerprint="other")), [id_of("again")])

    equal(bench.claim().email.message_id, id_of("again"))
    equal(bench.store(a_keyed("third", fingerprint="other")), [id_of("again")])


def an_idempotency_key_with_other_content_is_a_conflict(bench: Bench) -> None:
    bench.store(a_keyed("first", fingerprint="this"))

    error = raises(IdempotencyConflict, lambda: bench.store(an_entry("a"), a_keyed("b", fingerprint="that")))

    equal((error.index, error.message_id), (1, id_of("first")))
    equal(ids_of(bench.storage.retrieve_all_incomplete()), [id_of("first")])


def an_idempotency_key_twice_in_one_call_is_stored_once(bench: Bench) -> None:
    equal(bench.store(a_keyed("a"), a_keyed("b")), [id_of("a")] * 2)

    equal(len(bench.claims()), 1)


def an_idempotency_key_twice_in_one_call_may_be_a_conflict(bench: Bench) -> None:
    entries = [a_keyed("a", fingerprint="this"), a_keyed("b", fingerprint="that")]

    error = raises(IdempotencyConflict, lambda: bench.store(*entries))

    equal((error.index, list(bench.storage.retrieve_all_incomplete())), (1, []))


def of_threads_that_use_one_idempotency_key_one_stores(bench: Bench) -> None:
    """Row 60."""
    calls = [partial(bench.store, a_keyed(f"m{number}")) for number in range(8)]

    ids = results_at_once(calls)

    equal((ids, len(ids)), ([ids[0]] * 8, 8))
    equal(len(bench.storage.retrieve_all_incomplete()), 1)


def a_connection_that_is_none_is_refused(bench: Bench) -> None:
    raises(ConfigError, lambda: bench.storage.bind(object()))
    raises(ConfigError, lambda: bench.storage.bind_async(object()))


def an_unknown_message_is_message_not_found(bench: Bench) -> None:
    raises(MessageNotFound, lambda: bench.status("none"))


STORING_CLAUSES: tuple[Callable[[Bench], None], ...] = (
    stored_entries_are_claimable_with_their_email,
    every_field_of_an_email_comes_back,
    every_field_of_a_status_comes_back,
    a_message_may_have_no_end,
    nothing_may_be_stored,
    of_several_entries_all_are_stored_or_none,
    what_was_refused_beside_another_may_be_stored_later,
    an_id_twice_in_one_call_is_refused,
    a_completed_id_is_refused_as_well,
    hundreds_of_entries_are_stored_in_one_call,
    an_idempotency_key_gives_the_first_id_and_stores_nothing,
    of_several_idempotency_keys_the_new_ones_are_stored,
    a_call_that_is_repeated_with_its_keys_changes_nothing,
    an_idempotency_key_is_known_after_completion,
    an_idempotency_key_is_known_after_cancel,
    an_idempotency_key_is_unknown_once_all_of_its_message_is_forgotten,
    an_idempotency_key_with_other_content_is_a_conflict,
    an_idempotency_key_twice_in_one_call_is_stored_once,
    an_idempotency_key_twice_in_one_call_may_be_a_conflict,
    of_threads_that_use_one_idempotency_key_one_stores,
    a_connection_that_is_none_is_refused,
    an_unknown_message_is_message_not_found,
)
