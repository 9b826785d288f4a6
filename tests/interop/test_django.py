"""A Django project sends through mailstrom: each story in a process of its own, as a view would tell it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.interop.django_site.site import (
    ENQUEUES,
    Site,
    parsed,
    site_on_postgres,
    site_on_sqlite,
    subjects,
)


@pytest.fixture
def sqlite_site(tmp_path: Path) -> Site:
    return site_on_sqlite(tmp_path)


@pytest.fixture
def postgres_site(tmp_path: Path, database: str) -> Site:
    return site_on_postgres(tmp_path, database)


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest) -> Site:
    """With its queue in its default database."""
    made: Site = request.getfixturevalue(f"{request.param}_site")
    return made


@pytest.fixture
def site_with_two(sqlite_site: Site, tmp_path: Path) -> Site:
    """With its queue elsewhere."""
    sqlite_site.use_queue(SqliteStorage, str(tmp_path / "queue.db"))
    return sqlite_site


@pytest.fixture
def smtp() -> Iterator[tuple[SmtpServer, str]]:
    server = SmtpServer()
    with LoopbackServer(server) as running:
        yield server, f"smtp://127.0.0.1:{running.port}"


# --- if and only if the transaction commits


@pytest.mark.parametrize("style_before", [False, True])
def test_a_transaction_that_commits_sends(site: Site, style_before: bool) -> None:
    site.style_before = style_before

    assert site.tell("commits") == 1

    assert subjects(site.queued()) == ["Hello"]


def test_a_transaction_that_is_rolled_back_sends_nothing(site: Site) -> None:
    assert site.tell("rolls_back") == 1

    assert site.queued() == []


def test_a_block_inside_that_is_rolled_back_sends_nothing(site: Site) -> None:
    assert site.tell("rolls_back_a_savepoint") == 1

    assert subjects(site.queued()) == ["Outside"]


def test_outside_of_a_transaction_it_is_sent_at_once(site: Site) -> None:
    assert site.tell("has_no_transaction") == 1

    assert subjects(site.queued()) == ["Hello"]


def test_a_block_that_is_broken_already_takes_no_email(site: Site) -> None:
    assert site.tell("sends_in_a_broken_block") == "StorageError"

    assert site.queued() == []


@pytest.mark.parametrize(
    ("story", "sent"),
    [("commits", 1), ("rolls_back", 0), ("rolls_back_a_savepoint", 1), ("has_no_transaction", 1)],
)
def test_with_its_queue_elsewhere_it_is_the_same(site_with_two: Site, story: str, sent: int) -> None:
    site_with_two.tell(story)

    assert len(site_with_two.queued()) == sent


def test_it_can_be_sent_whatever_becomes_of_the_transaction(site_with_two: Site) -> None:
    site_with_two.options["on_commit"] = False

    site_with_two.tell("rolls_back")

    assert subjects(site_with_two.queued()) == ["Hello"]


# --- what is accepted


def test_who_has_no_recipients_is_not_counted(sqlite_site: Site) -> None:
    assert sqlite_site.tell("sends_three_of_which_one_has_nobody_to_go_to") == 2

    assert subjects(sqlite_site.queued()) == ["One", "Two"]


def test_a_message_that_cannot_be_sent_raises(sqlite_site: Site) -> None:
    assert sqlite_site.tell_error("sends_one_that_is_wrong").startswith("mailstrom.errors.MessageError: ")


def test_and_silently_is_not_counted(sqlite_site: Site) -> None:
    assert sqlite_site.tell("sends_two_of_which_one_is_wrong_silently") == 1

    (sent,) = sqlite_site.queued()
    assert sent.recipients == ("you@dest.example",)


def test_a_message_that_cannot_be_sent_leaves_the_transaction_usable(site: Site) -> None:
    assert site.tell("inserts_and_fails_to_send") == 1


def test_with_its_queue_elsewhere_the_sender_hears_of_a_wrong_message(site_with_two: Site) -> None:
    assert site_with_two.tell_error("sends_one_that_is_wrong").startswith("mailstrom.errors.MessageError: ")


def test_all_that_django_writes_arrives(sqlite_site: Site) -> None:
    sqlite_site.tell("sends_everything")

    (sent,) = sqlite_site.queued()
    assert (sent.message_id, sent.reverse_path) == ("order-4711@sender.example", "joerg@sender.example")
    assert sent.recipients == (
        "ann@dest.example",
        "bob@dest.example",
        "cc@dest.example",
        "hidden@dest.example",
    )
    assert b"hidden" not in sent.content
    read = parsed(sent)
    assert {name: read[name] for name in ("Subject", "From", "To", "Cc", "Reply-To", "X-Order")} == {
        "Subject": "Grüße – №\u00a01",
        "From": "Jörg <joerg@sender.example>",
        "To": "Ann <ann@dest.example>, bob@dest.example",
        "Cc": "cc@dest.example",
        "Reply-To": "help@sender.example",
        "X-Order": "4711",
    }
    text, html = (read.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == ["Schöne Grüße"]
    assert html.get_content().splitlines() == ["<p>Schöne Grüße</p>"]
    binary, notes = read.iter_attachments()
    assert (binary.get_filename(), binary.get_content()) == ("data.bin", bytes(range(256)))
    assert (notes.get_filename(), notes.get_content().splitlines()) == ("notes.txt", ["Zeile 1", "Zeile 2"])


# --- settings


def test_the_options_of_a_mailer_are_settings(sqlite_site: Site) -> None:
    assert sqlite_site.tell("is_a_mailer") == 1

    assert subjects(sqlite_site.queued()) == ["Hello"]


def test_an_unknown_option_is_told(sqlite_site: Site) -> None:
    told = sqlite_site.tell_error("is_a_mailer_with_an_unknown_option")

    assert told.startswith("mailstrom.errors.ConfigError: ")
    assert "colour" in told


def test_a_default_database_that_cannot_hold_a_queue_is_told(sqlite_site: Site) -> None:
    sqlite_site.database = {"ENGINE": "django.db.backends.dummy"}
    sqlite_site.is_migrated = False

    told = sqlite_site.tell_error("has_no_transaction")

    assert told.startswith("mailstrom.errors.ConfigError: MAILSTROM: the default database is ")


# --- who delivers


def test_the_worker_delivers_until_it_is_told_to_stop(site: Site, smtp: tuple[SmtpServer, str]) -> None:
    server, url = smtp
    site.options = {**ENQUEUES, "delivery": url, "helo_name": "site.sender.example"}
    site.tell("commits")

    with site.worker() as worker:
        server.ledger.wait_for(lambda ledger: len(ledger.messages) == 1)
        worker.send_signal(signal.SIGTERM)
        told, complaints = worker.communicate(timeout=20)

    assert worker.returncode == 0, complaints
    assert [message.reverse_path for message in server.ledger.messages] == ["shop@sender.example"]
    assert "drained" in told
    assert site.queued() == []


def test_the_worker_has_the_options_of_a_mailer(sqlite_site: Site, smtp: tuple[SmtpServer, str]) -> None:
    server, url = smtp
    sqlite_site.options = {**ENQUEUES, "delivery": url, "helo_name": "site.sender.example"}
    sqlite_site.tell("commits")

    with sqlite_site.worker("--mailer", "second", "--grace", "5") as worker:
        server.ledger.wait_for(lambda ledger: len(ledger.messages) == 1)
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=20)

    assert [message.helo for message in server.ledger.messages] == ["second.sender.example"]


def test_the_worker_knows_which_mailers_there_are(sqlite_site: Site) -> None:
    with sqlite_site.worker("--mailer", "third") as worker:
        _, complaints = worker.communicate(timeout=20)

    assert (worker.returncode, "'third'" in complaints) == (1, True)


def test_the_site_delivers_itself_where_nobody_else_does(
    sqlite_site: Site, smtp: tuple[SmtpServer, str]
) -> None:
    server, url = smtp
    sqlite_site.options = {"delivery": url, "helo_name": "site.sender.example"}

    sqlite_site.tell("commits_and_waits")

    (message,) = server.ledger.messages
    assert message.recipients == ("you@dest.example",)
