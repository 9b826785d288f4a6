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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum, unique
from functools import lru_cache
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


@unique
class Meaning(StrEnum):
    """What a reply means at its place in the dialogue."""

    SUCCESS = "success"  # what was asked for
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    HOST_REFUSES = "host refuses"  # this host takes no mail at all, or not from us
    USE_HELO = "use HELO"
    NO_TLS = "no TLS"
    UNEXPECTED = "unexpected"  # no answer to what was asked: the dialogue is out of step


AUTH_RETRY_AFTER = timedelta(minutes=15)  # one probe of a relay that refuses our credentials
LEASE_RETRY_AFTER = timedelta(seconds=5)  # the host had no part in it: no need to spare it


@lru_cache(maxsize=256)  # hosts use few codes
def read_reply(phase: Phase, code: int) -> Meaning:
    """What a reply code means in a phase: its first digit decides (RFC 5321 section 4.3.2)."""
    kind = code // 100
    if phase is Phase.QUIT:
        return Meaning.SUCCESS  # RFC 5321 4.1.1.10: what was delivered stands whatever QUIT brings
    if code == 421:
        return Meaning.TRANSIENT  # RFC 5321 3.8: closing, at any place
    if phase is Phase.STARTTLS and kind >= 4:
        return Meaning.NO_TLS  # RFC 3207 4
    if kind == 5:
        return _PERMANENT.get(phase, Meaning.PERMANENT)
    if kind == 4:
        return Meaning.TRANSIENT
    return Meaning.SUCCESS if _is_wanted(phase, code) else Meaning.UNEXPECTED


def _is_wanted(phase: Phase, code: int) -> bool:
    """RFC 5321 section 4.3.2: 220 greets and opens TLS, 3yz asks for the content (or goes on with AUTH)."""
    match phase:
        case Phase.GREETING | Phase.STARTTLS:
            return code == 220
        case Phase.DATA:
            return code // 100 == 3
        case Phase.BODY:
            return False  # nothing is to be said before the final dot
        case Phase.AUTH:
            return True
        case _:
            return code // 100 == 2


def judge_reply(phase: Phase, reply: Reply, host: str) -> Verdict:
    """What a reply that ends the matter at this host means for those it concerns.

    A positive reply is a verdict only after the final dot; elsewhere the dialogue goes on, and
    one that arrives here did not fit.
    """
    meaning = read_reply(phase, reply.code)
    if meaning is Meaning.SUCCESS and phase is Phase.DOT:
        return _replied("delivered", Scope.MESSAGE, phase, reply, f"{host} took it over: {reply}")
    if phase is Phase.AUTH and meaning in (Meaning.TRANSIENT, Meaning.PERMANENT) and reply.code != 421:
        return _refused_credentials(reply, host)
    if meaning in (Meaning.SUCCESS, Meaning.UNEXPECTED):
        fault = Fault(kind=FaultKind.PROTOCOL, phase=phase, detail=f"{_PLACE[phase]} was answered {reply}")
        return replace(judge_fault(fault, host), reply=reply)
    said = f"{host} answered {_PLACE[phase]} with {reply}"
    if reply.code == 421:
        verdict = _replied("deferred", Scope.HOST, phase, reply, said)
        return replace(verdict, enhanced_code=reply.enhanced or SYSTEM_NOT_ACCEPTING)
    if phase is Phase.STARTTLS:
        verdict = _replied("deferred", Scope.HOST, phase, reply, said)
        return replace(verdict, enhanced_code=NO_COMMON_CRYPTOGRAPHY)
    if reply.is_transient:
        return _replied("deferred", _SCOPE_4YZ.get(phase, Scope.HOST), phase, reply, said)
    return _replied("failed", _SCOPE_5YZ.get(phase, Scope.HOST), phase, reply, said)


def judge_fault(fault: Fault, host: str) -> Verdict:
    """What a fault means for the recipients that have no verdict yet."""
    ruling = _RULINGS[fault.kind]
    # RFC 5321 4.5.3.2.6: after the final dot only the reply tells whether it was delivered
    uncertain = fault.phase is Phase.DOT
    never_connected = fault.phase is Phase.CONNECT and ruling.code == BAD_CONNECTION
    return Verdict(
        state="deferred" if uncertain else ruling.state,
        scope=Scope.HOST,
        phase=fault.phase,
        reason=f"{host}: {fault} ({_PLACE[fault.phase]})",
        enhanced_code=NO_ANSWER if never_connected else ruling.code,
        uncertain=uncertain,
        cause=None if uncertain else ruling.cause,
        counts_as_try=ruling.counts_as_try,
        retry_after=ruling.retry_after,
    )


def combine(earlier: Verdict | None, later: Verdict) -> Verdict:
    """The verdict of a pass over several hosts, in the order in which they were asked.

    1. What ended the pass stands: delivered, uncertain, a final refusal.
    2. Deferred by a reply beats failed: a backup MX knows less than the preferred one.
    3. A host that could not be reached said nothing: a final refusal beats it, but "this host
       takes no mail" (scope host) is final only where all hosts say so.
    4. Of two of a kind, the one with a reply, else the later.
    """
    if earlier is None:
        return later
    if earlier.ends_the_pass:
        return earlier
    if later.state == "delivered" or later.uncertain:
        return later
    if earlier.state == later.state:
        told = later.reply is not None or later.ends_the_pass or earlier.reply is None
        return later if told else earlier
    deferred, failed = (earlier, later) if earlier.state == "deferred" else (later, earlier)
    if deferred.reply is None and failed.ends_the_pass:
        return failed
    return deferred


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ruling:
    code: EnhancedCode
    state: State = "deferred"
    cause: Cause | None = None
    counts_as_try: bool = True
    retry_after: timedelta | None = None


