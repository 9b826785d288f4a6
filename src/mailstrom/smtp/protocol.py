"""The connection's end: counts the replies that are owed, and believes no others.

A reply belongs to the command that awaits it, and to nothing else. So the octets of a server
are parsed from the first of its greeting on; replies are taken only while some are awaited;
and whatever is said beyond that ends the session: a 421 means that the host is closing (RFC
5321 section 3.8), anything else that both sides are out of step, and a 250 could be taken for
the answer to a message that was refused. Directly after STARTTLS it may be an attack (RFC 3207
section 6: what was sent in clear must not be believed inside TLS).

A failed connection is aborted, never closed: closing would still send what is buffered, and
with it a message whose failure was reported already.

`StrictProtocol` stands in for aiosmtplib's `SMTPProtocol` under its `SMTP` client, which then
speaks EHLO, STARTTLS and AUTH through it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from mailstrom.schedule.verdict import Fault, FaultKind
from mailstrom.status import Phase, printable

from .aborting import drop_unsent
from .acknowledge import acknowledge_now
from .reply import ParsedReply, ReplyError, ReplyParser
from .wait import Wait
from .wording import said_by

if TYPE_CHECKING:
    import ssl

    from aiosmtplib import SMTPResponse

WRITE_BUFFER = 64 * 1024  # octets that may wait in our own buffer before the writer does
FLUSH_POLL_SECS = 0.25  # no callback tells when TLS over a full socket has sent its last octet

#: Puts TLS under a protocol: `Network.start_tls` but for its arguments' names.
StartTls = Callable[
    [asyncio.Transport, asyncio.Protocol, "ssl.SSLContext", "str | None", float],
    Awaitable[asyncio.Transport],
]


class DialogueError(Exception):
    """The session is over; `fault` says why. Never leaves this package."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


