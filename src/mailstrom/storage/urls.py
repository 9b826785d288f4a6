"""Where the queue rests, as a URL.

    sqlite:///mail.db               a file in the working directory
    sqlite:////var/lib/app/mail.db  a file by its absolute path
    postgresql://user:pw@host/db    a PostgreSQL database; all that libpq reads from a URL

A URL may hold a password: it comes sealed, and no message repeats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..config_storage import StorageConfig
from ..errors import ConfigError
from ..secret import Secret

if TYPE_CHECKING:
    from ..abc import SharedStorage

SQLITE_EXPECTED = """\
expected sqlite:///mail.db (a file in the working directory), or sqlite:////path/mail.db \
(for ?, # and % in a path write %3F, %23 and %25)"""


def storage_from_url(url: str | Secret) -> SharedStorage:
    """The storage; `ConfigError` for a URL that names none."""
    sealed = Secret(url)
    del url  # a traceback may show the locals of every frame
    return storage_from(StorageConfig(url=sealed))


def storage_from(config: StorageConfig) -> SharedStorage:
    """The storage with these settings; `ConfigError` where there is no URL, or one that names none."""
    if not isinstance(config.url, Secret):
        raise ConfigError("StorageConfig.url: expected the queue's, such as 'sqlite:///mail.db', got None")
    if config.is_sqlite:
        from .sqlite import SqliteStorage

        return SqliteStorage(sqlite_path(config.url.reveal()), **config.settings)
    from .postgres import PostgresStorage

    return PostgresStorage(config.url, **config.settings)


def sqlite_path(url: str) -> str:
    """The path that a URL of a SQLite queue names; it may not be there yet."""
    host, slash, path = url.removeprefix("sqlite://").partition("/")
    if host or not slash or not path or path.startswith(":") or {"?", "#"} & {*path}:
        raise ConfigError(f"storage: {SQLITE_EXPECTED}")
    return unquote(path)
