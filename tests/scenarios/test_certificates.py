"""A host whose certificate proves nothing, or the wrong thing."""

from __future__ import annotations

import asyncio

import pytest

from mailstrom import Config, RelayConfig
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, outcome, visits
from tests.scenarios.tls_hosts import (
    BAD_CERTIFICATES,
    CREDENTIALS,
    a_relay_config,
    at_mx_or_relay,
    at_relay,
    ca_file,
    server_context,
    tls_used,
)

#: Mode -> whether the mail goes out although the certificate is bad.
MODES = {
    "MX": True,
    "MX with require_tls": True,
    "relay over STARTTLS": False,
    "relay with implicit TLS": False,
    "relay over STARTTLS with a password": False,
    "relay with implicit TLS with a password": False,
    "relay over STARTTLS that may see a password in clear": False,
}


def config_for(mode: str, ca: str) -> Config:
    if mode.startswith("MX"):
        return a_config(require_tls="require_tls" in mode)
    tls = "implicit" if "implicit" in mode else "starttls"
    options = {} if "password" in mode else {"auth": None}
    return a_relay_config(ca, tls=tls, allow_cleartext_auth="in clear" in mode, **options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", BAD_CERTIFICATES)
def test_a_bad_certificate_is_good_enough_for_an_mx_and_never_for_a_relay(kind: str, mode: str) -> None:
    """Row 25: four kinds of bad certificate, in each mode. The crate could not deliver to such an MX.

    `require_tls` means encrypted, not verified. Threat S11: no credentials either.
    """
    is_implicit = "implicit" in mode
    credentials = CREDENTIALS if "password" in mode else None
    server = SmtpServer(
        tls_context=BAD_CERTIFICATES[kind](), implicit_tls=is_implicit, credentials=credentials
    )

    async def story(sim: LoneEngine) -> None:
        at_mx_or_relay(sim, server)
        status = await sim.first_try(an_email())
        if MODES[mode]:
            assert outcome(status) == ("delivered", "2.0.0", False, 1)
            assert visits(status) == [("1", "dot", "delivered")]
            assert tls_used(status) == ["unverified"]
            assert status[YOU].attempts[0].tls.version == "TLSv1.3"
        else:
            assert outcome(status) == ("deferred", "4.7.5", False, 1)
            assert visits(status) == [("1", "tls", "deferred")]
            assert tls_used(status) == [None]
            assert "TLS handshake failed" in str(status[YOU].result)

    with ca_file() as ca:
        simulate(story, config=config_for(mode, ca))

    assert bool(server.ledger.messages) is MODES[mode]
    said = [command.upper() for session in server.ledger.sessions for command in session.commands]
    assert not [line for line in said if line.startswith("AUTH")]
    assert MODES[mode] or not [line for line in said if line.startswith("MAIL")]


@pytest.mark.parametrize("mode", [mode for mode, goes in MODES.items() if not goes])
def test_a_relay_with_a_good_certificate_gets_the_mail_and_is_recorded_as_verified(mode: str) -> None:
    """Row 25: chain and name."""
    credentials = CREDENTIALS if "password" in mode else None
    server = SmtpServer(
        tls_context=server_context(), implicit_tls="implicit" in mode, credentials=credentials
    )

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert tls_used(status) == ["pkix"]

    with ca_file() as ca:
        simulate(story, config=config_for(mode, ca))

    assert [message.user for message in server.ledger.messages] == ["user" if credentials else None]
    assert server.ledger.violations == ()


def test_without_a_ca_file_the_systems_authorities_decide() -> None:
    """Row 25: a private authority is no authority unless it is named."""
    server = SmtpServer(tls_context=server_context(), credentials=CREDENTIALS)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.5", False, 1)

    simulate(story, config=a_relay_config())

    assert not server.ledger.sessions[0].user


def test_a_relay_named_by_its_address_proves_the_address() -> None:
    """Row 25: the certificate holds the IP address."""
    good, bad = server_context("198.51.100.1"), server_context("198.51.100.9")

    async def story(sim: LoneEngine) -> None:
        sim.network.hosts["198.51.100.1"] = ("198.51.100.1",)
        for context, state in ((good, "delivered"), (bad, "deferred")):
            sim.network.listen("198.51.100.1", 25, SmtpServer(tls_context=context))
            status = await sim.first_try(an_email())
            assert status[YOU].result.state == state
            await asyncio.sleep(sim.config.session_idle_secs + 1)  # until the session is over

    with ca_file() as ca:
        simulate(story, config=a_config(delivery=RelayConfig("198.51.100.1", port=25, ca_file=ca)))


def test_the_unverified_mx_is_not_better_than_the_verified_one_and_order_decides() -> None:
    """Row 25: opportunistic TLS looks at no certificate, so a good one is unverified as well."""
    first, second = SmtpServer(tls_context=server_context()), SmtpServer(tls_context=server_context())

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(an_email())
        assert tls_used(status) == ["unverified"]

    simulate(story, config=a_config())

    assert not second.ledger.sessions