class StrictProtocol(asyncio.Protocol):
    """One connection. Used in the worker's loop, by one task at a time.

    `phase` is set by its user and goes into faults. `deadline` (loop time) bounds the whole
    session. `on_end` is called once, when the connection stops being usable for any reason.
    While the content is written `phase` goes from BODY to DOT at the moment from which its last
    octet may be on its way: a connection lost before it surely delivered nothing.
    """

    def __init__(self, start_tls: StartTls, deadline: float) -> None:
        self.transport: asyncio.Transport | None = None
        self.phase = Phase.GREETING
        self.deadline = deadline
        self.fault: Fault | None = None
        self.last_reply: ParsedReply | None = None
        self.on_end: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._start_tls = start_tls
        self._parser = ReplyParser()
        self._awaited = 0  # replies owed to us
        self._replies: deque[ParsedReply] = deque()
        self._wait = Wait(self._loop)
        self._below: asyncio.Transport | None = None  # the plain transport under TLS
        self._writing_paused = False
        self._limit: int | None = None  # of the transport's buffer, where we have set one
        self._in_content = False
        self._last_written = False
        self._early = False
        self._behind = 0  # replies to what was written behind the content
        self._lost = False
        self._aborted = False

    # -- what asyncio calls ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        if self.fault is not None:
            return
        self._parser.feed(data)
        if not self._awaited:
            self._unasked()
            return
        try:
            self._take_replies()
        except ReplyError as error:
            self._end(FaultKind.PROTOCOL, str(error))
        if self._in_content and self._awaited and self.fault is None:
            acknowledge_now(self.transport)
        self._wait.wake()

    def eof_received(self) -> bool:
        self._end(FaultKind.CLOSED, "the host closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._end(FaultKind.CLOSED, said_by(exc) if exc else "the host closed the connection")

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._last_written and self._below is None and self.fault is None:
            self.phase = Phase.DOT
        self._wait.wake()

    # -- the dialogue ----------------------------------------------------------------------

    async def ask(self, octets: bytes, secs: float) -> ParsedReply:
        """Sends one command and returns its reply."""
        self.send(octets, replies=1)
        return await self.reply(secs)

    def send(self, octets: bytes, *, replies: int) -> None:
        """Writes commands that are answered with so many replies."""
        self._check()
        self._awaited += replies
        assert self.transport is not None
        self.transport.write(octets)

    def expect_reply(self) -> None:
        """One reply is owed without a command: the greeting, or that to the content."""
        self._awaited += 1

    def take_reply(self) -> ParsedReply | None:
        """The next reply that is there already; None: it is to be waited for."""
        return self._replies.popleft() if self._replies else None

    def reply(self, secs: float) -> Coroutine[object, object, ParsedReply]:
        """The next reply that is owed; the whole of it within `secs`."""
        return self._next_reply(secs, self.deadline)

    # -- the content -----------------------------------------------------------------------

    def begin_content(self, *, replies: int = 1) -> None:
        """What is written now holds the content; the last of so many replies is that to its end."""
        self.phase, self._in_content = Phase.BODY, True
        self._last_written = self._early = False
        self._behind = 0
        self._awaited += replies

    @property
    def has_reply(self) -> bool:
        """A reply is there that nobody has taken yet."""
        return bool(self._replies)

    async def write_block(self, octets: bytes, secs: float) -> None:
        """Writes some of the content; returns when there is room for more, or a reply is there."""
        if self._limit == 0:
            self._limit_buffer(WRITE_BUFFER)
        self._write(octets)
        began_at = self._loop.time()
        until = min(began_at + secs, self.deadline)
        while self._writing_paused and not self._replies:
            self._check()
            if not await self._wait.woken(until):
                raise self._late("the host did not read", began_at)

    async def write_last_block(self, octets: bytes, secs: float, behind: bytes = b"", more: int = 0) -> None:
        """Writes the rest of the content, and `behind` it commands with so many replies more.

        Returns when all that has left us, or all replies are there.
        """
        # then resume_writing() is called at the very moment when nothing is left; so it stays
        if self._limit != 0:
            self._limit_buffer(0)
        self._last_written = True
        self._behind = 0 if self._replies else more
        self._awaited += self._behind
        self._write(octets + behind)
        if self._behind or self._below is not None or not self._writing_paused:
            self.phase = Phase.DOT
        if self._unsent():
            await self._flushed(secs)

    async def content_reply(self, secs: float) -> tuple[ParsedReply, bool]:
        """The next reply of the content, and whether it ends it before its last octet had left us.

        The session's deadline does not shorten the wait: that would only make duplicates.
        """
        reply = self.take_reply() or await self._next_reply(secs, math.inf)
        if self._awaited + len(self._replies) > self._behind:  # to a command that was sent with the content
            return reply, False
        self.phase = Phase.DOT if self._behind else Phase.MAIL
        self._in_content = self._last_written = False
        return reply, self._early

    async def _flushed(self, secs: float) -> None:
        until = min(self._loop.time() + secs, self.deadline)
        while self._unsent() and self._awaited and self.fault is None:
            if self._loop.time() >= until:
                self.phase = Phase.DOT if self._behind else Phase.BODY  # the abort drops the dot
                self._end(FaultKind.TIMEOUT, "the host did not read in time")
                break
            await self._wait.woken(min(until, self._loop.time() + FLUSH_POLL_SECS))
        if not self.has_reply:  # one that came before the fault is read first
            self._check()

    def _limit_buffer(self, octets: int) -> None:
        """That of a plain connection; uvloop allows it only as long as that stands."""
        if self._below is None and self.is_connected:
            self._limit = octets
            cast(asyncio.Transport, self.transport).set_write_buffer_limits(high=octets)

    def _write(self, octets: bytes) -> None:
        if self._replies:
            return
        self._check()
        assert self.transport is not None
        if not self.transport.is_closing():
            self.transport.write(octets)
        if self.transport.is_closing():
            # connection_lost is on its way: these octets were dropped, the final dot among them
            raise self._end(FaultKind.CLOSED, "the connection was lost")

    def _unsent(self) -> int:
        """Octets in our own buffers, which an abort drops."""
        below = 0 if self._below is None else self._below.get_write_buffer_size()
        return below + (0 if self.transport is None else self.transport.get_write_buffer_size())

    # -- TLS, and the end ------------------------------------------------------------------

    async def secure(
        self, context: ssl.SSLContext, server_hostname: str | None, secs: float, *, greets: bool = False
    ) -> None:
        """Puts TLS under the dialogue; nothing said before is believed any more.

        `greets`: the first thing that the host says inside it is its greeting.
        """
        if self._parser.pending:
            raise self._end(FaultKind.INJECTED)
        if self.fault is not None and self.fault.kind is FaultKind.CLOSED:
            # the host let us begin, and hung up on the handshake
            self.phase = Phase.TLS
            self.fault = replace(self.fault, kind=FaultKind.TLS_FAILED, phase=Phase.TLS)
        self._check()
        assert self.transport is not None
        self.phase, below = Phase.TLS, self.transport
        if greets:
            # RFC 5246 7.3: it may stand right behind the host's Finished, and is here before we are told
            # of the handshake's end; what comes in clear from now on goes to the handshake, and fails it
            self.expect_reply()
        try:
            secured = await self._start_tls(below, self, context, server_hostname, secs)
        except OSError as error:  # ssl.SSLError is one
            below.abort()
            raise self._end(FaultKind.TLS_FAILED, said_by(error)) from None
        self._below, self.transport = below, secured
        secured.set_write_buffer_limits(high=WRITE_BUFFER)
        if not self.has_reply:  # one that came before the host hung up is read first
            self._check()

    def give_up(self, kind: FaultKind) -> DialogueError:
        """Ends the connection at once because of us; raise what it returns."""
        return self._end(kind)

    def abort(self) -> None:
        """Ends the connection at once; what was not sent yet is dropped."""
        self._end(FaultKind.CLOSED, "ended by us")

    async def quit(self, secs: float) -> None:
        """Ends the connection: with QUIT where the dialogue is in step, and within `secs`."""
        until = self._loop.time() + secs
        self.phase = Phase.QUIT
        try:
            await self.ask(b"QUIT\r\n", secs)
            await self._closed(until)
        except DialogueError:
            return
        finally:
            self.abort()

    async def _closed(self, until: float) -> None:
        """Closes politely (inside TLS that takes a farewell), and waits for it."""
        assert self.transport is not None
        self.transport.close()
        while not self._lost:
            if not await self._wait.woken(until):
                return

    # -- what aiosmtplib's client calls ----------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """The connection stands and the dialogue is in step."""
        return self.fault is None and self.transport is not None and not self.transport.is_closing()

    async def execute_command(self, *args: bytes, timeout: float | None = None) -> SMTPResponse:
        """Sends a command made of `args`; the reply as aiosmtplib knows it."""
        from aiosmtplib import SMTPResponse

        line = b" ".join(args)
        if b"\r" in line or b"\n" in line:
            raise ValueError("a command with a line end in it")
        reply = await self.ask(line + b"\r\n", self._secs(timeout))
        return SMTPResponse(reply.code, "\n".join(reply.lines))

    async def start_tls(
        self,
        tls_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> SMTPResponse:
        """STARTTLS and the handshake; any reply but 220 raises aiosmtplib's exception for it."""
        from aiosmtplib import SMTPResponse, SMTPResponseException

        reply = await self.ask(b"STARTTLS\r\n", self._secs(timeout))
        text = "\n".join(reply.lines)
        if reply.code != 220:
            raise SMTPResponseException(reply.code, text)
        await self.secure(tls_context, server_hostname, self._secs(timeout))
        return SMTPResponse(reply.code, text)

    # -- within ----------------------------------------------------------------------------

    def _take_replies(self) -> None:
        while self._awaited and (reply := self._parser.next()) is not None:
            self._awaited -= 1
            self._replies.append(reply)
        if self._awaited <= self._behind:
            self._early = self._in_content and (not self._last_written or self._unsent() > 0)
        if self._awaited:
            return
        if self._parser.pending and self._unasked() is not FaultKind.CLOSED:
            self._replies.clear()  # which of the two was the answer?

    def _unasked(self) -> FaultKind:
        """Ends the session: something was said that answers nothing."""
        said = printable(self._parser.rest.decode("utf-8", "backslashreplace"), 200)
        if self.phase in (Phase.STARTTLS, Phase.TLS):
            kind, detail = FaultKind.INJECTED, ""
        elif said[:3] in ("421", "42", "4"):
            # RFC 5321 3.8: the host is closing; what it answered before stands
            kind, detail = FaultKind.CLOSED, f"the host is closing: {said}"
        else:
            kind, detail = FaultKind.PROTOCOL, f"a reply to nothing: {said}"
        self._end(kind, detail)
        return kind

    async def _next_reply(self, secs: float, deadline: float) -> ParsedReply:
        began_at = self._loop.time()
        until = min(began_at + secs, deadline)
        while not self._replies:
            if self.fault is not None:
                self._check()
            if not await self._wait.woken(until):
                raise self._late("no reply", began_at)
        self.last_reply = self._replies.popleft()
        return self.last_reply

    def _late(self, problem: str, began_at: float) -> DialogueError:
        waited = self._loop.time() - began_at
        return self._end(FaultKind.TIMEOUT, f"{problem} within {round(waited, 1):g} s")

    def _check(self) -> None:
        if self.fault is not None:
            # it may have come while replies to earlier commands were still to be taken
            raise DialogueError(replace(self.fault, phase=self.phase))
        if self.transport is None:
            raise self._end(FaultKind.CLOSED, "not connected")

    def _end(self, kind: FaultKind, detail: str = "") -> DialogueError:
        """Aborts the connection; the fault that came first stands."""
        first = self.fault is None
        if self.fault is None:
            self.fault = Fault(kind=kind, phase=self.phase, detail=detail)
        fault = self.fault
        if self.transport is not None and not self._aborted and not self._lost:
            self._aborted = True  # once: TLS of CPython 3.11.2 fails at a second abort
            if self._unsent():
                drop_unsent(self._below or self.transport)
            self.transport.abort()
        self._wait.forget_timer()
        self._wait.wake()
        if first and self.on_end is not None:
            self.on_end()
        return DialogueError(fault)

    def _secs(self, timeout: float | None) -> float:
        return self.deadline - self._loop.time() if timeout is None else timeout
