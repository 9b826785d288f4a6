"""TLS sessions: the second connection to a host need not make the whole handshake again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

import pytest

from mailstrom import Config, Mailstrom, RelayConfig
from mailstrom.event import Event
from mailstrom.net.tcp import TcpNetwork
from mailstrom.net.tls import TlsContexts
from mailstrom.smtp.opening import TlsMode
from mailstrom.smtp.session import Hop, Session, open_session
from mailstrom.status import TlsUsed
from mailstrom.testing.script import Step, close, expect, read_octets, send, start_tls
from mailstrom.testing.smtp_server import LoopbackServer, ScriptedServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.loops import LOOPS, run_on
from tests.scenarios.stages import RELAY, TO_CONTENT, YOU, exchange, outcome
from tests.scenarios.tls_hosts import (
    GO_AHEAD,
    QUIT,
    a_relay_config,
    at_relay,
    ca_file,
    server_context,
    stranger,
    tls_used,
)

HOUR = 3600.0
VERSIONS = {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}

each_version = pytest.mark.parametrize("version", VERSIONS, ids=VERSIONS.get)
each_loop = pytest.mark.parametrize("loop", LOOPS)


def limited_to(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server_context()
    context.minimum_version = context.maximum_version = version
    return context


def resumed(events: Sequence[Event]) -> list[bool | None]:
    """Of each session that opened, whether its TLS was resumed; None: in clear."""
    opened = [event.session_opened for event in events if event.session_opened is not None]
    return [None if each.tls is None else each.tls.resumed for each in opened]


# --- over real sockets, on both loops


def tls_of(
    port: int, ca: str, loop: str, *modes: TlsMode, host: str = RELAY, implicit_tls: bool = False
) -> list[TlsUsed | None]:
    """What TLS each of so many sessions had, one after the other, with the same contexts."""

    async def main() -> list[TlsUsed | None]:
        contexts, found = TlsContexts(ca), []
        for mode in modes:
            session = await open_session(
                TcpNetwork(),
                Hop(host=host, ip="127.0.0.1", port=port, tls=mode, implicit_tls=implicit_tls),
                helo_name="sender.example",
                timeouts=Config(helo_name="sender.example").smtp_timeouts,
                tls_context=contexts,
            )
            assert isinstance(session, Session), session
            found.append(session.tls)
            await session.quit()
        return found

    return run_on(loop, main())


@each_loop
@each_version
@pytest.mark.parametrize("implicit_tls", [False, True], ids=["STARTTLS", "implicit"])
def test_the_second_connection_resumes_the_session_of_the_first(
    version: ssl.TLSVersion, implicit_tls: bool, loop: str
) -> None:
    """RFC 8446 section 2.2, RFC 5077: the same version, cipher and verification as before."""
    server = SmtpServer(tls_context=limited_to(version), implicit_tls=implicit_tls)

    with ca_file() as ca, LoopbackServer(server) as running:
        found = tls_of(running.port, ca, loop, *["verified"] * 3, implicit_tls=implicit_tls)

    assert [tls and (tls.version, tls.verified, tls.resumed) for tls in found] == [
        (VERSIONS[version], "pkix", False),
        (VERSIONS[version], "pkix", True),
        (VERSIONS[version], "pkix", True),
    ]
    assert len({tls and tls.cipher for tls in found}) == 1


@each_loop
@each_version
def test_what_was_not_verified_is_not_resumed_where_it_must_be(version: ssl.TLSVersion, loop: str) -> None:
    """Threat S15: any certificate will do for an MX, so its session says nothing to a relay's demand."""
    server = SmtpServer(tls_context=limited_to(version))

    with ca_file() as ca, LoopbackServer(server) as running:
        found = tls_of(running.port, ca, loop, "encrypted", "verified", "opportunistic", "verified")

    assert [tls and (tls.verified, tls.resumed) for tls in found] == [
        ("unverified", False),
        ("pkix", False),
        ("unverified", True),
        ("pkix", True),
    ]


@each_loop
def test_a_host_without_a_name_has_its_session_resumed_too(loop: str) -> None:
    """RFC 5321 section 4.1.3: where mail goes to an address literal, no name is asked for."""
    server = SmtpServer(tls_context=server_context())

    with ca_file() as ca, LoopbackServer(server) as running:
        found = tls_of(running.port, ca, loop, *["encrypted"] * 2, host="[127.0.0.1]")

    assert [tls and tls.resumed for tls in found] == [False, True]


