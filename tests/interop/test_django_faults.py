"""A Django project in trouble: no tables yet, a full disk, an event loop, a log that is mailed, a fork."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mailstrom import Config, Mailstrom
from mailstrom.contrib.django.front_doors import FrontDoor, FrontDoors
from mailstrom.contrib.django.settings import Settings
from mailstrom.status import WorkerStatus
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.schema import VERSION
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.interop.django_site.site import Site, site_on_postgres, site_on_sqlite, subjects

CONFIG_ERROR = "mailstrom.errors.ConfigError: "


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """On SQLite."""
    return site_on_sqlite(tmp_path)


@pytest.fixture
def bare_site(site: Site) -> Site:
    """Nobody has called migrate."""
    site.is_migrated = False
    return site


@pytest.fixture
def postgres_site(tmp_path: Path, database: str) -> Site:
    return site_on_postgres(tmp_path, database)


@pytest.fixture
def smtp() -> Iterator[tuple[SmtpServer, str]]:
    server = SmtpServer()
    with LoopbackServer(server) as running:
        yield server, f"smtp://127.0.0.1:{running.port}"


class Makers:
    """Makes front doors; on another thread than the test's only when it may."""

    def __init__(self) -> None:
        self.made: list[FrontDoor] = []
        self.may_make = threading.Event()
        self._is_making = threading.Event()

    def make(self, _: Mapping[str, object]) -> FrontDoor:
        if threading.current_thread() is not threading.main_thread():
            self._is_making.set()
            self.may_make.wait(timeout=20)
        settings = Settings(config=Config(), is_outbox=False, on_commit=False, role="never")
        self.made.append(FrontDoor(settings=settings, mailstrom=Mailstrom()))
        return self.made[-1]

    @contextmanager
    def in_a_thread(self, work: Callable[[], FrontDoor]) -> Iterator[list[FrontDoor]]:
        """What comes of the work, which makes one at this moment, once the block has ended."""
        come: list[FrontDoor] = []
        thread = threading.Thread(target=lambda: come.append(work()))
        thread.start()
        assert self._is_making.wait(timeout=20)
        try:
            yield come
        finally:
            self.may_make.set()
            thread.join()

    def close(self) -> None:
        for door in self.made:
            door.mailstrom.close()


# --- tables


@pytest.mark.parametrize("options", [{}, {"transaction_mode": "IMMEDIATE"}])
def test_after_migrate_the_first_email_of_a_process_may_follow_a_row(
    bare_site: Site, options: dict[str, str]
) -> None:
    bare_site.database["OPTIONS"] = options
    bare_site.manage("migrate")

    assert bare_site.tell("inserts_and_sends") == 1

    assert subjects(bare_site.queued()) == ["Hello"]


@pytest.mark.parametrize("story", ["commits", "inserts_and_sends", "inserts_and_sends_silently"])
def test_without_tables_a_transaction_cannot_send_and_is_told_what_makes_them(
    bare_site: Site, story: str
) -> None:
    told = bare_site.tell_error(story)

    assert told.startswith(CONFIG_ERROR)
    assert "no tables for mail" in told
    assert "`manage.py migrate`" in told


def test_without_tables_an_email_outside_of_a_transaction_makes_them(bare_site: Site) -> None:
    assert bare_site.tell("has_no_transaction") == 1

    assert subjects(bare_site.queued()) == ["Hello"]


def test_in_postgresql_the_first_email_makes_the_tables_also_in_a_transaction(postgres_site: Site) -> None:
    postgres_site.is_migrated = False

    assert postgres_site.tell("inserts_and_sends") == 1

    assert subjects(postgres_site.queued()) == ["Hello"]


def test_migrate_makes_the_tables_in_postgresql(postgres_site: Site, database: str) -> None:
    postgres_site.manage("migrate")

    storage = PostgresStorage(database)
    version = storage.schema_version()
    storage.close()
    assert version == VERSION


def test_migrate_makes_no_tables_where_the_queue_is_elsewhere(bare_site: Site, tmp_path: Path) -> None:
    bare_site.use_queue(SqliteStorage, str(tmp_path / "queue.db"))

    bare_site.manage("migrate")

    with closing(sqlite3.connect(tmp_path / "site.db")) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'mailstrom%'").fetchall()
    assert tables == []
    assert not (tmp_path / "queue.db").exists()


@pytest.mark.parametrize("name", [":memory:", "file:site?mode=memory&cache=shared"])
def test_migrate_leaves_a_database_in_memory_alone(bare_site: Site, name: str) -> None:
    bare_site.database["NAME"] = name

    bare_site.manage("migrate")

    assert list(bare_site.folder.iterdir()) == []


@pytest.mark.parametrize("name", [":memory:", "file::memory:", "file:site?mode=memory&cache=shared"])
def test_a_database_in_memory_is_refused_and_no_file_is_made(bare_site: Site, name: str) -> None:
    bare_site.database["NAME"] = name

    told = bare_site.tell_error("has_no_transaction")

    assert told.startswith(f"{CONFIG_ERROR}MAILSTROM: the name of the default database is '{name}'")
    assert list(bare_site.folder.iterdir()) == []