NO_ANSWER = EnhancedCode(4, 4, 1)  # RFC 3463 3.5
BAD_CONNECTION = EnhancedCode(4, 4, 2)  # RFC 3463 3.5
SYSTEM_NOT_ACCEPTING = EnhancedCode(4, 3, 2)  # RFC 3463 3.4
BAD_CREDENTIALS = EnhancedCode(4, 7, 8)  # RFC 4954 6: 5.7.8, deferred
SECURITY_STATUS = EnhancedCode(4, 7, 0)  # RFC 3463 3.8
NO_COMMON_CRYPTOGRAPHY = EnhancedCode(4, 7, 5)  # RFC 3463 3.8

_RULINGS: Mapping[FaultKind, _Ruling] = {
    FaultKind.REFUSED: _Ruling(code=NO_ANSWER),
    FaultKind.UNREACHABLE: _Ruling(code=NO_ANSWER),
    FaultKind.TIMEOUT: _Ruling(code=BAD_CONNECTION),
    FaultKind.CLOSED: _Ruling(code=BAD_CONNECTION),
    FaultKind.PROTOCOL: _Ruling(code=EnhancedCode(4, 5, 0)),
    FaultKind.INJECTED: _Ruling(code=SECURITY_STATUS),
    FaultKind.TLS_FAILED: _Ruling(code=NO_COMMON_CRYPTOGRAPHY),
    FaultKind.TLS_MISSING: _Ruling(code=EnhancedCode(4, 7, 4)),
    FaultKind.AUTH_MISSING: _Ruling(code=SECURITY_STATUS, counts_as_try=False, retry_after=AUTH_RETRY_AFTER),
    FaultKind.AUTH_UNSAFE: _Ruling(code=SECURITY_STATUS, counts_as_try=False, retry_after=AUTH_RETRY_AFTER),
    FaultKind.TOO_BIG: _Ruling(code=EnhancedCode(5, 3, 4), state="failed", cause=Cause.UNSUPPORTED),
    FaultKind.NO_8BITMIME: _Ruling(code=EnhancedCode(5, 6, 3), state="failed", cause=Cause.UNSUPPORTED),
    FaultKind.NO_SMTPUTF8: _Ruling(code=EnhancedCode(5, 6, 7), state="failed", cause=Cause.UNSUPPORTED),
    FaultKind.LOOP: _Ruling(code=EnhancedCode(5, 4, 6), state="failed", cause=Cause.LOOP),
    FaultKind.LEASE_LOST: _Ruling(
        code=EnhancedCode(4, 3, 0), counts_as_try=False, retry_after=LEASE_RETRY_AFTER
    ),
    FaultKind.SHUTDOWN: _Ruling(code=SYSTEM_NOT_ACCEPTING, counts_as_try=False),
    FaultKind.CRASH: _Ruling(code=EnhancedCode(4, 3, 0), counts_as_try=False),
}

_PERMANENT: Mapping[Phase, Meaning] = {
    Phase.GREETING: Meaning.HOST_REFUSES,  # RFC 5321 3.1: 554, RFC 7504: 521
    Phase.EHLO: Meaning.USE_HELO,  # RFC 5321 3.2
}
_SCOPE_4YZ: Mapping[Phase, Scope] = {
    Phase.MAIL: Scope.MESSAGE,
    Phase.RCPT: Scope.RECIPIENT,
    Phase.DATA: Scope.MESSAGE,
    Phase.BODY: Scope.MESSAGE,
    Phase.DOT: Scope.MESSAGE,
}
_SCOPE_5YZ: Mapping[Phase, Scope] = {**_SCOPE_4YZ, Phase.MAIL: Scope.HOST}
_PLACE: Mapping[Phase, str] = {
    Phase.DNS: "in the DNS",
    Phase.CONNECT: "on connecting",
    Phase.GREETING: "the connection",
    Phase.EHLO: "EHLO",
    Phase.STARTTLS: "STARTTLS",
    Phase.TLS: "the TLS handshake",
    Phase.AUTH: "AUTH",
    Phase.MAIL: "MAIL",
    Phase.RCPT: "RCPT",
    Phase.DATA: "DATA",
    Phase.BODY: "the content",
    Phase.DOT: "the final dot",
    Phase.RSET: "RSET",
    Phase.QUIT: "QUIT",
}


def _replied(state: State, scope: Scope, phase: Phase, reply: Reply, reason: str) -> Verdict:
    return Verdict(
        state=state,
        scope=scope,
        phase=phase,
        reason=reason,
        reply=reply,
        enhanced_code=reply.enhanced,
        cause=Cause.REFUSED if state == "failed" else None,
    )


def _refused_credentials(reply: Reply, host: str) -> Verdict:
    """A relay that refuses us holds the queue; it does not fail the mail."""
    return Verdict(
        state="deferred",
        scope=Scope.HOST,
        phase=Phase.AUTH,
        reason=f"{host} refused our credentials: {reply}",
        reply=reply,
        enhanced_code=BAD_CREDENTIALS if reply.code == 535 else SECURITY_STATUS,
        counts_as_try=False,
        retry_after=AUTH_RETRY_AFTER,
    )
