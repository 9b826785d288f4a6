"""Where mail goes and how patient we are there: the settings of delivery.

    RemoteDeliveryConfig    to the MX of each domain, whom a ResolverSetup finds
    RelayConfig             all to one host, with SmtpAuth where that asks for it
    SmtpTimeouts            how long each phase of a session may take
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Self

from . import config_checks as check
from .errors import ConfigError
from .secret import Secret

RelayTls = Literal["starttls", "implicit", "none"]
DnsProtocol = Literal["udp", "tcp", "tls", "https"]

RELAY_PORTS: Mapping[str, int] = {"starttls": 587, "implicit": 465, "none": 25}
DNS_PORTS: Mapping[str, int] = {"udp": 53, "tcp": 53, "tls": 853, "https": 443}
AUTH_MECHANISMS: Mapping[str, str] = {
    "crammd5": "CRAM-MD5",
    "plain": "PLAIN",
    "login": "LOGIN",
    "xoauth2": "XOAUTH2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpTimeouts:
    """One timer per phase, in seconds (RFC 5321 section 4.5.3.2).

    `block_secs` bounds one block of content, `min_rate` (octets a second) the whole of it,
    `dot_secs` the reply to the final dot, and each reply to what goes out in one write: less buys
    duplicates. The latter but for the last must be there when the session's time is over, or after twice
    `dot_secs`, whichever is later.
    `session_secs` bounds a whole session, prolonged by the size of what it carries.
    """

    connect_secs: float = 30.0  # per address
    greeting_secs: float = 300.0
    ehlo_secs: float = 300.0
    starttls_secs: float = 120.0  # the reply, and again the handshake
    auth_secs: float = 300.0
    mail_secs: float = 300.0
    rcpt_secs: float = 300.0
    data_secs: float = 120.0
    block_secs: float = 180.0
    min_rate: float = 500.0
    dot_secs: float = 600.0
    rset_secs: float = 20.0
    quit_secs: float = 5.0
    session_secs: float = 1800.0

    def __post_init__(self) -> None:
        check.durations("SmtpTimeouts", {item.name: getattr(self, item.name) for item in fields(self)})

    def with_command_timeout(self, secs: float) -> SmtpTimeouts:
        """The same with `secs` for connect, greeting and each command's reply.

        Never for the content and the final dot: there a short timer makes duplicates.
        """
        names = ("connect", "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data")
        return replace(self, **{f"{name}_secs": secs for name in names})


@dataclass(frozen=True, slots=True)
class SmtpAuth:
    """Credentials for a relay; `mechanism=None` takes the strongest one offered.

    Mechanisms: CRAM-MD5, PLAIN, LOGIN; XOAUTH2 (the password is the access token) only when named.
    """

    username: str
    password: Secret
    mechanism: str | None = None

    def __init__(self, username: str, password: str | Secret, mechanism: str | None = None) -> None:
        named = _mechanism(mechanism)
        is_text = isinstance(password, (str, Secret))
        secret = Secret(password if is_text else "")
        is_known = mechanism is None or named is not None
        del password, mechanism  # a traceback may show the locals of every frame
        object.__setattr__(self, "username", username)
        object.__setattr__(self, "password", secret)
        object.__setattr__(self, "mechanism", named)
        check.text("SmtpAuth.username", username, "a name")
        if not check.is_unicode(username):
            raise ConfigError(f"SmtpAuth.username: expected a name, got {check.shown(username)}")
        # RFC 4616 2: NUL separates the parts of PLAIN; it cannot stand in one
        if not secret.reveal() or "\0" in secret.reveal() or not check.is_unicode(secret.reveal()):
            raise ConfigError("SmtpAuth.password: expected a text, not empty, without NUL or lone surrogates")
        if not is_known:
            # not repeated: arguments in the wrong order put the password here
            names = ", ".join(AUTH_MECHANISMS.values())
            raise ConfigError(f"SmtpAuth.mechanism: expected one of {names}, or None")


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """All mail goes to one host, over TLS that is verified.

    `tls`: "starttls" (port 587) or "implicit" (465); "none" (25) sends in clear and needs
    `allow_cleartext_auth=True` before it will send a password. `ca_file` (PEM) verifies a
    relay with a private certificate authority.
    """

    domain_name: str
    port: int | None = None
    tls: RelayTls = "starttls"
    auth: SmtpAuth | None = None
    ca_file: str | None = None
    allow_cleartext_auth: bool = False

    def __post_init__(self) -> None:
        check.host("RelayConfig.domain_name", self.domain_name)
        check.choice("RelayConfig.tls", self.tls, RELAY_PORTS)
        if self.port is None:
            object.__setattr__(self, "port", RELAY_PORTS[self.tls])
        check.port("RelayConfig.port", self.port)
        check.flag("RelayConfig.allow_cleartext_auth", self.allow_cleartext_auth)
        check.kind("RelayConfig.auth", self.auth, (SmtpAuth, type(None)), "SmtpAuth(...) or None")
        if self.auth is not None and self.tls == "none" and not self.allow_cleartext_auth:
            raise ConfigError(
                "RelayConfig.auth: tls='none' would send the password in clear; use tls='starttls', "
                "or say allow_cleartext_auth=True"
            )
        if self.ca_file is not None:
            check.kind("RelayConfig.ca_file", self.ca_file, (str, os.PathLike), "the path of a PEM file")
            object.__setattr__(self, "ca_file", os.fspath(self.ca_file))
            if not os.path.isfile(self.ca_file):
                given = check.shown(self.ca_file)
                raise ConfigError(f"RelayConfig.ca_file: expected a PEM file, got {given}: not there")

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The relay of `smtp+starttls://user:pw@host:587`, `smtps://...` or `smtp://...` (no TLS).

        User and password are percent-encoded (`@` is `%40`, `/` is `%2F`).
        """
        from .config_sources import relay_settings

        hidden = Secret(url)
        del url  # a traceback may show the locals of every frame
        return cls(**relay_settings({"url": hidden}, cls.__name__))

    @property
    def route_key(self) -> str:
        """What stands in the queue for this relay."""
        return f"relay:{self.domain_name.lower()}"


