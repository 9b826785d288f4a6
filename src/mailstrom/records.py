"""What a storage keeps and hands out. Frozen values, no rules.

    InternalMessageStatus, InternalRecipientStatus    a message as it is kept
    Terms, Claim, Trying, Outcome, Settlement         work taken, and what became of it
    Selection, Order, Ordered                         what an operator asks of the queue
    Backlog, Overview                                 how full it is
    Note                                              a small fact with an end
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Literal, TypeAlias

from .message.prepared import ClaimedEmail
from .status import Attempt, DeliveryResult, MessageStatus, RecipientStatus

__all__ = [
    "CLAIM_LIMIT",
    "EVERYTHING",
    "START",
    "Backlog",
    "Claim",
    "Cursor",
    "InternalMessageStatus",
    "InternalRecipientStatus",
    "Note",
    "Order",
    "Ordered",
    "Outcome",
    "Overview",
    "Priority",
    "Selection",
    "Settlement",
    "Terms",
    "Trying",
    "Waits",
]

CLAIM_LIMIT = 100  # recipients of one message in one claim, and RCPT in one transaction

Priority: TypeAlias = Literal["high", "normal", "low"]

Waits: TypeAlias = Sequence[timedelta]  # the waits after one crash, two in a row ...; then none


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
    #: Tells one store of an email from another; with an idempotency key that of content and envelope, so
    #: that it tells a repeat from a conflict.
    fingerprint: str = ""
    stream: str = ""  # what takes turns with others of its priority within each route key
    priority: Priority = "normal"

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


def _anything(route_key: str, before: Sequence[str]) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms work is claimed."""

    owner: str
    lease: timedelta
    limit: int = 1  # claims
    skip: Collection[str] = ()  # route keys
    #: Whether a claim with this route key may be made beside those with the keys that the step grants already
    admits: Callable[[str, Sequence[str]], bool] = _anything
    backoff: Callable[[], Waits] = tuple  # for each claim its own: what dies together comes back apart
    #: A content with more octets may be left in the storage (`StoredEmail`); None: each comes with its claim
    content_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to try these recipients of one message until `lease_until`.

    At most `CLAIM_LIMIT` recipients, all with one route key. `token` fences: a settle with an
    older token than the storage's changes nothing.
    """

    email: ClaimedEmail
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The results of some or all recipients of one claim."""

    claim: Claim
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trying:
    """A recipient that is being tried at this moment."""

    lease_secs: float  # until its claim's lease ends, if that is not renewed
    mark: Order | None  # CANCEL or HOLD, which takes effect when the claim ends


@unique
class Order(StrEnum):
    """What an operator may ask of recipients that are not completed."""

    CANCEL = "cancel"  # fail them: try no more
    HOLD = "hold"  # keep them, and try them only after RELEASE
    RELEASE = "release"  # end a hold: due now, with no crash counted; queued again if never tried
    RETRY = "retry"  # due now instead of later; what is held stays held


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which recipients that are not completed are meant: those to which all of it applies.

    `domain` is the part of the recipient's address behind the last @, `destination` the route
    key; `sender` is the reverse-path, `stream` the message's. Domains are A-labels in lower case;
    addresses are compared without case. `held`: held ones only, or none of them.
    """

    message_id: str | None = None
    address: str | None = None
    domain: str | None = None
    destination: str | None = None
    sender: str | None = None
    stream: str | None = None
    state: Literal["queued", "deferred"] | None = None
    held: bool | None = None
    submitted_before: datetime | None = None


EVERYTHING = Selection()

Cursor: TypeAlias = tuple[int, int]  # the place of a recipient, for the storage that told it
START: Cursor = (-1, -1)  # before everyone


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A recipient that an order has changed.

    One that was claimed is being tried at this moment: `after` equals `before`, and the order
    takes effect when the claim ends without completing it. `cursor` is its place in the queue,
    behind which the order goes on.
    """

    cursor: Cursor
    message_id: str
    before: InternalRecipientStatus
    after: InternalRecipientStatus
    claimed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The recipients of one destination that are not completed and stand alike.

    `state` is "queued", "deferred", "held", or "claimed" for those that are being tried.
    """

    destination: str  # the route key
    state: Literal["queued", "deferred", "held", "claimed"]
    recipients: int
    oldest_submitted_at: datetime
    next_due_at: datetime | None  # None: held without an end
    last_reason: str | None  # of the one whose message was submitted last


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How full the queue is, and since when it moves no more."""

    backlog: tuple[Backlog, ...]  # by destination, then state
    oldest_due_at: datetime | None  # of what is due and not claimed or held
    last_delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A small fact that outlives the process where the storage does.

    `version` is that of the note as it stands in the storage, 0 where there is none yet.
    """

    namespace: str  # 1 to 40 of a-z, 0-9, "-"
    key: str  # at most 255 characters
    value: str  # at most 64 KiB
    expires_at: datetime
    version: int = 0
