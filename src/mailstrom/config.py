"""Every setting, frozen, checked once when it is made.

    Config
    ├── delivery: RemoteDeliveryConfig (to the MX of each domain) | RelayConfig (all to one host)
    ├── retry: RetryPolicy
    ├── timeouts: SmtpTimeouts
    ├── dkim: DkimSigner, any number of them
    └── storage: StorageConfig, or a URL

`from_dict`, `from_toml` and `from_env` read the same from outside; a `Secret` reaches no repr, log or error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal, Self, cast

from . import config_checks as check
from .config_storage import StorageConfig, check_storage
from .errors import ConfigError
from .schedule.retry import RetryPolicy
from .secret import Secret, sealing

if TYPE_CHECKING:
    from .dkim import DkimSigner

RelayTls = Literal["starttls", "implicit", "none"]
Mode = Literal["live", "capture", "console", "file"]
DnsProtocol = Literal["udp", "tcp", "tls", "https"]

MODES = ("live", "capture", "console", "file")
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
    `dot_secs` the reply to the final dot, and each to what goes out in one write: less buys duplicates.
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


_DURATIONS = ("base_resend_delay_secs", "max_session_age_secs", "session_idle_secs", "delayed_after_secs")


@sealing("storage")
@dataclass(frozen=True, slots=True)
class Config:
    """How this Mailstrom delivers.

    `helo_name`: our name in EHLO; default the host's name if it has a dot, else looked up by the
    worker thread. `smtp_timeout_secs`: one number for connect, greeting and each command.
    `require_tls`: never in clear. `mode`: "live"; "capture", "console" and "file" do all but the
    socket. `redirect_to` sends everything to one address, `allow_domains` refuses every other, both
    at delivery. `default_from`: for emails without From. `dkim`: who signs, by the domain of From.
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
    dkim: DkimSigner | Sequence[DkimSigner] = ()  # kept as a tuple
    mail_dir: str = "mail"  # where mode="file" writes
    max_sessions: int = 500  # in all
    max_sessions_per_lane: int = 20  # a lane is one MX set
    max_messages_per_session: int = 100
    max_session_age_secs: float = 300.0
    session_idle_secs: float = 5.0
    delayed_after_secs: float = 14_400.0  # a "delayed" event for what waits longer
    queue_full_wait_secs: float = 0.0  # how long send_email waits for room before QueueFull
    lease_secs: float = 60.0  # how long a worker that died keeps its mail from others, where no lock tells
    storage: str | Secret | StorageConfig | None = None  # a URL, "sqlite:///mail.db", is kept as a Secret

    def __post_init__(self) -> None:
        if self.helo_name is not None:
            check.helo_name("Config.helo_name", self.helo_name)
        if self.smtp_timeout_secs is not None:
            check.secs("Config.smtp_timeout_secs", self.smtp_timeout_secs)
        check.durations("Config", {name: getattr(self, name) for name in _DURATIONS})
        check.secs("Config.lease_secs", self.lease_secs, least=1)
        check.secs("Config.queue_full_wait_secs", self.queue_full_wait_secs, least=0)
        for name in ("max_sessions", "max_sessions_per_lane", "max_messages_per_session"):
            check.count(f"Config.{name}", getattr(self, name))
        check.flag("Config.require_tls", self.require_tls)
        delivery = "RemoteDeliveryConfig(...) or RelayConfig(...) (for a URL: RelayConfig.from_url)"
        check.kind("Config.delivery", self.delivery, (RemoteDeliveryConfig, RelayConfig), delivery)
        check.kind("Config.retry", self.retry, RetryPolicy, "RetryPolicy(...)")
        check.kind("Config.timeouts", self.timeouts, SmtpTimeouts, "SmtpTimeouts(...)")
        check.choice("Config.mode", self.mode, MODES)
        object.__setattr__(self, "dkim", check.signers("Config.dkim", self.dkim))
        check_storage("Config.storage", self.storage)
        if self.require_tls and isinstance(self.delivery, RelayConfig) and self.delivery.tls == "none":
            raise ConfigError("Config.require_tls: expected a relay over TLS, got one with tls='none'")
        self._check_texts()

    @classmethod
    def from_dict(cls, given: Mapping[str, object]) -> Self:
        """The settings of a mapping, as JSON or TOML hold them; the crate's spellings are understood.

        `delivery` is `{"relay": {...}}`, `{"remote": {...}}` or a relay URL; `retry` and
        `timeouts` are tables; `resolver_setup` is a name ("system", "google", ...) or a table.
        `dkim` is a table, or a list of them; `storage` a URL or a table. For `password`, `private_key`,
        `url` there may be `..._file` (a path) or `..._env` (a variable). An unknown key is a `ConfigError`.
        """
        from .config_sources import config_settings, sealed
        given = sealed(given)
        return cls(**config_settings(given))

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """The settings of a TOML file, with the keys of `from_dict`."""
        from .config_sources import config_settings, read_toml

        return cls(**config_settings(read_toml(path)))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, prefix: str = "MAILSTROM_") -> Self:
        """The settings of environment variables: `MAILSTROM_HELO_NAME`, `MAILSTROM_RELAY_URL`, ...

        One for each setting of this class, and `RELAY_...`, `REMOTE_...`, `RETRY_...`, `TIMEOUTS_...`,
        `STORAGE_...`, `DKIM_...` (one signer) for those of its parts. Lists are separated by commas.
        An empty one counts as not set; `MAILSTROM_RELAY_PASSWORD_FILE` names a file.
        """
        from .config_environment import environment_tables, sealed_environment
        from .config_sources import config_settings

        variables = sealed_environment(os.environ if environ is None else environ, prefix)
        del environ  # a traceback may show the locals of every frame
        return cls(**config_settings(environment_tables(variables, prefix)))

    @property
    def dkim_signers(self) -> tuple[DkimSigner, ...]:
        """`dkim`, as it is kept."""
        return cast("tuple[DkimSigner, ...]", self.dkim)

    @property
    def retry_policy(self) -> RetryPolicy:
        """`retry`, with `base_resend_delay_secs` where it names no base of its own."""
        if self.retry.base_delay_secs is not None:
            return self.retry
        return replace(self.retry, base_delay_secs=self.base_resend_delay_secs)

    @property
    def relay_key(self) -> str | None:
        """The route key of all mail where there is a relay."""
        return self.delivery.route_key if isinstance(self.delivery, RelayConfig) else None

    @property
    def smtp_timeouts(self) -> SmtpTimeouts:
        """`timeouts`, with `smtp_timeout_secs` where it applies."""
        if self.smtp_timeout_secs is None:
            return self.timeouts
        return self.timeouts.with_command_timeout(self.smtp_timeout_secs)

    def _check_texts(self) -> None:
        for name in ("redirect_to", "default_from"):
            if getattr(self, name) is not None:
                check.address(f"Config.{name}", getattr(self, name))
        if self.allow_domains is not None:
            domains = check.texts("Config.allow_domains", self.allow_domains, "domains")
            on_the_wire = tuple(check.domain("Config.allow_domains", each) for each in domains)
            object.__setattr__(self, "allow_domains", on_the_wire)
        check.kind("Config.mail_dir", self.mail_dir, (str, os.PathLike), "the path of a folder")
        object.__setattr__(self, "mail_dir", os.fspath(self.mail_dir))


def _mechanism(given: object) -> str | None:
    """The SASL name, from the crate's spelling as well: CramMd5, cram_md5, CRAM-MD5."""
    if not isinstance(given, str):
        return None
    return AUTH_MECHANISMS.get(given.lower().replace("-", "").replace("_", ""))
