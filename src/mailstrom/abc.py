"""Every seam of mailstrom. The docstrings are the contract, and each clause has a test.

    Clock, Network, Resolver     what the engine reads the world through
    Storage                      six methods: all that a user's own storage needs
    SharedStorage                what the engine works with; a plain Storage is lifted to it
                                 by `storage.exclusive.ExclusiveStorage`

Values that cross a seam are frozen. No policy lives behind one: a storage does not judge a
reply, a resolver does not know what an MX is for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .message.prepared import PreparedEmail
from .status import Attempt, DeliveryResult, MessageStatus, RecipientStatus

if TYPE_CHECKING:
    import asyncio
    import ssl

    from .route.mx import AddressAnswer, MxAnswer

__all__ = [
    "Claim",
    "Clock",
    "InternalMessageStatus",
    "InternalRecipientStatus",
    "Network",
    "Outcome",
    "PreparedEmail",
    "Resolver",
    "SharedStorage",
    "Storage",
    "StorageRunner",
]

CLAIM_LIMIT = 100  # recipients of one message in one claim, and RCPT in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalRecipientStatus:
    """A recipient as a storage keeps it: its public status and what the engine needs beside it."""

    recipient: str
    address: str
    route_key: str  # recipient domain as A-label, "relay:<name>", or the address literal
    result: DeliveryResult
    attempts: tuple[Attempt, ...] = ()
    due_at: datetime | None = None  # aware UTC; None: completed, or held without an end
    crashes: int = 0  # passes in a row that ended without a settle
    dot_sent: bool = False  # claimed, and the final dot may be on the wire

    def public(self) -> RecipientStatus:
        """What a caller is shown."""
        return RecipientStatus(
            recipient=self.recipient, address=self.address, result=self.result, attempts=self.attempts
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalMessageStatus:
    """A message as a storage keeps it, in the crate's words; bodies are kept apart."""

    message_id: str
    recipients: tuple[InternalRecipientStatus, ...]
    submitted_at: datetime
    send_at: datetime | None = None  # not to be tried before
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    fingerprint: str = ""  # of content and envelope: tells a repeat from a conflict

    @property
    def completed(self) -> bool:
        """Nothing is left to do."""
        return all(recipient.result.completed for recipient in self.recipients)

    def public(self) -> MessageStatus:
        """What a caller is shown."""
        return MessageStatus(
            message_id=self.message_id,
            recipients=tuple(recipient.public() for recipient in self.recipients),
            submitted_at=self.submitted_at,
            completed_at=self.completed_at,
            metadata=dict(self.metadata),  # the caller's own: changing it changes no queue
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to try these recipients of one message until `lease_until`.

    At most `CLAIM_LIMIT` recipients, all with one route key. `token` fences: a settle with an
    older token than the storage's changes nothing.
    """

    email: PreparedEmail
    route_key: str
    recipients: tuple[InternalRecipientStatus, ...]  # as they stood before the claim
    submitted_at: datetime
    expires_at: datetime | None
    owner: str
    token: int
    lease_until: datetime  # by the storage's lease clock
    send_at: datetime | None = None

    @property
    def waits_since(self) -> datetime:
        """From when on the age of the message counts."""
        return self.submitted_at if self.send_at is None else self.send_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one claimed recipient: its new result and the attempts of this pass.

    `crashes` is what the recipient's counter of crashes in a row becomes: 0 after any pass that
    came to its end.
    """

    address: str
    result: DeliveryResult
    attempts: tuple[Attempt, ...] = ()
    crashes: int = 0


class Clock(ABC):
    """Where time is read; nobody else does."""

    @abstractmethod
    def now(self) -> datetime:
        """The wall clock: aware UTC. It may jump; only due times and records use it."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds that never go back. Timers use it; it agrees with the event loop's time."""


class Network(ABC):
    """Where connections are made. Used in the worker's event loop only."""

    @abstractmethod
    async def connect(
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        address: str,
        port: int,
        *,
        source_address: str | None = None,
    ) -> asyncio.Transport:
        """A connected transport to an IP address, never a name.

        Raises `OSError` (with its errno: ECONNREFUSED, ENETUNREACH, ...). No time limit of its
        own: the caller cancels. A cancelled call leaves no socket behind.
        """

    @abstractmethod
    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None,
        timeout_secs: float,
    ) -> asyncio.Transport:
        """The same connection inside TLS; raises `ssl.SSLError` or `OSError` when it fails."""

    @abstractmethod
    async def resolve_host(self, name: str) -> tuple[str, ...]:
        """IP addresses by the system's resolver (hosts file included): for relays only.

        Raises `OSError` where the name cannot be resolved now or at all.
        """

    @abstractmethod
    async def own_fqdn(self) -> str:
        """This host's full name as the system knows it; may take long, may have no dot."""

    @abstractmethod
    async def own_addresses(self) -> frozenset[str]:
        """The IP addresses of this host's interfaces, as far as they can be known."""


