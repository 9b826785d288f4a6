"""Settings from environment variables, as the tables that config_sources.py reads.

What a variable holds may be a password or a key: it is sealed in a `Secret` first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields

from . import config_checks as check
from .config import Config, RelayConfig, RemoteDeliveryConfig, SmtpTimeouts
from .config_sources import AUTH_KEYS, DKIM_KEYS, STORAGE_KEYS, Settings, nearest
from .config_storage import StorageConfig
from .errors import ConfigError
from .schedule.retry import RetryPolicy
from .secret import Secret

_EXAMPLE = '"*": {"rate": "100/min"}'
_DKIM_KINDS = {
    "private_key": "Secret",
    "headers": "tuple[str]",
    "expires_after_secs": "int",
    "every_author": "bool",
}


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
        if key in target:  # STORAGE and STORAGE_URL
            raise ConfigError(f"{prefix}{name}: expected one of STORAGE and STORAGE_URL, got both")
        target[key] = _from_text(prefix + name, text, kind)
    return settings


def _environment_names() -> dict[str, tuple[tuple[str, ...], str, str]]:
    """Each variable's name without prefix: the table it belongs to, its key there, and its type."""
    parts: list[tuple[str, tuple[str, ...], type]] = [
        ("", (), Config),
        ("RETRY_", ("retry",), RetryPolicy),
        ("TIMEOUTS_", ("timeouts",), SmtpTimeouts),
        ("RELAY_", ("delivery", "relay"), RelayConfig),
        ("REMOTE_", ("delivery", "remote"), RemoteDeliveryConfig),
        ("STORAGE_", ("storage",), StorageConfig),
    ]
    names = {
        prefix + item.name.upper(): (table, item.name, str(item.type))
        for prefix, table, part in parts
        for item in fields(part)
        if item.name not in ("delivery", "retry", "timeouts", "dkim", "auth", "storage", "limits")
    }
    names["RETRY"] = (), "retry", "str"
    names["LIMITS"] = (), "limits", "json"
    names["STORAGE"] = ("storage",), "url", "Secret"
    for key in STORAGE_KEYS:
        names.setdefault(f"STORAGE_{key.upper()}", (("storage",), key, "str"))
    names["RELAY_URL"] = ("delivery", "relay"), "url", "Secret"
    for key in AUTH_KEYS:
        kind = "Secret" if key == "password" else "str"
        names[f"RELAY_{key.upper()}"] = ("delivery", "relay", "auth"), key, kind
    for key in DKIM_KEYS:
        names[f"DKIM_{key.upper()}"] = ("dkim",), key, _DKIM_KINDS.get(key, "str")
    return names


def _from_text(name: str, given: Secret, kind: str) -> object:
    """The value of a variable whose setting has this type."""
    kind = kind.removesuffix(" | None")
    if kind.endswith("Secret"):
        return given
    text = given.reveal().strip()
    if kind == "bool":
        return _flag(name, text)
    if kind == "json":
        return _json(name, text)
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


def _json(name: str, text: str) -> object:
    import json

    try:
        return json.loads(text)
    except ValueError:
        raise ConfigError(f"{name}: expected JSON, such as {{{_EXAMPLE}}}, got {check.shown(text)}") from None


def _number(name: str, text: str, *, whole: bool) -> int | float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        expected = "a whole number" if whole else "a number"
        raise ConfigError(f"{name}: expected {expected}, got {check.shown(text)}") from None


def _refuse_misspelt(prefix: str, name: str, known: Collection[str]) -> None:
    """Only what is nearly a name of ours: other programs may use the prefix, too."""
    near = nearest(name, known, 0.85)
    if near is not None:
        raise ConfigError(f"there is no setting {prefix}{name}; did you mean {prefix}{near}?")
