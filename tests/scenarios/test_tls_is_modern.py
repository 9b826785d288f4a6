"""What our side of TLS asks for: version, verification, the name."""

from __future__ import annotations

import ssl
import warnings

import pytest

from mailstrom import Config
from mailstrom.net.tls import TlsContexts
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import RELAY, YOU, outcome
from tests.scenarios.tls_hosts import MX, a_relay_config, at_mx_or_relay, at_relay, ca_file, server_context


@pytest.mark.parametrize("verified", [True, False])
def test_every_context_wants_tls_1_2_and_neither_compression_nor_renegotiation(verified: bool) -> None:
    """Threat S15: RFC 8996, RFC 9325 sections 3.1.1, 3.3 and 3.5; the ciphers are OpenSSL's own choice."""
    with ca_file() as ca:
        context = TlsContexts(ca)(verified)

    assert context.protocol == ssl.PROTOCOL_TLS_CLIENT
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.maximum_version in (ssl.TLSVersion.MAXIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_3)
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    by_default = {cipher["name"] for cipher in ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).get_ciphers()}
    assert {cipher["name"] for cipher in context.get_ciphers()} == by_default


def test_a_relay_is_verified_chain_and_name_and_an_mx_is_not() -> None:
    """Threat S15."""
    with ca_file() as ca:
        contexts = TlsContexts(ca)
        verifying, accepting = contexts(True), contexts(False)

    assert (verifying.verify_mode, verifying.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (accepting.verify_mode, accepting.check_hostname) == (ssl.CERT_NONE, False)
    assert verifying.cert_store_stats()["x509_ca"] == 1


def a_config_for(kind: str, ca: str) -> Config:
    if kind == "MX":
        return a_config()
    return a_relay_config(ca, auth=None, tls="implicit" if kind == "implicit relay" else "starttls")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("MX", MX), ("relay", RELAY), ("implicit relay", RELAY)],
    ids=["MX", "relay", "implicit"],
)
def test_the_host_is_told_its_name(kind: str, name: str) -> None:
    """Threat S15: SNI (RFC 6066 section 3); else a host of many names shows another's certificate."""
    asked: list[str | None] = []
    context = server_context()
    context.sni_callback = lambda _socket, server_name, _context: asked.append(server_name)
    server = SmtpServer(tls_context=context, implicit_tls=kind == "implicit relay")

    async def story(sim: LoneEngine) -> None:
        at_mx_or_relay(sim, server)
        assert (await sim.deliver(an_email())).succeeded

    with ca_file() as ca:
        simulate(story, config=a_config_for(kind, ca))

    assert asked == [name]


@pytest.mark.parametrize(
    ("version", "shown"), [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]
)
def test_tls_1_2_and_1_3_are_both_used_and_recorded_with_their_cipher(
    version: ssl.TLSVersion, shown: str
) -> None:
    """Threat S15."""
    context = server_context()
    context.maximum_version = version
    server = SmtpServer(tls_context=context)

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        status = await sim.deliver(an_email())
        tls = status[YOU].attempts[0].tls
        assert tls is not None
        assert (tls.version, tls.verified) == (shown, "pkix")
        assert tls.cipher

    with ca_file() as ca:
        simulate(story, config=a_relay_config(ca, auth=None))

    assert [message.tls for message in server.ledger.messages] == [shown]


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_older_versions_are_refused_by_us_and_not_only_by_the_system(version: str) -> None:
    """Threat S15, row 26: with a server that would do anything."""
    context = server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    server = SmtpServer(tls_context=context)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.7.5", False, 1)

    simulate(story, config=a_config(require_tls=True))

    assert not server.ledger.messages
