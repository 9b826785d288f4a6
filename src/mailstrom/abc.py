"""Every seam of mailstrom. The docstrings are the contract, and each clause has a test.

    Clock, Network, Resolver     what the engine reads the world through (abc_world.py)
    Storage                      six methods: all that a user's own storage needs
    SharedStorage                what the engine works with; `ExclusiveStorage` lifts a Storage to it

Values that cross a seam are frozen. No policy lives behind one: a storage judges no reply.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .abc_world import Clock, Network, Resolver, ResumptionError
from .binding import AsyncBinding, Binding, no_binding
from .event import Event
from .message.prepared import ClaimedEmail, PreparedEmail, StoredEmail
from .records import (
    CLAIM_LIMIT,
    EVERYTHING,
    START,
    Backlog,
    Claim,
    Cursor,
    InternalMessageStatus,
    InternalRecipientStatus,
    Note,
    Order,
    Ordered,
    Outcome,
    Overview,
    Priority,
    Selection,
    Settlement,
    Terms,
    Trying,
    Waits,
)

__all__ = [
    "CLAIM_LIMIT",
    "EVERYTHING",
    "AsyncBinding",
    "Backlog",
    "Binding",
    "Claim",
    "ClaimedEmail",
    "Clock",
    "Event",
    "InternalMessageStatus",
    "InternalRecipientStatus",
    "Network",
    "Note",
    "Order",
    "Ordered",
    "Outcome",
    "Overview",
    "PreparedEmail",
    "Priority",
    "Resolver",
    "ResumptionError",
    "Selection",
    "Settlement",
    "SharedStorage",
    "Storage",
    "StorageRunner",
    "StoredEmail",
    "Terms",
    "Trying",
]


class Storage(ABC):
    """A queue that belongs to one process: the crate's six methods.

    Called from any thread, one call at a time for one message; a call blocks until what it did is
    as durable as this storage gets. Foreign errors come out as `StorageError`. A message is
    completed, without work left, when the `completed_at` of its status is set.
    """

    #: What is stored outlives the process. close() then leaves work for the next start.
    durable: bool = False
    #: Calls return at once (no disk, no network): the engine may make them in its event loop.
    never_blocks: bool = False

    @abstractmethod
    def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
        """Keeps both, under `status.message_id`.

        Raises `DuplicateMessage` when the id is there already (nothing is changed then),
        `QueueFull` or `StorageFull` when there is no room, `StorageError` otherwise.
        """

    @abstractmethod
    def update_status(self, status: InternalMessageStatus) -> None:
        """Replaces the status of `status.message_id`; raises `MessageNotFound`."""

    @abstractmethod
    def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
        """The email and its status; raises `MessageNotFound`, also once the body is purged."""

    @abstractmethod
    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        """The status; raises `MessageNotFound`."""

    @abstractmethod
    def retrieve_all_incomplete(self) -> Sequence[InternalMessageStatus]:
        """Every message with work left, oldest first."""

    @abstractmethod
    def retrieve_all_recent(self) -> Sequence[InternalMessageStatus]:
        """Every incomplete message, and those completed since the last such call, oldest first."""


class SharedStorage(ABC):
    """The queue as the engine sees it: claims with leases, fenced results, due times.

    Called from any thread; a call blocks until what it did is as durable as it must be. Due times
    are judged by the caller's `now`; leases by the storage's own lease clock. A completed recipient
    never changes again; a token only grows. A claim is lost once its recipients were claimed anew,
    settled, given back or cancelled; the end of its lease alone loses nothing. Foreign errors come
    out as `StorageError`: then nothing was done, or all of it, and the call may be made again.
    """

    durable: bool = False  # as in Storage
    never_blocks: bool = False  # as in Storage
    #: Others may store, too: how often to look for what they did, in seconds. None: nobody else does.
    poll_secs: float | None = None
    #: The same for every process that works on the same queue. None: it belongs to one process.
    identity: str | None = None

    # --- storing

    @abstractmethod
    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        """Keeps all of them or none; the ids under which they stand, in the same order.

        An entry whose idempotency key is known with the same fingerprint is not stored; the first id is
        returned for it. Raises `IdempotencyConflict` (same key, other fingerprint), `DuplicateMessage`,
        `QueueFull`, `StorageFull` or `StorageError`; the exception's `index` attribute is the entry's
        position.
        """

    def bind(self, connection: object) -> Binding:
        """A way in through the caller's own transaction: what it stores is there once that commits.

        Raises `ConfigError` where this storage cannot, or not with this kind of connection.
        """
        raise no_binding(self)

    def bind_async(self, connection: object) -> AsyncBinding:
        """The same for a connection whose calls are awaited."""
        raise no_binding(self)

    # --- working off

    @abstractmethod
    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        """The next due work, in one step: at most `terms.limit` claims; fewer: no more is to be had.

        Each has up to `CLAIM_LIMIT` recipients of one message with one route key, which fell due together, at
        `now` or before, not leased. Fair over route keys: one with much due mail does not hide another. In a
        key, of ten claims seven are of high priority, two normal, one low; where there is nothing of one, of
        the highest that there is. In a priority the streams take turns; in a stream what fell due first comes
        first, then what was stored first. A key in `terms.skip`, or that `terms.admits` refuses before a
        claim, is passed over.

        A claim is written ahead: each recipient's `crashes` is one higher until it is settled or given back.
        Once its lease ended without that, they are claimable again with the crash counted, and with
        `dot_sent`: at once, or so long after `now` as `terms.backoff()` said for so many crashes.
        """

    def claim(
        self, now: datetime, *, owner: str, lease: timedelta, skip: Collection[str] = (), backoff: Waits = ()
    ) -> Claim | None:
        """One claim, or None."""
        claims = self.claim_many(now, Terms(owner=owner, lease=lease, skip=skip, backoff=lambda: backoff))
        return claims[0] if claims else None

    def read_content(self, claim: Claim, start: int) -> bytes | None:
        """Octets of the claim's content from `start` on, which lies within it: one at least, 1 MiB at most.

        Asked only where the claim has a `StoredEmail`, which `claim_many` need not hand out: by default
        nothing can be read. None where the claim was lost, or octets are missing.
        """
        raise NotImplementedError(f"{type(self).__name__} hands out a StoredEmail and has no read_content()")

    @abstractmethod
    def renew(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim | None]:
        """Each claim with a later `lease_until`, or None where it was lost."""

    @abstractmethod
    def mark_dots_sent(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> list[bool]:
        """Notes that final dots are about to be written, each for these addresses of the claim.

        In one step: for a kill, not for a loss of power. False, and no mark, where the claim was lost, lacks
        one of the addresses, or CANCEL or HOLD waits for one.
        """

    def mark_dot_sent(self, claim: Claim, addresses: Collection[str]) -> bool:
        """The same for one."""
        return self.mark_dots_sent([(claim, addresses)])[0]

    @abstractmethod
    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        """Records the results of some claims' recipients and ends the claims for them.

        All of them in one durable step, each as if those before it were done. Recipients without an outcome
        stay claimed. False, and no change at all by that settlement, when its claim was lost or holds one
        of the recipients no more. A result that is not completed is due at its `next_attempt_at`; where
        that is None it is held: nobody tries it, and it falls due once, at the message's `expires_at`, to
        be ended. Of the attempts the latest are kept, 50 at least. Where `Order.CANCEL` came in between, a
        deferred outcome becomes failed (CANCELLED); where `Order.HOLD` did, it is held. `completed_at` is
        set to `now` when the last recipient completes.
        """

    @abstractmethod
    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        """Undoes a claim without a try or a crash; due again at once, or at `not_before`."""

    def give_back_many(self, claims: Sequence[Claim]) -> None:
        """The same for several, due again at once; one that was lost keeps no other from it.

        By default one after the other, up to the first that fails: the call may be made again.
        """
        for claim in claims:
            self.give_back(claim)

    @abstractmethod
    def next_due(self, now: datetime, skip: Collection[str] = ()) -> datetime | None:
        """When the next work that is not in `skip` falls due or its lease ends; None: no work waits.

        What is due already may be told as `now` or any time before.
        """

    @abstractmethod
    def is_idle(self) -> bool:
        """No recipient is left to try: all are completed or held, none is claimed."""

    @abstractmethod
    def pull_in(self, latest: datetime) -> int:
        """Makes recipients due at `latest` that are deferred or crashed until later; how many they were.

        After a wall clock that stood far ahead. What is held, or queued without a crash, keeps its time.
        """

    def listen(self, wake: Callable[[], object], is_over: Callable[[], bool]) -> None:
        """Calls `wake` whenever another process may have stored something, until `is_over()`.

        Runs on a thread of its own, returns within 2 s of `is_over()`, raises nothing; only saves waiting.
        """
        return  # by default nobody says so

    # --- asking

    @abstractmethod
    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        """The status; raises `MessageNotFound`."""

    @abstractmethod
    def retrieve_all_incomplete(
        self, selection: Selection = EVERYTHING, *, limit: int | None = None
    ) -> Sequence[InternalMessageStatus]:
        """Every message with work left among the recipients selected, oldest first, at most `limit`."""

    @abstractmethod
    def retrieve_all_recent(self) -> Sequence[InternalMessageStatus]:
        """Every incomplete message, and those completed since the last such call, oldest first."""

    @abstractmethod
    def being_tried(self, message_id: str) -> Mapping[str, Trying]:
        """By address, who of the message is claimed and its lease not over; empty for an unknown one."""

    @abstractmethod
    def overview(self, now: datetime) -> Overview:
        """How full the queue is at `now`."""

    @abstractmethod
    def events(self, after: int | None = None, *, limit: int = 1000) -> Sequence[Event]:
        """The status changes behind the cursor `after`, in order, at most `limit`; each has its `cursor`.

        Of each message "accepted" (at `submitted_at`), and of each recipient what `settle` and
        `Order.CANCEL` made of it (at their `now`): "deferred", "delivered" or "failed", from the
        oldest that is kept. Fewer than `limit`: no more are there. With the same cursor the same is told
        again; a change that commits late is told late, with a higher cursor, and holds up nothing.
        """

    # --- steering

    @abstractmethod
    def order(
        self, order: Order, selection: Selection, now: datetime, *, after: Cursor = START, limit: int = 1000
    ) -> Sequence[Ordered]:
        """Carries the order out for up to `limit` of the recipients it would change; those, oldest first.

        Behind `after` alone: in parts, each behind the last that was changed, it meets everyone once. Empty:
        none is left. What is held has no `next_attempt_at` and falls due at `expires_at`; what is made due
        now has `now` for both; what RELEASE finds never tried is queued. What is claimed is being tried:
        CANCEL and HOLD stop it before its final dot and come then; RELEASE undoes a HOLD, RETRY does nothing.
        """

    @abstractmethod
    def purge(self, now: datetime, *, limit: int = 1000) -> int:
        """Removes what its retention is over for, a small batch in each call; 0: nothing was left.

        Bodies of completed messages first, statuses and events later; never what is not completed.
        """

    @abstractmethod
    def forget(self, address: str, now: datetime) -> int:
        """Erases this recipient address wherever it is completed; how many recipients that were.

        Compared without case. Its events, attempts, and the bodies of completed messages; what stands
        in its place in a status, if anything, and the message, if nobody else is left, say nothing of it.
        """

    # --- notes

    @abstractmethod
    def note(self, namespace: str, key: str, now: datetime) -> Note | None:
        """The note; None where there is none, or it has expired."""

    @abstractmethod
    def put_note(self, note: Note, now: datetime) -> Note | None:
        """Keeps the note and returns it with its new version: compare and set.

        Only if it stands there with `note.version`, or with version 0 does not stand there (any more). None,
        and no change, where another was quicker. A version never comes again. An expired one is taken away.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives up its resources; what is stored stays as durable as it was."""


StorageRunner = Callable[..., Awaitable[Any]]  # of one storage call, off the event loop or inline
