"""The command line over a queue on PostgreSQL: the tables, the queue, health, and a worker."""

from __future__ import annotations

import io
import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailstrom import Config, Mailstrom, RelayConfig
from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.schema import VERSION
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.builders import HELO, an_email
from tests.postgres import PostgresServer, query
from tests.scenarios.worker_process import WAIT_SECS, command, environ


def ended(*arguments: str) -> tuple[int, str, str]:
    streams = Streams(stdin=io.BytesIO(), stdout=io.StringIO(), stderr=io.StringIO())
    code = run_command_line(arguments, streams)
    return code, streams.stdout.getvalue(), streams.stderr.getvalue()


def of_tables(told: str) -> str:
    """Without the place of the database, which is another each time."""
    return told.rpartition("/mailstrom: ")[2]


def test_the_tables_are_made_once_and_their_version_is_told(database: str) -> None:
    made = ended("db", "upgrade", "--storage", database)
    again = ended("db", "upgrade", "--storage", database)
    after = ended("db", "version", "--storage", database)

    assert {each[0] for each in (made, again, after)} == {0}
    assert of_tables(made[1]) == f"made the tables, version {VERSION}\n"
    assert of_tables(again[1]) == f"nothing to do: the tables are of version {VERSION}\n"
    known = f"the tables are of version {VERSION}; this mailstrom works with version {VERSION}\n"
    assert of_tables(after[1]) == known


def test_tables_of_a_newer_mailstrom_are_code_78_and_stay_as_they_are(database: str) -> None:
    ended("db", "upgrade", "--storage", database)
    query(database, "INSERT INTO mailstrom.schema (version, works_from) VALUES (99, 99) RETURNING version")

    for words in (("db", "upgrade"), ("queue",), ("health", "--no-dns")):
        code, told, complained = ended(*words, "--storage", database)
        assert (code, told, complained.count("\n")) == (78, "", 1)
        assert "version 99" in complained
    code, told, _ = ended("db", "version", "--storage", database)
    assert (code, of_tables(told).partition(";")[0]) == (0, "the tables are of version 99")
    assert told.endswith(f"this mailstrom works with version {VERSION}, and with newer ones that allow it\n")


@pytest.mark.parametrize(
    "words", [("queue",), ("queue", "list"), ("queue", "hold", "--all"), ("health",), ("db", "version")]
)
def test_looking_into_a_database_without_a_queue_makes_none(database: str, words: tuple[str, ...]) -> None:
    code, told, complained = ended(*words, "--storage", database)

    assert (code, told) == (66, "")
    assert complained.startswith("mailstrom: there is no queue in postgres:")
    assert complained.endswith("/mailstrom: `mailstrom db upgrade` would make its tables\n")
    assert query(database, "SELECT nspname FROM pg_namespace WHERE nspname = 'mailstrom'") == []


# --- a role that lacks rights


@pytest.fixture
def reader(database: str) -> Iterator[str]:
    """The DSN of a role that may look into the queue, and no more."""
    ended("db", "upgrade", "--storage", database)
    query(database, "CREATE ROLE reader LOGIN")
    query(database, "GRANT USAGE ON SCHEMA mailstrom TO reader")
    query(database, "GRANT SELECT ON ALL TABLES IN SCHEMA mailstrom TO reader")
    yield database.replace("mailstrom@", "reader@")
    query(database, "DROP OWNED BY reader")
    query(database, "DROP ROLE reader")


def test_who_may_only_look_is_shown_the_queue_and_is_no_worker(reader: str) -> None:
    settings = environ(MAILSTROM_STORAGE=reader)
    worker = subprocess.run(
        command("worker"), env=settings, capture_output=True, text=True, timeout=WAIT_SECS
    )

    assert ended("queue", "--storage", reader)[0] == 0
    assert ended("queue", "hold", "--all", "--storage", reader)[0] == 78
    assert (worker.returncode, worker.stdout) == (78, "")
    assert "(SQLSTATE 42501): grant the role what it lacks" in worker.stderr


