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

__all__ = ["Settings", "default_database", "is_outbox"]

DEFAULTS: Mapping[str, object] = {"on_commit": True, "role": "auto"}
GIVE_ANOTHER = 'give a "storage", such as "sqlite:////var/lib/app/mail.db"'


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
        given = {**DEFAULTS, **_of_project(options)}
        on_commit, role = given.pop("on_commit"), given.pop("role")
        flag("MAILSTROM.on_commit", on_commit)
        if is_outbox(options):
            given["storage"] = default_database()
        return cls(
            config=Config.from_dict(given),
            is_outbox=is_outbox(options),
            on_commit=cast("bool", on_commit),
            role=cast("Role", role),
        )


def is_outbox(options: Mapping[str, object]) -> bool:
    """Whether with these the queue is in the default database."""
    return _of_project(options).get("storage") is None


def default_database() -> Secret:
    """The URL of the queue in the default database; `ConfigError` where that can hold none."""
    database = connections[DEFAULT_DB_ALIAS]
    match database.vendor:
        case "sqlite":
            return Secret(f"sqlite:///{quote(_file(database))}")
        case "postgresql":
            return Secret(f"postgresql:///?{urlencode(_conninfo(database), quote_via=quote)}")
        case vendor:
            raise ConfigError(
                f"MAILSTROM: the default database is {vendor}, a queue needs SQLite or PostgreSQL: "
                f"{GIVE_ANOTHER}"
            )


def _of_project(options: Mapping[str, object]) -> dict[str, object]:
    return {**getattr(settings, "MAILSTROM", {}), **options}


def _file(database: Any) -> str:
    """Its absolute path; `ConfigError` where SQLite would take the name for something else."""
    name: str = os.fspath(database.settings_dict["NAME"])
    if name == ":memory:" or name.startswith("file:"):
        raise ConfigError(
            f"MAILSTROM: the name of the default database is {name!a}, a queue needs the path of a file: "
            f"{GIVE_ANOTHER}"
        )
    return os.path.abspath(name)


def _conninfo(database: Any) -> dict[str, object]:
    """What libpq understands of the parameters with which Django connects."""
    from psycopg.pq import Conninfo

    known = {each.keyword.decode() for each in Conninfo.get_defaults()}
    return {name: value for name, value in database.get_connection_params().items() if name in known}
