"""One engine per host and queue: the kernel's lock, and the directory it lies in."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mailstrom.engine.host_lock import HostLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs flock")

Make = Callable[[str], HostLock]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where locks lie; not made yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"mailstrom-{os.getuid()}"


@pytest.fixture
def make(directory: Path) -> Iterator[Make]:
    """Makes locks, and releases them."""
    with ExitStack() as made:

        def make(identity: str) -> HostLock:
            lock = HostLock(identity)
            made.callback(lock.release)
            return lock

        yield make


def test_one_of_two_has_it_until_it_lets_go(make: Make) -> None:
    first, second = make("sqlite:/mail.db"), make("sqlite:/mail.db")

    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()


def test_who_has_it_and_asks_again_keeps_it(make: Make) -> None:
    first, second = make("sqlite:/mail.db"), make("sqlite:/mail.db")
    first.try_acquire()

    assert not first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()


def test_other_queues_have_locks_of_their_own(make: Make) -> None:
    assert make("sqlite:/mail.db").try_acquire()
    assert make("sqlite:/other.db").try_acquire()


def test_what_is_not_had_can_be_let_go_of(make: Make) -> None:
    first, second = make("sqlite:/mail.db"), make("sqlite:/mail.db")
    first.try_acquire()

    second.release()

    assert not second.try_acquire()


def test_a_child_that_leaves_it_to_its_parent_does_not_take_it_away(make: Make) -> None:
    """Row 53: the parent keeps it, and when the parent dies it is free."""
    parent, other = make("sqlite:/mail.db"), make("sqlite:/mail.db")
    parent.try_acquire()
    child = HostLock("sqlite:/mail.db")
    child._file = os.dup(parent._file or 0)  # as fork() leaves it

    child.leave_to_parent()

    assert not other.try_acquire()
    parent.release()
    assert other.try_acquire()


def test_nobody_else_can_see_what_lies_there(make: Make, directory: Path) -> None:
    make("postgres:db.example:5432/app").try_acquire()

    (file,) = directory.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    assert "db.example" not in file.name


def test_a_directory_that_others_may_enter_is_not_used(make: Make, directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o755)

    with pytest.raises(PermissionError, match="you alone"):
        make("sqlite:/mail.db").try_acquire()


def test_a_link_in_the_place_of_the_directory_is_not_followed(
    make: Make, directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    directory.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError, match="you alone"):
        make("sqlite:/mail.db").try_acquire()


def test_a_link_in_the_place_of_the_file_is_not_followed(make: Make, directory: Path, tmp_path: Path) -> None:
    make("sqlite:/mail.db").try_acquire()
    (file,) = directory.iterdir()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError):
        make("sqlite:/mail.db").try_acquire()
    assert not (tmp_path / "elsewhere").exists()