def test_who_may_not_even_look_is_told_so_also_as_json(database: str, reader: str) -> None:
    query(database, "REVOKE USAGE ON SCHEMA mailstrom FROM reader")

    code, told, complained = ended("health", "--no-dns", "--json", "--storage", reader)

    assert (code, complained) == (78, "")
    assert "permission denied for schema mailstrom" in json.loads(told)["storage"]["error"]


# --- a server that goes


def test_watching_outlives_the_server(postgres_server: PostgresServer, database: str) -> None:
    ended("db", "upgrade", "--storage", database)
    line = command("queue", "--watch", "--interval", "0.05", "--storage", database)

    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environ()) as watching:
        assert watching.stdout is not None
        lines = iter(watching.stdout)
        assert "It is empty.\n" in lines
        postgres_server.stop("immediate")
        gone = next(line for line in lines if line.startswith("It cannot be reached: "))
        postgres_server.start()
        assert "It is empty.\n" in lines
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=WAIT_SECS)

    assert "PostgreSQL: " in gone
    assert watching.returncode == 0


def test_the_queue_of_postgresql_is_shown_without_its_password(database: str) -> None:
    with Mailstrom(Config(helo_name=HELO), database) as m:
        m.send_email(an_email())

    code, told, complained = ended("queue", "--storage", database)

    assert code == 0
    assert complained.count("\n") == complained.count("mailstrom: warning: postgres:") == 1  # fsync is off
    assert "1 recipient: 1 queued." in told
    assert "@" not in told + complained


def test_whoever_is_being_tried_is_shown_as_claimed(database: str) -> None:
    with Mailstrom(Config(helo_name=HELO), database) as m:
        message_id = m.send_email(an_email())
    storage, lease = PostgresStorage(database), timedelta(seconds=60)
    assert storage.claim(datetime.now(UTC), owner="me", lease=lease) is not None
    storage.close()
    ended("queue", "hold", message_id, "--storage", database)

    _, listed, _ = ended("queue", "list", "--state", "claimed", "--json", "--storage", database)
    _, shown, _ = ended("queue", "show", message_id, "--storage", database)

    assert [each["mark"] for message in json.loads(listed) for each in message["recipients"]] == ["hold"]
    assert json.loads(listed)[0]["size"] > 0
    assert "\n  being tried at this moment; held when that ends\n  its lease ends in " in shown


def test_a_database_that_is_gone_is_unhealthy_with_code_75(
    postgres_server: PostgresServer, database: str
) -> None:
    ended("db", "upgrade", "--storage", database)
    postgres_server.stop("immediate")
    try:
        code, told, _ = ended("health", "--no-dns", "--json", "--storage", database)
    finally:
        postgres_server.start()

    health = json.loads(told)
    assert (code, health["healthy"], health["storage"]["reachable"]) == (75, False, False)
    assert ended("health", "--no-dns", "--storage", database)[0] == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_deliver_what_another_process_stores(database: str, tmp_path: Path, workers: int) -> None:
    server, pipe = SmtpServer(), subprocess.PIPE
    with LoopbackServer(server) as running:
        relay = RelayConfig("127.0.0.1", running.port, tls="none")
        (file := tmp_path / "mailstrom.toml").write_text(
            f'helo_name = "{HELO}"\ndelivery = {{ relay = "smtp://127.0.0.1:{running.port}" }}\n'
        )
        line = command("worker", "--config", str(file))
        settings = environ(MAILSTROM_STORAGE=database)
        working = [
            subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=settings) for _ in range(workers)
        ]
        ready = [worker.stdout.readline() for worker in working if worker.stdout]
        with Mailstrom(Config(helo_name=HELO, delivery=relay), database) as m:
            ends = [m.wait(m.send_email(an_email()), WAIT_SECS) for _ in range(3)]
        for worker in working:
            worker.send_signal(signal.SIGTERM)
        logs = [worker.communicate(timeout=WAIT_SECS)[1] for worker in working]

    assert all("is ready: postgres:" in line for line in ready), logs
    assert [end.succeeded for end in ends] == [True] * 3
    assert len(server.ledger.messages) == 3
    assert [worker.returncode for worker in working] == [0] * workers
