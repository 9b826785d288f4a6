"""What becomes of the worker when its process forks, ends, or goes wrong."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from mailstrom import Config, Mailstrom, NotRunningError, RelayConfig, WorkerStatus
from mailstrom.engine.worker import Engine
from mailstrom.testing.dns_server import DnsServer
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer
from tests.builders import an_email

CAPTURE = Config(helo_name="sender.example", mode="capture")


PREAMBLE = "import logging, sys; logging.basicConfig(level=logging.WARNING)\n"
UNTIL_TOLD = "    sys.stdin.readline()"


def run_script(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A Python program of its own."""
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def started(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python program of its own that goes on beside the test."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


SENDS_AND_ENDS = """
    from mailstrom import *
    relay = RelayConfig("127.0.0.1", int(sys.argv[1]), tls="none")
    m = Mailstrom(Config(helo_name="sender.example", delivery=relay)).start()
    i = m.send_email(Email(from_="a@sender.example", to="you@dest.example", text="t"))
"""


def ends_while(server: SmtpServer, wait: str) -> subprocess.CompletedProcess[str]:
    """A program that ends without close() once `wait` (a line of it) is over."""
    with LoopbackServer(server) as running:
        done = run_script(SENDS_AND_ENDS + wait, running.port)
    assert done.returncode == 0, done.stderr
    return done


UNTIL_ASKED = """
    import time
    while not (engine := m._life._tenure.runtime._engine) or not engine._in_hand.jobs: time.sleep(0.001)
    {more}
"""
UNTIL_DOT = UNTIL_ASKED.format(
    more="while not [j for j in m._life._tenure.runtime._engine._in_hand.jobs if j.awaiting_dot]: pass"
)


def test_a_program_that_ends_before_start_is_told_how_many_are_lost() -> None:
    """Row 54: memory: warn with the count; that start() was forgotten shows nowhere else."""
    done = run_script(SENDS_AND_ENDS.replace(".start()", "") + "    print(i)", 25)

    assert "1 message is lost" in done.stderr
    assert done.stdout.strip() in done.stderr


def test_a_program_that_ends_before_start_and_sent_nothing_is_told_nothing() -> None:
    done = run_script("from mailstrom import Mailstrom; m = Mailstrom()")

    assert (done.returncode, done.stderr) == (0, "")


def test_a_program_that_ends_while_its_worker_is_idle_ends_quietly() -> None:
    """Row 54."""
    server = SmtpServer()

    done = ends_while(server, "    m.wait(i, timeout=30)")

    assert done.stderr == ""
    assert len(server.ledger.messages) == 1


def test_a_program_that_ends_with_mail_queued_is_told_how_many_are_lost() -> None:
    """Row 54: memory: warn with the count."""
    done = run_script(SENDS_AND_ENDS.replace("i = m.send", "m.pause(); i = m.send") + "    print(i)", 25)

    assert "1 message is lost" in done.stderr
    assert done.stdout.strip() in done.stderr


@pytest.mark.parametrize("stage", ["on_greeting", "on_ehlo", "on_mail", "on_rcpt", "on_data"])
def test_a_program_that_ends_before_the_final_dot_gives_up_that_delivery(stage: str) -> None:
    """Row 54: abort those before the dot."""
    reached = threading.Event()

    def hang(_argument: str, _count: int) -> Action:
        reached.set()
        return Action.HANG

    server = SmtpServer(**{stage: hang})
    with LoopbackServer(server) as running, started(SENDS_AND_ENDS + UNTIL_TOLD, running.port) as program:
        assert reached.wait(30), "the delivery did not come so far"

        _, errors = program.communicate("end\n", timeout=30)

    assert (program.returncode, "1 message is lost" in errors) == (0, True), errors
    assert server.ledger.messages == ()


def test_a_program_that_ends_after_the_final_dot_waits_for_the_reply() -> None:
    """Row 54: wait for dot replies."""
    server = SmtpServer(delays={"content": 0.5})

    done = ends_while(server, UNTIL_DOT)

    assert done.stderr == ""
    assert len(server.ledger.messages) == 1


def test_a_forked_child_has_a_queue_and_a_worker_of_its_own_paused_as_the_parents() -> None:
    """Row 53: delivered once, by the parent; the child's mail by the child."""
    server = SmtpServer()
    script = """
    import os
    m.wait(i, timeout=30)
    m.pause()
    queued = m.send_email(Email(from_="a@sender.example", to="you@dest.example", text="parent"))
    pid = os.fork()
    if pid == 0:
        try:
            assert m.worker_status() == "paused", m.worker_status()
            mine = m.send_email(Email(from_="a@sender.example", to="you@dest.example", text="child"))
            assert m.wait(mine, timeout=0.1).state == "queued"
            assert m.start().wait(mine, timeout=20).succeeded
            try:
                m.query_status(queued)
            except MessageNotFound:
                assert m.close() == ()
                os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    m.start()
    assert m.wait(queued, timeout=20).succeeded
    assert m.close() == ()
    """

    ends_while(server, script)

    assert sorted(message.content.split(b"\r\n\r\n")[1] for message in server.ledger.messages) == [
        b"child\r\n",
        b"parent\r\n",
        b"t\r\n",
    ]


def test_a_forked_child_goes_on_with_a_queue_that_both_share(tmp_path: Path) -> None:
    """Row 53: each mail is delivered once, by whoever has its turn."""
    server = SmtpServer()
    script = """
    import os
    m = Mailstrom(m._config, "sqlite:///" + sys.argv[2]).start()
    of_parent = m.send_email(Email(from_="a@sender.example", to="you@dest.example", text="parent"))
    assert m.wait(of_parent, timeout=20).succeeded
    pid = os.fork()
    if pid == 0:
        try:
            assert m.query_status(of_parent).succeeded
            of_child = m.send_email(Email(from_="a@sender.example", to="you@dest.example", text="child"))
            assert m.worker_status() == "standby", m.worker_status()
            assert m.wait(of_child, timeout=20).succeeded
            m.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert m.worker_status() == "ok"
    assert [event.kind for event in m.events()] == ["accepted", "delivered"] * 2
    m.close()
    """
    with LoopbackServer(server) as running:
        done = run_script(SENDS_AND_ENDS + script, running.port, tmp_path / "mail.db")

    assert done.returncode == 0, done.stderr
    assert len(server.ledger.messages) == 3


@pytest.mark.parametrize("place", [None, "mail.db"], ids=["memory", "sqlite"])
def test_a_daemon_forked_twice_goes_on_though_nobody_used_it_in_between(
    place: str | None, tmp_path: Path
) -> None:
    """Row 53: what was started is started, and what was paused is paused, in every generation."""
    script = """
    import os
    m.wait(i, timeout=30)
    place = "sqlite:///" + sys.argv[2] if sys.argv[2] else None
    email = lambda: Email(from_="a@sender.example", to="you@dest.example", text="daemon")
    runs, waits = Mailstrom(m._config, place).start(), Mailstrom(m._config).start()
    waits.pause()
    if os.fork() == 0:
        if os.fork() == 0:
            try:
                assert runs.wait(runs.send_email(email()), timeout=20).succeeded
                assert waits.wait(waits.send_email(email()), timeout=0.1).state == "queued"
                assert waits.worker_status() == "paused"
                print("well", flush=True)
            finally:
                os._exit(0)
        os._exit(0)
    os._exit(0)
    """
    with LoopbackServer(SmtpServer()) as running:
        done = run_script(SENDS_AND_ENDS + script, running.port, tmp_path / place if place else "")

    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


def test_a_forked_child_of_a_parent_that_never_started_starts_nothing() -> None:
    """Row 53: preloading servers."""
    script = """
    import os, threading
    pid = os.fork()
    if pid == 0:
        try:
            m.send_email(Email(from_="a@sender.example", to="you@dest.example", text="child"))
            os._exit(0 if m.worker_status() == "not started" and threading.active_count() == 1 else 1)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """

    done = run_script(SENDS_AND_ENDS.replace(".start()", "") + script, 25)

    assert done.returncode == 0, done.stderr


class Fragile(Engine):
    """An engine that something kills from inside its loop as often as it is told."""

    crashes = 0

    async def _serve(self, carrier: object) -> None:
        if Fragile.crashes > 0:
            Fragile.crashes -= 1
            raise SystemExit("killed")
        await super()._serve(carrier)


class FragileMailstrom(Mailstrom):
    """A Mailstrom whose worker is a Fragile one."""

    def _make_runtime(self) -> object:
        runtime = super()._make_runtime()
        runtime._engine_class = Fragile
        return runtime


@pytest.mark.parametrize("crashes", [1, 3])
def test_a_worker_that_crashes_is_started_again_and_goes_on(crashes: int) -> None:
    """Row 55: at most 3 a minute."""
    Fragile.crashes = crashes
    with FragileMailstrom(CAPTURE) as m:
        message_id = m.start().send_email(an_email())

        assert m.wait(message_id, timeout=30).succeeded


def test_a_worker_that_crashes_too_often_is_a_status_and_send_email_raises() -> None:
    """Row 55: never a silent stop."""
    Fragile.crashes = 100
    with FragileMailstrom(CAPTURE) as m:
        m.start()
        m._life._tenure.runtime._thread.join(30)

        assert m.worker_status() is WorkerStatus.CRASHED
        with pytest.raises(NotRunningError, match="crashed"):
            m.send_email(an_email())
    assert threading.active_count() == 1


@pytest.mark.expects_loop_errors  # a killed loop leaves its tasks to be cancelled
def test_mail_that_was_being_sent_when_the_worker_crashed_is_sent_again() -> None:
    """Row 55: queued."""
    stages: list[str] = []

    def kill_once(address: str, count: int) -> None:
        stages.append(address)
        if len(stages) == 1:
            m._life._tenure.runtime._thread.call_soon(killed)

    def killed() -> None:
        raise SystemExit("killed")

    server = SmtpServer(on_rcpt=kill_once, delays={"rcpt": 0.2})
    with LoopbackServer(server) as running:
        relay = RelayConfig("127.0.0.1", running.port, tls="none")
        with Mailstrom(Config(helo_name="sender.example", delivery=relay)) as m:
            message_id = m.start().send_email(an_email())

            assert m.wait(message_id, timeout=30).succeeded

    assert len(server.ledger.messages) == 1


LOADED_ASIDE = """
    import importlib.abc, threading
    class Recording(importlib.abc.MetaPathFinder):
        found = set()
        def find_spec(self, name, path, target=None):
            if threading.current_thread() is not threading.main_thread():
                self.found.add(name)
    from mailstrom import *
    sys.meta_path.insert(0, Recording())
    resolver = ResolverSetup.specific("127.0.0.1", port=int(sys.argv[2]))
    relay = RelayConfig("localhost", int(sys.argv[1]), tls="none")
    for delivery in RemoteDeliveryConfig(resolver_setup=resolver), relay:
        with Mailstrom(Config(delivery=delivery)).start() as m:
            i = m.send_email(Email(from_="a@sender.example", to="you@dest.example", text="t"))
            print(m.wait(i, timeout=30).state)
    print(Recording.found & set(sys.modules))  # the others were asked for, and are nowhere
"""


def test_all_that_a_worker_uses_is_loaded_before_it_has_a_thread() -> None:
    """Row 53: a child forked while a thread of its parent loads a module finds half of it, for good."""
    zone = {"dest.example": {"MX": [[10, "mx.dest.example."]]}, "mx.dest.example": {"A": ["127.0.0.1"]}}
    with LoopbackServer(SmtpServer()) as running, DnsServer(zone) as names:
        done = run_script(LOADED_ASIDE, running.port, names.port)

    assert done.stdout == "failed\ndelivered\nset()\n", done.stderr


def test_threads_of_a_forked_child_that_come_at_once_share_one_worker() -> None:
    """Row 53: gunicorn --preload with threads."""
    script = """
    import os, threading, time
    class SlowToBegin(Mailstrom):
        def _make_runtime(self):
            time.sleep(0.1)
            return super()._make_runtime()
    m.wait(i, timeout=30)
    config, m2 = m._config, None
    m2 = SlowToBegin(config).start()
    pid = os.fork()
    if pid == 0:
        try:
            email = lambda: Email(from_="a@sender.example", to="you@dest.example", text="child")
            threads = [threading.Thread(target=lambda: m2.send_email(email())) for _ in range(8)]
            for each in threads: each.start()
            for each in threads: each.join()
            workers = [each for each in threading.enumerate() if each.name == "mailstrom-worker"]
            assert len(workers) == 1, workers
            assert m2.drain(timeout=20)
            assert m2.close() == ()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    m2.close()
    """
    server = SmtpServer()

    ends_while(server, script)

    assert len(server.ledger.messages) == 9
