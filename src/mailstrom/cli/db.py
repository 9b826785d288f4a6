"""`mailstrom db`: the tables of a queue, and their version."""

from __future__ import annotations

import argparse
import logging
import os

from ..storage.postgres import PostgresStorage
from ..storage.sql.schema import VERSION
from .exit_codes import ExitCode
from .storage_option import (
    STORAGE_HELP,
    add_storage_arguments,
    config_with_storage,
    is_sqlite,
    opened_queue,
    opened_storage,
    place_of,
    sqlite_tables,
    told_log,
)
from .terminal import Streams

ABOUT = "Makes and upgrades the tables of a queue on PostgreSQL."
UPGRADE_ABOUT = "Makes the tables, or brings them to the version of this mailstrom."
VERSION_ABOUT = "Tells which version the tables have."

EXIT_CODES = f"""\
{STORAGE_HELP}
exit codes: 0 done, also where there was nothing to do; 64 the command line is wrong; 66 a file cannot
be read, or there is no queue; 70 nobody reads what is written, or mailstrom itself could not go on;
75 the database cannot be reached; 78 a setting cannot be used, a right is missing, or (upgrade) the
tables are those of a newer mailstrom, and not for this one
"""
UPGRADE_HELP = f"""\
Run it once before the new version of your program begins; workers of the version before go on beside
it. It needs the right to make tables, and the other commands do not. A queue on SQLite has nothing to
run: it is upgraded when it is opened.

examples:
  mailstrom db upgrade --config mailstrom.toml
  MAILSTROM_STORAGE=postgresql://owner@db.mydomain.example/app mailstrom db upgrade

{EXIT_CODES}"""
SQLITE = "nothing to do: a queue on SQLite is upgraded when it is opened"


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
    config = config_with_storage(given, os.environ)
    with opened_queue(config, streams) if is_sqlite(config) else opened_storage(config, streams) as storage:
        done = SQLITE
        if isinstance(storage, PostgresStorage):
            done = _done(storage.upgrade(), storage.schema_version())
        streams.write(f"{place_of(storage)}: {done}")
    return ExitCode.OK


def version(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Tells the version of the tables, and of this mailstrom."""
    config = config_with_storage(given, os.environ)
    if is_sqlite(config):
        with told_log(streams, logging.WARNING):
            place, there = sqlite_tables(config)
    else:
        with opened_queue(config, streams) as storage:
            assert isinstance(storage, PostgresStorage)
            place, there = place_of(storage), storage.schema_version()
    streams.write(_told(place, there))
    return ExitCode.OK


def _told(place: str, there: int) -> str:
    told = f"{place}: the tables are of version {there}; this mailstrom works with version {VERSION}"
    return told if there <= VERSION else f"{told}, and with newer ones that allow it"


def _done(before: int, after: int) -> str:
    if before == after:
        return f"nothing to do: the tables are of version {after}"
    if before == 0:
        return f"made the tables, version {after}"
    return f"upgraded from version {before} to version {after}"
