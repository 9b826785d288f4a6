"""What is known of a message: per recipient a result, and the attempts behind it.

All values here are frozen and plain; they can be compared, pickled, and written as JSON
with `MessageStatus.to_dict()`.

A recipient moves through these states and no others:

    queued ──────────► delivered            (completed; never changes again)
      │  ▲   ▲────┐
      │  │        │ next try
      │  └──── deferred ──► delivered | failed
      └──► failed                           (completed; never changes again)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum, unique
from typing import Any, ClassVar, Self

__all__ = [
    "Attempt",
    "Cause",
    "Deferred",
    "Delivered",
    "DeliveryResult",
    "EnhancedCode",
    "Failed",
    "MessageStatus",
    "Phase",
    "Queued",
    "RecipientStatus",
    "Reply",
    "TlsUsed",
    "WorkerStatus",
    "printable",
]

REPLY_TEXT_LIMIT = 1024  # octets of reply text kept in a status
RESULT_STATES = ("deferred", "queued", "failed", "delivered")  # what matters most first


@unique
class WorkerStatus(StrEnum):
    """What the worker thread is doing."""

    NOT_STARTED = "not started"  # start() was not called; nothing is delivered
    STANDBY = "standby"  # another process delivers; with role="auto" this one when that ends
    OK = "ok"  # delivering
    PAUSED = "paused"  # pause() was called; start() goes on
    STOPPING = "stopping"  # close() was called; what is in flight is finished
    TERMINATED = "terminated"  # stopped for good
    STORAGE_WRITE_FAILED = "storage write failed"  # results are kept and written again; no new claims
    STORAGE_READ_FAILED = "storage read failed"  # tried again by itself
    NETWORK_FAILED = "network failed"  # nobody can be reached, no tries are counted; asks by itself
    RESOLVER_CREATION_FAILED = "resolver creation failed"  # tried again by itself
    CRASHED = "crashed"  # restarted too often; send_email raises


@unique
class Cause(StrEnum):
    """Why a recipient failed for good."""

    REFUSED = "refused"  # the receiving side said 5yz
    TRIES_EXHAUSTED = "tries exhausted"  # every try of the RetryPolicy was used up
    EXPIRED = "expired"  # max_age or expires_at passed
    CANCELLED = "cancelled"  # cancel() was called
    POLICY = "policy"  # our own configuration forbids it (allow_domains, private addresses)
    SUPPRESSED = "suppressed"  # the address is on the suppression list
    NO_SUCH_DOMAIN = "no such domain"  # NXDOMAIN
    NO_MAIL_ACCEPTED = "no mail accepted"  # null MX, or no host to send to
    LOOP = "loop"  # the mail would come back to us
    UNSUPPORTED = "unsupported"  # no host offers what the message needs (SMTPUTF8, 8BITMIME, SIZE)
    UNCERTAIN = "uncertain"  # perhaps delivered, and on_uncertain="fail"


@unique
class Phase(StrEnum):
    """How far an attempt had come when it ended."""

    DNS = "dns"
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    TLS = "tls"  # the handshake
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # waiting for 354
    BODY = "body"  # writing the content
    DOT = "dot"  # the final dot was sent, its reply awaited
    RSET = "rset"
    QUIT = "quit"


@dataclass(frozen=True, slots=True, order=True)
class EnhancedCode:
    """An enhanced status code, `class.subject.detail` (RFC 3463 section 2)."""

    kind: int  # 2, 4 or 5; "class" in the RFC
    subject: int
    detail: int

    _PATTERN: ClassVar[re.Pattern[str]] = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The code `text` begins with, or None."""
        found = cls._PATTERN.match(text)
        return None if found is None else cls(*map(int, found.groups()))

    def __str__(self) -> str:
        return f"{self.kind}.{self.subject}.{self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server said: `550 5.1.1 User unknown` (RFC 5321 section 4.2).

    `text` is printable ASCII of at most 1 KB whatever the server sent, so that it can be
    stored, logged and shown anywhere.
    """

    code: int
    enhanced: EnhancedCode | None = None
    text: str = ""

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ValueError(f"code: expected 200 to 599, got {self.code}")
        object.__setattr__(self, "text", printable(self.text))

    @property
    def is_positive(self) -> bool:
        """2yz: done."""
        return self.code < 300

    @property
    def is_intermediate(self) -> bool:
        """3yz: go on."""
        return 300 <= self.code < 400

    @property
    def is_transient(self) -> bool:
        """4yz: not now."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """5yz: never."""
        return self.code >= 500

    def __str__(self) -> str:
        codes = f"{self.code} {self.enhanced}" if self.enhanced else str(self.code)
        return f"{codes} {self.text}" if self.text else codes


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsUsed:
    """The encryption of one session: version, cipher, and how the peer was verified."""

    version: str  # "TLSv1.3"
    cipher: str
    verified: str  # "unverified", "pkix" (chain and name)
    resumed: bool = False  # a session of the last hour was: verified as that was

    def __str__(self) -> str:
        return f"{self.version} {self.verified}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One visit to one host for one recipient."""

    at: datetime  # aware UTC, when it began
    duration_secs: float = 0.0
    host: str  # MX or relay name; the domain where the look-up failed
    ip: str | None = None  # None: no address was tried
    port: int | None = None
    phase: Phase  # where it ended
    reply: Reply | None = None  # the deciding reply, if there was one
    tls: TlsUsed | None = None  # None: in clear
    state: str  # "delivered", "deferred" or "failed", as this host had it
    reason: str | None = None
    uncertain: bool = False

    def __str__(self) -> str:
        where = self.host if self.ip is None else f"{self.host} [{self.ip}]"
        why = self.reason if self.reply is None else str(self.reply)
        return one_line(f"{where} {self.state} at {self.phase}" + (f": {why}" if why else ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """The one shape of all four results."""

    tries: int = 0  # passes of the worker that were completed
    reason: str | None = None  # one line for a person
    reply: Reply | None = None  # the deciding reply of a server, if any
    enhanced_code: EnhancedCode | None = None  # the reply's, or ours where no server spoke
    next_attempt_at: datetime | None = None  # aware UTC
    uncertain: bool = False  # it may have been delivered: the connection died after the final dot
    cause: Cause | None = None  # only when failed

    state: ClassVar[str]
    completed: ClassVar[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(_Result):
    """Accepted, and not tried yet."""

    state: ClassVar[str] = "queued"
    completed: ClassVar[bool] = False

    def __str__(self) -> str:
        when = "" if self.next_attempt_at is None else f"; first try at {_moment(self.next_attempt_at)}"
        return f"queued{_because(self)}{when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred(_Result):
    """Tried without success; will be tried again at `next_attempt_at` (None: held)."""

    state: ClassVar[str] = "deferred"
    completed: ClassVar[bool] = False

    def __str__(self) -> str:
        when = "held" if self.next_attempt_at is None else f"next try at {_moment(self.next_attempt_at)}"
        perhaps = " (may have been delivered)" if self.uncertain else ""
        return f"deferred after {_tries(self.tries)}{perhaps}{_because(self)}; {when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered(_Result):
    """Accepted by the next hop, which is responsible from then on (RFC 5321 section 4.2.5)."""

    state: ClassVar[str] = "delivered"
    completed: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"delivered{_because(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(_Result):
    """Will not be tried again; `cause` says which kind of end it was."""

    state: ClassVar[str] = "failed"
    completed: ClassVar[bool] = True

    def __str__(self) -> str:
        cause = "" if self.cause in (None, Cause.REFUSED) else f" ({self.cause})"
        perhaps = " (may have been delivered)" if self.uncertain else ""
        return f"failed{cause}{perhaps}{_because(self)}"


DeliveryResult = Queued | Deferred | Delivered | Failed

@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientStatus:
    """One recipient of a message and how it stands with it."""

    recipient: str  # for people: 'Name <addr>' or 'addr', domain in Unicode
    address: str  # as on the wire
    result: DeliveryResult
    attempts: tuple[Attempt, ...] = ()

    def __str__(self) -> str:
        return one_line(f"{self.recipient}: {self.result}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStatus:
    """A message and how it stands with each recipient, in the order To, Cc, Bcc.

    `status["you@x.example"]` is the `RecipientStatus` of that address; `Name <address>` will do.
    """

    message_id: str
    recipients: tuple[RecipientStatus, ...]
    submitted_at: datetime  # aware UTC
    completed_at: datetime | None = None  # aware UTC; None while anything is left to do
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def completed(self) -> bool:
        """Nothing will be tried any more: each recipient is delivered or failed."""
        return all(recipient.result.completed for recipient in self.recipients)

    @property
    def succeeded(self) -> bool:
        """Delivered to every recipient."""
        return all(isinstance(recipient.result, Delivered) for recipient in self.recipients)

    @property
    def state(self) -> str:
        """The worst that still matters.

        "queued" or "deferred" while anything is left to do, then "failed" if any recipient
        failed, else "delivered".
        """
        present = {recipient.result.state for recipient in self.recipients}
        return next(state for state in RESULT_STATES if state in present)

    def __getitem__(self, address: str) -> RecipientStatus:
        wanted = _bare(address.strip())
        for same in (_exactly, _without_case):
            for recipient in self.recipients:
                if same(wanted) in (same(recipient.address), same(_bare(recipient.recipient))):
                    return recipient
        raise KeyError(address)

    def __iter__(self) -> Iterator[RecipientStatus]:
        return iter(self.recipients)

    def __str__(self) -> str:
        states = [recipient.result.state for recipient in self.recipients]
        counts = ", ".join(f"{states.count(state)} {state}" for state in RESULT_STATES if state in states)
        return one_line(f"{self.message_id} {self.state} ({counts})")

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and strings, ready for `json.dumps`."""
        from . import status_codec

        return {
            "message_id": self.message_id,
            "state": self.state,
            "completed": self.completed,
            "succeeded": self.succeeded,
            "submitted_at": self.submitted_at.isoformat(),
            "completed_at": None if self.completed_at is None else self.completed_at.isoformat(),
            "metadata": dict(self.metadata),
            "recipients": [status_codec.recipient_to_dict(recipient) for recipient in self.recipients],
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """The status that `to_dict` wrote."""
        from . import status_codec

        return cls(
            message_id=given["message_id"],
            recipients=tuple(map(status_codec.recipient_from_dict, given["recipients"])),
            submitted_at=datetime.fromisoformat(given["submitted_at"]),
            completed_at=status_codec.instant(given["completed_at"]),
            metadata=dict(given["metadata"]),
        )


def printable(text: str, limit: int = REPLY_TEXT_LIMIT) -> str:
    """`text` as one line of printable ASCII of at most `limit` characters.

    Peers and users may send anything: line breaks, terminal escapes, lone surrogates, NUL.
    What is not printable becomes `?`, runs of blanks and line ends one space.
    """
    if text.isascii() and text.isprintable() and "  " not in text:  # as nearly all is
        cleaned = text.strip()
    else:
        cleaned = re.sub(r"[^\x20-\x7e]", "?", re.sub(r"[ \t\r\n]+", " ", text)).strip()
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 3] + "..."


def one_line(text: str) -> str:
    """`text` for people: one line, any script, nothing that moves a cursor or turns a line round."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _exactly(address: str) -> str:
    return address


def _without_case(address: str) -> str:
    return address.lower()


def _bare(recipient: str) -> str:
    return recipient[recipient.rfind("<") + 1 : -1] if recipient.endswith(">") else recipient


def _because(result: _Result) -> str:
    why = result.reason or (None if result.reply is None else str(result.reply))
    return "" if why is None else f": {one_line(why)}"


def _tries(tries: int) -> str:
    return "1 try" if tries == 1 else f"{tries} tries"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
