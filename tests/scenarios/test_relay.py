"""All mail goes to one host, which knows us."""

from __future__ import annotations

import socket

import pytest

from mailstrom import Config, Mailstrom, RelayConfig, SmtpAuth, SmtpTimeouts, Submission
from mailstrom.testing.script import Step, expect, send, start_tls
from mailstrom.testing.smtp_server import LoopbackServer, ScriptedServer, SmtpServer
from tests.builders import a_config, an_email
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import RELAY, YOU, outcome, visits
from tests.scenarios.tls_hosts import (
    AUTH,
    CREDENTIALS,
    GO_AHEAD,
    QUIT,
    a_relay_config,
    at_relay,
    ca_file,
    server_context,
    tls_used,
)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("mechanism", [None, "CRAM-MD5", "PLAIN", "LOGIN"])
def test_mail_to_many_domains_goes_through_the_relay_and_no_dns_is_asked(
    tls: str, mechanism: str | None
) -> None:
    """The crate knew no implicit TLS."""
    server = SmtpServer(tls_context=server_context(), implicit_tls=tls == "implicit", credentials=CREDENTIALS)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.deliver(an_email(to="a@one.example, b@two.example", cc="c@three.example"))
        assert status.succeeded
        assert tls_used(status, "a@one.example") == ["pkix"]

    with ca_file() as ca:
        config = a_relay_config(ca, tls=tls, auth=SmtpAuth("user", "secret", mechanism))
        simulate(story, config=config)

    (message,) = server.ledger.messages
    assert message.recipients == ("a@one.example", "b@two.example", "c@three.example")
    assert message.user == "user"
    assert server.ledger.violations == ()


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_each_kind_of_relay_has_its_port(tls: str, port: int) -> None:
    """RFC 8314 section 3.3, RFC 6409. The crate used 25 for every relay."""
    server = SmtpServer(
        tls_context=None if tls == "none" else server_context(), implicit_tls=tls == "implicit"
    )

    async def story(sim: LoneEngine) -> None:
        sim.network.hosts[RELAY] = ("10.0.0.25",)
        sim.network.listen("10.0.0.25", port, server)
        status = await sim.deliver(an_email())
        assert status[YOU].attempts[0].port == port

    with ca_file() as ca:
        ca_setting = None if tls == "none" else ca
        relay = RelayConfig(RELAY, tls=tls, ca_file=ca_setting)  # type: ignore[arg-type]
        simulate(story, config=a_config(delivery=relay))


