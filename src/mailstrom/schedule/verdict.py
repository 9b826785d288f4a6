"""What a reply or a fault means for the recipients it concerns. The only place 4yz and 5yz are judged.

A verdict has a scope (who it speaks of) and a state (delivered, deferred, failed). The first
digit of the reply code decides (RFC 5321 section 4.2.1); the phase decides the scope:

    phase                       4yz                     5yz
    greeting, EHLO              host, next MX           host, next MX; final when all hosts say so
    STARTTLS                    (no TLS: the rules of route.security go on)
    MAIL                        message, next MX        host, next MX; final when all hosts say so
    RCPT                        recipient, next MX      recipient, final
    DATA, final dot             message, next MX        message, final
    any phase, 421              host closes: next MX (after the dot: a clear "no")
    connection lost, timeout    host, next MX; after the final dot nobody knows: uncertain
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, unique
from typing import Literal

from mailstrom.status import Cause, EnhancedCode, Phase, Reply

State = Literal["delivered", "deferred", "failed"]


@unique
class Scope(StrEnum):
    """Whom a verdict speaks of."""

    HOST = "host"  # this host: the next one may think otherwise
    MESSAGE = "message"  # this message, whoever receives it
    RECIPIENT = "recipient"  # one recipient only


@unique
class FaultKind(StrEnum):
    """What went wrong where no reply tells."""

    REFUSED = "connection refused"
    UNREACHABLE = "no route to the host"
    TIMEOUT = "timed out"
    CLOSED = "connection lost"
    PROTOCOL = "protocol error"
    INJECTED = "bytes before TLS"  # RFC 3207 6; CVE-2011-0411
    TLS_FAILED = "TLS handshake failed"
    TLS_MISSING = "TLS not offered"
    AUTH_MISSING = "AUTH not offered"
    AUTH_UNSAFE = "AUTH without verified TLS"
    TOO_BIG = "message too big for the host"
    NO_8BITMIME = "host lacks 8BITMIME"
    NO_SMTPUTF8 = "host lacks SMTPUTF8"
    LOOP = "mail loops back to us"
    LEASE_LOST = "the claim was lost"
    SHUTDOWN = "stopped by us"
    CRASH = "internal error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that went wrong in a phase, without a reply that decides."""

    kind: FaultKind
    phase: Phase
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one host, or a pass over all hosts, means for one recipient."""

    state: State
    scope: Scope
    phase: Phase
    reason: str | None = None
    reply: Reply | None = None
    enhanced_code: EnhancedCode | None = None
    uncertain: bool = False
    cause: Cause | None = None
    counts_as_try: bool = True
    retry_after: timedelta | None = None  # instead of the schedule's wait

    @property
    def ends_the_pass(self) -> bool:
        """No other host is asked for this recipient in this pass."""
        if self.state == "delivered" or self.uncertain:
            return True
        if self.phase is Phase.DOT and self.reply is not None and self.reply.code == 421:
            return True
        return self.state == "failed" and self.scope is not Scope.HOST
