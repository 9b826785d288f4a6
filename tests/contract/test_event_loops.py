"""What the dialogue with a host needs of an event loop, which asyncio's and uvloop's both give.

The scenarios run in a virtual loop. Here the same servers stand on real sockets, and what is made of
them has to be the same.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from mailstrom.config import EventLoop, SmtpTimeouts
from mailstrom.message.prepared import PreparedEmail
from mailstrom.net.tcp import TcpNetwork
from mailstrom.schedule.verdict import FaultKind, Scope, Verdict
from mailstrom.smtp.protocol import DialogueError, StrictProtocol
from mailstrom.smtp.session import Hop, OpenFailure, Session, open_session
from mailstrom.status import Phase
from mailstrom.testing.network import Handler
from mailstrom.testing.script import ScriptedServer, Step, close, hang, pause, reset, send, stop_reading
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, LoopbackServer, SmtpServer
from tests.loops import LOOPS, run_on
from tests.scenarios.stages import TO_CONTENT, in_mid_body, phase_of, server_that
from tests.unit.smtp.scene import HOST, TrustingContexts, always, an_email, deliver_to, server_context

LOCAL = "127.0.0.1"
MORE_THAN_THE_SYSTEM_TAKES = 6 << 20  # octets, while nobody reads
LARGE = b"Subject: Hello\r\n\r\n" + (b"x" * 1022 + b"\r\n") * (MORE_THAN_THE_SYSTEM_TAKES >> 10)
ONE_BY_ONE = DEFAULT_EXTENSIONS - {"PIPELINING"}  # a reset may overtake what was said together before it
CHUNKING = DEFAULT_EXTENSIONS | {"CHUNKING"}


@pytest.fixture(params=LOOPS)
def kind(request: pytest.FixtureRequest) -> EventLoop:
    found: EventLoop = request.param
    return found


def impatient_in(*phases: str) -> SmtpTimeouts:
    """Waits as usual, but for these phases, in which nothing will come."""
    return replace(SmtpTimeouts(), **{f"{phase}_secs": 0.2 for phase in phases})


async def opened(port: int, timeouts: SmtpTimeouts | None = None, **hop: Any) -> Session | OpenFailure:
    return await open_session(
        TcpNetwork(),
        Hop(**{"host": HOST, "ip": LOCAL, "port": port, **hop}),
        helo_name="sender.example",
        timeouts=timeouts or SmtpTimeouts(),
        tls_context=TrustingContexts(),
    )


async def session_with(port: int) -> Session:
    found = await opened(port)
    assert isinstance(found, Session), found
    return found


async def judged(port: int, email: PreparedEmail, **options: Any) -> Verdict:
    """What one message came to, for its one recipient."""
    session = await opened(port, **options)
    if isinstance(session, OpenFailure):
        return session.verdict
    report = await session.deliver(email, email.recipients, before_dot=always)
    await session.quit()
    return report.verdicts[email.recipients[0]]


def in_the_virtual_loop(server: Handler, email: PreparedEmail) -> Verdict:
    told = deliver_to(server, email)
    if told.failure is not None:
        return told.failure.verdict
    assert told.report is not None
    return told.report.verdicts[email.recipients[0]]


def told(verdict: Verdict) -> tuple[object, ...]:
    """All but the words, in which the system may have its say."""
    return verdict.state, verdict.scope, verdict.phase, verdict.reply, verdict.uncertain


def waiting_for(stage: str, end: Action | str) -> SmtpTimeouts:
    """Short where the host hangs, and only there."""
    return impatient_in(*([phase_of(stage)] if end is Action.HANG else []))


@pytest.mark.parametrize("end", [Action.CLOSE, Action.RESET, Action.HANG, "451 4.3.0 later"])
@pytest.mark.parametrize("stage", ["greeting", "ehlo", "starttls", "mail", "rcpt", "data", "content"])
def test_a_host_that_goes_wrong_is_judged_as_in_the_scenarios(
    kind: EventLoop, stage: str, end: Action | str
) -> None:
    """Rows 3 to 9."""
    expected = in_the_virtual_loop(server_that(end, stage, extensions=ONE_BY_ONE), an_email())

    with LoopbackServer(server_that(end, stage, extensions=ONE_BY_ONE)) as host:
        found = run_on(kind, judged(host.port, an_email(), timeouts=waiting_for(stage, end)))

    assert told(found) == told(expected)


@pytest.mark.parametrize("end", [close(), reset(), hang()], ids=["FIN", "RST", "hang"])
def test_of_a_content_that_the_host_did_not_read_to_its_end_nothing_was_delivered(
    kind: EventLoop, end: Step
) -> None:
    with LoopbackServer(in_mid_body(stop_reading(), end)) as host:
        timeouts = impatient_in("block")
        found = run_on(kind, judged(host.port, an_email(content=LARGE), timeouts=timeouts))

    assert told(found) == ("deferred", Scope.HOST, Phase.BODY, None, False)


@pytest.mark.parametrize("end", [Action.CLOSE, Action.RESET, Action.HANG])
@pytest.mark.parametrize("stage", ["mail", "data", "content"])
@pytest.mark.parametrize("extensions", [ONE_BY_ONE, CHUNKING], ids=["DATA", "BDAT"])
def test_so_is_one_inside_tls(kind: EventLoop, stage: str, end: Action, extensions: frozenset[str]) -> None:
    """And where all of a message goes out in one write (RFC 3030)."""

    def a_host() -> Handler:
        return server_that(end, stage, tls_context=server_context(), extensions=extensions)

    expected = in_the_virtual_loop(a_host(), an_email())

    with LoopbackServer(a_host()) as host:
        timeouts = waiting_for("content" if extensions is CHUNKING else stage, end)
        found = run_on(kind, judged(host.port, an_email(), timeouts=timeouts))

    assert told(found) == told(expected)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("content", [an_email().content, LARGE], ids=["small", "large"])
def test_mail_arrives_whole_through_verified_tls(kind: EventLoop, content: bytes, implicit: bool) -> None:
    server = SmtpServer(tls_context=server_context(), implicit_tls=implicit)

    with LoopbackServer(server) as host:
        mail = an_email(content=content)
        found = run_on(kind, judged(host.port, mail, tls="verified", implicit_tls=implicit))

    assert (found.state, [each.content for each in server.ledger.messages]) == ("delivered", [content])


@pytest.mark.parametrize("end", [close(), reset()], ids=["FIN", "RST"])
def test_a_connection_that_is_lost_while_the_lease_is_asked_for_has_delivered_nothing(
    kind: EventLoop, end: Step
) -> None:
    """Then the loop takes no further orders for it: uvloop would raise."""

    async def story(port: int) -> Verdict:
        session = await session_with(port)

        async def lease_is_ours(_: tuple[str, ...]) -> bool:
            await session.ended.wait()
            await asyncio.sleep(0.05)  # until the loop has closed it, too
            return True

        report = await session.deliver(an_email(), an_email().recipients, before_dot=lease_is_ours)
        return report.verdicts[an_email().recipients[0]]

    with LoopbackServer(ScriptedServer([*TO_CONTENT, end])) as host:
        found = run_on(kind, story(host.port))

    assert (found.state, found.phase, found.uncertain) == ("deferred", Phase.BODY, False)


def taken_off(connection: socket.socket) -> bytes:
    """What is there now."""
    octets = bytearray()
    with suppress(BlockingIOError, ConnectionResetError):
        while some := connection.recv(1 << 20):
            octets += some
    return bytes(octets)


def test_nothing_goes_out_after_a_failure_was_told_though_the_host_makes_room(kind: EventLoop) -> None:
    """A message that was not sent to its end must not come to it afterwards: it will be sent again."""

    async def story(listening: socket.socket) -> tuple[FaultKind, bytes]:
        async def no_tls(*_: object) -> asyncio.Transport:
            raise AssertionError("there is no TLS here")

        protocol = StrictProtocol(no_tls, asyncio.get_running_loop().time() + 60)
        await TcpNetwork().connect(lambda: protocol, *listening.getsockname())
        with listening.accept()[0] as host:
            host.setblocking(False)
            received = bytearray()
            protocol.on_end = lambda: received.extend(taken_off(host))  # the host begins to read just now
            protocol.begin_content()
            with pytest.raises(DialogueError) as ended:
                await protocol.write_last_block(b"x" * MORE_THAN_THE_SYSTEM_TAKES + b"\r\n.\r\n", 0.2)
            for _ in range(20):
                await asyncio.sleep(0.01)
                received += taken_off(host)
        return ended.value.fault.kind, bytes(received[-5:])

    with socket.create_server((LOCAL, 0)) as listening:
        kind_of_fault, last = run_on(kind, story(listening))

    assert (kind_of_fault, last) == (FaultKind.TIMEOUT, b"xxxxx")


@pytest.mark.parametrize("step", [close(), reset(), send("421 bye"), send("250 what?")])
def test_an_idle_session_that_the_host_ends_is_no_session_any_more(kind: EventLoop, step: Step) -> None:
    async def story(port: int) -> bool:
        session = await session_with(port)
        async with asyncio.timeout(10):
            await session.ended.wait()
        return session.usable

    greeting = TO_CONTENT[:4]  # CONNECT and EHLO, with their replies
    with LoopbackServer(ScriptedServer([*greeting, pause(0.05), step, hang()])) as host:
        assert not run_on(kind, story(host.port))


@pytest.mark.parametrize("steps", range(8))
def test_a_connect_that_is_given_up_closes_its_own_socket_and_no_other(kind: EventLoop, steps: int) -> None:
    """uvloop before 0.23 closes a socket and leaves its number to who gave it, a second time."""

    async def story(address: tuple[str, int]) -> list[int]:
        connecting = asyncio.ensure_future(TcpNetwork().connect(asyncio.Protocol, *address))
        for _ in range(steps):
            await asyncio.sleep(0)
        connecting.cancel()
        with suppress(asyncio.CancelledError):
            (await connecting).abort()
        opened_since = [os.dup(0) for _ in range(4)]  # a closed number is given out anew
        await asyncio.sleep(0)
        return opened_since

    with socket.create_server((LOCAL, 0)) as listening:
        for number in run_on(kind, story(listening.getsockname())):
            os.close(number)  # raises where somebody else has done so
