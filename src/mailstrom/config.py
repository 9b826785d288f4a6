"""Every setting, frozen, checked once when it is made.

    Config
    ├── delivery: RemoteDeliveryConfig (to the MX of each domain) | RelayConfig (all to one host)
    ├── retry: RetryPolicy
    └── timeouts: SmtpTimeouts

Secrets are `Secret` values: they have a blank repr and never reach a log or an exception.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from .errors import ConfigError
from .schedule.retry import RetryPolicy

RelayTls = Literal["starttls", "implicit", "none"]
Mode = Literal["live", "capture", "console", "file"]
DnsProtocol = Literal["udp", "tcp", "tls", "https"]

RELAY_PORTS: Mapping[str, int] = {"starttls": 587, "implicit": 465, "none": 25}
DNS_PORTS: Mapping[str, int] = {"udp": 53, "tcp": 53, "tls": 853, "https": 443}
AUTH_MECHANISMS = ("CRAM-MD5", "PLAIN", "LOGIN", "XOAUTH2")


class Secret:
    """A password or token: shown nowhere, read only by `reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str | Secret) -> None:
        self._value: str = value._value if isinstance(value, Secret) else value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpTimeouts:
    """One timer per phase, in seconds (RFC 5321 section 4.5.3.2).

    `block_secs` bounds one block of content, `min_rate` (octets a second) the whole of it,
    `dot_secs` the reply to the final dot: a short one buys duplicates, nothing else.
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
        for item in fields(self):
            _check_positive(f"SmtpTimeouts.{item.name}", getattr(self, item.name))

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
        object.__setattr__(self, "username", username)
        object.__setattr__(self, "password", Secret(password))
        object.__setattr__(self, "mechanism", None if mechanism is None else mechanism.upper().replace("_", "-"))
        if not username:
            raise ConfigError("SmtpAuth.username: expected a name, got an empty string")
        if self.mechanism is not None and self.mechanism not in AUTH_MECHANISMS:
            raise ConfigError(
                f"SmtpAuth.mechanism: expected one of {', '.join(AUTH_MECHANISMS)}, got {mechanism!r}"
            )


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
        _check_host("RelayConfig.domain_name", self.domain_name)
        if self.tls not in RELAY_PORTS:
            raise ConfigError(f"RelayConfig.tls: expected 'starttls', 'implicit' or 'none', got {self.tls!r}")
        if self.port is None:
            object.__setattr__(self, "port", RELAY_PORTS[self.tls])
        _check_port("RelayConfig.port", self.port)
        if self.auth is not None and self.tls == "none" and not self.allow_cleartext_auth:
            raise ConfigError(
                "RelayConfig.auth: tls='none' would send the password in clear; use tls='starttls', "
                "or say allow_cleartext_auth=True"
            )
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise ConfigError(f"RelayConfig.ca_file: expected a PEM file, got {self.ca_file!r}, which is not there")

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The relay of `smtp+starttls://user:pw@host:587`, `smtps://...` or `smtp://...` (no TLS)."""
        parts = urlsplit(url)
        modes: Mapping[str, RelayTls] = {"smtp+starttls": "starttls", "smtps": "implicit", "smtp": "none"}
        if parts.scheme not in modes or not parts.hostname:
            raise ConfigError(
                "relay URL: expected smtp+starttls://, smtps:// or smtp:// and a host, "
                f"got {parts.scheme or 'no scheme'}://{parts.hostname or ''}"
            )
        try:
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"relay URL: expected a port from 1 to 65535: {error}") from error
        auth = None
        if parts.username is not None:
            auth = SmtpAuth(unquote(parts.username), unquote(parts.password or ""))
        return cls(parts.hostname, port, modes[parts.scheme], auth)

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
        if self.protocol not in DNS_PORTS:
            raise ConfigError(
                f"ResolverSetup.protocol: expected 'udp', 'tcp', 'tls' or 'https', got {self.protocol!r}"
            )
        _check_port("ResolverSetup.port", self.port)
        for address in self.nameservers:
            _check_ip("ResolverSetup address", address)
        if self.protocol == "https" and not _is_installed("httpx"):
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
        cls, address: str, port: int | None = None, protocol: DnsProtocol = "udp", tls_dns_name: str | None = None
    ) -> Self:
        """One name server, by IP address; `tls_dns_name` is the name in its certificate."""
        return cls((address,), port or DNS_PORTS.get(protocol, 53), protocol, tls_dns_name)


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
        _check_port("RemoteDeliveryConfig.port", self.port)
        _check_positive("RemoteDeliveryConfig.dns_timeout_secs", self.dns_timeout_secs)
        object.__setattr__(self, "own_names", tuple(name.lower().rstrip(".") for name in self.own_names))
        object.__setattr__(self, "ip_families", tuple(self.ip_families))
        if not self.ip_families or set(self.ip_families) - {"ipv4", "ipv6"}:
            raise ConfigError(
                f"RemoteDeliveryConfig.ip_families: expected 'ipv4', 'ipv6' or both, got {self.ip_families!r}"
            )
        for name in ("source_ipv4", "source_ipv6"):
            if (address := getattr(self, name)) is not None:
                _check_ip(f"RemoteDeliveryConfig.{name}", address)


