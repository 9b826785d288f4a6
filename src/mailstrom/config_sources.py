"""Settings from outside: mappings, TOML files, environment variables, relay URLs.

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
from typing import Any
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
from .errors import ConfigError
from .schedule.retry import RetryPolicy
from .secret import Secret

Settings = dict[str, Any]  # the arguments of a class; it checks their types itself

URL_SCHEMES: Mapping[str, RelayTls] = {"smtp+starttls": "starttls", "smtps": "implicit", "smtp": "none"}
RELAY_KEYS = ("url", "domain_name", "port", "tls", "use_tls", "auth", "ca_file", "allow_cleartext_auth")
AUTH_KEYS = ("username", "password", "password_file", "password_env", "mechanism")
RESOLVER_KEYS = ("address", "nameservers", "port", "protocol", "tls_dns_name", "socket")


def sealed(given: object) -> Any:
    """The same with every password and URL in it as a `Secret`."""
    if isinstance(given, Mapping):
        return {key: _sealed_item(key, value) for key, value in given.items()}
    if isinstance(given, str) and "://" in given:
        return Secret(given)
    return given


def config_settings(given: object) -> Settings:
    """The arguments of `Config`."""
    settings = _table(given, "Config", [item.name for item in fields(Config)])
    readers = {"delivery": _delivery, "retry": _retry, "timeouts": _timeouts}
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


def sealed_environment(environ: Mapping[str, str], prefix: str) -> dict[str, Secret]:
    """The variables with this prefix, without it; empty ones count as not set."""
    return {
        name.removeprefix(prefix): Secret(text)
        for name, text in environ.items()
        if name.startswith(prefix) and text != ""
    }


def environment_tables(variables: Mapping[str, Secret], prefix: str) -> Settings:
    """The tables that the variables stand for, as `config_settings` takes them."""
    known = _environment_names()
    settings: Settings = {}
    for name, text in variables.items():
        if name not in known:
            _refuse_misspelt(prefix, name, known)
            continue
        table, key, kind = known[name]
        target = settings
        for part in table:
            target = target.setdefault(part, {})
        target[key] = _from_text(prefix + name, text, kind)
    return settings


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
    named_so = re.search("pas+w|pas+$|auth|token|secret", str(key).lower())
    if isinstance(value, str) and named_so and key not in ("password_file", "password_env"):
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
    password = url.password or _password(name, sources[0], settings[sources[0]])
    return SmtpAuth(username, password, settings.get("mechanism"))


def _password(name: str, source: str, given: Any) -> Any:
    if source == "password":
        return given
    check.text(f"{name}.{source}", given, "a path" if source == "password_file" else "a variable's name")
    found, problem = _from_file(given) if source == "password_file" else _from_variable(given)
    if found is None:
        raise ConfigError(f"{name}.{source}: {problem}")
    return found


def _from_file(path: str) -> tuple[Secret | None, str]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(100_000).removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeError) as error:
        return None, f"expected a file with the password, {path!a} cannot be read ({type(error).__name__})"
    return (Secret(text), "") if text else (None, f"expected a password, file {path!a} is empty")


def _from_variable(name: str) -> tuple[Secret | None, str]:
    text = os.environ.get(name)
    return (Secret(text), "") if text else (None, f"expected a password, variable {name!a} is not set")


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


def _environment_names() -> dict[str, tuple[tuple[str, ...], str, str]]:
    """Each variable's name without prefix: the table it belongs to, its key there, and its type."""
    parts: list[tuple[str, tuple[str, ...], type]] = [
        ("", (), Config),
        ("RETRY_", ("retry",), RetryPolicy),
        ("TIMEOUTS_", ("timeouts",), SmtpTimeouts),
        ("RELAY_", ("delivery", "relay"), RelayConfig),
        ("REMOTE_", ("delivery", "remote"), RemoteDeliveryConfig),
    ]
    names = {
        prefix + item.name.upper(): (table, item.name, str(item.type))
        for prefix, table, part in parts
        for item in fields(part)
        if item.name not in ("delivery", "retry", "timeouts", "auth")
    }
    names["RETRY"] = (), "retry", "str"
    names["RELAY_URL"] = ("delivery", "relay"), "url", "Secret"
    for key in AUTH_KEYS:
        kind = "Secret" if key == "password" else "str"
        names[f"RELAY_{key.upper()}"] = ("delivery", "relay", "auth"), key, kind
    return names


def _from_text(name: str, given: Secret, kind: str) -> object:
    """The value of a variable whose setting has this type."""
    kind = kind.removesuffix(" | None")
    if kind == "Secret":
        return given
    text = given.reveal().strip()
    if kind == "bool":
        return _flag(name, text)
    if kind in ("int", "float", "timedelta") and text.lower() != "none":
        return _number(name, text, whole=kind == "int")
    if kind.startswith("tuple["):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _flag(name: str, text: str) -> bool:
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off"):
        return False
    raise ConfigError(f"{name}: expected true or false, got {check.shown(text)}")


def _number(name: str, text: str, *, whole: bool) -> int | float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        expected = "a whole number" if whole else "a number"
        raise ConfigError(f"{name}: expected {expected}, got {check.shown(text)}") from None


def _table(given: object, name: str, known: Collection[str]) -> Settings:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{name}: expected a table, got {check.kind_of(given)}")
    for key in given:
        if key not in known:
            near = _nearest(str(key), known)
            hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(known)}"
            raise ConfigError(f"{name}: there is no setting {check.shown(key)}; {hint}")
    return dict(given)


def _refuse_misspelt(prefix: str, name: str, known: Collection[str]) -> None:
    """Only what is nearly a name of ours: other programs may use the prefix, too."""
    near = _nearest(name, known, 0.85)
    if near is not None:
        raise ConfigError(f"there is no setting {prefix}{name}; did you mean {prefix}{near}?")


def _nearest(name: str, known: Collection[str], likeness: float = 0.6) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, n=1, cutoff=likeness)), None)


def _only_one(name: str, settings: Settings, key: str, other: str) -> None:
    """`key` and `other` say the same thing: one of them only."""
    if other in settings or (other == "url" and key in settings):
        raise ConfigError(f"{name}: expected one of {key} and {other}, got both")
