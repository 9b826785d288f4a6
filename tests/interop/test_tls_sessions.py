"""Real mail servers resume the TLS sessions that they gave us, on both event loops."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest

from mailstrom import Config
from mailstrom.net.tcp import TcpNetwork
from mailstrom.net.tls import TlsContexts
from mailstrom.smtp.opening import TlsMode
from mailstrom.smtp.session import Hop, Session, open_session
from mailstrom.status import TlsUsed
from tests.interop.mailbox import MailServer
from tests.loops import LOOPS, run_on

CONFIG = Config(helo_name="client.sender.test")


class LimitedContexts(TlsContexts):
    """The client's contexts, which know no newer TLS than this."""

    def __init__(self, ca_file: str, newest: ssl.TLSVersion) -> None:
        super().__init__(ca_file)
        for verified in (True, False):
            self(verified).maximum_version = newest


async def tls_used(server: MailServer, newest: ssl.TLSVersion, modes: list[TlsMode]) -> list[TlsUsed | None]:
    """What TLS each of so many sessions had, one after the other."""
    contexts, found = LimitedContexts(str(server.ca_file), newest), []
    for mode in modes:
        session = await open_session(
            TcpNetwork(),
            Hop(host=server.host, ip=server.address, port=server.relay_port, tls=mode),
            helo_name=CONFIG.helo_name or "",
            timeouts=CONFIG.smtp_timeouts,
            tls_context=contexts,
        )
        assert isinstance(session, Session), session
        found.append(session.tls)
        await session.quit()
    return found


each_loop = pytest.mark.parametrize("loop", LOOPS)
each_version = pytest.mark.parametrize(
    "newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name
)


@each_loop
@each_version
def test_postfix_resumes_the_session_of_the_connection_before(
    postfix_server: MailServer, newest: ssl.TLSVersion, loop: str
) -> None:
    """RFC 5077, RFC 8446 section 2.2."""
    full, *others = run_on(loop, tls_used(postfix_server, newest, ["verified"] * 3))

    assert full is not None
    assert (full.version.replace(".", "_"), full.verified, full.resumed) == (newest.name, "pkix", False)
    assert others == [replace(full, resumed=True)] * 2


@each_loop
def test_a_session_with_any_certificate_is_none_of_a_verified_one(
    postfix_server: MailServer, loop: str
) -> None:
    newest = ssl.TLSVersion.MAXIMUM_SUPPORTED

    found = run_on(loop, tls_used(postfix_server, newest, ["encrypted", "verified", "encrypted"]))

    assert [tls and (tls.verified, tls.resumed) for tls in found] == [
        ("unverified", False),
        ("pkix", False),
        ("unverified", True),
    ]


@each_loop
@each_version
def test_haraka_takes_no_ticket_that_it_gave_and_nothing_fails(
    haraka_server: MailServer, newest: ssl.TLSVersion, loop: str
) -> None:
    """It gives them out, and makes a full handshake each time; `openssl s_client -sess_in` finds the same."""
    full, *others = run_on(loop, tls_used(haraka_server, newest, ["verified"] * 3))

    assert others == [full, full]
    assert full is not None
    assert not full.resumed