@dataclass(frozen=True, slots=True)
class Config:
    """How this Mailstrom delivers.

    `helo_name`: our name in EHLO; default the host's name if it has a dot, else looked up by
    the worker thread. `smtp_timeout_secs`: one number for connect, greeting and each command.
    `require_tls`: never in clear. `mode`: "live"; "capture", "console" and "file" do all but
    the socket. `redirect_to` sends everything to one address, `allow_domains` refuses every
    other domain: both are enforced at delivery. `default_from` is used where an email has no
    From. The limits bound sessions in all, per lane (one MX set) and messages per session.
    """

    helo_name: str | None = None
    smtp_timeout_secs: float | None = None
    base_resend_delay_secs: float = 60.0
    require_tls: bool = False
    delivery: RemoteDeliveryConfig | RelayConfig = field(default_factory=RemoteDeliveryConfig)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: SmtpTimeouts = field(default_factory=SmtpTimeouts)
    mode: Mode = "live"
    redirect_to: str | None = None
    allow_domains: tuple[str, ...] | None = None
    default_from: str | None = None
    mail_dir: str = "mail"  # where mode="file" writes
    max_sessions: int = 500
    max_sessions_per_lane: int = 20
    max_messages_per_session: int = 100
    max_session_age_secs: float = 300.0
    session_idle_secs: float = 5.0
    queue_full_wait_secs: float = 0.0  # how long send_email waits for room before QueueFull

    def __post_init__(self) -> None:
        if self.helo_name is not None:
            _check_helo_name(self.helo_name)
        if self.smtp_timeout_secs is not None:
            _check_positive("Config.smtp_timeout_secs", self.smtp_timeout_secs)
        for name in ("base_resend_delay_secs", "max_session_age_secs", "session_idle_secs"):
            _check_positive(f"Config.{name}", getattr(self, name))
        for name in ("max_sessions", "max_sessions_per_lane", "max_messages_per_session"):
            _check_count(f"Config.{name}", getattr(self, name))
        if self.mode not in ("live", "capture", "console", "file"):
            raise ConfigError(f"Config.mode: expected 'live', 'capture', 'console' or 'file', got {self.mode!r}")
        if isinstance(self.allow_domains, str):
            raise ConfigError("Config.allow_domains: expected a tuple of domains, got one string")
        if self.allow_domains is not None:
            object.__setattr__(self, "allow_domains", tuple(domain.lower() for domain in self.allow_domains))

    @property
    def retry_policy(self) -> RetryPolicy:
        """`retry`, with `base_resend_delay_secs` where it names no base of its own."""
        if self.retry.base_delay_secs is not None:
            return self.retry
        return replace(self.retry, base_delay_secs=self.base_resend_delay_secs)

    @property
    def smtp_timeouts(self) -> SmtpTimeouts:
        """`timeouts`, with `smtp_timeout_secs` where it applies."""
        if self.smtp_timeout_secs is None:
            return self.timeouts
        return self.timeouts.with_command_timeout(self.smtp_timeout_secs)


def _check_positive(name: str, secs: object) -> None:
    right = isinstance(secs, (int, float)) and not isinstance(secs, bool) and 0 < secs < float("inf")
    if not right:
        raise ConfigError(f"{name}: expected a number above 0, got {secs!r}")


def _check_count(name: str, count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"{name}: expected 1 or more, got {count!r}")


def _check_port(name: str, port: object) -> None:
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise ConfigError(f"{name}: expected 1 to 65535, got {port!r}")


def _check_ip(name: str, address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ConfigError(f"{name}: expected an IP address, got {address!r}") from None


def _check_host(name: str, host: object) -> None:
    if not isinstance(host, str) or not re.fullmatch(r"[A-Za-z0-9._:\-\[\]]{1,255}", host):
        raise ConfigError(f"{name}: expected a host name or IP address, got {host!r}")


def _check_helo_name(name: object) -> None:
    # RFC 5321 4.1.1.1: a domain or an address literal; nothing else may reach the EHLO line
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9._\-]{1,255}|\[[A-Za-z0-9.:]{2,60}\]", name):
        raise ConfigError(
            f"Config.helo_name: expected a host name such as mail.example.org or an address literal, got {name!r}"
        )


def _is_installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
