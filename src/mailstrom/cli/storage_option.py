"""--config and --storage: which queue a command works on."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..config import Config
from ..config_storage import StorageConfig
from ..secret import Secret
from ..storage.postgres import PostgresStorage
from ..storage.sql.queue import SqlStorage
from ..storage.urls import sqlite_path
from ..wiring import storage_of
from .exit_codes import CommandError, ExitCode
from .send_input import read_file
from .terminal import LogLines, Progress, Streams

if TYPE_CHECKING:
    from ..abc import SharedStorage

STORAGE_VARIABLE = "MAILSTROM_STORAGE"
NO_STORAGE = f"""no queue is named, and one in memory ends with its process: give --storage, \
`storage = "sqlite:///mail.db"` in the file of --config, or {STORAGE_VARIABLE}"""

STORAGE_HELP = f"""\
The queue is a URL: sqlite:///mail.db (sqlite:////var/lib/app/mail.db for an absolute path) or
postgresql://user@host/database. It comes from --storage, else from `storage` in the file of --config,
else from {STORAGE_VARIABLE}: that is the place for a URL with a password, since others can see the
arguments of a process. All other settings come from --config, else from the environment.
"""


def add_storage_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that name the queue, and the settings."""
    parser.add_argument(
        "--config", metavar="FILE", help="settings from a TOML file, instead of the environment"
    )
    parser.add_argument("--storage", metavar="URL", help="the queue, such as sqlite:///mail.db")


def config_with_storage(given: argparse.Namespace, environ: Mapping[str, str]) -> Config:
    """The settings, with the queue that is named; raises `CommandError` where none is."""
    return with_storage(_settings(given.config, environ), given.storage, environ)


def with_storage(config: Config, url: str | None, environ: Mapping[str, str]) -> Config:
    """The same settings with the queue of --storage, else their own, else that of the environment."""
    if url is None and _url_in(config) is None:
        url = environ.get(STORAGE_VARIABLE) or None
    if url is not None and isinstance(config.storage, StorageConfig):
        return replace(config, storage=replace(config.storage, url=url))
    if url is not None:
        return replace(config, storage=url)
    if _url_in(config) is None:
        raise CommandError(ExitCode.USAGE, NO_STORAGE)
    return config


@contextmanager
def opened_queue(config: Config, streams: Streams) -> Iterator[SqlStorage]:
    """The queue that the settings name, if it is there; closed at the end. Its warnings are told."""
    if is_sqlite(config):
        with told_log(streams, logging.ERROR):  # whoever opens it says the rest
            sqlite_tables(config)
    with opened_storage(config, streams) as storage:
        if isinstance(storage, PostgresStorage) and storage.schema_version() == 0:
            raise _no_queue(place_of(storage), "`mailstrom db upgrade` would make its tables")
        yield storage


@contextmanager
def opened_storage(config: Config, streams: Streams) -> Iterator[SqlStorage]:
    """The same without asking whether it is there: a file is made, or it is filled with tables."""
    with told_log(streams, logging.WARNING):
        storage = storage_of(config.storage)
        assert isinstance(storage, SqlStorage)  # as every storage with a URL is
        try:
            yield storage
        finally:
            storage.close()


def sqlite_tables(config: Config) -> tuple[str, int]:
    """A queue's file, which stays as it is, and the version of its tables.

    Raises `CommandError` where there is no queue: a slip of the pen would make one, empty and healthy.
    """
    from ..storage.sqlite import schema_version

    path = os.path.abspath(sqlite_path(_url_of(config).reveal()))
    if not os.path.exists(path):
        raise _no_queue(path, "there is no such file")
    version = schema_version(path)
    if version == 0:
        raise _no_queue(path, "nothing in that file is one")
    return f"sqlite:{path}", version


def is_sqlite(config: Config) -> bool:
    """Whether the queue is a file."""
    return _url_of(config).reveal().startswith("sqlite:")


def told_log(streams: Streams, level: int) -> LogLines:
    """Around what may log: from `level` on it is told as all else is."""
    return LogLines(streams, Progress(streams.stderr), level)


def _url_of(config: Config) -> Secret:
    url = _url_in(config)
    assert isinstance(url, Secret)  # as Config keeps it
    return url


def _url_in(config: Config) -> str | Secret | None:
    return config.storage.url if isinstance(config.storage, StorageConfig) else config.storage


def _no_queue(place: str, why: str) -> CommandError:
    return CommandError(ExitCode.NO_INPUT, f"there is no queue in {place}: {why}")


def place_of(storage: SharedStorage) -> str:
    """What is shown of where it is: no user, no password."""
    return storage.identity or type(storage).__name__


def _settings(path: str | None, environ: Mapping[str, str]) -> Config:
    if path is None:
        return Config.from_env(environ)
    read_file(path)  # so that a missing file is told like every other
    return Config.from_toml(path)
