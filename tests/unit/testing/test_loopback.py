"""The test servers on real sockets, as smtplib sees them."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading

import pytest
import trustme

from mailstrom.testing import script as play
from mailstrom.testing.smtp_server import LoopbackServer, ScriptedServer, ScriptError, SmtpServer


def test_a_real_client_delivers_over_starttls_and_auth() -> None:
    authority = trustme.CA()
    server_context, client_context = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    authority.configure_trust(client_context)
    server = SmtpServer(tls_context=server_context, credentials={"user": "secret"})

    with LoopbackServer(server) as running:
        with smtplib.SMTP(running.host, running.port, local_hostname="me.example", timeout=10) as client:
            client.starttls(context=client_context)
            client.login("user", "secret")
            client.sendmail("a@x.example", ["b@y.example"], b"Subject: x\r\n\r\n.dot\r\n")
        assert server.ledger.wait_for(lambda seen: seen.sessions[0].ended_at is not None)

    (message,) = server.ledger.messages
    assert (message.content, message.tls, message.user) == (b"Subject: x\r\n\r\n.dot\r\n", "TLSv1.3", "user")
    assert server.ledger.violations == ()


def test_implicit_tls_begins_with_the_first_octet() -> None:
    authority = trustme.CA()
    server_context, client_context = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    authority.configure_trust(client_context)

    with (
        LoopbackServer(SmtpServer(tls_context=server_context, implicit_tls=True)) as running,
        smtplib.SMTP_SSL(
            running.host, running.port, local_hostname="x", context=client_context, timeout=10
        ) as client,
    ):
        assert client.noop()[0] == 250


def test_a_reset_is_a_real_reset() -> None:
    """Row 3: RST by SO_LINGER 0."""
    with (
        LoopbackServer(ScriptedServer([play.read_octets(1), play.reset()])) as running,
        socket.create_connection((running.host, running.port), timeout=10) as client,
    ):
        client.sendall(b"EHLO x\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_leaving_ends_hanging_sessions_and_its_thread() -> None:
    with (
        LoopbackServer(ScriptedServer([play.send("220 mx"), play.stop_reading(), play.hang()])) as running,
        socket.create_connection((running.host, running.port), timeout=10) as client,
    ):
        assert client.recv(100) == b"220 mx\r\n"

    assert "mailstrom-loopback-server" not in {thread.name for thread in threading.enumerate()}


def test_leaving_raises_what_a_script_did_not_expect() -> None:
    server = ScriptedServer([play.expect("EHLO ")])

    with pytest.raises(ScriptError, match="QUIT"), LoopbackServer(server) as running:
        with socket.create_connection((running.host, running.port), timeout=10) as client:
            client.sendall(b"QUIT\r\n")
        assert server.wait_for(lambda transcripts: transcripts[0].ended if transcripts else False)


def test_a_port_that_is_taken_is_an_error_where_the_server_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = LoopbackServer(SmtpServer(), port=taken.getsockname()[1])

        with pytest.raises(OSError, match="in use"):
            second.__enter__()
