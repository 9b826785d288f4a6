"""From an address to a session that is ready for MAIL.

    connect -> (TLS) -> greeting -> EHLO, else HELO -> STARTTLS and EHLO again -> AUTH

Each step has its own timer. A reply that refuses, or a fault, ends it with an `OpenFailure`
that holds for every recipient. TLS failures in opportunistic mode say `plain_retry`: once, on a
new connection, the same may be tried in clear; this one is not trusted any more.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from mailstrom.abc import Network, ResumptionError
from mailstrom.config import SmtpAuth, SmtpTimeouts
from mailstrom.schedule.verdict import (
    Fault,
    FaultKind,
    Meaning,
    Verdict,
    judge_fault,
    judge_reply,
    read_reply,
)
from mailstrom.status import Phase, Reply, TlsUsed, printable

from .auth import authenticate, choose_mechanism
from .protocol import DialogueError, StrictProtocol
from .reply import ParsedReply, ehlo_extensions

if TYPE_CHECKING:
    import ssl

    from aiosmtplib import SMTP
    from aiosmtplib.protocol import SMTPProtocol

#: "opportunistic": STARTTLS when offered, any certificate. "encrypted": the same, never in
#: clear. "verified": STARTTLS or implicit TLS, chain and name verified. "none": in clear.
TlsMode = Literal["opportunistic", "encrypted", "verified", "none"]

#: Gives the client context: called with True for one that verifies (see `net.tls.TlsContexts`).
TlsContext = Callable[[bool], "ssl.SSLContext"]

_NO_ROUTE = {errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Where one session goes: host, address, port and what TLS it demands."""

    host: str  # the MX or relay name, or an address literal: for TLS and for records
    ip: str
    port: int
    tls: TlsMode = "opportunistic"
    implicit_tls: bool = False  # TLS from the first octet (port 465)
    is_relay: bool = False  # a relay may greet with our own name, and 530 there means credentials
    source_address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFailure:
    """No session: what it means for each recipient that was to be delivered over it."""

    verdict: Verdict  # .phase tells how far it came, .reply what the host said
    fault: Fault | None = None  # None: a reply decided
    tls: TlsUsed | None = None
    plain_retry: bool = False  # opportunistic TLS failed: one new session with tls="none" may be tried
    duration_secs: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What to open, and with what."""

    network: Network
    hop: Hop
    helo_name: str
    timeouts: SmtpTimeouts
    tls_context: TlsContext
    auth: SmtpAuth | None = None
    allow_cleartext_auth: bool = False
    connected: Callable[[], object] | None = None  # told of a connection before the host has said anything


class RefusedError(Exception):
    """A reply that ends the opening. Never leaves this package."""

    def __init__(self, phase: Phase, reply: Reply) -> None:
        self.phase = phase
        self.reply = reply
        super().__init__(str(reply))


class Opener:
    """One opening: its steps, and how far it has come."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._hop = opening.hop
        self._timeouts = opening.timeouts
        self._began_at = asyncio.get_running_loop().time()
        self._client: SMTP | None = None
        self.extensions: Mapping[str, str] = {}
        self.tls: TlsUsed | None = None
        self.phase_secs: dict[Phase, float] = {}  # how long each step took; STARTTLS with EHLO again
        self.resumption_failed = False  # over a new connection TLS may do: in full
        self.protocol = StrictProtocol(self._start_tls, self._began_at + self._timeouts.session_secs)

    async def run(self) -> OpenFailure | None:
        """None when the session is ready for MAIL."""
        try:
            await self._steps()
        except DialogueError as error:
            return await self._failed(judge_fault(error.fault, self._hop.host), error.fault)
        except RefusedError as error:
            return await self._failed(judge_reply(error.phase, error.reply, self._hop.host), None)
        except BaseException:
            self.protocol.abort()
            raise
        return None

    async def _steps(self) -> None:
        await self._timed(Phase.CONNECT, self._connect())
        if self._hop.implicit_tls:
            await self._timed(Phase.TLS, self._secure())
        await self._timed(Phase.GREETING, self._greeting())
        await self._timed(Phase.EHLO, self._ehlo())
        if self.tls is None and self._hop.tls != "none" and self._may_starttls():
            await self._timed(Phase.STARTTLS, self._starttls())
        if self._opening.auth is not None:
            await self._timed(Phase.AUTH, self._authenticate(self._opening.auth))
        self.protocol.phase = Phase.MAIL

    async def _timed(self, phase: Phase, step: Awaitable[None]) -> None:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        await step
        self.phase_secs[phase] = loop.time() - began_at

    async def _connect(self) -> None:
        hop = self._hop
        self.protocol.phase = Phase.CONNECT
        if not hop.implicit_tls:
            self.protocol.expect_reply()
        try:
            async with asyncio.timeout(self._timeouts.connect_secs):
                await self._opening.network.connect(
                    lambda: self.protocol, hop.ip, hop.port, source_address=hop.source_address
                )
        except OSError as error:  # TimeoutError is one
            raise DialogueError(_connect_fault(error, self._timeouts.connect_secs)) from None
        if self._opening.connected is not None:
            self._opening.connected()

    async def _secure(self) -> None:
        self.protocol.phase = Phase.TLS
        await self.protocol.secure(*self._tls_setting(), self._timeouts.starttls_secs, greets=True)
        self._note_tls()

    async def _greeting(self) -> None:
        self.protocol.phase = Phase.GREETING
        reply = await self.protocol.reply(self._timeouts.greeting_secs)
        if read_reply(Phase.GREETING, reply.code) is not Meaning.SUCCESS:
            raise RefusedError(Phase.GREETING, reply.reply)
        if not self._hop.is_relay and greets_as(reply) == _name(self._opening.helo_name):
            raise self._fault(FaultKind.LOOP, f"it greets as {self._opening.helo_name}, which is our name")

    async def _ehlo(self) -> None:
        """RFC 5321 3.2: EHLO, and HELO where that is refused for good."""
        self.protocol.phase = Phase.EHLO
        reply = await self._say_ehlo()
        match read_reply(Phase.EHLO, reply.code):
            case Meaning.SUCCESS:
                self.extensions = ehlo_extensions(reply)
            case Meaning.USE_HELO:
                await self._helo(refusal=reply.reply)
            case _:
                raise RefusedError(Phase.EHLO, reply.reply)

    async def _say_ehlo(self) -> ParsedReply:
        from aiosmtplib import SMTPHeloError, SMTPResponse

        client = self._aiosmtplib()
        try:
            await client.ehlo(timeout=self._timeouts.ehlo_secs)
        except SMTPHeloError as error:
            # RFC 5321 4.2.1: any 2yz is a yes; aiosmtplib takes 250 only
            if 200 <= error.code < 300:
                client.last_ehlo_response = SMTPResponse(error.code, error.message)
        return self._last_reply()

    async def _helo(self, refusal: Reply) -> None:
        self.extensions = {}
        command = f"HELO {self._opening.helo_name}\r\n".encode("ascii")
        try:
            reply = await self.protocol.ask(command, self._timeouts.ehlo_secs)
        except DialogueError as error:
            if error.fault.kind is FaultKind.CLOSED:  # refused, then hung up on: the refusal stands
                raise RefusedError(Phase.EHLO, refusal) from None
            raise
        if not reply.reply.is_positive:
            raise RefusedError(Phase.EHLO, reply.reply)

    def _may_starttls(self) -> bool:
        self.protocol.phase = Phase.STARTTLS
        if "STARTTLS" not in self.extensions and self._hop.tls != "opportunistic":
            raise self._fault(FaultKind.TLS_MISSING)
        return "STARTTLS" in self.extensions

    async def _starttls(self) -> None:
        from aiosmtplib import SMTPException, SMTPResponseException

        client = self._aiosmtplib()
        client.tls_context, server_hostname = self._tls_setting()
        try:
            await client.starttls(server_hostname=server_hostname, timeout=self._timeouts.starttls_secs)
        except SMTPResponseException:
            raise RefusedError(Phase.STARTTLS, self._last_reply().reply) from None
        except SMTPException:  # who hung up behind the EHLO has refused nothing
            raise self.protocol.give_up(FaultKind.CLOSED) from None
        self._note_tls()
        # RFC 3207 4.2: what was offered in clear is forgotten
        await self._ehlo()

    async def _authenticate(self, auth: SmtpAuth) -> None:
        mechanism = choose_mechanism(
            self.extensions, auth, self.tls, allow_cleartext=self._opening.allow_cleartext_auth
        )
        if isinstance(mechanism, Fault):
            raise DialogueError(mechanism)
        reply = await authenticate(
            self._aiosmtplib(), self.protocol, auth, mechanism, self._timeouts.auth_secs
        )
        if reply is not None:
            raise RefusedError(Phase.AUTH, reply)

    # -- small things ----------------------------------------------------------------------

    def _aiosmtplib(self) -> SMTP:
        """aiosmtplib's client over our protocol; made when the first command is due."""
        from aiosmtplib import SMTP

        if self._client is None:
            self._client = SMTP(local_hostname=self._opening.helo_name, start_tls=False)
            self._client.protocol = cast("SMTPProtocol", self.protocol)
        self._client.transport = self.protocol.transport
        return self._client

    async def _start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        server_hostname: str | None,
        secs: float,
    ) -> asyncio.Transport:
        try:
            return await self._opening.network.start_tls(
                transport, protocol, context, server_hostname=server_hostname, timeout_secs=secs
            )
        except ResumptionError:
            self.resumption_failed = True
            raise

    def _tls_setting(self) -> tuple[ssl.SSLContext, str | None]:
        verified = self._hop.tls == "verified"
        return self._opening.tls_context(verified), tls_name(self._hop.host, verified=verified)

    def _note_tls(self) -> None:
        assert self.protocol.transport is not None
        secured = self.protocol.transport.get_extra_info("ssl_object")
        self.tls = TlsUsed(
            version=secured.version() or "",
            cipher=(secured.cipher() or ("",))[0],
            verified="pkix" if self._hop.tls == "verified" else "unverified",
            resumed=secured.session_reused,
        )

    def _last_reply(self) -> ParsedReply:
        assert self.protocol.last_reply is not None
        return self.protocol.last_reply

    def _fault(self, kind: FaultKind, detail: str = "") -> DialogueError:
        return DialogueError(Fault(kind=kind, phase=self.protocol.phase, detail=detail))

    async def _failed(self, verdict: Verdict, fault: Fault | None) -> OpenFailure:
        duration_secs = asyncio.get_running_loop().time() - self._began_at
        refused_tls = fault is None and verdict.phase is Phase.STARTTLS
        closing = verdict.reply is not None and verdict.reply.code == 421
        tls_failed = fault is not None and fault.kind is FaultKind.TLS_FAILED
        if closing:
            self.protocol.abort()
        await self.protocol.quit(self._timeouts.quit_secs)
        return OpenFailure(
            verdict=verdict,
            fault=fault,
            tls=self.tls,
            plain_retry=self._hop.tls == "opportunistic" and (tls_failed or (refused_tls and not closing)),
            duration_secs=duration_secs,
        )


