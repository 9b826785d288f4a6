"""`SqliteStorage` beyond the contract: several processes, deaths, forks, the disk."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import pytest

from mailstrom.abc import Claim, Settlement
from mailstrom.errors import ClosedError, ConfigError, MessageNotFound, StorageError, StorageFull
from mailstrom.storage.sql import schema
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.storage_kit import LEASE, NOW, Entry, an_entry, delivered_to, ids_of
from tests.unit.storage.sqlite_kit import LeaseClock, Program, forked, in_threads

IN_CLAIMS = """
    import sys
    from mailstrom.storage.sqlite import SqliteStorage
    from mailstrom.testing.storage_kit import LEASE, NOW
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mail.db"


@pytest.fixture
def clock() -> LeaseClock:
    return LeaseClock()


@pytest.fixture
def storage(path: Path, clock: LeaseClock) -> Iterator[SqliteStorage]:
    with closing(SqliteStorage(path, lease_clock=clock)) as found:
        yield found


def entries(count: int) -> list[Entry]:
    return [an_entry(f"m{number}", f"you@dest{number % 7}.example") for number in range(count)]


def delivered(claim: Claim) -> Settlement:
    return Settlement(claim=claim, outcomes=tuple(delivered_to(each.address) for each in claim.recipients))


# --- opening


def test_every_process_knows_it_by_the_same_name(storage: SqliteStorage, path: Path) -> None:
    (path.parent / "link").symlink_to(path.parent)
    with closing(SqliteStorage(str(path.parent / "link" / "mail.db"))) as other:
        assert other.identity == storage.identity == f"sqlite:{path}"


def test_its_repr_names_the_file(storage: SqliteStorage, path: Path) -> None:
    assert repr(storage) == f"SqliteStorage({str(path)!r})"


def test_making_it_leaves_nothing_open(path: Path) -> None:
    """A server that loads the application before it forks only makes it."""
    with closing(SqliteStorage(path)):
        assert os.listdir(path.parent) == ["mail.db"]


