"""Who waits, who is claimed, and by which lease: the state that a plain storage does not keep.

Pure bookkeeping without locks, clocks or storage calls; `exclusive.py` owns it and locks it.
A recipient that is not completed is in one of these:

    held       nobody tries it: due_at is None, or when the message expires
    waiting    in the queue until due_at
    claimed    a lease holds it
    lapsed     in the queue, and its lease is over: whoever settles or claims it first has it
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush

from ..abc import CLAIM_LIMIT, InternalMessageStatus, InternalRecipientStatus
from .changes import is_held
from .due_queue import DueQueue

KEYS_KEPT = 100_000  # idempotency keys of completed messages that are remembered


@dataclass(slots=True, eq=False)
class Message:
    """A message with work left. `status` changes only with `writing` held, and the index's lock."""

    status: InternalMessageStatus
    left: int  # recipients not completed
    holders: dict[int, Lease] = field(default_factory=dict)  # by position
    cancelled: dict[int, datetime] = field(default_factory=dict)  # claimed when cancel came
    writing: threading.Lock = field(default_factory=threading.Lock)

    def is_waiting(self, position: int, due_at: datetime) -> bool:
        """Due at that time, and no lease holds it."""
        if self.status.recipients[position].due_at != due_at:
            return False
        holder = self.holders.get(position)
        return holder is None or holder.lapsed

    def may_claim(self, position: int, now: datetime) -> bool:
        """Due by now, and no lease holds it."""
        due_at = self.status.recipients[position].due_at
        return due_at is not None and due_at <= now and self.is_waiting(position, due_at)


@dataclass(slots=True, eq=False)
class Lease:
    """The right of one claim; `before` is each recipient as it stood, by position."""

    token: int
    message: Message
    route_key: str
    before: dict[int, InternalRecipientStatus]
    ends: float  # by the lease clock
    lapsed: bool = False