def test_a_relay_name_that_cannot_be_looked_up_defers_the_mail() -> None:
    """In the crate a moment without DNS bounced the whole queue."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.network.hosts[RELAY] = socket.gaierror(socket.EAI_NONAME, "name not known")
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.4.3", False, 1)
        at_relay(sim, server)
        assert (await sim.wait(status.message_id)).succeeded

    simulate(story, config=a_config(delivery=RelayConfig(RELAY, port=25, tls="none")))


def test_a_dead_address_of_the_relay_leads_to_its_next_one() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        sim.network.hosts[RELAY] = ("198.51.100.9", "198.51.100.1")
        sim.network.listen("198.51.100.1", 25, server)
        status = await sim.deliver(an_email())
        assert visits(status) == [("9", "connect", "deferred"), ("1", "dot", "delivered")]

    simulate(story, config=a_config(delivery=RelayConfig(RELAY, port=25, tls="none")))


def test_a_refused_recipient_does_not_touch_the_others() -> None:
    """The crate gave one result to all recipients of a server."""
    server = SmtpServer(on_rcpt=lambda address, _: "550 5.1.1 unknown" if address.startswith("a") else None)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.deliver(an_email(to="a@one.example, b@two.example"))
        assert outcome(status, "a@one.example") == ("failed", "5.1.1", False, 1)
        assert outcome(status, "b@two.example") == ("delivered", "2.0.0", False, 1)

    simulate(story, config=a_config(delivery=RelayConfig(RELAY, port=25, tls="none")))


def test_deferred_mail_is_given_up_when_the_tries_are_used_up() -> None:
    """The crate never ended mail to a relay."""
    server = SmtpServer(on_rcpt="451 4.3.0 later")

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("failed", "4.3.0", False, 3)

    simulate(story, config=a_config(delivery=RelayConfig(RELAY, port=25, tls="none")))


def test_a_session_with_the_relay_is_used_again_and_let_in_once() -> None:
    server = SmtpServer(tls_context=server_context(), credentials=CREDENTIALS)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        for number in range(5):
            assert (await sim.deliver(an_email(to=f"r{number}@d{number}.example"))).succeeded

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca))

    (session,) = server.ledger.sessions
    assert [command.split()[0] for command in session.commands].count("AUTH") == 1
    assert len(server.ledger.messages) == 5


# --- one mechanism, and no weaker one after it


def offering(mechanisms: str, *steps: Step) -> ScriptedServer:
    offer = [expect("EHLO "), send(f"250-mx\r\n250 AUTH {mechanisms}")]
    return ScriptedServer([*GO_AHEAD, start_tls(server_context()), *offer, *steps])


@pytest.mark.parametrize(
    ("offered", "used"),
    [
        ("LOGIN PLAIN CRAM-MD5", "CRAM-MD5"),
        ("SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN", "CRAM-MD5"),
        ("SCRAM-SHA-256 PLAIN LOGIN", "PLAIN"),
        ("GSSAPI LOGIN", "LOGIN"),
    ],
)
@pytest.mark.parametrize(
    "refusal", ["535 5.7.8 no", "504 5.5.4 not now", "534 5.7.9 too weak", "454 4.7.0 later"]
)
def test_one_mechanism_is_tried_and_no_weaker_one_after_its_refusal(
    offered: str, used: str, refusal: str
) -> None:
    """Threat S12: the strongest of what is offered; a downgrade is what an attacker waits for."""
    hosts = [offering(offered, expect("AUTH "), send(refusal), *QUIT) for _ in range(2)]

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, *hosts)
        status = await sim.first_try(an_email())
        assert status[YOU].result.state == "deferred"
        assert visits(status) == [("1", "auth", "deferred")]

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca))

    received = hosts[0].transcripts[0].in_tls
    assert received.count(b"AUTH") == 1
    assert f"AUTH {used}".encode() in received
    assert hosts[1].transcripts == ()


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "LOGIN"])
def test_the_configured_mechanism_is_the_only_one(mechanism: str) -> None:
    """Threat S12: the allow-list is what the configuration names."""
    server = offering("PLAIN XOAUTH2", *QUIT)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.0", False, 0)
        assert f"offered: PLAIN XOAUTH2; wanted: {mechanism}" in str(status[YOU].result)

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca, auth=SmtpAuth("user", "secret", mechanism)))

    assert b"AUTH" not in server.transcripts[0].in_tls


def test_a_refused_mechanism_is_not_replaced_at_the_next_probe_either() -> None:
    """Threat S12: each probe asks with the strongest mechanism that is offered."""
    refusing = [expect("AUTH CRAM-MD5"), send("535 5.7.8 no"), *QUIT]
    server = offering("CRAM-MD5 PLAIN", *refusing)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        message_id = sim.send_email(an_email())
        await sim.until(message_id, lambda status: len(status[YOU].attempts) == 3)

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca))

    assert all(b"PLAIN" not in transcript.in_tls for transcript in server.transcripts)
    assert len(server.transcripts) == 3


def test_a_clear_text_relay_that_may_see_the_password_gets_the_strongest_mechanism_only() -> None:
    """Threat S12: a refused challenge is not followed by the password in clear."""
    server = SmtpServer(credentials=CREDENTIALS, on_auth=lambda mechanism, _: "535 5.7.8 no")

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        await sim.first_try(an_email())

    simulate(story, config=a_relay_config(tls="none", allow_cleartext_auth=True))

    commands = [command for session in server.ledger.sessions for command in session.commands]
    assert [command for command in commands if command.startswith("AUTH")] == ["AUTH CRAM-MD5"]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_real_relay_on_loopback_lets_us_in(tls: str) -> None:
    """The same over real sockets, and through a relay named by its address."""
    server = SmtpServer(tls_context=server_context(), implicit_tls=tls == "implicit", credentials=CREDENTIALS)
    with ca_file() as ca, LoopbackServer(server) as running:
        relay = RelayConfig("127.0.0.1", running.port, tls=tls, auth=AUTH, ca_file=ca)  # type: ignore[arg-type]
        config = Config(helo_name="sender.example", delivery=relay, timeouts=SmtpTimeouts(quit_secs=1))
        with Mailstrom(config) as m:
            ids = m.start().send_emails([Submission(an_email(to=f"r{n}@dest.example")) for n in range(30)])
            assert m.drain(timeout=20)
            assert all(m.query_status(each).succeeded for each in ids)

    assert {message.user for message in server.ledger.messages} == {"user"}
    assert len(server.ledger.messages) == 30
    assert server.ledger.violations == ()
