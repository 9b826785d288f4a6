"""What a project's settings say.

    MAILSTROM = {
        "delivery": "smtps://user:password@mail.example.org",    any setting of `Config.from_dict`
        "storage": "postgresql://...",    default: the queue is in DATABASES["default"]
        "on_commit": False,               default True: sent if the transaction commits
        "role": "never",                  default "auto"; `Mailstrom.start` tells what it means
    }

With the setting MAILERS (Django 6.1), the OPTIONS of a mailer say the same, over what MAILSTROM says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from ...config import Config
from ...config_checks import flag
from ...errors import ConfigError
from ...secret import Secret

if TYPE_CHECKING:
    from ...engine.tenure import Role

__all__ = ["Settings"]

DEFAULTS: Mapping[str, object] = {"on_commit": True, "role": "auto"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a project sends."""

    config: Config  # with a storage
    is_outbox: bool  # that storage is the default database
    on_commit: bool
    role: Role

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Self:
        """Those of the project, with `options` over them; raises `ConfigError`."""
        given = {**DEFAULTS, **getattr(settings, "MAILSTROM", {}), **options}
        on_commit, role = given.pop("on_commit"), given.pop("role")
        flag("MAILSTROM.on_commit", on_commit)
        is_outbox = given.get("storage") is None
        if is_outbox:
            given["storage"] = default_database()
        return cls(
            config=Config.from_dict(given),
            is_outbox=is_outbox,
            on_commit=cast("bool", on_commit),
            role=cast("Role", role),
        )


def default_database() -> Secret:
    """The URL of the queue in the default database."""
    database = connections[DEFAULT_DB_ALIAS]
    match database.vendor:
        case "sqlite":
            path = os.path.abspath(database.settings_dict["NAME"])
            return Secret(f"sqlite:///{quote(path)}")
        case "postgresql":
            return Secret(f"postgresql:///?{urlencode(_conninfo(database), quote_via=quote)}")
        case vendor:
            raise ConfigError(
                f"MAILSTROM: the default database is {vendor}, a queue needs SQLite or PostgreSQL: give "
                'a "storage", such as "sqlite:////var/lib/app/mail.db"'
            )


def _conninfo(database: Any) -> dict[str, object]:
    """What libpq understands of the parameters with which Django connects."""
    from psycopg.pq import Conninfo

    known = {each.keyword.decode() for each in Conninfo.get_defaults()}
    return {name: value for name, value in database.get_connection_params().items() if name in known}
