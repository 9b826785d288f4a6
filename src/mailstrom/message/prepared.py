"""The prepared email: what is stored and sent, in plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class DsnOptions:
    """What the sender asks of delivery status notifications (RFC 3461 section 4)."""

    ret: Literal["FULL", "HDRS"] | None = None
    envid: str | None = None  # at most 100 printable characters, not yet in xtext
    notify: tuple[Literal["NEVER", "SUCCESS", "FAILURE", "DELAY"], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEmail:
    """An email as it goes on the wire: its envelope, its bytes, and what it needs of a host.

    `content` holds the final octets: CRLF line ends only, not dot-stuffed. It never changes
    between tries, so that a receiver can recognise a repeat by Message-ID and Date.
    """

    message_id: str  # without <>
    reverse_path: str  # "" is the null reverse-path
    recipients: tuple[str, ...]  # forward-paths as on the wire, in the order To, Cc, Bcc
    content: bytes = field(repr=False)
    needs_smtputf8: bool = False
    needs_8bitmime: bool = False
    dsn: DsnOptions | None = None
