"""Hosts that speak TLS, with good and bad certificates, and a relay that asks for credentials."""

from __future__ import annotations

import ssl
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailstrom import Config, MessageStatus, RelayConfig, SmtpAuth
from mailstrom.testing.network import Handler
from mailstrom.testing.script import Step, expect, send
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine
from tests.scenarios.stages import RELAY, YOU

MX = "mx1.dest.example"
RELAY_IPS = ("198.51.100.1", "198.51.100.2")
CREDENTIALS = {"user": "secret"}
AUTH = SmtpAuth("user", "secret")

#: A server's part up to the 220 to STARTTLS, and to the end of the session.
UP_TO_220 = [send("220 mx ESMTP"), expect("EHLO "), send("250-mx\r\n250 STARTTLS"), expect("STARTTLS")]
GO_AHEAD = [*UP_TO_220, send("220 go ahead")]
QUIT = [expect("QUIT"), send("221 bye")]


@cache
def authority() -> trustme.CA:
    """The certificate authority that relays are verified by in these tests."""
    return trustme.CA()


@cache
def stranger() -> trustme.CA:
    """An authority that nobody here trusts."""
    return trustme.CA()


def server_context(*names: str, ca: trustme.CA | None = None, **validity: Any) -> ssl.SSLContext:
    """What a TLS server with a certificate for these names has; good for all hosts by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = names or (MX, "mx2.dest.example", RELAY, "127.0.0.1")
    (ca or authority()).issue_cert(*names, **validity).configure_cert(context)
    return context


def expired() -> ssl.SSLContext:
    """A certificate that was good until yesterday."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return server_context(not_before=now - timedelta(days=30), not_after=now - timedelta(days=1))


def of_another_name() -> ssl.SSLContext:
    """A good certificate, but not this host's."""
    return server_context("www.elsewhere.example")


def of_an_unknown_authority() -> ssl.SSLContext:
    """A good certificate of an authority that is not ours."""
    return server_context(ca=stranger())


def self_signed() -> ssl.SSLContext:
    """The right name, vouched for by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, RELAY)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(RELAY), x509.DNSName(MX)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(path)
    return context


BAD_CERTIFICATES: Mapping[str, Callable[[], ssl.SSLContext]] = {
    "expired": expired,
    "of another name": of_another_name,
    "self-signed": self_signed,
    "of an unknown authority": of_an_unknown_authority,
}


def up_to_tls_1_1() -> ssl.SSLContext:
    """A server that knows nothing newer than TLS 1.1."""
    context = server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")  # TLS 1.1 signs with SHA-1, which higher levels refuse
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of such old TLS, rightly
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def without_shared_cipher() -> ssl.SSLContext:
    """A server that offers nothing but a cipher without encryption."""
    context = server_context()
    context.set_ciphers("eNULL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextmanager
def ca_file(ca: trustme.CA | None = None) -> Iterator[str]:
    """The path of a PEM file with the authority's certificate."""
    with (ca or authority()).cert_pem.tempfile() as path:
        yield path


def a_relay_config(ca: str | None = None, **relay: Any) -> Config:
    """All mail goes to relay.example at port 25, user "user"; waits without jitter."""
    given = {"port": 25, "auth": AUTH, "ca_file": ca, **relay}
    return a_config(delivery=RelayConfig(RELAY, **given))


def at_relay(sim: LoneEngine, *handlers: Handler) -> None:
    """These are the relay, each at an address of its own."""
    sim.network.hosts[RELAY] = RELAY_IPS[: len(handlers)]
    for ip, handler in zip(RELAY_IPS, handlers, strict=False):
        sim.network.listen(ip, 25, handler)


def at_mx_or_relay(sim: LoneEngine, *handlers: Handler) -> None:
    """These are the MX hosts of dest.example, and the relay."""
    with_mx(sim, *handlers)
    at_relay(sim, *handlers)


def tls_used(status: MessageStatus, address: str = YOU) -> list[str | None]:
    """How the peer was verified at each attempt; None: in clear, or not got that far."""
    return [None if a.tls is None else a.tls.verified for a in status[address].attempts]


def without_tls(*offers: str) -> list[Step]:
    """A server's part up to EHLO's reply, which offers these and no STARTTLS."""
    lines = ["mx", *offers]
    reply = "\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)
    return [send("220 mx ESMTP"), expect("EHLO "), send(reply)]
