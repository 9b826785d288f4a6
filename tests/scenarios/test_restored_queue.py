"""A restored queue is held before anybody delivers, and goes out when it is released."""

from __future__ import annotations

import io
import shutil
import signal
import sqlite3
from pathlib import Path

from mailstrom.cli.main import run_command_line
from mailstrom.cli.terminal import Streams
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer
from tests.scenarios.test_cli_worker import Gate
from tests.scenarios.worker_process import WAIT_SECS, Queue, working

YOU = "you@dest.example"


def run(queue: Queue, *arguments: str) -> str:
    out = io.StringIO()
    streams = Streams(stdin=io.BytesIO(), stdout=out, stderr=io.StringIO())
    assert run_command_line(("queue", *arguments, "--storage", queue.url), streams) == 0
    return out.getvalue()


def backup_in_the_middle_of_a_delivery(directory: Path) -> tuple[Path, list[str]]:
    """A copy of a queue made while its worker tries one message, and the ids of all."""
    server = SmtpServer(on_data=(gate := Gate(Action.HANG)))
    with LoopbackServer(server) as running:
        queue = Queue(directory, running.port)
        message_ids = queue.store(YOU)
        with working(queue):
            assert gate.reached.wait(WAIT_SECS)
            message_ids += queue.store("other@dest.example")
            with sqlite3.connect(queue.path) as connection:
                connection.execute("VACUUM INTO ?", (str(directory / "backup.db"),))
            connection.close()
    return directory / "backup.db", message_ids


def test_a_restored_queue_is_held_until_it_is_released(tmp_path: Path) -> None:
    backup, message_ids = backup_in_the_middle_of_a_delivery(tmp_path)
    (tmp_path / "restored").mkdir(mode=0o700)
    server = SmtpServer()

    with LoopbackServer(server) as running:
        queue = Queue(tmp_path / "restored", running.port)
        shutil.copy(backup, queue.path)
        queue.path.chmod(0o600)
        held = run(queue, "hold", "--all", "--yes")
        with working(queue) as worker:
            (new,) = queue.store("new@dest.example")
            assert queue.wait(new).succeeded
            before_release = [message.recipients for message in server.ledger.messages]
            run(queue, "release", "--state", "held")
            ends = [queue.wait(message_id) for message_id in message_ids]
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=WAIT_SECS)

    assert "held: 2 recipients of 2 messages" in held
    assert before_release == [("new@dest.example",)]
    assert [end.succeeded for end in ends] == [True, True]