@dataclass(frozen=True, slots=True)
class ResolverSetup:
    """Which name server is asked; made by the class methods.

    `nameservers` empty: those of the system's resolv.conf.
    """

    nameservers: tuple[str, ...] = ()
    port: int = 53
    protocol: DnsProtocol = "udp"
    tls_dns_name: str | None = None

    def __post_init__(self) -> None:
        check.choice("ResolverSetup.protocol", self.protocol, DNS_PORTS)
        check.port("ResolverSetup.port", self.port)
        nameservers = check.texts("ResolverSetup.nameservers", self.nameservers, "IP addresses")
        object.__setattr__(self, "nameservers", nameservers)
        for address in nameservers:
            check.ip("ResolverSetup address", address)
        if self.tls_dns_name is not None:
            check.host("ResolverSetup.tls_dns_name", self.tls_dns_name)
        # dnspython speaks HTTP through httpx2, its versions before 2.9 through httpx
        if self.protocol == "https" and not (check.is_installed("httpx2") or check.is_installed("httpx")):
            raise ConfigError(
                "ResolverSetup.protocol: 'https' needs the extra doh: pip install 'mailstrom[doh]'"
            )

    @classmethod
    def system(cls) -> Self:
        """The name servers of resolv.conf."""
        return cls()

    @classmethod
    def google(cls) -> Self:
        """Google's public name servers, which see every domain you write to."""
        return cls(("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"))

    @classmethod
    def cloudflare(cls) -> Self:
        """Cloudflare's public name servers, which see every domain you write to."""
        return cls(("1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"))

    @classmethod
    def quad9(cls) -> Self:
        """Quad9's public name servers, which see every domain you write to."""
        return cls(("9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9"))

    @classmethod
    def specific(
        cls,
        address: str,
        port: int | None = None,
        protocol: DnsProtocol = "udp",
        tls_dns_name: str | None = None,
    ) -> Self:
        """One name server, by IP address; `tls_dns_name` is the name in its certificate."""
        check.choice("ResolverSetup.protocol", protocol, DNS_PORTS)
        return cls((address,), DNS_PORTS[protocol] if port is None else port, protocol, tls_dns_name)


@dataclass(frozen=True, slots=True)
class RemoteDeliveryConfig:
    """Each recipient's mail goes to the MX hosts of its domain.

    `allow_private_addresses` lets MX hosts be loopback or private addresses (for tests and
    closed networks), and turns the own-address rule off. `own_names` are further names of this
    host: an MX list is cut where it reaches ourselves. `ip_families` are tried interleaved.
    """

    resolver_setup: ResolverSetup = field(default_factory=ResolverSetup)
    port: int = 25
    allow_private_addresses: bool = False
    own_names: tuple[str, ...] = ()
    ip_families: tuple[Literal["ipv4", "ipv6"], ...] = ("ipv6", "ipv4")
    source_ipv4: str | None = None
    source_ipv6: str | None = None
    dns_timeout_secs: float = 30.0
    plain_fallback: bool = True  # after a failed handshake, once in clear, where nothing demands TLS

    def __post_init__(self) -> None:
        check.port("RemoteDeliveryConfig.port", self.port)
        check.secs("RemoteDeliveryConfig.dns_timeout_secs", self.dns_timeout_secs)
        resolver_setup = "ResolverSetup.system() or such"
        check.kind("RemoteDeliveryConfig.resolver_setup", self.resolver_setup, ResolverSetup, resolver_setup)
        check.flag("RemoteDeliveryConfig.allow_private_addresses", self.allow_private_addresses)
        check.flag("RemoteDeliveryConfig.plain_fallback", self.plain_fallback)
        own_names = check.texts("RemoteDeliveryConfig.own_names", self.own_names, "host names")
        object.__setattr__(self, "own_names", tuple(name.lower().rstrip(".") for name in own_names))
        families = check.texts("RemoteDeliveryConfig.ip_families", self.ip_families, "'ipv4' and 'ipv6'")
        object.__setattr__(self, "ip_families", families)
        if not families or set(families) - {"ipv4", "ipv6"} or len(set(families)) < len(families):
            raise ConfigError(
                f"RemoteDeliveryConfig.ip_families: expected 'ipv4', 'ipv6' or both, got {families!a}"
            )
        check.source_ip("RemoteDeliveryConfig.source_ipv4", self.source_ipv4, 4)
        check.source_ip("RemoteDeliveryConfig.source_ipv6", self.source_ipv6, 6)


def _mechanism(given: object) -> str | None:
    """The SASL name, from the crate's spelling as well: CramMd5, cram_md5, CRAM-MD5."""
    if not isinstance(given, str):
        return None
    return AUTH_MECHANISMS.get(given.lower().replace("-", "").replace("_", ""))