def test_the_file_of_another_application_will_do(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE messages (x); CREATE INDEX messages_open ON messages (x)")

    with closing(SqliteStorage(path)) as storage:
        storage.store([an_entry()])

        assert storage.retrieve_status("one@sender.example").message_id == "one@sender.example"


def test_a_file_that_is_no_database_is_a_storage_error(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)
    path.chmod(0o600)

    with pytest.raises(StorageError, match="not a database"):
        SqliteStorage(path)


def test_tables_that_are_newer_are_refused(path: Path) -> None:
    SqliteStorage(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"INSERT INTO mailstrom_schema (version) VALUES ({schema.VERSION + 1})")

    with pytest.raises(ConfigError, match="newer"):
        SqliteStorage(path)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"durability": "none"}, "durability: expected 'full' or 'normal', got 'none'"),
        ({"poll_secs": 0}, "poll_secs: expected more than 0"),
        ({"busy_timeout_secs": float("inf")}, "busy_timeout_secs: expected more than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    path: Path, settings: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        SqliteStorage(path, **settings)  # type: ignore[arg-type]


def test_after_close_every_call_says_so(storage: SqliteStorage) -> None:
    storage.close()
    storage.close()

    with pytest.raises(ClosedError):
        storage.store([an_entry()])
    with pytest.raises(ClosedError):
        storage.claim(NOW, owner="one", lease=LEASE)
    with pytest.raises(ClosedError):
        storage.is_idle()


# --- what is waited for


STRACE = ("strace", "-f", "-y", "-e", "trace=write,pwrite64,fsync,fdatasync")

SYNCS = """
    import os, sys
    from mailstrom.storage.sqlite import SqliteStorage
    from mailstrom.testing.storage_kit import LEASE, NOW, an_entry
    storage = SqliteStorage(sys.argv[1], durability=sys.argv[2])
    os.write(1, b"MARK store\\n")
    storage.store([an_entry()])
    os.write(1, b"MARK claim\\n")
    claim = storage.claim(NOW, owner="one", lease=LEASE)
    os.write(1, b"MARK dot\\n")
    storage.mark_dot_sent(claim, ["you@dest.example"])
    os.write(1, b"MARK end\\n")
    storage.close()
"""


def syncs_of(path: Path, durability: str) -> dict[str, list[str]]:
    """What was written and synced in each step, as the kernel saw it; the same in a row counts once."""
    traced = subprocess.run(
        [*STRACE, sys.executable, "-c", textwrap.dedent(SYNCS), str(path), durability],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    steps: dict[str, list[str]] = {}
    found: list[str] = []
    for line in traced.stderr.splitlines():
        if mark := re.search(r'"MARK (\w+)', line):
            found = steps[mark[1]] = []
        elif call := re.search(rf"(pwrite64|fsync|fdatasync)\(\d+<{re.escape(str(path))}(-\w+)?>", line):
            found.append(f"{'sync' if 'sync' in call[1] else 'write'} {call[2]}")
    return {step: [call for call, _ in groupby(calls)] for step, calls in steps.items()}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_store_returns_when_the_disk_has_it_and_claims_and_marks_wait_for_no_disk(path: Path) -> None:
    """Row 51."""
    steps = syncs_of(path, "full")

    assert steps["store"][-2:] == ["write -wal", "sync -wal"]
    assert steps["claim"] == ["write -wal"]
    assert steps["dot"] == ["write -wal"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_with_normal_durability_nothing_waits_for_the_disk(path: Path) -> None:
    steps = syncs_of(path, "normal")

    assert [steps[step][-1] for step in ("store", "claim", "dot")] == ["write -wal"] * 3


def test_a_full_disk_is_told_and_what_fits_goes_on(storage: SqliteStorage) -> None:
    """Row 46."""
    storage.store([an_entry("one")])
    claim = storage.claim(NOW, owner="one", lease=LEASE)
    assert claim is not None
    storage._life.writer.connections[0].execute("PRAGMA max_page_count = 1")  # no less than it has
    email, status = an_entry("two")
    large = replace(email, content=b"x" * 1_000_000)

    with pytest.raises(StorageFull):
        storage.store([(large, status)])
    assert storage.settle([delivered(claim)], NOW) == [True]

    with pytest.raises(MessageNotFound):
        storage.retrieve_status("two@sender.example")


# --- several processes, and their deaths


TAKES = IN_CLAIMS + """
    storage = SqliteStorage(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    while (claim := storage.claim(NOW, owner=sys.argv[2], lease=LEASE)) is not None:
        print(claim.email.message_id)
    storage.close()
"""


def test_processes_share_the_work_and_none_of_it_is_taken_twice(storage: SqliteStorage, path: Path) -> None:
    storage.store(entries(200))

    with ExitStack() as stack:
        workers = [stack.enter_context(Program(TAKES, path, f"worker {n}")) for n in range(3)]
        for worker in workers:
            assert worker.told() == "ready"
        for worker in workers:
            worker.tell()
        taken = [line for worker in workers for line in worker.end().splitlines()]

    assert len(set(taken)) == 200
    assert sorted(set(taken)) == sorted(ids_of(storage.retrieve_all_incomplete()))


STORES = """
    import sys
    from mailstrom.storage.sqlite import SqliteStorage
    from mailstrom.testing.storage_kit import an_entry
    storage = SqliteStorage(sys.argv[1], busy_timeout_secs=30)
    for number in range(50):
        storage.store([an_entry(f"{sys.argv[2]}-{number}")])
    storage.close()
"""


def test_processes_that_open_a_new_file_at_once_all_get_in(path: Path) -> None:
    with ExitStack() as stack:
        for writer in [stack.enter_context(Program(STORES, path, n)) for n in range(3)]:
            writer.end()

    with closing(SqliteStorage(path)) as storage:
        assert len(storage.retrieve_all_incomplete()) == 150


CLAIMS = IN_CLAIMS + """
    storage = SqliteStorage(sys.argv[1])
    claim = storage.claim(NOW, owner="other", lease=LEASE)
    print(claim.token, flush=True)
    {more}
    sys.stdin.readline()
"""


def test_what_a_killed_worker_had_is_claimable_at_once_with_the_crash_counted(path: Path) -> None:
    """Row 50."""
    with closing(SqliteStorage(path)) as storage:
        storage.store([an_entry()])
        with Program(CLAIMS.format(more=""), path) as other:
            token = int(other.told())
            assert storage.claim(NOW, owner="mine", lease=LEASE) is None
            other.kill()

        storage._abandoned._look_at = 0  # a second later
        claim = storage.claim(NOW, owner="mine", lease=LEASE)

        assert claim is not None
        assert claim.token > token
        assert claim.recipients[0].crashes == 1


def test_an_idle_worker_learns_of_a_death_when_it_asks_what_is_due(
    storage: SqliteStorage, path: Path, clock: LeaseClock
) -> None:
    storage.store([an_entry()])
    dead = SqliteStorage(path, lease_clock=clock)
    assert dead.claim(NOW, owner="dead", lease=LEASE) is not None
    after = storage.next_due(NOW)
    assert after is not None
    assert after > NOW

    dead.close()
    clock.advance(1)

    after = storage.next_due(NOW)
    assert after is not None
    assert after <= NOW


def test_a_look_for_the_dead_is_taken_once_a_second(
    storage: SqliteStorage, path: Path, clock: LeaseClock
) -> None:
    storage.store([an_entry()])
    dead = SqliteStorage(path, lease_clock=clock)
    assert dead.claim(NOW, owner="dead", lease=LEASE) is not None
    assert storage.claim(NOW, owner="mine", lease=LEASE) is None
    dead.close()

    assert storage.claim(NOW, owner="mine", lease=LEASE) is None
    clock.advance(1)
    assert storage.claim(NOW, owner="mine", lease=LEASE) is not None


def test_the_leases_of_a_machine_that_was_started_anew_are_over(path: Path, clock: LeaseClock) -> None:
    """The lease clock begins anew with the machine; nobody holds a lock."""
    clock.advance(1_000_000)
    with closing(SqliteStorage(path, lease_clock=clock)) as before:
        before.store([an_entry()])
        assert before.claim(NOW, owner="before", lease=LEASE) is not None
    clock.secs = 10.0

    with closing(SqliteStorage(path, lease_clock=clock)) as after:
        assert after.claim(NOW, owner="after", lease=LEASE) is not None


def test_without_locks_a_lease_from_before_the_machines_start_is_over_too(
    path: Path, clock: LeaseClock
) -> None:
    """Windows."""
    clock.advance(1_000_000)
    with closing(SqliteStorage(path, lease_clock=clock)) as before:
        before.store([an_entry()])
        assert before.claim(NOW, owner="before", lease=LEASE) is not None
    clock.secs = 10.0

    with closing(SqliteStorage(path, lease_clock=clock)) as after:
        after._life.workers = None
        after._begin(after._life)

        assert after.claim(NOW, owner="after", lease=LEASE) is not None


def test_a_workers_file_is_its_users_alone_and_goes_when_it_closes(path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(SqliteStorage(path)) as storage:
            storage.claim(NOW, owner="one", lease=LEASE)
            (file,) = path.parent.glob("*-worker-*")
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        os.umask(before)

    assert os.listdir(path.parent) == ["mail.db"]


def test_threads_that_store_at_once_all_have_what_they_stored(storage: SqliteStorage) -> None:
    def stores(name: str) -> Callable[[], None]:
        return lambda: [storage.store([an_entry(f"{name}-{n}")]) for n in range(20)]  # type: ignore[func-returns-value]

    for thread in in_threads(*[stores(f"t{number}") for number in range(8)]):
        thread.join()

    assert len(storage.retrieve_all_incomplete()) == 160


# --- forks


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_shares_the_queue_and_leaves_the_parents_claims_alone(storage: SqliteStorage) -> None:
    """Row 53."""
    storage.store([an_entry("one"), an_entry("two", "you@other.example")])
    claim = storage.claim(NOW, owner="parent", lease=LEASE)
    assert claim is not None

    def child(pause: Callable[[], None]) -> None:
        theirs = storage.claim(NOW, owner="child", lease=LEASE)
        assert theirs is not None
        assert theirs.email.message_id != claim.email.message_id
        assert storage.claim(NOW, owner="child", lease=LEASE) is None
        storage.store([an_entry("three")])
        assert storage.settle([delivered(theirs)], NOW) == [True]
        pause()
        storage.close()

    with forked(child):
        assert storage.renew([claim], LEASE) != [None]
    assert storage.settle([delivered(claim)], NOW) == [True]

    assert ids_of(storage.retrieve_all_incomplete()) == ["three@sender.example"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forks_in_the_middle_of_others_work_lose_nothing(storage: SqliteStorage) -> None:
    """Row 53."""
    stop = threading.Event()
    stored: list[str] = []

    def works() -> None:
        while not stop.is_set():
            stored.extend(storage.store([an_entry(f"parent-{len(stored)}")]))
            storage.claim(NOW, owner="parent", lease=timedelta(hours=1))

    def child(name: str) -> Callable[[Callable[[], None]], None]:
        return lambda pause: (storage.store([an_entry(name)]), pause())  # type: ignore[func-returns-value]

    threads = in_threads(works)
    for number in range(4):
        with forked(child(f"child-{number}")):
            pass
    stop.set()
    for thread in threads:
        thread.join()

    found = set(ids_of(storage.retrieve_all_incomplete()))
    assert found == {*stored, *(f"child-{number}@sender.example" for number in range(4))}
