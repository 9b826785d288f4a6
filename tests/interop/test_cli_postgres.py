"""The command line over a queue on PostgreSQL: the tables, the queue, health, and a worker."""

from __future__ import annotations

import io
import json
import signal
import subprocess
from pathlib import Path

import pytest

from mailstrom import Config, Mailstrom, RelayConfig
from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
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
    before = ended("db", "version", "--storage", database)
    made = ended("db", "upgrade", "--storage", database)
    again = ended("db", "upgrade", "--storage", database)
    after = ended("db", "version", "--storage", database)

    assert {each[0] for each in (before, made, again, after)} == {0}
    assert of_tables(before[1]) == "there are no tables yet; this mailstrom works with version 1\n"
    assert of_tables(made[1]) == "made the tables, version 1\n"
    assert of_tables(again[1]) == "nothing to do: the tables are of version 1\n"
    assert of_tables(after[1]) == "the tables are of version 1; this mailstrom works with version 1\n"


def test_tables_of_a_newer_mailstrom_are_code_78_and_stay_as_they_are(database: str) -> None:
    ended("db", "upgrade", "--storage", database)
    query(database, "INSERT INTO mailstrom.schema (version) VALUES (99) RETURNING version")

    for words in (("db", "upgrade"), ("queue",), ("health", "--no-dns")):
        code, told, complained = ended(*words, "--storage", database)
        assert (code, told, complained.count("\n")) == (78, "", 1)
        assert "version 99" in complained


def test_the_queue_of_postgresql_is_shown_without_its_password(database: str) -> None:
    with Mailstrom(Config(helo_name=HELO), database) as m:
        m.send_email(an_email())

    code, told, complained = ended("queue", "--storage", database)

    assert (code, complained) == (0, "")
    assert "1 recipient: 1 queued." in told
    assert "@" not in told


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
