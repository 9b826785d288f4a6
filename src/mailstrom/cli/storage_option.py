"""--config and --storage: which queue a command works on."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..config import Config
from ..secret import Secret
from ..storage.urls import sqlite_path
from ..wiring import storage_of
from .exit_codes import CommandError, ExitCode
from .send_input import read_file

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
    if url is not None:
        return replace(config, storage=url)
    if config.storage is None and environ.get(STORAGE_VARIABLE):
        return replace(config, storage=environ[STORAGE_VARIABLE])
    if config.storage is None:
        raise CommandError(ExitCode.USAGE, NO_STORAGE)
    return config


@contextmanager
def opened_queue(config: Config) -> Iterator[SharedStorage]:
    """The queue that the settings name, if it is there; closed at the end."""
    assert isinstance(config.storage, Secret)  # as Config keeps it
    _check_is_there(config.storage)
    storage = storage_of(config.storage)
    try:
        yield storage
    finally:
        storage.close()


def _check_is_there(url: Secret) -> None:
    """A name with a slip of the pen would make a new queue, empty and healthy."""
    if not url.reveal().startswith("sqlite:"):
        return
    path = os.path.abspath(sqlite_path(url.reveal()))
    if not os.path.exists(path):
        raise CommandError(ExitCode.NO_INPUT, f"there is no queue at {path}")


def place_of(storage: SharedStorage) -> str:
    """What is shown of where it is: no user, no password."""
    return storage.identity or type(storage).__name__


def _settings(path: str | None, environ: Mapping[str, str]) -> Config:
    if path is None:
        return Config.from_env(environ)
    read_file(path)  # so that a missing file is told like every other
    return Config.from_toml(path)
