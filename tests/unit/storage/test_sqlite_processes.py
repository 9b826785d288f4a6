"""`SqliteStorage` in several processes: what they share, their deaths, forks."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest

from mailstrom import Config, Mailstrom
from mailstrom.status import Delivered
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.storage_kit import LEASE, NOW, Entry, an_entry, ids_of, settlement
from tests.builders import an_email
from tests.unit.storage.sqlite_kit import LeaseClock, Program, forked, in_threads

CAPTURE = Config(helo_name="sender.example", mode="capture")
DELIVERED = Delivered(tries=1)

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


def test_a_worker_sees_what_another_process_stored_within_a_second(path: Path) -> None:
    """Nobody tells it: it looks."""
    with Mailstrom(CAPTURE, SqliteStorage(path)) as worker, Mailstrom(CAPTURE, SqliteStorage(path)) as other:
        worker.start()
        assert worker.wait(worker.send_email(an_email()), 20.0).succeeded  # it has nothing left to do

        message_id = other.send_email(an_email())

        assert worker.wait(message_id, 2.0).succeeded


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
    sys.stdin.readline()
"""


def test_what_a_killed_worker_had_is_claimable_at_once_with_the_crash_counted(path: Path) -> None:
    """Row 50."""
    clock = LeaseClock(time.monotonic())  # that of the other process, too
    with closing(SqliteStorage(path, lease_clock=clock)) as storage:
        storage.store([an_entry()])
        with Program(CLAIMS, path) as other:
            token = int(other.told())
            assert storage.claim(NOW, owner="mine", lease=LEASE) is None
            other.kill()

        clock.advance(1)
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
        assert storage.settle([settlement(theirs, DELIVERED)], NOW) == [True]
        pause()
        storage.close()

    with forked(child):
        assert storage.renew([claim], LEASE) != [None]
    assert storage.settle([settlement(claim, DELIVERED)], NOW) == [True]

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