class LeaseIndex:
    """The waiting and claimed recipients of all incomplete messages. One thread at a time."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}  # incomplete, oldest first
        self._queue: DueQueue[Message] = DueQueue()
        self._leases: dict[int, Lease] = {}
        self._ends: list[tuple[float, int]] = []
        self._last_token = 0
        self._to_try = 0  # recipients that are not completed or held, claimed ones included
        self._keys: dict[str, tuple[str, str]] = {}  # idempotency key -> message id, fingerprint
        self._completed_keys: OrderedDict[str, None] = OrderedDict()

    def add(self, status: InternalMessageStatus) -> None:
        """A message that was stored."""
        if status.idempotency_key is not None:
            self._keys[status.idempotency_key] = status.message_id, status.fingerprint
        left = sum(not recipient.result.completed for recipient in status.recipients)
        message = Message(status, left)
        if status.completed_at is not None or left == 0:
            self._remember_key(status.idempotency_key)
            return
        self.messages[status.message_id] = message
        self._to_try += sum(not is_held(recipient) for recipient in status.recipients)
        self.enqueue(message, range(len(status.recipients)))

    def first_with_key(self, idempotency_key: str | None) -> tuple[str, str] | None:
        """Id and fingerprint of the message that was stored with this idempotency key."""
        return None if idempotency_key is None else self._keys.get(idempotency_key)

    def enqueue(self, message: Message, positions: Collection[int]) -> None:
        """Lets those of the recipients wait that have a due time."""
        for position in positions:
            recipient = message.status.recipients[position]
            if recipient.due_at is not None:
                self._queue.add(message, recipient.route_key, position, recipient.due_at)

    def take(self, now: datetime, skip: Collection[str]) -> tuple[Message, str, list[int]] | None:
        """Recipients for the next claim, out of the queue from here on."""
        return self._queue.take(now, skip, CLAIM_LIMIT)

    def grant(
        self, message: Message, route_key: str, before: dict[int, InternalRecipientStatus], ends: float
    ) -> Lease:
        """A new lease for these recipients; a lapsed one that had any of them is lost."""
        for position in before:
            if (earlier := message.holders.get(position)) is not None:
                self._drop(earlier)
        self._last_token += 1
        lease = Lease(self._last_token, message, route_key, before, ends)
        self._leases[lease.token] = lease
        message.holders.update(dict.fromkeys(before, lease))
        heappush(self._ends, (ends, lease.token))
        return lease

    def lease(self, token: int, message_id: str) -> Lease | None:
        """The lease with this token, unless it ended or was lost."""
        lease = self._leases.get(token)
        return lease if lease is not None and lease.message.status.message_id == message_id else None

    def prolong(self, lease: Lease, ends: float) -> None:
        """The lease holds until then."""
        lease.ends, lease.lapsed = ends, False
        heappush(self._ends, (ends, lease.token))

    def release(self, lease: Lease, positions: Collection[int]) -> None:
        """Ends the lease for these recipients; those that have a due time wait for it."""
        for position in positions:
            del lease.before[position], lease.message.holders[position]
            lease.message.cancelled.pop(position, None)
        if not lease.before:
            self._leases.pop(lease.token, None)
        self.enqueue(lease.message, positions)

    def lapse(self, instant: float) -> None:
        """Lets the recipients of leases that ended wait again."""
        while self._ends and self._ends[0][0] <= instant:
            ends, token = heappop(self._ends)
            lease = self._leases.get(token)
            if lease is not None and lease.ends == ends and not lease.lapsed:
                lease.lapsed = True
                self.enqueue(lease.message, lease.before)

    def next_lease_end(self, skip: Collection[str]) -> float | None:
        """When the first lease ends whose route key is not in `skip`."""
        ends = (each.ends for each in self._leases.values() if not each.lapsed and each.route_key not in skip)
        return min(ends, default=None)

    def next_due(self, now: datetime, skip: Collection[str]) -> datetime | None:
        """When the first waiting recipient falls due whose route key is not in `skip`."""
        return self._queue.next_due(now, skip)

    @property
    def is_idle(self) -> bool:
        """Nobody waits, nobody is claimed."""
        return self._to_try == 0

    def commit(
        self,
        message: Message,
        status: InternalMessageStatus,
        changed: Mapping[int, InternalRecipientStatus],
        ended: Lease | None,
    ) -> None:
        """The message's new status, in which these recipients differ from the old one.

        A lapsed lease that has one of those completed here is lost, but for the one that is
        ended by this: a completed recipient never changes again.
        """
        for position, after in changed.items():
            before = message.status.recipients[position]
            holder = message.holders.get(position)
            if holder is not None and holder is not ended and after.result.completed:
                self._drop(holder)
            self._to_try += is_held(before) - is_held(after)
            message.left -= after.result.completed - before.result.completed
        message.status = status
        if message.left == 0:
            self.messages.pop(status.message_id, None)
            self._remember_key(status.idempotency_key)

    def forget(self, message: Message) -> None:
        """The storage does not have it any more: nothing of it waits or is claimed."""
        if self.messages.pop(message.status.message_id, None) is None:
            return
        self._to_try -= sum(not is_held(recipient) for recipient in message.status.recipients)
        for lease in set(message.holders.values()):
            self._drop(lease)
        nobody = tuple(replace(recipient, due_at=None) for recipient in message.status.recipients)
        message.status = replace(message.status, recipients=nobody)
        self._remember_key(message.status.idempotency_key)

    def _drop(self, lease: Lease) -> None:
        self._leases.pop(lease.token, None)
        for position in lease.before:
            if lease.message.holders.get(position) is lease:
                del lease.message.holders[position]

    def _remember_key(self, idempotency_key: str | None) -> None:
        if idempotency_key is None:
            return
        self._completed_keys[idempotency_key] = None
        if len(self._completed_keys) > KEYS_KEPT:
            oldest, _ = self._completed_keys.popitem(last=False)
            self._keys.pop(oldest, None)
