"""Lifts a six-method storage to what the engine works with, for one process.

Due times, leases and turns are kept in memory, rebuilt from the statuses at the first use.
What must outlive a crash goes through `update_status`: with a durable storage each claim is
written ahead, so that a process that died is seen as a crash of what it was trying. With one
that dies with the process that stays in memory, and costs nothing.

Two kinds of lock. A message's `writing` lock is held while its status is decided, written and
replaced, so that the storage sees one call at a time for one message, in the right order. The
lock of index, journal and notebook is held for bookkeeping only, never during a call of the
storage: however long that takes, other messages go on. Order: `writing`, then that one.

    intake           how emails come in
    claims           how they are worked off
    steering         how an operator interferes; forgetting: how an address is erased
    status_writer    how a changed status is written, committed, told
    index            who waits, who is claimed
    journal          what was told; notebook: notes
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice

from ..abc import (
    EVERYTHING,
    Claim,
    Event,
    InternalMessageStatus,
    Note,
    Order,
    Ordered,
    Overview,
    Selection,
    Settlement,
    SharedStorage,
    Storage,
    Terms,
    Trying,
)
from ..errors import MessageNotFound
from ..records import START, Cursor
from . import backlog, changes, forgetting, steering
from .border import border
from .claims import Claims
from .fork import call_in_forked_child
from .index import LeaseIndex, Message
from .intake import Entry, Intake
from .journal import Journal
from .notebook import Notebook
from .status_writer import StatusWriter

_log = logging.getLogger("mailstrom.storage")


class ExclusiveStorage(SharedStorage):
    """Claims, leases and due times over a plain `Storage` that only this process uses.

    `store` of several entries is all or none: by `store_all` where the storage has it; else
    one after the other, and if one fails those stored before it are marked failed
    (CANCELLED), so that they are never sent. Marks and settlements are written one after the other:
    where some fail the call raises; settlements that did not are not done again when it is repeated.

    Known as long as the process lives, also over a storage that is durable: events, of which
    the latest 100,000 are kept; notes; when mail was delivered last; the idempotency keys and
    ids of the latest 100,000 completed messages; orders that met a recipient that was claimed.
    So `forget` reaches what completed in this process. A selection by sender reads the email of
    each message that an earlier process stored, once. What is completed is the plain storage's
    to remove: `purge` finds nothing to do.

    A forked child starts empty: what the storage holds is the parent's, also where the parent has
    not looked into it yet. `Claim.lease_until` counts from 1970 on the lease clock.
    """

    def __init__(self, storage: Storage, *, lease_clock: Callable[[], float] = time.monotonic) -> None:
        self.durable = storage.durable
        self.never_blocks = storage.never_blocks
        self._storage = storage
        self._lease_clock = lease_clock
        self._loaded = False
        self._is_of_child = False
        self._begin_empty()
        call_in_forked_child(self._begin_in_child)

    # --- storing

    def store(self, entries: Sequence[Entry]) -> list[str]:
        """Keeps all of them or none; the ids under which they stand."""
        self._load()
        return self._intake.store(entries)

    # --- working off

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        """The next due work, at most `terms.limit` claims."""
        self._load()
        return self._claims.claim(now, terms)

    def renew(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim | None]:
        """Each claim with a later `lease_until`, or None where it was lost."""
        return self._claims.renew(claims, lease)

    def mark_dots_sent(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> list[bool]:
        """Notes that final dots are about to be written; False where the claim was lost."""
        return [self._claims.mark_dot_sent(claim, addresses) for claim, addresses in dots]

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        """Records the results of some claims' recipients and ends the claims for them."""
        return self._claims.settle(settlements, now)

    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        """Undoes a claim without a try or a crash; due again at once, or at `not_before`."""
        self._claims.give_back(claim, not_before)

    def next_due(self, now: datetime, skip: Collection[str] = ()) -> datetime | None:
        """When the next work that is not in `skip` falls due or its lease ends; None: no work waits."""
        self._load()
        return self._claims.next_due(now, skip)

    def is_idle(self) -> bool:
        """No recipient is left to try: all are completed or held, none is claimed."""
        self._load()
        with self._lock:
            self._index.lapse(self._lease_clock())
            return self._index.is_idle

    def pull_in(self, latest: datetime) -> int:
        """Makes deferred recipients that are due after `latest` due then; how many they were."""
        return steering.pull_in(self._writer, self._incomplete(), latest)

    # --- asking

    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        """The status; raises `MessageNotFound`."""
        with self._lock:
            message = self._index.messages.get(message_id)
            status = None if message is None else message.status
        if status is None:
            with border("read a status"):
                status = self._storage.retrieve_status(message_id)
        shown = changes.shown(status)
        if shown is None:
            raise MessageNotFound(message_id)
        return shown

    def retrieve_all_incomplete(
        self, selection: Selection = EVERYTHING, *, limit: int | None = None
    ) -> list[InternalMessageStatus]:
        """Every message with work left among the recipients selected, oldest first, at most `limit`."""
        picked = steering.pick(self._writer, self._incomplete(selection.message_id), selection)
        return _shown(self._status_of(message) for message in islice(picked, limit))

    def retrieve_all_recent(self) -> list[InternalMessageStatus]:
        """Every incomplete message, and those completed since the last such call, oldest first."""
        with border("list recent statuses"):
            recent = self._storage.retrieve_all_recent()
        with self._lock:
            known = self._index.messages
            return _shown(
                known[each.message_id].status if each.message_id in known else each for each in recent
            )

    def being_tried(self, message_id: str) -> dict[str, Trying]:
        """By address, who of the message is claimed and its lease not over."""
        for message in self._incomplete(message_id):
            with self._lock:
                return message.trying(self._lease_clock())
        return {}

    def overview(self, now: datetime) -> Overview:
        """How full the queue is at `now`."""
        messages = self._incomplete()
        with self._lock:
            counted = [(message.status, message.claimed()) for message in messages]
            last_delivered_at = self._journal.last_delivered_at
        return backlog.overview(counted, now, last_delivered_at=last_delivered_at)

    def events(self, after: int | None = None, *, limit: int = 1000) -> list[Event]:
        """The status changes of this process behind the cursor `after`, in order, at most `limit`."""
        with self._lock:
            return self._journal.after(after, limit)

    # --- steering

    def order(
        self, order: Order, selection: Selection, now: datetime, *, after: Cursor = START, limit: int = 1000
    ) -> list[Ordered]:
        """Carries the order out for up to `limit` of the recipients it would change; those, oldest first."""
        messages = self._incomplete(selection.message_id)
        return steering.carry_out(self._writer, messages, order, selection, now, after, limit)

    def purge(self, now: datetime, *, limit: int = 1000) -> int:
        """0: the plain storage removes what is completed by its own rules."""
        return 0

    def forget(self, address: str, now: datetime) -> int:
        """Erases this address wherever it completed in this process; how many recipients that were.

        In the storage a recipient without a name is left of it, which is not shown. Bodies of
        completed messages are the plain storage's: `MemoryStorage` keeps none.
        """
        self._load()
        with self._forgetting:
            return forgetting.forget(self._writer, address)

    # --- notes

    def note(self, namespace: str, key: str, now: datetime) -> Note | None:
        """The note; None where there is none, or it has expired."""
        with self._lock:
            return self._notebook.read(namespace, key, now)

    def put_note(self, note: Note, now: datetime) -> Note | None:
        """Keeps the note and returns it with its new version, if its version is the one that stands there."""
        with self._lock:
            return self._notebook.put(note, now)

    def close(self) -> None:
        """Nothing to give up: the storage below belongs to whoever made it."""

    def _begin_in_child(self) -> None:
        """Two that load the same would both send it."""
        self._is_of_child = True
        self._begin_empty()

    def _begin_empty(self) -> None:
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._forgetting = threading.Lock()
        self._index = LeaseIndex()
        self._journal = Journal()
        self._notebook = Notebook()
        self._intake = Intake(self._storage, self._lock, self._index, self._journal)
        self._writer = StatusWriter(self._storage, self._lock, self._index, self._journal)
        self._claims = Claims(self._writer, self._lease_clock)
        self._pid = os.getpid()

    def _load(self) -> None:
        if self._pid != os.getpid():  # forked by something that does not tell Python
            self._begin_in_child()
        with self._loading:
            if self._loaded:
                return
            if self._is_of_child:
                self._leave_to_parent()
            else:
                self._read_incomplete()
            self._loaded = True

    def _read_incomplete(self) -> None:
        with border("list incomplete statuses"):
            incomplete = self._storage.retrieve_all_incomplete()
        with self._lock:
            for status in incomplete:
                self._index.add(status)

    def _leave_to_parent(self) -> None:
        if self.durable:
            _log.warning(
                "this process was forked before its parent read the queue: what an earlier program left in "
                "it is the parent's to send; make the storage after the fork if the parent sends nothing"
            )

    def _incomplete(self, message_id: str | None = None) -> list[Message]:
        """All messages with work left, or the one, oldest first, as their leases stand now."""
        self._load()
        with self._lock:
            self._index.lapse(self._lease_clock())
            if message_id is None:
                return list(self._index.messages.values())
            return [self._index.messages[message_id]] if message_id in self._index.messages else []

    def _status_of(self, message: Message) -> InternalMessageStatus:
        with self._lock:
            return message.status


def _shown(statuses: Iterable[InternalMessageStatus]) -> list[InternalMessageStatus]:
    return [shown for status in statuses if (shown := changes.shown(status)) is not None]
