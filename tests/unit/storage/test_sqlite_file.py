"""The file of a SQLite queue: threat S26."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstrom.errors import ConfigError, StorageError
from mailstrom.storage.sqlite_file import private_file
from tests.unit.storage.sqlite_kit import a_life, keeping_what_is_deleted, write


@pytest.fixture(params=(0o000, 0o022, 0o777), ids=oct)
def _umask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:  # the folder is made before
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.usefixtures("_umask")
def test_database_and_log_are_the_owners_alone_under_any_umask(tmp_path: Path) -> None:
    with a_life(tmp_path / "mail.db") as life:
        write(life, "INSERT INTO t VALUES (1)")

        found = {name: mode_of(str(tmp_path / name)) for name in os.listdir(tmp_path)}

    assert found == {"mail.db": 0o600, "mail.db-wal": 0o600, "mail.db-shm": 0o600}


def test_a_file_of_another_kind_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    path.write_bytes(b"From MAILER-DAEMON" * 100)
    path.chmod(0o600)

    with pytest.raises(StorageError, match=r"mail\.db: file is not a database of SQLite's"), a_life(path):
        pass


def test_what_is_deleted_stands_in_the_file_no_more(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    with keeping_what_is_deleted(), a_life(path) as life:
        write(life, "INSERT INTO t VALUES (:x)", x="private@dest.example" * 1000)
        write(life, "DELETE FROM t")

    assert b"private@dest.example" not in path.read_bytes()


def test_a_file_that_is_not_there_is_made_empty_and_alone(tmp_path: Path) -> None:
    private_file(tmp_path / "mail.db")

    assert [(each.name, each.stat().st_size) for each in tmp_path.iterdir()] == [("mail.db", 0)]


def test_an_empty_file_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    path.touch(0o644)

    private_file(path)

    assert mode_of(str(path)) == 0o600


def test_a_file_with_content_keeps_its_mode_and_that_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mail.db"
    path.write_bytes(b"x")
    path.chmod(0o640)

    with caplog.at_level(logging.WARNING, "mailstrom"):
        private_file(path)

    assert mode_of(str(path)) == 0o640
    assert ["chmod 600" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_symbolic_link_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / f"mail.db{suffix}").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match="symbolic link"):
        private_file(tmp_path / "mail.db")


def test_a_link_that_leads_nowhere_is_refused_and_nothing_is_made_there(tmp_path: Path) -> None:
    (tmp_path / "mail.db").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match="symbolic link"):
        private_file(tmp_path / "mail.db")

    assert [each.name for each in tmp_path.iterdir()] == ["mail.db"]


def test_a_link_to_the_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")

    assert private_file(tmp_path / "link" / "mail.db") == private_file(tmp_path / "there" / "mail.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    path.touch()
    os.chown(path, 12345, -1)

    with pytest.raises(ConfigError, match="belongs to user 12345"):
        private_file(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mail.db")

    with pytest.raises(ConfigError, match="not a file"):
        private_file(tmp_path / "mail.db")


def test_a_directory_where_anybody_may_exchange_the_file_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    with pytest.raises(ConfigError, match=r"0777.*mode 0700"):
        private_file(tmp_path / "mail.db")

    assert list(tmp_path.iterdir()) == []


def test_a_directory_where_each_may_remove_his_own_will_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)

    assert private_file(tmp_path / "mail.db").path == str(tmp_path / "mail.db")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (":memory:", "MemoryStorage"),
        ("", "path of a file"),
        ("a\0b", "path of a file"),
        (b"mail.db", "str or Path"),
        (None, "str or Path"),
        ("/nowhere/at/all/mail.db", "not a directory"),
    ],
)
def test_what_is_no_path_of_a_file_is_refused(path: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        private_file(path)


@pytest.mark.parametrize("name", ["file:mail.db", "mail?mode=memory.db", "ma#il%20.db", "mäil .db", "-"])
def test_any_name_is_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    with a_life(tmp_path / name):
        assert (tmp_path / name).stat().st_size > 0


def test_a_file_that_was_removed_while_in_use_takes_no_more(tmp_path: Path) -> None:
    with a_life(tmp_path / "mail.db") as life:
        (tmp_path / "mail.db").unlink()

        with pytest.raises(StorageError, match="removed or replaced"):
            write(life, "INSERT INTO t VALUES (1)")


def test_a_file_that_was_replaced_while_in_use_takes_no_more(tmp_path: Path) -> None:
    with a_life(tmp_path / "mail.db") as life:
        (tmp_path / "backup").touch()
        (tmp_path / "backup").rename(tmp_path / "mail.db")

        with pytest.raises(StorageError, match="removed or replaced"):
            write(life, "INSERT INTO t VALUES (1)")
        assert (tmp_path / "mail.db").stat().st_size == 0
