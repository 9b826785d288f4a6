"""Who waits, who is claimed, and by which lease: the state that a plain storage does not keep.

Pure bookkeeping without locks, clocks or storage calls; `exclusive.py` owns it and locks it.
A recipient that is not completed is in one of these:

    held       nobody tries it: due_at is None, or when the message expires
    waiting    in the queue until due_at
    claimed    a lease holds it
    lapsed     in the queue, and its lease is over: whoever settles or claims it first has it

What an order asks of a recipient that a lease holds is a mark on the lease, also on a lapsed
one: a late result must not undo it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush

from ..abc import CLAIM_LIMIT, Claim, InternalMessageStatus, InternalRecipientStatus, Order, Trying
from .changes import is_held, marked
from .due_queue import DueQueue
from .turns import Stream, stream_of

KEYS_KEPT = 100_000  # idempotency keys of completed messages that are remembered
COMPLETED_KEPT = 100_000  # ids of completed messages that are remembered, the latest


@dataclass(slots=True, eq=False)
class Message:
    """A message with work left. `status` changes only with `writing` held, and the index's lock."""

    status: InternalMessageStatus
    number: int  # higher than that of each message that was stored before
    left: int  # recipients not completed
    reverse_path: str | None = None  # None: nobody has asked the storage for it yet
    holders: dict[int, Lease] = field(default_factory=dict)  # by position
    writing: threading.Lock = field(default_factory=threading.Lock)
    stream: Stream = field(init=False)

    def __post_init__(self) -> None:
        self.stream = stream_of(self.status)

    def is_waiting(self, position: int, due_at: datetime) -> bool:
        """Due at that time, and no lease holds it."""
        return self.status.recipients[position].due_at == due_at and not self.is_claimed(position)

    def may_claim(self, position: int, now: datetime) -> bool:
        """Due by now, and no lease holds it."""
        due_at = self.status.recipients[position].due_at
        return due_at is not None and due_at <= now and not self.is_claimed(position)

    def is_claimed(self, position: int) -> bool:
        """A lease holds it that is not over."""
        holder = self.holders.get(position)
        return holder is not None and not holder.lapsed

    def claimed(self) -> set[int]:
        """The positions that a lease holds."""
        return {position for position, lease in self.holders.items() if not lease.lapsed}

    def trying(self, instant: float) -> dict[str, Trying]:
        """Whom a lease holds at that instant of the lease clock, by address."""
        return {
            self.status.recipients[position].address: Trying(
                lease_secs=lease.ends - instant, mark=lease.mark(position)
            )
            for position, lease in self.holders.items()
            if not lease.lapsed
        }

    def mark(self, position: int) -> Order | None:
        """What takes effect when the lease that holds it ends."""
        holder = self.holders.get(position)
        return None if holder is None else holder.mark(position)

    def would_mark(self, position: int, order: Order) -> bool:
        """The order leaves another mark than there is."""
        return marked(order, self.mark(position)) is not self.mark(position)


@dataclass(frozen=True, slots=True)
class Mark:
    """What an order asked of a claimed recipient, and when."""

    order: Order
    at: datetime


@dataclass(slots=True, eq=False)
class Lease:
    """The right of one claim; `before` is each recipient as it stood, by position."""

    token: int
    owner: str
    message: Message
    route_key: str
    before: dict[int, InternalRecipientStatus]
    ends: float  # by the lease clock
    marks: dict[int, Mark] = field(default_factory=dict)  # by position
    lapsed: bool = False

    def mark(self, position: int) -> Order | None:
        """What takes effect when the lease ends."""
        mark = self.marks.get(position)
        return None if mark is None else mark.order


