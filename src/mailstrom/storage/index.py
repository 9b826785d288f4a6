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
from .changes import is_held, marked, restated
from .due_queue import DueQueue
from .turns import Stream, stream_of

KEYS_KEPT = 100_000  # idempotency keys of completed messages that are remembered
COMPLETED_KEPT = 100_000  # ids of completed messages that are remembered, the latest


@dataclass(slots=True, eq=False)
class Message:
    """A message with work left. It changes only with `writing` held, and the index's lock.

    In `kept` the recipients may stand as they did before a claim or a mark: with a storage that dies
    with the process these are not written, and only `recipients` has them.
    """

    kept: InternalMessageStatus  # as the storage has it
    recipients: tuple[InternalRecipientStatus, ...]  # as they stand now
    stream: Stream
    number: int  # higher than that of each message that was stored before
    left: int  # recipients not completed
    reverse_path: str | None = None  # None: nobody has asked the storage for it yet
    holders: dict[int, Lease] = field(default_factory=dict)  # by position
    writing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def status(self) -> InternalMessageStatus:
        """The status as it is now; asked for with `writing` or the index's lock held."""
        kept = self.kept
        return kept if kept.recipients is self.recipients else restated(kept, self.recipients)

    def is_waiting(self, position: int, due_at: datetime) -> bool:
        """Due at that time, and no lease holds it."""
        if self.recipients[position].due_at != due_at:
            return False
        return position not in self.holders or not self.is_claimed(position)

    def may_claim(self, position: int, now: datetime) -> bool:
        """Due by now, and no lease holds it."""
        due_at = self.recipients[position].due_at
        if due_at is None or due_at > now:
            return False
        return position not in self.holders or not self.is_claimed(position)

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
            self.recipients[position].address: Trying(
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
        recipients = status.recipients
        left = len([each for each in recipients if not each.result.completed])
        self._last_number += 1
        if status.completed_at is not None or left == 0:
            self._remember(status)
            return
        message = Message(status, recipients, stream_of(status), self._last_number, left, reverse_path)
        self.messages[status.message_id] = message
        self._to_try += len([each for each in recipients if not is_held(each)])
        self.enqueue(message, range(len(recipients)))

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
            recipient = message.recipients[position]
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
        holders = message.holders
        for position in before if holders else ():
            if (earlier := holders.get(position)) is not None:
                self._drop(earlier)
        self._last_token += 1
        lease = Lease(self._last_token, owner, message, route_key, before, ends)
        self._leases[lease.token] = lease
        holders.update(dict.fromkeys(before, lease))
        heappush(self._ends, (ends, lease.token))
        return lease

    def lease(self, claim: Claim) -> Lease | None:
        """The claim's lease, unless it ended or was lost."""
        lease = self._leases.get(claim.token)
        if lease is None or lease.owner != claim.owner:
            return None
        return lease if lease.message.kept.message_id == claim.email.message_id else None

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
        while self._ends:
            lease = self._lasting(*self._ends[0])
            if lease is not None and lease.ends > instant:
                return
            heappop(self._ends)
            if lease is not None:
                lease.lapsed = True
                self.enqueue(lease.message, lease.before)

    def next_lease_end(self, skip: Container[str]) -> float | None:
        """When the first lease ends whose route key is not in `skip`."""
        first = self._lasting(*self._ends[0]) if self._ends else None
        if first is not None and first.route_key not in skip:
            return first.ends
        skipped: set[str] = set()
        for ends, token in sorted(self._ends):
            lease = self._leases.get(token)
            if lease is None or lease.lapsed or lease.ends != ends or lease.route_key in skipped:
                continue
            if lease.route_key not in skip:
                return ends
            skipped.add(lease.route_key)
        return None

    def next_due(self, now: datetime, skip: Container[str]) -> datetime | None:
        """When the first waiting recipient falls due whose route key is not in `skip`."""
        return self._queue.next_due(now, skip)

    @property
    def is_idle(self) -> bool:
        """Nobody waits to be tried, nobody is claimed."""
        return self._to_try == 0 and all(lease.lapsed for lease in self._leases.values())

    def commit(
        self,
        message: Message,
        recipients: tuple[InternalRecipientStatus, ...],
        changed: Mapping[int, InternalRecipientStatus],
        ended: Lease | None,
        written: InternalMessageStatus | None,
    ) -> None:
        """The message's recipients, of whom these differ from before; and the status, where it was written.

        The lease `ended` ends for them; without one those whose due time is another now wait
        for it. A lapsed lease, but for `ended`, loses those completed here: a completed recipient
        never changes again.
        """
        moved = []
        for position, after in changed.items():
            before = message.recipients[position]
            if after.due_at != before.due_at:
                moved.append(position)
            elif after.result is before.result:
                continue  # it is claimed, or the mark for its final dot is set
            if after.result.completed:
                holder = message.holders.get(position)
                if holder is not None and holder is not ended:
                    self._take_from(holder, position)
            self._to_try += is_held(before) - is_held(after)
            message.left -= after.result.completed - before.result.completed
        message.recipients = recipients
        if written is not None:
            message.kept = written
        if ended is not None:
            self.release(ended, changed)
        elif moved:
            self.enqueue(message, moved)
        if message.left == 0:
            self.messages.pop(message.kept.message_id, None)
            self._leave(message)

    def forget(self, message: Message) -> None:
        """The storage does not have it any more: nothing of it waits or is claimed."""
        if self.messages.pop(message.kept.message_id, None) is None:
            return
        self._to_try -= sum(not is_held(recipient) for recipient in message.recipients)
        for lease in set(message.holders.values()):
            self._drop(lease)
        message.recipients = tuple(replace(recipient, due_at=None) for recipient in message.recipients)
        message.kept = message.status
        self._leave(message)

    def _lasting(self, ends: float, token: int) -> Lease | None:
        """The lease of this entry, unless it is over, or ends at another time by now."""
        lease = self._leases.get(token)
        return None if lease is None or lease.lapsed or lease.ends != ends else lease

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
        for route_key in {recipient.route_key for recipient in message.recipients}:
            self._queue.drop(message, route_key)
        self._remember(message.kept)

    def _remember(self, completed: InternalMessageStatus) -> None:
        self.completed.append(completed.message_id)
        if completed.idempotency_key is None:
            return
        self._completed_keys[completed.idempotency_key] = None
        if len(self._completed_keys) > KEYS_KEPT:
            oldest, _ = self._completed_keys.popitem(last=False)
            self._keys.pop(oldest, None)
