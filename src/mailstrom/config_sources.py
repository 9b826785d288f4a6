"""Settings from outside: mappings, TOML files, relay URLs (config_environment.py: variables).

Each reader gives the arguments of a class of `config.py`; that class checks the values. Texts
that may hold a password are sealed in a `Secret` first, and taken out only in functions that
raise nothing: so no exception, and no traceback that shows locals, has them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from . import config_checks as check
from .config import (
    Config,
    RelayConfig,
    RelayTls,
    RemoteDeliveryConfig,
    ResolverSetup,
    SmtpAuth,
    SmtpTimeouts,
)
from .config_limits import read_limits
from .config_storage import StorageConfig
from .errors import ConfigError
from .schedule.retry import RetryPolicy
from .secret import Secret

if TYPE_CHECKING:
    from .dkim import DkimSigner

Settings = dict[str, Any]  # the arguments of a class; it checks their types itself

URL_SCHEMES: Mapping[str, RelayTls] = {"smtp+starttls": "starttls", "smtps": "implicit", "smtp": "none"}
RELAY_KEYS = ("url", "domain_name", "port", "tls", "use_tls", "auth", "ca_file", "allow_cleartext_auth")
AUTH_KEYS = ("username", "password", "password_file", "password_env", "mechanism")
DKIM_KEYS = (
    "domain",
    "selector",
    "private_key",
    "private_key_file",
    "private_key_env",
    "canonicalization",
    "headers",
    "identity",
    "expires_after_secs",
    "every_author",
)
STORAGE_SECRETS = ("url", "listen_dsn")
STORAGE_KEYS = (
    *(item.name for item in fields(StorageConfig)),
    *(f"{name}_{place}" for name in STORAGE_SECRETS for place in ("file", "env")),
)
RESOLVER_KEYS = ("address", "nameservers", "port", "protocol", "tls_dns_name", "socket")


def sealed(given: object) -> Any:
    """The same with every password, private key and URL in it as a `Secret`."""
    if isinstance(given, Mapping):
        return {key: _sealed_item(key, value) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [sealed(each) for each in given]
    if isinstance(given, str) and "://" in given:
        return Secret(given)
    return given


def config_settings(given: object) -> Settings:
    """The arguments of `Config`."""
    settings = _table(given, "Config", [item.name for item in fields(Config)])
    readers = {
        "delivery": _delivery,
        "retry": _retry,
        "timeouts": _timeouts,
        "dkim": _dkim,
        "storage": _storage,
        "limits": read_limits,
    }
    return {key: readers[key](value) if key in readers else value for key, value in settings.items()}


def relay_settings(given: object, name: str) -> Settings:
    """The arguments of `RelayConfig`."""
    settings = _table(given, name, RELAY_KEYS)
    if "use_tls" in settings:
        _only_one(name, settings, "use_tls", "tls")
        check.flag(f"{name}.use_tls", settings["use_tls"])
        settings["tls"] = "starttls" if settings.pop("use_tls") else "none"
    url = _relay_url(settings.pop("url")) if "url" in settings else _RelayUrl()
    for key, value in url.settings().items():
        _only_one(name, settings, key, "url")
        settings[key] = value
    if "domain_name" not in settings:
        raise ConfigError(f"{name}.domain_name: expected the relay's host name, got nothing")
    auth = settings.get("auth")
    if url.username is not None or isinstance(auth, Mapping):
        settings["auth"] = _auth({} if auth is None else auth, url)
    return settings


def read_toml(path: str | os.PathLike[str]) -> Settings:
    """The tables of a TOML file, sealed."""
    check.kind("Config.from_toml path", path, (str, os.PathLike), "the path of a TOML file")
    found, problem = _toml(path)
    if problem is not None:
        raise ConfigError(f"{os.fspath(path)}: {problem}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _RelayUrl:
    """A relay URL taken apart, or what is wrong with it."""

    tls: RelayTls | None = None
    domain_name: str | None = None
    port: int | None = None
    username: str | None = None
    password: Secret | None = None
    problem: str | None = None

    def settings(self) -> Settings:
        parts = {"tls": self.tls, "domain_name": self.domain_name, "port": self.port}
        return {key: value for key, value in parts.items() if value is not None}


def _sealed_item(key: object, value: object) -> object:
    # misspelt keys as well: they are about to be refused, with their values in the locals
    named_so = re.search("pas+w|pas+$|auth|token|secret|key|dsn", str(key).lower())
    is_place = str(key).endswith(("_file", "_env"))
    if isinstance(value, str) and named_so and (not is_place or _is_pem(value)):
        return Secret(value)
    return sealed(value)


def _delivery(given: object) -> object:
    name = "Config.delivery"
    if isinstance(given, (RelayConfig, RemoteDeliveryConfig)):
        return given
    if isinstance(given, Secret):
        return RelayConfig(**relay_settings({"url": given}, name))
    if given in ("remote", "Remote"):
        return RemoteDeliveryConfig()
    given = _table(given, name, ("relay", "remote", "Relay", "Remote"))
    table = {key.lower(): value for key, value in given.items()}
    if len(table) != 1:
        raise ConfigError(f"{name}: expected one of relay and remote, got {len(table)} of them")
    if "remote" in table:
        return _remote(table["remote"])
    if isinstance(table["relay"], RelayConfig):
        return table["relay"]
    relay = {"url": table["relay"]} if isinstance(table["relay"], Secret) else table["relay"]
    return RelayConfig(**relay_settings(relay, f"{name}.relay"))


def _remote(given: object) -> RemoteDeliveryConfig:
    if isinstance(given, RemoteDeliveryConfig):
        return given
    settings = _table(given, "Config.delivery.remote", [item.name for item in fields(RemoteDeliveryConfig)])
    if "resolver_setup" in settings:
        settings["resolver_setup"] = _resolver_setup(settings["resolver_setup"])
    return RemoteDeliveryConfig(**settings)


def _resolver_setup(given: object) -> object:
    name = "resolver_setup"
    if isinstance(given, ResolverSetup):
        return given
    if isinstance(given, str):
        check.choice(name, given.lower(), ("system", "systemconf", "google", "cloudflare", "quad9"))
        maker = "system" if given.lower() == "systemconf" else given.lower()  # the crate's SystemConf
        setup: ResolverSetup = getattr(ResolverSetup, maker)()
        return setup
    if isinstance(given, Mapping) and len(given) == 1 and next(iter(given)) in ("specific", "Specific"):
        given = next(iter(given.values()))
    settings = _table(given, name, RESOLVER_KEYS)
    if isinstance(settings.get("protocol"), str):
        settings["protocol"] = settings["protocol"].lower()
    return _nameservers(name, settings)


def _nameservers(name: str, settings: Settings) -> ResolverSetup:
    if "socket" in settings:
        _only_one(name, settings, "socket", "address")
        _only_one(name, settings, "socket", "port")
        settings["address"], settings["port"] = _socket_address(f"{name}.socket", settings.pop("socket"))
    if "nameservers" in settings:
        _only_one(name, settings, "nameservers", "address")
        listed = check.texts(f"{name}.nameservers", settings.pop("nameservers"), "IP addresses")
        first, *others = listed or ("",)
    else:
        first, others = settings.pop("address", None), []
    setup = ResolverSetup.specific(first, **settings)
    return ResolverSetup((*setup.nameservers, *others), setup.port, setup.protocol, setup.tls_dns_name)


def _socket_address(name: str, socket: object) -> tuple[str, int]:
    """Address and port of the crate's `socket`: 192.0.2.53:53 or [2001:db8::53]:53."""
    address, _, port = str(socket).rpartition(":")
    if not address or not port.isdecimal() or len(port) > 5:
        raise ConfigError(
            f"{name}: expected an address and port such as 192.0.2.53:53, got {check.shown(socket)}"
        )
    return address.removeprefix("[").removesuffix("]"), int(port)


