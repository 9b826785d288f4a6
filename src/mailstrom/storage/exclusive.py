"""Lifts a six-method storage to what the engine works with, for one process.

Due times, leases and turns are kept in memory, rebuilt from the statuses at the first use.
What must outlive a crash goes through `update_status`: with a durable storage each claim is
written ahead, so that a process that died is seen as a crash of what it was trying. With one
that dies with the process that stays in memory, and costs nothing.

Two kinds of lock. A message's `writing` lock is held while its status is decided, written and
replaced, so that the storage sees one call at a time for one message, in the right order. The
index's lock is held for bookkeeping only, never during a call of the storage: however long
that takes, other messages go on. Order: `writing`, then the index's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ..abc import (
    Claim,
    InternalMessageStatus,
    InternalRecipientStatus,
    Outcome,
    PreparedEmail,
    SharedStorage,
    Storage,
)
from ..errors import MessageNotFound
from . import changes, intake
from .fork import call_in_forked_child
from .index import Lease, LeaseIndex, Message
from .intake import Entry, Numbered, border

Changed = dict[int, InternalRecipientStatus]

LEASE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # the lease clock's 0 as a datetime


class ExclusiveStorage(SharedStorage):
    """Claims, leases and due times over a plain `Storage` that only this process uses.

    `store` of several entries is all or none: by `store_all` where the storage has it; else
    one after the other, and if one fails those stored before it are marked failed
    (CANCELLED), so that they are never sent. Completed messages' idempotency keys are known
    as long as the process lives. A cancel that comes while a recipient is claimed is known as
    long, too. A forked child starts empty: the parent's queue stays the parent's.
    `Claim.lease_until` counts from 1970 on the lease clock.
    """

    def __init__(self, storage: Storage, *, lease_clock: Callable[[], float] = time.monotonic) -> None:
        self.durable = storage.durable
        self.never_blocks = storage.never_blocks
        self._storage = storage
        self._lease_clock = lease_clock
        self._loaded = False
        self._begin_empty()
        call_in_forked_child(self._begin_empty)

    def store(self, entries: Sequence[Entry]) -> list[str]:
        """Keeps all of them or none; the ids under which they stand."""
        self._load()
        ids, new = self._reserve(entries)
        try:
            self._keep(new)
        finally:
            self._end_reservation(new)
        return ids

    def claim(
        self, now: datetime, *, owner: str, lease: timedelta, skip: Collection[str] = ()
    ) -> Claim | None:
        """The next due work, or None."""
        self._load()
        while True:
            with self._lock:
                self._index.lapse(self._lease_clock())
                taken = self._index.take(now, skip)
            if taken is None:
                return None
            claim = self._claim(*taken, now, owner, lease)
            if claim is not None:
                return claim

    def renew(self, claim: Claim, lease: timedelta) -> Claim | None:
        """The claim with a later `lease_until`, or None when it was lost."""
        ends = self._lease_clock() + lease.total_seconds()
        with self._lock:
            held = self._held(claim)
            if held is None:
                return None
            self._index.prolong(held, ends)
        return replace(claim, lease_until=LEASE_EPOCH + timedelta(seconds=ends))

    def mark_dot_sent(self, claim: Claim, addresses: Collection[str]) -> bool:
        """Notes that the final dot is about to be written for these; False when the claim was lost."""
        with self._writing(claim) as (message, lease):
            if message is None or lease is None:
                return False
            positions = _positions(lease, addresses)
            if positions is None:
                return False
            recipients = message.status.recipients
            changed = {each: replace(recipients[each], dot_sent=True) for each in positions}
            return self._replace(message, changed, None, write=self.durable)

    def settle(self, claim: Claim, outcomes: Sequence[Outcome], now: datetime) -> bool:
        """Records the results of a claim's recipients and ends it for them."""
        with self._writing(claim) as (message, lease):
            if message is None or lease is None:
                return False
            by_address = {outcome.address: outcome for outcome in outcomes}
            positions = _positions(lease, by_address)
            if positions is None:
                return False
            changed = {}
            for each in positions:
                recipient, cancelled = message.status.recipients[each], each in message.cancelled
                outcome = by_address[recipient.address]
                changed[each] = changes.settled(
                    recipient, outcome, cancelled=cancelled, expires_at=message.status.expires_at
                )
            return self._replace(message, changed, now, ended=lease)

    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        """Undoes a claim without a try or a crash; due again at once, or at `not_before`."""
        with self._writing(claim) as (message, lease):
            if message is None or lease is None:
                return
            ended = {each: message.cancelled[each] for each in lease.before if each in message.cancelled}
            changed = {
                each: changes.cancelled(before) if each in ended else changes.given_back(before, not_before)
                for each, before in lease.before.items()
            }
            write = self.durable or bool(ended)
            self._replace(message, changed, max(ended.values(), default=None), ended=lease, write=write)

    def next_due(self, now: datetime, skip: Collection[str] = ()) -> datetime | None:
        """When the next work that is not in `skip` falls due or its lease ends; None: no work waits."""
        self._load()
        instant = self._lease_clock()
        with self._lock:
            self._index.lapse(instant)
            due_at = self._index.next_due(now, skip)
            lease_end = self._index.next_lease_end(skip)
        if lease_end is None:
            return due_at
        ends_at = now + timedelta(seconds=lease_end - instant)
        return ends_at if due_at is None else min(due_at, ends_at)

    def is_idle(self) -> bool:
        """No recipient is left to try: all are completed or held, none is claimed."""
        self._load()
        with self._lock:
            return self._index.is_idle

    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        """The status; raises `MessageNotFound`."""
        with self._lock:
            message = self._index.messages.get(message_id)
            if message is not None:
                return message.status
        with border("read a status"):
            return self._storage.retrieve_status(message_id)

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        """Every message with work left, oldest first."""
        self._load()
        with self._lock:
            return [message.status for message in self._index.messages.values()]

    def retrieve_all_recent(self) -> list[InternalMessageStatus]:
        """Every incomplete message, and those completed since the last such call, oldest first."""
        with border("list recent statuses"):
            recent = self._storage.retrieve_all_recent()
        with self._lock:
            known = self._index.messages
            return [known[each.message_id].status if each.message_id in known else each for each in recent]

    def cancel(self, message_id: str, now: datetime) -> InternalMessageStatus:
        """Fails (CANCELLED) each recipient that is neither completed nor claimed."""
        self._load()
        with self._lock:
            message = self._index.messages.get(message_id)
        if message is None:
            return self.retrieve_status(message_id)
        with message.writing:
            if message.left:
                self._cancel(message, now)
            return message.status

    def close(self) -> None:
        """Nothing to give up: the storage below belongs to whoever made it."""

    def _begin_empty(self) -> None:
        """At first, and in a forked child: what was loaded there belongs to the parent."""
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._reservation_ended = threading.Condition(self._lock)
        self._reserved: set[str] = set()  # ids and keys that are being stored
        self._index = LeaseIndex()

    def _load(self) -> None:
        with self._loading:
            if self._loaded:
                return
            with border("list incomplete statuses"):
                incomplete = self._storage.retrieve_all_incomplete()
            with self._lock:
                for status in incomplete:
                    self._index.add(status)
            self._loaded = True

    def _reserve(self, entries: Sequence[Entry]) -> tuple[list[str], list[Numbered]]:
        """The ids, and what is new with its position; waits for others that store the same."""
        names = {name for _, status in entries for name in intake.names(status)}
        with self._lock:
            while not self._reserved.isdisjoint(names):
                self._reservation_ended.wait()
            ids, new = intake.sort_out(self._index, entries)
            self._reserved.update(name for _, (_, status) in new for name in intake.names(status))
        return ids, new

    def _keep(self, new: Sequence[Numbered]) -> None:
        intake.keep(self._storage, new)
        with self._lock:
            for _, (_, status) in new:
                self._index.add(status)

    def _end_reservation(self, new: Sequence[Numbered]) -> None:
        with self._lock:
            self._reserved.difference_update(name for _, (_, status) in new for name in intake.names(status))
            self._reservation_ended.notify_all()

    def _claim(
        self,
        message: Message,
        route_key: str,
        positions: Sequence[int],
        now: datetime,
        owner: str,
        lease: timedelta,
    ) -> Claim | None:
        """A claim for those of the recipients that may still be claimed."""
        with message.writing:
            with self._lock:
                positions = [position for position in positions if message.may_claim(position, now)]
            if not positions:
                return None
            try:
                granted = self._write_ahead(message, route_key, positions, now, lease)
            except BaseException:
                with self._lock:
                    self._index.enqueue(message, positions)
                raise
        return None if granted is None else _as_claim(*granted, owner)

    def _write_ahead(
        self, message: Message, route_key: str, positions: Sequence[int], now: datetime, lease: timedelta
    ) -> tuple[Lease, PreparedEmail] | None:
        email = self._email(message)
        if email is None:
            return None
        recipients = message.status.recipients
        before = {each: recipients[each] for each in positions if each not in message.cancelled}
        changed = {
            each: changes.claimed(recipients[each]) if each in before else changes.cancelled(recipients[each])
            for each in positions
        }
        write = self.durable or len(before) < len(changed)
        if not self._replace(message, changed, now, write=write) or not before:
            return None
        with self._lock:
            ends = self._lease_clock() + lease.total_seconds()
            return self._index.grant(message, route_key, before, ends), email

    def _email(self, message: Message) -> PreparedEmail | None:
        """The email, or None when the storage does not have it any more: nothing is tried then."""
        try:
            with border("read an email"):
                return self._storage.retrieve(message.status.message_id)[0]
        except MessageNotFound:
            self._forget(message)
            return None

    def _cancel(self, message: Message, now: datetime) -> None:
        with self._lock:
            held = {position for position, lease in message.holders.items() if not lease.lapsed}
            message.cancelled.update(dict.fromkeys(held, now))
        changed = {
            position: changes.cancelled(recipient)
            for position, recipient in enumerate(message.status.recipients)
            if position not in held and not recipient.result.completed
        }
        self._replace(message, changed, now)

    def _replace(
        self,
        message: Message,
        changed: Changed,
        now: datetime | None,
        *,
        ended: Lease | None = None,
        write: bool = True,
    ) -> bool:
        """Writes and commits the changed recipients, and ends the lease for them.

        False when the storage does not have the message any more. Nothing is changed where
        the storage fails.
        """
        if not changed:
            return True
        status = changes.with_recipients(message.status, changed)
        if sum(recipient.result.completed for recipient in changed.values()) == message.left:
            status = replace(status, completed_at=now)
        if write and not self._write(message, status):
            return False
        with self._lock:
            self._index.commit(message, status, changed, ended)
            if ended is not None:
                self._index.release(ended, changed)
        return True

    def _write(self, message: Message, status: InternalMessageStatus) -> bool:
        try:
            with border("write a status"):
                self._storage.update_status(status)
        except MessageNotFound:
            self._forget(message)
            return False
        return True

    def _forget(self, message: Message) -> None:
        logging.getLogger("mailstrom.storage").error(
            "message %s is gone from the storage with work left; it is tried no more",
            message.status.message_id,
        )
        with self._lock:
            self._index.forget(message)

    def _held(self, claim: Claim) -> Lease | None:
        return self._index.lease(claim.token, claim.email.message_id)

    @contextmanager
    def _writing(self, claim: Claim) -> Iterator[tuple[Message | None, Lease | None]]:
        """The claim's message, ours to write, and its lease; None where the claim was lost."""
        with self._lock:
            message = self._index.messages.get(claim.email.message_id)
        if message is None:
            yield None, None
            return
        with message.writing:
            with self._lock:
                lease = self._held(claim)
            yield message, lease


def _positions(lease: Lease, addresses: Collection[str]) -> list[int] | None:
    """Where the addresses stand in the message; None when the lease lacks one of them."""
    if not {recipient.address for recipient in lease.before.values()}.issuperset(addresses):
        return None
    return [position for position, recipient in lease.before.items() if recipient.address in addresses]


def _as_claim(lease: Lease, email: PreparedEmail, owner: str) -> Claim:
    status = lease.message.status
    return Claim(
        email=email,
        route_key=lease.route_key,
        recipients=tuple(lease.before.values()),
        submitted_at=status.submitted_at,
        send_at=status.send_at,
        expires_at=status.expires_at,
        owner=owner,
        token=lease.token,
        lease_until=LEASE_EPOCH + timedelta(seconds=lease.ends),
    )
