"""A relay with TLS from the first octet greets in the same segment that ends the handshake.

With TLS 1.2 the server speaks last in the handshake, so that its greeting may stand right behind
its Finished (RFC 5246 section 7.3): both are there before our side has seen that it is in TLS.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest

from mailstrom import Config, Mailstrom, RelayConfig, RetryPolicy, SmtpTimeouts
from mailstrom.net.tcp import TcpNetwork
from mailstrom.net.tls import TlsContexts
from mailstrom.smtp.session import Hop, OpenFailure, Session, open_session
from mailstrom.status import Phase
from tests.builders import an_email
from tests.loops import LOOPS, run_on
from tests.scenarios.raw_server import raw_server
from tests.scenarios.stages import YOU
from tests.scenarios.tls_by_hand import TlsByHand
from tests.scenarios.tls_hosts import ca_file, server_context

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
REPLIES = (b"250 mx", b"250 ok", b"250 ok", b"354 go ahead", b"250 ok", b"221 bye")

Serve = Callable[[socket.socket], None]


class Relay:
    """Greets right behind its handshake, in the same write; then answers line by line."""

    def __init__(self, version: ssl.TLSVersion, greeting: bytes = b"220 mx ESMTP\r\n") -> None:
        self._context = server_context()
        self._context.minimum_version = self._context.maximum_version = version
        self._greeting = greeting
        self.heard: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        tls = TlsByHand(connection, self._context)
        tls.shake_hands()
        tls.say(self._greeting)
        tls.flush()
        for reply in REPLIES:
            heard = tls.hear()
            if heard:
                self.heard.append(heard)
                tls.say(reply + b"\r\n")
                tls.flush()


def opened(serve: Serve, loop: str, *, implicit_tls: bool = True) -> OpenFailure | tuple[Phase, ...]:
    """Why no session with the relay opened; or the phases of its opening, when it did."""

    async def main(port: int, ca: str) -> OpenFailure | tuple[Phase, ...]:
        session = await open_session(
            TcpNetwork(),
            Hop(host="127.0.0.1", ip="127.0.0.1", port=port, tls="verified", implicit_tls=implicit_tls),
            helo_name="sender.example",
            timeouts=SmtpTimeouts(),
            tls_context=TlsContexts(ca),
        )
        if not isinstance(session, Session):
            return session
        await session.quit()
        return tuple(session.opening_secs)

    with ca_file() as ca, raw_server(serve) as port:
        return run_on(loop, main(port, ca))


def judged(failure: OpenFailure | tuple[Phase, ...]) -> tuple[str, str, Phase]:
    """State, enhanced code and phase of an opening that failed."""
    assert isinstance(failure, OpenFailure), failure
    return failure.verdict.state, str(failure.verdict.enhanced_code), failure.verdict.phase


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_mail_goes_to_a_relay_that_greets_behind_its_finished(version: ssl.TLSVersion) -> None:
    """RFC 8314 section 3.3: such a relay was taken for one that injects, and never got any mail."""
    relay = Relay(version)

    with ca_file() as ca, raw_server(relay) as port:
        delivery = RelayConfig("127.0.0.1", port, tls="implicit", ca_file=ca)
        config = Config(helo_name="sender.example", delivery=delivery, retry=RetryPolicy(tries=1))
        with Mailstrom(config) as m:
            status = m.start().wait(m.send_email(an_email()), timeout=20)

    (attempt,) = status[YOU].attempts
    assert (attempt.state, attempt.tls and attempt.tls.verified) == ("delivered", "pkix")
    assert relay.heard[0].upper() == b"EHLO SENDER.EXAMPLE\r\n"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_its_greeting_is_taken_on_either_loop(version: ssl.TLSVersion, loop: str) -> None:
    """asyncio hands the greeting over before `start_tls` returns, uvloop after it."""
    assert opened(Relay(version), loop) == (Phase.CONNECT, Phase.TLS, Phase.GREETING, Phase.EHLO)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("greeting", [b"421 4.3.2 full\r\n", b"554 5.7.1 not you\r\n"])
def test_a_greeting_that_refuses_is_read_as_what_it_is(greeting: bytes, loop: str) -> None:
    """RFC 5321 section 3.1; row 5."""
    failure = opened(Relay(ssl.TLSVersion.TLSv1_2, greeting), loop)

    assert isinstance(failure, OpenFailure)
    assert failure.verdict.phase is Phase.GREETING
    assert str(failure.verdict.reply) == greeting.decode().strip()


class PartsAtOnce(Relay):
    """Says its greeting and farewell, and hangs up, right behind its handshake."""

    def __call__(self, connection: socket.socket) -> None:
        tls = TlsByHand(connection, self._context)
        tls.shake_hands()
        tls.say(self._greeting)
        tls.part()
        tls.flush()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_relay_that_hangs_up_behind_its_greeting_has_greeted(version: ssl.TLSVersion, loop: str) -> None:
    """Row 5: 421 is what it said; that the connection was lost says less."""
    failure = opened(PartsAtOnce(version, b"421 4.3.2 full\r\n"), loop)

    assert judged(failure) == ("deferred", "4.3.2", Phase.GREETING)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("more", [b"250 mx\r\n", b"250-mx\r\n250 PIPELINING\r\n", b"2"])
def test_what_stands_behind_the_greeting_ends_the_session(more: bytes, loop: str) -> None:
    """Row 28: the reply to an EHLO that was not said yet is none."""
    relay = Relay(ssl.TLSVersion.TLSv1_2, b"220 mx ESMTP\r\n" + more)

    assert judged(opened(relay, loop))[0] == "deferred"
    assert relay.heard == []


class GreetsInClear(Relay):
    """Speaks in clear where TLS is to begin, and begins it all the same."""

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(self._greeting)
        with suppress(ssl.SSLError):  # the client has left
            super().__call__(connection)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("octets", [b"220 mx ESMTP\r\n", b"220 mx ESMTP\r\n250 mx\r\n"])
def test_a_greeting_in_clear_is_not_believed(octets: bytes, loop: str) -> None:
    """Threat S16: it is no part of what TLS protects."""
    relay = GreetsInClear(ssl.TLSVersion.TLSv1_2, octets)

    assert judged(opened(relay, loop))[0] == "deferred"
    assert relay.heard == []


def injecting(octets: bytes) -> Serve:
    """Says 220 to STARTTLS and more behind it, in one write."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 mx ESMTP\r\n")
        connection.recv(65536)
        connection.sendall(b"250-mx\r\n250 STARTTLS\r\n")
        connection.recv(65536)
        connection.sendall(b"220 go ahead\r\n" + octets)
        while connection.recv(65536):
            continue

    return serve


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("octets", [b"250-mx\r\n250 AUTH PLAIN\r\n", b"220 mx\r\n", b"2"])
def test_octets_behind_the_220_to_starttls_still_abort(octets: bytes, loop: str) -> None:
    """Row 28, threat S16 (CVE-2011-0411)."""
    failure = opened(injecting(octets), loop, implicit_tls=False)

    assert judged(failure) == ("deferred", "4.7.0", Phase.STARTTLS)
