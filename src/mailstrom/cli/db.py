"""`mailstrom db`: the tables of a queue, and their version."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from .exit_codes import ExitCode
from .storage_option import (
    STORAGE_HELP,
    add_storage_arguments,
    config_with_storage,
    opened_queue,
    place_of,
)
from .terminal import Streams

if TYPE_CHECKING:
    from ..abc import SharedStorage
    from ..storage.postgres import PostgresStorage

ABOUT = "Makes and upgrades the tables of a queue on PostgreSQL."
UPGRADE_ABOUT = "Makes the tables, or brings them to the version of this mailstrom."
VERSION_ABOUT = "Tells which version the tables have."

EXIT_CODES = f"""\
{STORAGE_HELP}
exit codes: 0 done, also where there was nothing to do; 64 the command line is wrong; 66 a file cannot
be read; 75 the database cannot be reached; 78 a setting cannot be used, or the tables are those of a
newer mailstrom
"""
UPGRADE_HELP = f"""\
Run it once before the new version of your program begins; workers of the version before go on beside
it. It needs the right to make tables, and the other commands do not. A queue on SQLite has nothing to
run: it is upgraded when it is opened.

examples:
  mailstrom db upgrade --config mailstrom.toml
  MAILSTROM_STORAGE=postgresql://owner@db.mydomain.example/app mailstrom db upgrade

{EXIT_CODES}"""
SQLITE = "a queue on SQLite is upgraded when it is opened, so there is nothing to do"


def add_upgrade_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom db upgrade`."""
    parser.epilog = UPGRADE_HELP
    add_storage_arguments(parser)


def add_version_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom db version`."""
    parser.epilog = EXIT_CODES
    add_storage_arguments(parser)


def upgrade(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Runs what migrations are left, and tells from which version to which."""
    with opened_queue(config_with_storage(given, os.environ)) as storage:
        postgres = _as_postgres(storage)
        done = SQLITE if postgres is None else _done(postgres.upgrade(), postgres.schema_version())
        streams.write(f"{place_of(storage)}: {done}")
    return ExitCode.OK


def version(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Tells the version of the tables, and of this mailstrom."""
    from ..storage.sql.schema import VERSION

    with opened_queue(config_with_storage(given, os.environ)) as storage:
        postgres = _as_postgres(storage)
        found = SQLITE if postgres is None else _found(postgres.schema_version())
        streams.write(f"{place_of(storage)}: {found}; this mailstrom works with version {VERSION}")
    return ExitCode.OK


def _as_postgres(storage: SharedStorage) -> PostgresStorage | None:
    from ..storage.postgres import PostgresStorage

    return storage if isinstance(storage, PostgresStorage) else None


def _found(there: int) -> str:
    return f"the tables are of version {there}" if there else "there are no tables yet"


def _done(before: int, after: int) -> str:
    if before == after:
        return f"nothing to do: the tables are of version {after}"
    if before == 0:
        return f"made the tables, version {after}"
    return f"upgraded from version {before} to version {after}"