# --- what fail_silently does not silence


@pytest.mark.parametrize("story", ["fills_the_disk_with_an_email", "fills_the_disk_with_an_email_silently"])
def test_where_a_full_disk_ends_the_transaction_nothing_else_of_its_block_is_committed(
    site: Site, story: str
) -> None:
    assert site.tell(story) == [["StorageFull", "TransactionManagementError"], 0]


def test_silently_a_full_disk_outside_of_a_transaction_is_not_told(site: Site) -> None:
    assert site.tell("fails_silently_outside_of_a_transaction") == 0


def test_silently_a_wrong_setting_is_told_all_the_same(site: Site) -> None:
    told = site.tell_error("is_silently_a_mailer_with_an_unknown_option")

    assert told.startswith(CONFIG_ERROR)
    assert "colour" in told


@pytest.mark.parametrize("story", ["sends_in_an_async_function", "sends_in_an_async_function_silently"])
def test_an_async_function_is_told_how_to_send(site: Site, story: str) -> None:
    told = site.tell_error(story)

    assert told.startswith(CONFIG_ERROR)
    assert "await sync_to_async(send_mail)(...)" in told
    assert site.queued() == []


def test_an_async_function_sends_by_sync_to_async(site: Site) -> None:
    assert site.tell("sends_by_sync_to_async") == 1

    assert subjects(site.queued()) == ["Hello"]


# --- a log that is mailed


@pytest.fixture
def open_to_others(site: Site) -> Site:
    """Its database may be read by all, as Django makes it: that is logged when the queue is opened."""
    site.manage("migrate")
    site.folder.joinpath("site.db").chmod(0o644)
    return site


@pytest.fixture
def postgres_elsewhere(site: Site, database: str) -> Site:
    """With its queue in PostgreSQL; that the server syncs nothing is logged when the queue is used."""
    site.use_queue(PostgresStorage, database)
    return site


@pytest.mark.parametrize("kind", ["open_to_others", "postgres_site", "postgres_elsewhere"])
def test_a_log_handler_that_mails_what_sending_logs_is_refused_and_that_is_logged(
    request: pytest.FixtureRequest, kind: str
) -> None:
    site = request.getfixturevalue(kind)

    sent, mailed, said = site.tell("mails_its_log")

    assert (sent, mailed) == (1, [0])
    assert [line.partition(":")[0] for line in said] == ["an email was not sent"]
    assert subjects(site.queued()) == ["Hello"]


def test_a_log_handler_that_mails_what_the_worker_logs_is_refused_and_mail_goes_on(
    site: Site, smtp: tuple[SmtpServer, str]
) -> None:
    server, url = smtp
    site.options = {"delivery": url, "helo_name": "site.sender.example"}

    is_delivered, mailed, said = site.tell("mails_its_log_and_delivers")

    assert (is_delivered, mailed) == (True, [0])
    assert [line.partition(":")[0] for line in said] == ["an email was not sent"]
    assert len(server.ledger.messages) == 1


# --- threads, processes


def test_threads_that_send_first_share_one_mailstrom() -> None:
    makers = Makers()
    doors = FrontDoors(makers.make)

    with makers.in_a_thread(lambda: doors.of(None, {})) as other:
        makers.may_make.set()
        mine = doors.of(None, {})

    assert other == [mine]
    assert len(makers.made) == 1
    makers.close()


def test_who_would_wait_too_long_for_another_thread_opens_the_queue_itself_and_one_is_closed() -> None:
    makers = Makers()
    doors = FrontDoors(makers.make, turn_secs=0.01)

    with makers.in_a_thread(lambda: doors.of(None, {})) as other:
        mine = doors.of(None, {})
        makers.may_make.set()

    assert other == [mine]
    closed = [door.mailstrom.worker_status() is WorkerStatus.TERMINATED for door in makers.made]
    assert closed == [False, True]
    makers.close()


def test_a_forked_process_goes_on_with_the_queue_of_its_parent(site: Site) -> None:
    assert site.tell("forks_after_its_first_email") == 0

    assert sorted(subjects(site.queued())) == ["Child", "Parent"]


def test_a_process_that_was_forked_while_a_thread_opened_the_queue_opens_it_itself(site: Site) -> None:
    assert site.tell("forks_while_a_thread_opens_the_queue") == 0


# --- its own tests


@pytest.mark.parametrize("place", ["sqlite", "postgres"])
def test_in_the_projects_own_tests_mail_goes_to_djangos_outbox(
    request: pytest.FixtureRequest, place: str
) -> None:
    site = request.getfixturevalue("bare_site" if place == "sqlite" else "postgres_site")

    told = site.manage("test", "--noinput", "tests.interop.django_site.checks")

    assert "Ran 2 tests" in told
