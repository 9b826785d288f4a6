"""Where the queue rests, with every setting that it has beyond its address."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Literal

from . import config_checks as check
from .errors import ConfigError
from .secret import Secret, sealing

Durability = Literal["full", "normal"]

DURABILITIES = ("full", "normal")
SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,40}")

_ADDRESS = "url"
_OF_BOTH = ("retention", "status_retention", "poll_secs")
_OF_SQLITE = ("durability", "busy_timeout_secs")
_OF_POSTGRES = ("listen_dsn", "schema", "max_connections", "notify", "reply_timeout_secs")


@sealing("url", "listen_dsn")
@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """A queue's URL and settings; None is the default of `SqliteStorage` or `PostgresStorage`.

    What they mean is told there. `url` may come later (`replace`): a file has the settings, and the
    environment the URL with its password. A setting that the queue of this URL does not have is a
    `ConfigError`.
    """

    url: str | Secret | None = None  # kept as a Secret, like listen_dsn
    retention: timedelta | None = None
    status_retention: timedelta | None = None
    poll_secs: float | None = None
    durability: Durability | None = None
    busy_timeout_secs: float | None = None
    listen_dsn: str | Secret | None = None
    schema: str | None = None
    max_connections: int | None = None
    notify: bool | None = None
    reply_timeout_secs: float | None = None

    def __post_init__(self) -> None:
        check.storage_url("StorageConfig.url", self.url)
        for name, value in self.settings.items():
            _check(f"StorageConfig.{name}", name, value)
        if isinstance(self.url, Secret):
            self._check_belongs("SQLite" if self.is_sqlite else "PostgreSQL")

    @property
    def is_sqlite(self) -> bool:
        """The URL names a file."""
        return isinstance(self.url, Secret) and self.url.reveal().startswith("sqlite:")

    @property
    def settings(self) -> dict[str, Any]:
        """Those that are given, as arguments of the storage."""
        given = {item.name: getattr(self, item.name) for item in fields(self) if item.name != _ADDRESS}
        return {name: value for name, value in given.items() if value is not None}

    def _check_belongs(self, kind: str) -> None:
        known = (*_OF_BOTH, *(_OF_SQLITE if kind == "SQLite" else _OF_POSTGRES))
        for name in self.settings:
            if name not in known:
                raise ConfigError(
                    f"StorageConfig.{name}: a queue on {kind} has no such setting, only {', '.join(known)}"
                )


def check_storage(name: str, given: object) -> None:
    """None, a URL (sealed), or a `StorageConfig`."""
    if not isinstance(given, StorageConfig):
        check.storage_url(name, given)


def _check(whole_name: str, name: str, value: object) -> None:
    match name:
        case "retention" | "status_retention":
            check.kind(whole_name, value, timedelta, "a timedelta")
            if value < timedelta(0):  # type: ignore[operator]
                raise ConfigError(f"{whole_name}: expected 0 seconds or more, got {value}")
        case "durability":
            check.choice(whole_name, value, DURABILITIES)
        case "listen_dsn":
            check.kind(whole_name, value, Secret, "a text such as 'host=db.mydomain.example dbname=app'")
        case "schema":
            if not isinstance(value, str) or not SCHEMA.fullmatch(value):
                raise ConfigError(
                    f"{whole_name}: expected a name of a-z, 0-9 and _, at most 41 long, got "
                    f"{check.shown(value)}"
                )
        case "max_connections":
            check.count(whole_name, value)
        case "notify":
            check.flag(whole_name, value)
        case _:
            check.secs(whole_name, value)