def greets_as(greeting: ParsedReply) -> str:
    """The name a host gives itself in its greeting, lower case, without a final dot."""
    return _name((greeting.lines[0].split() or [""])[0])


def tls_name(host: str, *, verified: bool) -> str | None:
    """What TLS asks the host to prove: its name without a final dot.

    An IP address is no server name (RFC 6066 section 3), but a verified relay may have one in
    its certificate.
    """
    bare = host.removeprefix("[").removesuffix("]")
    bare = bare[5:] if bare[:5].lower() == "ipv6:" else bare
    try:
        address = str(ipaddress.ip_address(bare))
    except ValueError:
        return _name(host)
    return address if verified else None


def _name(host: str) -> str:
    return host.rstrip(".").lower()


def _connect_fault(error: OSError, secs: float) -> Fault:
    detail = printable(error.strerror or str(error), 200)
    if error.errno == errno.ECONNRESET:  # the connection was made, and was gone before we could look
        return Fault(kind=FaultKind.CLOSED, phase=Phase.GREETING, detail=detail)
    kind = FaultKind.CLOSED
    if isinstance(error, TimeoutError):
        kind, detail = FaultKind.TIMEOUT, f"no connection within {secs:g} s"
    elif error.errno == errno.ECONNREFUSED:
        kind, detail = FaultKind.REFUSED, ""
    elif error.errno in _NO_ROUTE:
        kind = FaultKind.UNREACHABLE
    return Fault(kind=kind, phase=Phase.CONNECT, detail=detail)
