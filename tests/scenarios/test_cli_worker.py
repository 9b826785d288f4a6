"""`mailstrom worker` delivers what others store, and a signal drains it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from mailstrom import Delivered
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer
from tests.scenarios.worker_process import WAIT_SECS, Queue, command, environ, working

YOU = "you@dest.example"


class Gate:
    """Holds a server at one stage until the test lets it go on."""

    def __init__(self, then: Action | None = None) -> None:
        self.reached = threading.Event()
        self._then = then

    def __call__(self, _argument: str, _count: int) -> Action | None:
        self.reached.set()
        return self._then


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_delivers_what_others_store_before_and_after_its_start_and_drains_at_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    server = SmtpServer(name="relay.example")

    with LoopbackServer(server) as running:
        queue = Queue(tmp_path, running.port)
        (before,) = queue.store(YOU)
        with working(queue) as worker:
            (after,) = queue.store("other@dest.example")
            ends = [queue.wait(message_id) for message_id in (before, after)]
            worker.send_signal(number)
            told, log = worker.communicate(timeout=WAIT_SECS)

    assert [end.succeeded for end in ends] == [True, True]
    assert len(server.ledger.messages) == 2
    assert worker.returncode == 0
    assert told.splitlines() == [
        f"{number.name}: draining for up to 30 s; a second signal ends it at once",
        "drained",
    ]
    assert f"mailstrom: info: {before} to {YOU}: delivered: 127.0.0.1 took it over: 250" in log


def test_what_is_in_flight_goes_on_within_the_grace(tmp_path: Path) -> None:
    server = SmtpServer(on_content=(gate := Gate()), delays={"content": 0.5})

    with LoopbackServer(server) as running:
        queue = Queue(tmp_path, running.port)
        (message_id,) = queue.store(YOU)
        with working(queue, "--grace", "20") as worker:
            assert gate.reached.wait(WAIT_SECS)
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=WAIT_SECS)

    assert worker.returncode == 0
    assert isinstance(queue.status(message_id)[YOU].result, Delivered)


def test_what_has_not_sent_its_dot_when_the_grace_is_over_is_given_back(tmp_path: Path) -> None:
    server = SmtpServer(on_data=(gate := Gate(Action.HANG)))

    with LoopbackServer(server) as running:
        queue = Queue(tmp_path, running.port)
        (message_id,) = queue.store(YOU)
        with working(queue, "--grace", "0.1") as worker:
            assert gate.reached.wait(WAIT_SECS)
            worker.send_signal(signal.SIGTERM)
            _, log = worker.communicate(timeout=WAIT_SECS)

    with_storage = queue.storage()
    (recipient,) = with_storage.retrieve_status(message_id).recipients
    with_storage.close()
    assert worker.returncode == 0, log
    assert (recipient.result.state, recipient.result.tries) == ("queued", 0)
    assert (recipient.crashes, recipient.dot_sent) == (0, False)
    assert server.ledger.messages == ()


def test_what_waits_for_its_dot_reply_when_the_grace_is_over_is_uncertain(tmp_path: Path) -> None:
    server = SmtpServer(on_content=(gate := Gate(Action.HANG)))

    with LoopbackServer(server) as running:
        queue = Queue(tmp_path, running.port)
        (message_id,) = queue.store(YOU)
        with working(queue, "--grace", "0.1") as worker:
            assert gate.reached.wait(WAIT_SECS)
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=WAIT_SECS)

    result = queue.status(message_id)[YOU].result
    assert worker.returncode == 0
    assert (result.state, result.uncertain) == ("deferred", True)


def test_a_second_signal_ends_it_at_once_and_another_worker_takes_over(tmp_path: Path) -> None:
    server = SmtpServer(on_rcpt=(gate := Gate(Action.HANG)))

    with LoopbackServer(server) as running:
        queue = Queue(tmp_path, running.port)
        (message_id,) = queue.store(YOU)
        with working(queue) as worker:
            assert worker.stdout is not None
            assert gate.reached.wait(WAIT_SECS)
            worker.send_signal(signal.SIGTERM)
            assert "draining" in worker.stdout.readline()
            worker.send_signal(signal.SIGTERM)
            worker.wait(timeout=10)

    with LoopbackServer(SmtpServer()) as running, working(Queue(tmp_path, running.port)):
        end = queue.wait(message_id)

    assert worker.returncode == 128 + signal.SIGTERM
    assert end.succeeded


def test_it_goes_on_when_nobody_reads_what_it_writes(tmp_path: Path) -> None:
    with LoopbackServer(SmtpServer()) as running:
        queue = Queue(tmp_path, running.port)
        with working(queue) as worker:
            assert worker.stdout is not None
            assert worker.stderr is not None
            worker.stdout.close()
            worker.stderr.close()
            ends = [queue.wait(message_id) for message_id in queue.store(YOU, "other@dest.example")]
            worker.send_signal(signal.SIGTERM)
            worker.wait(WAIT_SECS)

    assert [end.succeeded for end in ends] == [True, True]
    assert worker.returncode == 0


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path := str(tmp_path / "notify"))
        systemd.settimeout(WAIT_SECS)
        with working(Queue(tmp_path), NOTIFY_SOCKET=path) as worker:
            ready = systemd.recv(100)
            worker.send_signal(signal.SIGTERM)
            stopping = systemd.recv(100)
            worker.communicate(timeout=WAIT_SECS)

    assert (ready, stopping) == (b"READY=1", b"STOPPING=1")


def test_it_drains_as_the_first_process_of_a_container(tmp_path: Path) -> None:
    """The kernel drops a signal to such a process where it has no handler of its own for it."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes a PID namespace")
    prefix = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

    with working(Queue(tmp_path), prefix=prefix) as unshare:
        children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text()
        os.kill(int(children), signal.SIGTERM)
        told, _ = unshare.communicate(timeout=WAIT_SECS)

    assert unshare.returncode == 0
    assert told.endswith("drained\n")


def test_one_that_is_to_stand_by_delivers_when_the_other_ends(tmp_path: Path) -> None:
    with LoopbackServer(SmtpServer()) as running:
        queue = Queue(tmp_path, running.port)
        with working(queue, "--role", "auto") as first, working(queue, "--role", "auto") as second:
            first.send_signal(signal.SIGTERM)
            first.communicate(timeout=WAIT_SECS)
            end = queue.wait(queue.store(YOU)[0])
            assert second.stdout is not None
            told = second.stdout.readline()

    assert end.succeeded
    assert told == f"mailstrom worker {second.pid} delivers now: the other process has ended\n"


def test_a_queue_that_cannot_be_reached_is_one_line_and_code_75() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # and does not listen
        url = f"postgresql://app:s3cret@127.0.0.1:{listener.getsockname()[1]}/app"
        ended = subprocess.run(
            command("worker"), env=environ(MAILSTROM_STORAGE=url), capture_output=True, text=True
        )

    assert (ended.returncode, ended.stdout) == (75, "")
    assert ended.stderr.count("\n") == 1
    assert "s3cret" not in ended.stderr