class LeaseIndex:
    """The waiting and claimed recipients of all incomplete messages. One thread at a time."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}  # incomplete, oldest first
        self.completed: deque[str] = deque(maxlen=COMPLETED_KEPT)  # ids, the latest last
        self._queue: DueQueue[Message] = DueQueue()
        self._leases: dict[int, Lease] = {}
        self._ends: list[tuple[float, int]] = []
        self._last_token = 0
        self._last_number = 0
        self._to_try = 0  # recipients that are not completed or held, claimed ones included
        self._keys: dict[str, tuple[str, str]] = {}  # idempotency key -> message id, fingerprint
        self._completed_keys: OrderedDict[str, None] = OrderedDict()

    def add(self, status: InternalMessageStatus, reverse_path: str | None = None) -> None:
        """A message that was stored."""
        if status.idempotency_key is not None:
            self._keys[status.idempotency_key] = status.message_id, status.fingerprint
        left = sum(not recipient.result.completed for recipient in status.recipients)
        self._last_number += 1
        message = Message(status, self._last_number, left, reverse_path)
        if status.completed_at is not None or left == 0:
            self._remember(status)
            return
        self.messages[status.message_id] = message
        self._to_try += sum(not is_held(recipient) for recipient in status.recipients)
        self.enqueue(message, range(len(status.recipients)))

    def first_with_key(self, idempotency_key: str | None) -> tuple[str, str] | None:
        """Id and fingerprint of the message that was stored with this idempotency key."""
        return None if idempotency_key is None else self._keys.get(idempotency_key)

    def forget_key(self, forgotten: InternalMessageStatus) -> None:
        """Nothing is known of this completed message any more: its key may come again."""
        key = forgotten.idempotency_key
        first = self.first_with_key(key)
        if key is not None and first is not None and first[0] == forgotten.message_id:
            del self._keys[key]
            self._completed_keys.pop(key, None)

    def enqueue(self, message: Message, positions: Collection[int]) -> None:
        """Lets those of the recipients wait that have a due time."""
        for position in positions:
            recipient = message.status.recipients[position]
            if recipient.due_at is not None:
                self._queue.add(message, recipient.route_key, position, recipient.due_at)

    def take(self, now: datetime, skip: Container[str]) -> tuple[Message, str, list[int]] | None:
        """Recipients for the next claim, out of the queue from here on."""
        return self._queue.take(now, skip, CLAIM_LIMIT)

    def grant(
        self,
        message: Message,
        route_key: str,
        before: dict[int, InternalRecipientStatus],
        owner: str,
        ends: float,
    ) -> Lease:
        """A new lease for these recipients; a lapsed one that had any of them is lost."""
        for position in before:
            if (earlier := message.holders.get(position)) is not None:
                self._drop(earlier)
        self._last_token += 1
        lease = Lease(self._last_token, owner, message, route_key, before, ends)
        self._leases[lease.token] = lease
        message.holders.update(dict.fromkeys(before, lease))
        heappush(self._ends, (ends, lease.token))
        return lease

    def lease(self, claim: Claim) -> Lease | None:
        """The claim's lease, unless it ended or was lost."""
        lease = self._leases.get(claim.token)
        if lease is None or lease.owner != claim.owner:
            return None
        return lease if lease.message.status.message_id == claim.email.message_id else None

    def prolong(self, lease: Lease, ends: float) -> None:
        """The lease holds until then."""
        lease.ends, lease.lapsed = ends, False
        heappush(self._ends, (ends, lease.token))

    def release(self, lease: Lease, positions: Collection[int]) -> None:
        """Ends the lease for these recipients; those that have a due time wait for it."""
        for position in positions:
            self._take_from(lease, position)
        self.enqueue(lease.message, positions)

    def mark(self, message: Message, position: int, order: Order, at: datetime) -> None:
        """Leaves the order, or takes back what it undoes, with the lease that holds the recipient."""
        lease = message.holders.get(position)
        if lease is None or not message.would_mark(position, order):
            return
        after = marked(order, lease.mark(position))
        if after is None:
            del lease.marks[position]
        else:
            lease.marks[position] = Mark(after, at)

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
        """Nobody waits to be tried, nobody is claimed."""
        return self._to_try == 0 and all(lease.lapsed for lease in self._leases.values())

    def commit(
        self,
        message: Message,
        status: InternalMessageStatus,
        changed: Mapping[int, InternalRecipientStatus],
        ended: Lease | None,
    ) -> None:
        """The message's new status, in which these recipients differ from the old one.

        The lease `ended` ends for them; without one those whose due time is another now wait
        for it. A lapsed lease, but for `ended`, loses those completed here: a completed recipient
        never changes again.
        """
        moved = [each for each, after in changed.items() if after.due_at != _due_at(message, each)]
        for position, after in changed.items():
            before = message.status.recipients[position]
            holder = message.holders.get(position)
            if holder is not None and holder is not ended and after.result.completed:
                self._take_from(holder, position)
            self._to_try += is_held(before) - is_held(after)
            message.left -= after.result.completed - before.result.completed
        message.status = status
        if ended is None:
            self.enqueue(message, moved)
        else:
            self.release(ended, changed)
        if message.left == 0:
            self.messages.pop(status.message_id, None)
            self._leave(message)

    def forget(self, message: Message) -> None:
        """The storage does not have it any more: nothing of it waits or is claimed."""
        if self.messages.pop(message.status.message_id, None) is None:
            return
        self._to_try -= sum(not is_held(recipient) for recipient in message.status.recipients)
        for lease in set(message.holders.values()):
            self._drop(lease)
        nobody = tuple(replace(recipient, due_at=None) for recipient in message.status.recipients)
        message.status = replace(message.status, recipients=nobody)
        self._leave(message)

    def _take_from(self, lease: Lease, position: int) -> None:
        del lease.before[position], lease.message.holders[position]
        lease.marks.pop(position, None)
        if not lease.before:
            self._leases.pop(lease.token, None)

    def _drop(self, lease: Lease) -> None:
        self._leases.pop(lease.token, None)
        for position in lease.before:
            if lease.message.holders.get(position) is lease:
                del lease.message.holders[position]

    def _leave(self, message: Message) -> None:
        for route_key in {recipient.route_key for recipient in message.status.recipients}:
            self._queue.drop(message, route_key)
        self._remember(message.status)

    def _remember(self, completed: InternalMessageStatus) -> None:
        self.completed.append(completed.message_id)
        if completed.idempotency_key is None:
            return
        self._completed_keys[completed.idempotency_key] = None
        if len(self._completed_keys) > KEYS_KEPT:
            oldest, _ = self._completed_keys.popitem(last=False)
            self._keys.pop(oldest, None)


def _due_at(message: Message, position: int) -> datetime | None:
    return message.status.recipients[position].due_at
