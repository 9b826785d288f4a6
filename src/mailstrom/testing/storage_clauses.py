"""The clauses of `Storage`: each name is the sentence that it checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..abc import Storage
from ..errors import DuplicateMessage, MessageNotFound
from ..status import Deferred, Delivered
from .storage_kit import (
    an_entry,
    at_once,
    deferred_recipient,
    delivered,
    equal,
    ids_of,
    raises,
    results_at_once,
    with_first,
)


def what_is_stored_comes_back_unchanged(storage: Storage) -> None:
    email, status = an_entry(stream="a stream", priority="low")

    storage.store(email, status)

    equal(storage.retrieve(email.message_id), (email, status))
    equal(storage.retrieve_status(email.message_id), status)


def content_comes_back_octet_for_octet(storage: Storage) -> None:
    email, status = an_entry()
    email = replace(email, content=bytes(range(256)) * 64 + b"\r\n")

    storage.store(email, status)

    equal(storage.retrieve(email.message_id)[0].content, email.content)


def a_known_id_is_refused_and_nothing_changes(storage: Storage) -> None:
    email, status = an_entry()
    storage.store(email, status)

    raises(DuplicateMessage, lambda: storage.store(replace(email, content=b"other\r\n"), delivered(status)))

    equal(storage.retrieve(email.message_id), (email, status))


def an_id_is_refused_after_completion_as_well(storage: Storage) -> None:
    email, status = an_entry()
    storage.store(email, status)
    storage.update_status(delivered(status))

    raises(DuplicateMessage, lambda: storage.store(email, status))

    equal(storage.retrieve_status(email.message_id), delivered(status))


def update_status_replaces_the_status_and_leaves_the_email(storage: Storage) -> None:
    email, status = an_entry("one", "a@dest.example", "b@dest.example")
    storage.store(email, status)
    changed = with_first(status, deferred_recipient(status.recipients[0]))

    storage.update_status(changed)

    equal(storage.retrieve(email.message_id), (email, changed))
    equal(storage.retrieve_status(email.message_id), changed)


def an_unknown_id_is_message_not_found(storage: Storage) -> None:
    _, status = an_entry()

    raises(MessageNotFound, lambda: storage.retrieve(status.message_id))
    raises(MessageNotFound, lambda: storage.retrieve_status(status.message_id))
    raises(MessageNotFound, lambda: storage.update_status(status))


def the_status_outlives_completion(storage: Storage) -> None:
    email, status = an_entry()
    storage.store(email, status)

    storage.update_status(delivered(status))

    equal(storage.retrieve_status(email.message_id), delivered(status))


def incomplete_messages_are_listed_oldest_first(storage: Storage) -> None:
    entries = [an_entry(name) for name in ("c", "a", "b", "d")]
    for entry in entries:
        storage.store(*entry)

    storage.update_status(delivered(entries[1][1]))

    equal(ids_of(storage.retrieve_all_incomplete()), ids_of([entries[0][1], entries[2][1], entries[3][1]]))


def a_partly_completed_message_is_incomplete(storage: Storage) -> None:
    email, status = an_entry("one", "a@dest.example", "b@dest.example")
    storage.store(email, status)
    half = with_first(status, replace(status.recipients[0], result=Delivered(tries=1), due_at=None))

    storage.update_status(half)

    equal(list(storage.retrieve_all_incomplete()), [half])


def a_held_message_is_incomplete(storage: Storage) -> None:
    email, status = an_entry()
    storage.store(email, status)
    held = with_first(status, replace(status.recipients[0], result=Deferred(tries=1), due_at=None))

    storage.update_status(held)

    equal(list(storage.retrieve_all_incomplete()), [held])


def a_completed_message_is_recent_once(storage: Storage) -> None:
    entries = [an_entry(name) for name in ("done", "open")]
    for entry in entries:
        storage.store(*entry)
    storage.update_status(delivered(entries[0][1]))

    calls = [list(storage.retrieve_all_recent()) for _ in range(2)]

    equal(calls, [[delivered(entries[0][1]), entries[1][1]], [entries[1][1]]])


def a_new_storage_is_empty(storage: Storage) -> None:
    equal((list(storage.retrieve_all_incomplete()), list(storage.retrieve_all_recent())), ([], []))


def threads_may_store_at_once(storage: Storage) -> None:
    entries = [an_entry(f"m{number}") for number in range(40)]

    results_at_once([partial(storage.store, *entry) for entry in entries])

    equal(
        sorted(ids_of(storage.retrieve_all_incomplete())), sorted(ids_of([status for _, status in entries]))
    )


def of_threads_that_store_one_id_one_succeeds(storage: Storage) -> None:
    email, status = an_entry()

    errors = at_once([lambda: storage.store(email, status)] * 8)

    equal([type(error) for error in errors], [DuplicateMessage] * 7)


STORAGE_CLAUSES: tuple[Callable[[Storage], None], ...] = (
    what_is_stored_comes_back_unchanged,
    content_comes_back_octet_for_octet,
    a_known_id_is_refused_and_nothing_changes,
    an_id_is_refused_after_completion_as_well,
    update_status_replaces_the_status_and_leaves_the_email,
    an_unknown_id_is_message_not_found,
    the_status_outlives_completion,
    incomplete_messages_are_listed_oldest_first,
    a_partly_completed_message_is_incomplete,
    a_held_message_is_incomplete,
    a_completed_message_is_recent_once,
    a_new_storage_is_empty,
    threads_may_store_at_once,
    of_threads_that_store_one_id_one_succeeds,
)


# What a durable storage keeps from one process to the next


def what_was_stored_is_there_after_a_crash(storage: Storage, reopen: Callable[[], Storage]) -> None:
    entries = [an_entry(name) for name in ("c", "a", "b")]
    for entry in entries:
        storage.store(*entry)

    survivor = reopen()

    equal(list(survivor.retrieve_all_incomplete()), [status for _, status in entries])
    equal([survivor.retrieve(status.message_id) for _, status in entries], entries)


def a_status_is_there_after_a_crash_as_it_was_updated(
    storage: Storage, reopen: Callable[[], Storage]
) -> None:
    email, status = an_entry("one", "a@dest.example", "b@dest.example")
    changed = with_first(status, deferred_recipient(status.recipients[0]))
    storage.store(email, status)
    storage.update_status(changed)

    survivor = reopen()

    equal(survivor.retrieve(email.message_id), (email, changed))


def what_is_completed_is_so_after_a_crash(storage: Storage, reopen: Callable[[], Storage]) -> None:
    email, status = an_entry()
    storage.store(email, status)
    storage.update_status(delivered(status))

    survivor = reopen()

    equal(survivor.retrieve_status(email.message_id), delivered(status))
    equal(list(survivor.retrieve_all_incomplete()), [])
    raises(DuplicateMessage, lambda: survivor.store(email, status))


DURABLE_CLAUSES: tuple[Callable[[Storage, Callable[[], Storage]], None], ...] = (
    what_was_stored_is_there_after_a_crash,
    a_status_is_there_after_a_crash_as_it_was_updated,
    what_is_completed_is_so_after_a_crash,
)
