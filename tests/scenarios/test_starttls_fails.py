"""STARTTLS is offered, and then does not work."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta

import pytest

from mailstrom import RemoteDeliveryConfig
from mailstrom.testing.peer import Handler, Peer
from mailstrom.testing.script import Step, close, hang, read_octets, reset, send
from mailstrom.testing.smtp_server import ScriptedServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, outcome, visits
from tests.scenarios.tls_hosts import (
    CREDENTIALS,
    GO_AHEAD,
    QUIT,
    UP_TO_220,
    a_relay_config,
    at_relay,
    ca_file,
    server_context,
    tls_used,
    up_to_tls_1_1,
    without_shared_cipher,
)

BROKEN_HANDSHAKES = {
    "closed": [close()],
    "closed later": [read_octets(1), close()],
    "reset": [read_octets(1), reset()],
    "garbage": [read_octets(1), send(b"\x16\x03 this is no handshake\r\n"), hang()],
    "plain text": [read_octets(1), send(b"451 4.3.0 TLS is broken today\r\n"), hang()],
    "silence": [hang()],
}
REFUSALS = ["454 4.7.0 TLS not available", "502 5.5.1 not now", "554 5.7.3 no", "501 syntax"]


def refusing(reply: str) -> ScriptedServer:
    return ScriptedServer([*UP_TO_220, send(reply), *QUIT])


def then_in_clear(first: list[Step]) -> tuple[ScriptedServer, SmtpServer]:
    """A host that plays the steps after its 220 on the first connection, and a host for the others."""
    return ScriptedServer([*GO_AHEAD, *first]), SmtpServer()


class Turns:
    """A host whose first connection is served by one server and every later one by another."""

    def __init__(self, first: Handler, then: Handler) -> None:
        self._servers = [first, then]

    async def __call__(self, peer: Peer) -> None:
        server = self._servers.pop(0) if len(self._servers) > 1 else self._servers[0]
        await server(peer)


@pytest.mark.parametrize("steps", BROKEN_HANDSHAKES.values(), ids=BROKEN_HANDSHAKES)
def test_after_a_broken_handshake_the_mail_goes_in_clear_over_a_new_connection(steps: list[Step]) -> None:
    """Row 23: close, garbage, silence after the 220 to STARTTLS."""
    broken, clear = then_in_clear(steps)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, Turns(broken, clear))
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "tls", "deferred"), ("1", "dot", "delivered")]
        assert tls_used(status) == [None, None]

    simulate(story, config=a_config())

    assert b"MAIL" not in broken.transcripts[0].received
    assert [message.tls for message in clear.ledger.messages] == [None]
    assert not any("STARTTLS" in command for command in clear.ledger.sessions[0].commands)


@pytest.mark.parametrize("reply", REFUSALS)
def test_after_a_refused_starttls_the_mail_goes_in_clear_over_a_new_connection(reply: str) -> None:
    """Row 24: 454 or 5yz to STARTTLS. In the crate 454 deferred the mail."""
    refused, clear = refusing(reply), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, Turns(refused, clear))
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "starttls", "deferred"), ("1", "dot", "delivered")]

    simulate(story, config=a_config())

    assert b"MAIL" not in refused.transcripts[0].received


def test_a_silent_handshake_is_given_up_after_120_seconds() -> None:
    """Row 23; Row 13."""
    broken, clear = then_in_clear([hang()])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, Turns(broken, clear))
        status = await sim.deliver(an_email())
        first, second = status[YOU].attempts
        assert second.at - first.at == timedelta(seconds=120)

    simulate(story, config=a_config())


DEMANDS = ["require_tls", "plain_fallback=False", "relay", "relay with password"]


@pytest.mark.parametrize("demand", DEMANDS)
@pytest.mark.parametrize("trouble", [*BROKEN_HANDSHAKES, *REFUSALS])
def test_where_tls_is_demanded_nothing_is_sent_in_clear(trouble: str, demand: str) -> None:
    """Rows 23 and 24: never with AUTH or a policy; each host is asked once, with STARTTLS."""
    if trouble in BROKEN_HANDSHAKES:
        hosts = [ScriptedServer([*GO_AHEAD, *BROKEN_HANDSHAKES[trouble]]) for _ in range(2)]
    else:
        hosts = [refusing(trouble) for _ in range(2)]
    phase = "tls" if trouble in BROKEN_HANDSHAKES else "starttls"

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, *hosts)
        at_relay(sim, *hosts)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.5", False, 1)
        assert visits(status) == [("1", phase, "deferred"), ("2", phase, "deferred")]
        assert len(sim.network.connects) == 2

    with ca_file() as ca:
        configs = {
            "require_tls": a_config(require_tls=True),
            "plain_fallback=False": a_config(delivery=RemoteDeliveryConfig(plain_fallback=False)),
            "relay": a_relay_config(ca, auth=None),
            "relay with password": a_relay_config(ca),
        }
        simulate(story, config=configs[demand])

    for host in hosts:
        assert [transcript.clear.upper().count(b"MAIL") for transcript in host.transcripts] == [0]
        assert b"AUTH" not in host.transcripts[0].received.upper()


def test_where_tls_is_demanded_the_next_mx_may_have_it() -> None:
    """Rows 23 and 24."""
    second = SmtpServer(tls_context=server_context())

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, refusing("454 4.7.0 TLS not available"), second)
        status = await sim.deliver(an_email())
        assert visits(status) == [("1", "starttls", "deferred"), ("2", "dot", "delivered")]
        assert tls_used(status) == [None, "unverified"]

    simulate(story, config=a_config(require_tls=True))


def test_the_plain_connection_is_tried_once_and_may_fail_like_any_other() -> None:
    """Row 23: one plain retry; then the next MX."""
    broken, second = ScriptedServer([*GO_AHEAD, close()], [close()]), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, broken, second)
        status = await sim.deliver(an_email())
        assert visits(status) == [
            ("1", "tls", "deferred"),
            ("1", "greeting", "deferred"),
            ("2", "dot", "delivered"),
        ]

    simulate(story, config=a_config())

    assert len(broken.transcripts) == 2


@pytest.mark.parametrize("old", [up_to_tls_1_1, without_shared_cipher])
def test_a_host_with_old_tls_only_gets_the_mail_in_clear(old: Callable[[], ssl.SSLContext]) -> None:
    """Row 26: TLS 1.1 at most, or no shared cipher; as row 23."""
    server = SmtpServer(tls_context=old())

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "tls", "deferred"), ("1", "dot", "delivered")]

    simulate(story, config=a_config())

    assert [message.tls for message in server.ledger.messages] == [None]


@pytest.mark.parametrize("demand", ["require_tls", "relay", "implicit"])
@pytest.mark.parametrize("old", [up_to_tls_1_1, without_shared_cipher])
def test_old_tls_is_no_tls_where_it_is_demanded(old: Callable[[], ssl.SSLContext], demand: str) -> None:
    """Row 26; Threat S15."""
    server = SmtpServer(
        tls_context=old(),
        implicit_tls=demand == "implicit",
        credentials=CREDENTIALS if demand != "require_tls" else None,
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        at_relay(sim, server)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.5", False, 1)
        assert visits(status) == [("1", "tls", "deferred")]

    with ca_file() as ca:
        relay = a_relay_config(ca, tls="implicit" if demand == "implicit" else "starttls")
        simulate(story, config=a_config(require_tls=True) if demand == "require_tls" else relay)

    assert not server.ledger.messages
    assert "AUTH" not in " ".join(server.ledger.sessions[0].commands)
