"""Which exit code an error is, and what is said of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mailstrom.cli.complaints import code_for, complaint
from mailstrom.cli.exit_codes import ExitCode
from mailstrom.errors import MailstromError, StorageError
from mailstrom.storage.sqlite_connection import translated
from mailstrom.storage.sqlite_file import private_file


def as_told(path: Path, uri: str) -> MailstromError:
    """What becomes of SQLite's error where a table cannot be made."""
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.execute("CREATE TABLE one (number)")
    except sqlite3.Error as error:
        return translated(error, private_file(path))
    raise AssertionError("it could be made")


def test_what_no_waiting_mends_is_no_reason_to_try_again_later(tmp_path: Path) -> None:
    found = private_file(path := tmp_path / "mail.db")

    may_not_write = as_told(path, f"{path.as_uri()}?mode=ro")
    may_not_open = as_told(path, f"{(tmp_path / 'missing' / 'mail.db').as_uri()}?mode=rw")

    for error in (may_not_write, may_not_open):
        assert isinstance(error, StorageError)  # an engine that runs goes on
        assert code_for(error) is ExitCode.BAD_CONFIG
        assert complaint(error).startswith(f"{found.path}: ")
        assert complaint(error).endswith(f"to make files in {tmp_path}")


def test_what_says_nothing_is_named_by_its_kind() -> None:
    assert (code_for(OSError()), complaint(OSError())) == (ExitCode.BROKEN, "OSError")
    assert code_for(StorageError("gone")) is ExitCode.NOT_YET
