"""Which owners of claims are alive."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstrom.errors import StorageError
from mailstrom.storage.sqlite_workers import WorkerLocks
from tests.unit.storage.sqlite_kit import Program, in_threads

HOLDS = """
    import os, sys
    from mailstrom.storage.sqlite_workers import WorkerLocks
    locks = WorkerLocks(sys.argv[1])
    locks.hold("other")
    print("held", flush=True)
    {more}
    sys.stdin.readline()
"""

ALONE = 'print("ready", flush=True)'
WITH_A_CHILD = 'os.fork() or (locks.leave_to_parent(), print("ready", flush=True))'


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "mail.db")


@pytest.fixture
def locks(database: str) -> Iterator[WorkerLocks]:
    found = WorkerLocks(database)
    yield found
    found.close()


def is_dead(locks: WorkerLocks, owner: str) -> bool:
    with locks.dead(owner) as dead:
        return dead


def files(database: str) -> list[str]:
    return sorted(os.listdir(Path(database).parent))


def test_an_owner_that_never_was_is_dead_and_leaves_no_file(locks: WorkerLocks, database: str) -> None:
    assert is_dead(locks, "nobody")
    assert files(database) == []


def test_an_owner_lives_until_its_locks_are_closed(locks: WorkerLocks, database: str) -> None:
    others = WorkerLocks(database)
    others.hold("other")
    assert not is_dead(locks, "other")

    others.close()

    assert is_dead(locks, "other")
    assert files(database) == []


def test_an_owner_of_our_own_lives(locks: WorkerLocks) -> None:
    locks.hold("mine")
    locks.hold("mine")

    assert not is_dead(locks, "mine")


def test_an_owner_lives_as_long_as_one_that_has_its_name(locks: WorkerLocks, database: str) -> None:
    one, two = WorkerLocks(database), WorkerLocks(database)
    one.hold("shared")
    two.hold("shared")

    one.close()
    assert not is_dead(locks, "shared")
    two.close()
    assert is_dead(locks, "shared")


@pytest.mark.parametrize("more", [ALONE, WITH_A_CHILD], ids=["alone", "a child of it lives"])
def test_an_owner_whose_process_was_killed_is_dead(locks: WorkerLocks, database: str, more: str) -> None:
    """Rows 50, 53."""
    with Program(HOLDS.format(more=more), database) as other:
        assert [other.told(), other.told()] == ["held", "ready"]
        assert not is_dead(locks, "other")

        other.kill()

        assert is_dead(locks, "other")


def test_nobody_lives_again_while_it_is_being_buried(locks: WorkerLocks, database: str) -> None:
    others, holds = WorkerLocks(database), threading.Event()

    with locks.dead("other") as dead:
        threads = in_threads(lambda: (others.hold("other"), holds.set()))
        assert dead
        assert not holds.wait(0.05)
    for thread in threads:
        thread.join()

    assert not is_dead(locks, "other")
    others.close()


def test_the_files_of_the_dead_are_removed_by_the_first_owner_that_comes(
    locks: WorkerLocks, database: str
) -> None:
    with Program(HOLDS.format(more=ALONE), database) as other:
        assert other.told() == "held"
    (of_the_dead,) = files(database)

    locks.hold("mine")

    assert len(files(database)) == 1
    assert of_the_dead not in files(database)


def test_a_link_in_the_place_of_a_file_is_no_lock(locks: WorkerLocks, tmp_path: Path) -> None:
    locks.hold("mine")
    (name,) = files(str(tmp_path / "mail.db"))
    locks.close()
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="symbolic links"):
        locks.hold("mine")
    assert not (tmp_path / "elsewhere").exists()