class Resolver(ABC):
    """Where the DNS is asked. An answer is a value, also when it is "no" or "not now".

    Calls may run at once; equal ones are coalesced and answers kept for their TTL. Names are
    A-labels without a final dot, compared without case. A call ends within the configured
    time limit whatever the name servers do.
    """

    @abstractmethod
    async def mx(self, domain: str) -> MxAnswer:
        """The MX records of `domain`, aliases followed."""

    @abstractmethod
    async def addresses(self, host: str) -> AddressAnswer:
        """The A and AAAA records of `host`, aliases followed."""

    @abstractmethod
    async def close(self) -> None:
        """Ends what is under way; later calls are answered with "not now"."""


class Storage(ABC):
    """A queue that belongs to one process: the crate's six methods.

    Called from any thread, one call at a time for one message; a call blocks until what it
    did is as durable as this storage gets. Values in and out are frozen: whoever changes one
    stores a new one. Foreign errors come out as `StorageError`. A message is completed, without
    work left, when the `completed_at` of its status is set.
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

    Called from any thread. Due times are judged by the caller's `now`; leases by the
    storage's own lease clock. A completed recipient never changes again; a token only grows.
    """

    durable: bool = False  # as in Storage
    never_blocks: bool = False  # as in Storage

    @abstractmethod
    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        """Keeps all of them or none; the ids under which they stand, in the same order.

        An entry whose idempotency key is known with the same fingerprint is not stored; the
        first id is returned for it. Raises `IdempotencyConflict` (same key, other
        fingerprint), `DuplicateMessage`, `QueueFull`, `StorageFull` or `StorageError`; the
        exception's `index` attribute is the entry's position.
        """

    @abstractmethod
    def claim(
        self, now: datetime, *, owner: str, lease: timedelta, skip: Collection[str] = ()
    ) -> Claim | None:
        """The next due work, or None.

        Up to `CLAIM_LIMIT` recipients of one message with one route key, due at `now`, not
        leased, whose route key is not in `skip`; fair over route keys: a key with much due
        mail does not hide another. The claim is written ahead: each recipient's `crashes` is
        one higher until it is settled or given back.
        """

    @abstractmethod
    def renew(self, claim: Claim, lease: timedelta) -> Claim | None:
        """The claim with a later `lease_until`, or None when it was lost."""

    @abstractmethod
    def mark_dot_sent(self, claim: Claim, addresses: Collection[str]) -> bool:
        """Notes that the final dot is about to be written for these; False when the claim was lost."""

    @abstractmethod
    def settle(self, claim: Claim, outcomes: Sequence[Outcome], now: datetime) -> bool:
        """Records the results of a claim's recipients and ends it for them.

        Recipients without an outcome stay claimed. False, and no change at all, when the
        claim was lost, or holds one of them no more. A result that is not completed is due at
        its `next_attempt_at`; where that is None it is held: nobody tries it, and it falls due
        once, at the message's `expires_at`, to be ended. Of the attempts the latest are kept,
        50 at least. Where `cancel` came in between, a deferred outcome becomes failed
        (CANCELLED). `completed_at` is set to `now` when the last recipient completes.
        """

    @abstractmethod
    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        """Undoes a claim without a try or a crash; due again at once, or at `not_before`."""

    @abstractmethod
    def next_due(self, now: datetime, skip: Collection[str] = ()) -> datetime | None:
        """When the next work that is not in `skip` falls due or its lease ends; None: no work waits."""

    @abstractmethod
    def is_idle(self) -> bool:
        """No recipient is left to try: all are completed or held, none is claimed."""

    @abstractmethod
    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        """The status; raises `MessageNotFound`."""

    @abstractmethod
    def retrieve_all_incomplete(self) -> Sequence[InternalMessageStatus]:
        """Every message with work left, oldest first."""

    @abstractmethod
    def retrieve_all_recent(self) -> Sequence[InternalMessageStatus]:
        """Every incomplete message, and those completed since the last such call, oldest first."""

    @abstractmethod
    def cancel(self, message_id: str, now: datetime) -> InternalMessageStatus:
        """Fails (CANCELLED) each recipient that is neither completed nor claimed.

        A claimed one is being tried at this moment: what that brings is recorded, but it will
        not be tried again (see `settle`). Raises `MessageNotFound`.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives up its resources; what is stored stays as durable as it was."""


#: Runs one storage call off the event loop and returns its result; a simulation runs it inline.
#: `await run(storage.claim, now, owner=..., lease=...)`
StorageRunner = Callable[..., Awaitable[Any]]
