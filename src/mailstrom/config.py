"""Every setting, frozen, checked once when it is made.

    Config
    ├── delivery: RemoteDeliveryConfig (to the MX of each domain) | RelayConfig (all to one host)
    ├── retry: RetryPolicy
    ├── timeouts: SmtpTimeouts
    ├── dkim: DkimSigner, any number of them
    ├── limits: LaneLimits by destination
    └── storage: StorageConfig, or a URL

`from_dict`, `from_toml` and `from_env` read the same from outside; a `Secret` reaches no repr, log or error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Self, cast

from . import config_checks as check
from .config_delivery import (
    DnsProtocol,
    RelayConfig,
    RelayTls,
    RemoteDeliveryConfig,
    ResolverSetup,
    SmtpAuth,
    SmtpTimeouts,
)
from .config_limits import LaneLimits, Limits, checked_limits
from .config_storage import StorageConfig, check_storage
from .errors import ConfigError
from .schedule.retry import RetryPolicy
from .secret import Secret, sealing

if TYPE_CHECKING:
    from .dkim import DkimSigner

__all__ = [
    "Config",
    "DnsProtocol",
    "EventLoop",
    "Mode",
    "RelayConfig",
    "RelayTls",
    "RemoteDeliveryConfig",
    "ResolverSetup",
    "SmtpAuth",
    "SmtpTimeouts",
]

Mode = Literal["live", "capture", "console", "file"]
EventLoop = Literal["auto", "asyncio", "uvloop"]

MODES = ("live", "capture", "console", "file")
EVENT_LOOPS = ("auto", "asyncio", "uvloop")

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
    `limits`: what single destinations bear, by their names (config_limits.py); `provider_limits`: what
    the large mailbox providers are known to bear (route/providers.py).
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
    envelope_behind_dot: bool = False  # the next one, with the message before it, where the host takes that
    delayed_after_secs: float = 14_400.0  # a "delayed" event for what waits longer
    queue_full_wait_secs: float = 0.0  # how long send_email waits for room before QueueFull
    lease_secs: float = 60.0  # how long a worker that died keeps its mail from others, where no lock tells
    storage: str | Secret | StorageConfig | None = None  # a URL, "sqlite:///mail.db", is kept as a Secret
    event_loop: EventLoop = "auto"  # the worker's; auto: uvloop where it is installed, else asyncio
    limits: Mapping[str, LaneLimits] | Limits = ()  # kept as a tuple of pairs
    provider_limits: bool = True

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
        for name in ("require_tls", "provider_limits", "envelope_behind_dot"):
            check.flag(f"Config.{name}", getattr(self, name))
        delivery = "RemoteDeliveryConfig(...) or RelayConfig(...) (for a URL: RelayConfig.from_url)"
        check.kind("Config.delivery", self.delivery, (RemoteDeliveryConfig, RelayConfig), delivery)
        check.kind("Config.retry", self.retry, RetryPolicy, "RetryPolicy(...)")
        check.kind("Config.timeouts", self.timeouts, SmtpTimeouts, "SmtpTimeouts(...)")
        check.choice("Config.mode", self.mode, MODES)
        check.choice("Config.event_loop", self.event_loop, EVENT_LOOPS)
        if self.event_loop == "uvloop" and not check.is_installed("uvloop"):
            raise ConfigError("Config.event_loop: 'uvloop' needs the extra: pip install 'mailstrom[uvloop]'")
        object.__setattr__(self, "dkim", check.signers("Config.dkim", self.dkim))
        relay = None if self.relay_key is None else self.relay_key.removeprefix("relay:")
        object.__setattr__(self, "limits", checked_limits("Config.limits", self.limits, relay))
        check_storage("Config.storage", self.storage)
        if self.require_tls and isinstance(self.delivery, RelayConfig) and self.delivery.tls == "none":
            raise ConfigError("Config.require_tls: expected a relay over TLS, got one with tls='none'")
        self._check_texts()

    @classmethod
    def from_dict(cls, given: Mapping[str, object]) -> Self:
        """The settings of a mapping, as JSON or TOML hold them; the crate's spellings are understood.

        `delivery` is `{"relay": {...}}`, `{"remote": {...}}` or a relay URL; `retry` and
        `timeouts` are tables; `resolver_setup` is a name ("system", "google", ...) or a table.
        `dkim` is a table, or a list of them; `storage` a URL or a table; `limits` a table of tables. For
        `password`, `private_key`, `url` there may be `..._file` (a path) or `..._env` (a variable). An
        unknown key is a `ConfigError`.
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
        An empty one counts as not set; `MAILSTROM_RELAY_PASSWORD_FILE` names a file. `MAILSTROM_LIMITS` is
        JSON.
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
    def limits_by_destination(self) -> Mapping[str, LaneLimits]:
        """`limits`, as a mapping."""
        return dict(cast("Limits", self.limits))

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
