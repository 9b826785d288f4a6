"""How new emails come into a plain storage: what is new among them, and all of that or none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Protocol, TypeGuard

from ..abc import InternalMessageStatus, PreparedEmail, Storage
from ..errors import DuplicateMessage, IdempotencyConflict, MailstromError
from ..event import EventKind
from .border import border
from .changes import Told, never_accepted
from .index import LeaseIndex
from .journal import Journal

Entry = tuple[PreparedEmail, InternalMessageStatus]
Numbered = tuple[int, Entry]  # with its position in what the caller gave


class StoresAll(Protocol):
    """A storage with a seventh method: keeps all entries or none."""

    def store_all(self, entries: Sequence[Entry]) -> None:
        """Raises as `store` does; the exception's `index` is the position of the one at fault."""


class Intake:
    """Stores and enters into the index. Any thread; the lock is the index's, never held while storing.

    What is being stored is reserved: others that would store the same id or idempotency key
    wait until it is known whether that came in.
    """

    def __init__(self, storage: Storage, lock: threading.Lock, index: LeaseIndex, journal: Journal) -> None:
        self._storage = storage
        self._index = index
        self._journal = journal
        self._lock = lock
        self._reservation_ended = threading.Condition(lock)
        self._reserved: set[str] = set()  # ids and keys

    def store(self, entries: Sequence[Entry]) -> list[str]:
        """Keeps all of them or none; the ids under which they stand."""
        ids, new, reserved = self._reserve(entries)
        try:
            _keep(self._storage, new)
            self._enter(new)
        finally:
            self._end_reservation(reserved)
        return ids

    def _reserve(self, entries: Sequence[Entry]) -> tuple[list[str], list[Numbered], set[str]]:
        """The ids, what is new with its position, and its names; waits for others that store the same."""
        names = _names(entries)
        with self._lock:
            while not self._reserved.isdisjoint(names):
                self._reservation_ended.wait()
            ids, new = _sort_out(self._index, entries)
            if len(new) < len(entries):
                names = _names([entry for _, entry in new])
            self._reserved |= names
        return ids, new, names

    def _enter(self, new: Sequence[Numbered]) -> None:
        with self._lock:
            for _, (email, status) in new:
                self._index.add(status, email.reverse_path)
                self._journal.tell(Told(EventKind.ACCEPTED, status.submitted_at, status.message_id))

    def _end_reservation(self, names: set[str]) -> None:
        with self._lock:
            self._reserved -= names
            self._reservation_ended.notify_all()


def _sort_out(index: LeaseIndex, entries: Sequence[Entry]) -> tuple[list[str], list[Numbered]]:
    """The ids under which the entries will stand, and those that must be stored for it."""
    ids: list[str] = []
    new: list[Numbered] = []
    new_ids: set[str] = set()
    keys: dict[str, tuple[str, str]] = {}
    for position, entry in enumerate(entries):
        status = entry[1]
        if (key := status.idempotency_key) is not None:
            first = index.first_with_key(key) or keys.get(key)
            if first is not None:
                ids.append(_same(position, status, *first))
                continue
        if status.message_id in index.messages or status.message_id in new_ids:
            raise _at(position, DuplicateMessage(status.message_id))
        if key is not None:
            keys[key] = status.message_id, status.fingerprint
        ids.append(status.message_id)
        new_ids.add(status.message_id)
        new.append((position, entry))
    return ids, new


def _same(position: int, status: InternalMessageStatus, first_id: str, fingerprint: str) -> str:
    if fingerprint != status.fingerprint:
        raise _at(position, IdempotencyConflict(str(status.idempotency_key), first_id))
    return first_id


def _names(entries: Sequence[Entry]) -> set[str]:
    """What no other store may use meanwhile: their ids, and their idempotency keys."""
    names = {f"id {status.message_id}" for _, status in entries}
    keys = [status.idempotency_key for _, status in entries if status.idempotency_key is not None]
    return names.union([f"key {key}" for key in keys])


def _keep(storage: Storage, new: Sequence[Numbered]) -> None:
    """Stores all of them, or raises and leaves none that would be sent."""
    if len(new) < 2 or not _stores_all(storage):
        _store_in_turn(storage, new)
        return
    try:
        with border("store"):
            storage.store_all([entry for _, entry in new])
    except MailstromError as error:
        if error.index is not None:
            error.index = new[error.index][0]
        raise


def _store_in_turn(storage: Storage, new: Sequence[Numbered]) -> None:
    for done, (position, (email, status)) in enumerate(new):
        try:
            with border("store"):
                storage.store(email, status)
        except MailstromError as error:
            _take_back(storage, [earlier for _, (_, earlier) in new[:done]])
            raise _at(position, error) from error.__cause__


def _take_back(storage: Storage, stored: Sequence[InternalMessageStatus]) -> None:
    for status in stored:
        try:
            storage.update_status(never_accepted(status))
        except Exception:
            logging.getLogger("mailstrom.storage").exception(
                "message %s was not accepted, but is stored and could not be taken back",
                status.message_id,
            )


def _stores_all(storage: object) -> TypeGuard[StoresAll]:
    """It has `store_all`, and no subclass has changed `store` behind its back."""
    definers = [set(vars(each)) & {"store", "store_all"} for each in type(storage).__mro__]
    return "store_all" in next((defined for defined in definers if defined), ())


def _at(position: int, error: MailstromError) -> MailstromError:
    error.index = position
    return error