def _retry(given: object) -> object:
    if isinstance(given, RetryPolicy):
        return given
    if given == "rfc5321":
        return RetryPolicy.rfc5321()
    settings = _table(given, "Config.retry", [item.name for item in fields(RetryPolicy)])
    if settings.get("tries") == "none":  # TOML and the environment have no None
        settings["tries"] = None
    max_age = settings.get("max_age")
    if max_age is not None and not isinstance(max_age, timedelta):
        check.positive("Config.retry.max_age (seconds)", max_age)
        settings["max_age"] = timedelta(seconds=min(max_age, 1e11))
    return RetryPolicy(**settings)


def _storage(given: object) -> object:
    if not isinstance(given, Mapping):
        return given
    name = "Config.storage"
    settings = _table(given, name, STORAGE_KEYS)
    for key in ("retention", "status_retention"):
        if key in settings and not isinstance(settings[key], timedelta):
            check.secs(f"{name}.{key}", settings[key], least=0)
            settings[key] = timedelta(seconds=settings[key])
    for key in STORAGE_SECRETS:
        sources = [each for each in (key, f"{key}_file", f"{key}_env") if each in settings]
        if len(sources) > 1:
            raise ConfigError(f"{name}: expected one of them, got {' and '.join(sources)}")
        if sources:
            settings[key] = _secret(name, sources[0], settings.pop(sources[0]))
    return settings["url"] if [*settings] == ["url"] else StorageConfig(**settings)


def _timeouts(given: object) -> object:
    if isinstance(given, SmtpTimeouts):
        return given
    return SmtpTimeouts(**_table(given, "Config.timeouts", [item.name for item in fields(SmtpTimeouts)]))


def _auth(given: Mapping[str, object], url: _RelayUrl) -> SmtpAuth:
    name = "RelayConfig.auth"
    settings = _table(given, name, AUTH_KEYS)
    username: Any = settings.get("username", url.username)
    if url.username is not None and username != url.username:
        raise ConfigError(f"{name}.username: expected it here or in the URL, got both")
    sources: list[str] = [key for key in ("password", "password_file", "password_env") if key in settings]
    sources += ["URL"] if url.password is not None else []
    if len(sources) != 1:
        got = " and ".join(sources) or "none of them"
        raise ConfigError(f"{name}: expected one of password, password_file and password_env, got {got}")
    password = url.password or _secret(name, sources[0], settings[sources[0]])
    return SmtpAuth(username, password, settings.get("mechanism"))