@each_loop
@each_version
def test_a_server_that_lost_its_tickets_gets_a_full_handshake(version: ssl.TLSVersion, loop: str) -> None:
    """It was begun anew; nobody but a metric notices."""
    contexts = [limited_to(version), limited_to(version)]
    offer = exchange(("EHLO ", "250 mx"))
    before, after = [[*GO_AHEAD, start_tls(context), *offer, *QUIT] for context in contexts]
    server = ScriptedServer(before, after)

    with ca_file() as ca, LoopbackServer(server) as running:
        found = tls_of(running.port, ca, loop, *["verified"] * 3)

    assert [tls and (tls.verified, tls.resumed) for tls in found] == [
        ("pkix", False),
        ("pkix", False),
        ("pkix", True),
    ]


@each_version
def test_the_worker_resumes_sessions_of_a_relay(version: ssl.TLSVersion) -> None:
    events: list[Event] = []
    server = SmtpServer(tls_context=limited_to(version))

    with ca_file() as ca, LoopbackServer(server) as running:
        relay = RelayConfig("127.0.0.1", running.port, ca_file=ca)
        config = Config(helo_name="sender.example", delivery=relay, max_messages_per_session=1)
        with Mailstrom(config, observers=[events.append]) as m:
            for _ in range(3):
                status = m.start().wait(m.send_email(an_email()), timeout=20)

    (attempt,) = status[YOU].attempts
    assert attempt.tls is not None
    assert (attempt.tls.version, attempt.tls.resumed) == (VERSIONS[version], True)
    assert resumed(events) == [False, True, True]


# --- in virtual time


async def sent_at(sim: LoneEngine, *moments: float) -> list[bool | None]:
    """One email at each of these times; which of their sessions were resumed."""
    for moment in moments:
        await asyncio.sleep(moment - sim.loop.time())
        await sim.first_try(an_email())
    return resumed(sim.events)


@each_version
def test_an_hour_after_the_certificate_was_shown_it_is_asked_for_again(version: ssl.TLSVersion) -> None:
    """RFC 8446 section 4.6.1; Postfix, smtp_tls_session_cache_timeout. Resuming prolongs nothing."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(tls_context=limited_to(version)))
        found = await sent_at(sim, 0.0, 60.0, HOUR / 2, HOUR - 10, HOUR + 10, HOUR + 60)
        assert found == [False, True, True, True, False, True]

    simulate(story, config=a_config())


def test_a_bad_certificate_in_the_place_of_a_good_one_is_seen_within_the_hour() -> None:
    """The server decides what it resumes; who can resume a session has the secret made with the good one."""
    context = server_context()
    server = SmtpServer(tls_context=context)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        assert (await sim.deliver(an_email())).succeeded
        stranger().issue_cert(RELAY).configure_cert(context)
        await asyncio.sleep(HOUR / 2)
        assert (await sim.deliver(an_email())).succeeded
        await asyncio.sleep(HOUR / 2)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.5", False, 1)
        assert resumed(sim.events) == [False, True]

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca, auth=None))


HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"  # an alert, RFC 8446 section 6


def fails_at_its_second_handshake(*ends: Step) -> ScriptedServer:
    """A host that cannot resume what it promised to, and fails instead of making a full handshake."""
    context = server_context()
    mail = [*TO_CONTENT[2:], expect("<content>"), send("250 ok")]
    good = [*GO_AHEAD, start_tls(context), *mail, *QUIT]
    return ScriptedServer(good, [*GO_AHEAD, read_octets(1), *ends], good)


FAILURES: dict[str, list[Step]] = {
    "an alert": [send(HANDSHAKE_FAILURE), close()],
    "FIN": [close()],
    "silence": [expect("never a line")],
}


@pytest.mark.parametrize("ends", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("is_relay", [False, True], ids=["MX", "relay"])
def test_where_it_cannot_be_resumed_the_same_visit_goes_on_with_a_full_handshake(
    ends: list[Step], is_relay: bool
) -> None:
    """Row 23 is no answer to it: nothing goes out in clear, no mail waits; for an hour it is not tried."""
    server = fails_at_its_second_handshake(*ends)

    async def story(sim: LoneEngine) -> None:
        (at_relay if is_relay else with_mx)(sim, server)
        for _ in range(3):
            status = await sim.deliver(an_email())
            assert tls_used(status) == ["pkix" if is_relay else "unverified"]
            await asyncio.sleep(60)
        assert resumed(sim.events) == [False, False, False]
        await asyncio.sleep(HOUR)
        assert await sent_at(sim, sim.loop.time(), sim.loop.time() + 60) == [False] * 4 + [True]

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca, auth=None) if is_relay else a_config())

    assert len(server.transcripts) == 6


def test_a_full_handshake_that_fails_is_not_made_twice() -> None:
    """Row 23."""
    server = ScriptedServer([*GO_AHEAD, read_octets(1), send(HANDSHAKE_FAILURE), close()])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.5", False, 1)

    simulate(story, config=a_config(require_tls=True))

    assert len(server.transcripts) == 1