def _dkim(given: object) -> object:
    signers = given if isinstance(given, (list, tuple)) else [given]
    return tuple(_signer(each) if isinstance(each, Mapping) else each for each in signers)


def _signer(given: Mapping[str, object]) -> DkimSigner:
    from .dkim import DkimSigner

    name = "Config.dkim"
    settings = _table(given, name, DKIM_KEYS)
    for key in ("domain", "selector"):
        if key not in settings:
            raise ConfigError(f"{name}.{key}: expected a text, got nothing")
    sources = [key for key in ("private_key", "private_key_file", "private_key_env") if key in settings]
    if len(sources) != 1:
        got = " and ".join(sources) or "none of them"
        keys = "private_key, private_key_file and private_key_env"
        raise ConfigError(f"{name}: expected one of {keys}, got {got}")
    key = _secret(name, sources[0], settings.pop(sources[0]))
    return DkimSigner(private_key=_pem(key) if isinstance(key, Secret) else key, **settings)


def _pem(key: Secret) -> bytes:
    """The key's PEM; in one line of text (a variable, mostly) each \\n stands for a line's end."""
    return key.reveal().replace("\\n", "\n").encode("ascii", "replace")


def _secret(name: str, source: str, given: Any) -> Any:
    """The secret of a setting such as password, password_file or password_env."""
    is_file = source.endswith("_file")
    if not is_file and not source.endswith("_env"):
        return given
    what = source.rpartition("_")[0].replace("_", " ")
    if isinstance(given, Secret):
        raise ConfigError(f"{name}.{source}: expected where the {what} is, not the {what} itself")
    check.text(f"{name}.{source}", given, "a path" if is_file else "a variable's name")
    found, problem = _from_file(given, what) if is_file else _from_variable(given, what)
    if found is None:
        raise ConfigError(f"{name}.{source}: {problem}")
    return found


def _from_file(path: str, what: str) -> tuple[Secret | None, str]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(100_000).removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeError) as error:
        return None, f"expected a file with the {what}, {path!a} cannot be read ({type(error).__name__})"
    return (Secret(text), "") if text else (None, f"expected a {what}, file {path!a} is empty")


def _from_variable(name: str, what: str) -> tuple[Secret | None, str]:
    text = os.environ.get(name)
    return (Secret(text), "") if text else (None, f"expected a {what}, variable {name!a} is not set")


def _is_pem(text: str) -> bool:
    return "-----BEGIN" in text


def _relay_url(given: object) -> _RelayUrl:
    url = _taken_apart(given) if isinstance(given, Secret) else _RelayUrl(problem="expected a text with ://")
    if url.problem is not None:
        raise ConfigError(f"relay URL: {url.problem}")
    return url


def _taken_apart(sealed_url: Secret) -> _RelayUrl:
    """The parts of the URL; never raises, and says nothing that may be part of a password."""
    try:
        parts = urlsplit(sealed_url.reveal())
        host, username, password = parts.hostname, parts.username, parts.password
    except ValueError:
        return _RelayUrl(problem="expected a URL such as smtp+starttls://user:password@relay.example:587")
    if parts.scheme not in URL_SCHEMES or not host:
        return _RelayUrl(
            problem="expected smtp+starttls://, smtps:// or smtp:// and a host, such as "
            "smtp+starttls://user:password@relay.example:587"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return _RelayUrl(
            problem="expected nothing after host and port "
            "(in user and password write / as %2F, ? as %3F, # as %23)"
        )
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        return _RelayUrl(problem="expected a port from 1 to 65535 (in user and password write : as %3A)")
    return _RelayUrl(
        tls=URL_SCHEMES[parts.scheme],
        domain_name=host,
        port=port,
        username=None if username is None else unquote(username),
        password=Secret(unquote(password)) if password else None,
    )


def _toml(path: str | os.PathLike[str]) -> tuple[Settings, str | None]:
    import tomllib

    try:
        with open(path, "rb") as file:
            return sealed(tomllib.load(file)), None
    except OSError as error:
        return {}, f"expected a TOML file that can be read ({error.strerror or type(error).__name__})"
    except tomllib.TOMLDecodeError as error:
        return {}, f"expected TOML: {error}"
    except UnicodeError:
        return {}, "expected TOML in UTF-8"


def _table(given: object, name: str, known: Collection[str]) -> Settings:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{name}: expected a table, got {check.kind_of(given)}")
    for key in given:
        if key not in known:
            near = nearest(str(key), known)
            hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(known)}"
            raise ConfigError(f"{name}: there is no setting {check.shown(key)}; {hint}")
    return dict(given)


def nearest(name: str, known: Collection[str], likeness: float = 0.6) -> str | None:
    """The known name that is most like it, if any is."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, n=1, cutoff=likeness)), None)


def _only_one(name: str, settings: Settings, key: str, other: str) -> None:
    """`key` and `other` say the same thing: one of them only."""
    if other in settings or (other == "url" and key in settings):
        raise ConfigError(f"{name}: expected one of {key} and {other}, got both")
