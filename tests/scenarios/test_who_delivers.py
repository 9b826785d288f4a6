"""One engine per host and queue, the next when it ends; one whatever the others do; or none at all."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailstrom import Config, ConfigError, Mailstrom, NotRunningError, SqliteStorage, WorkerStatus
from mailstrom.engine.worker import Engine
from mailstrom.net.clock import SystemClock
from mailstrom.wiring import SystemPlatform
from tests.builders import an_email
from tests.threads import no_thread_for

CAPTURE = Config(helo_name="sender.example", mode="capture")

DELIVERS = """
import sys
from mailstrom import *
with Mailstrom(Config(helo_name="sender.example", mode="capture"), "sqlite:///" + sys.argv[1]) as m:
    m.start()
    print(m.worker_status(), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def _locks_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # of other processes
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def on(folder: Path) -> Mailstrom:
    """One that shares its queue with the others that are made so."""
    return Mailstrom(CAPTURE, SqliteStorage(folder / "mail.db"))


@contextmanager
def another_process(folder: Path, script: str = DELIVERS) -> Iterator[subprocess.Popen[str]]:
    """A program with the same queue; what it prints first is read."""
    arguments = [sys.executable, "-c", textwrap.dedent(script), str(folder / "mail.db")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            assert program.stdout.readline() == "ok\n"
            yield program
        finally:
            program.kill()


def workers() -> list[str]:
    """The threads that deliver in this process."""
    return [thread.name for thread in threading.enumerate() if thread.name == "mailstrom-worker"]


def test_the_second_on_a_host_stands_by_and_its_mail_is_sent_by_the_first(tmp_path: Path) -> None:
    with on(tmp_path) as first, on(tmp_path) as second:
        first.start()
        second.start()

        status = second.wait(second.send_email(an_email()), timeout=30)

        assert (first.worker_status(), second.worker_status()) == (WorkerStatus.OK, WorkerStatus.STANDBY)
        assert status.succeeded
        assert (len(first.outbox), len(second.outbox)) == (1, 0)


def test_the_second_takes_over_when_the_first_is_closed(tmp_path: Path) -> None:
    with on(tmp_path) as second:
        with on(tmp_path) as first:
            first.start()
            second.start()
        message_id = second.send_email(an_email())

        assert second.wait(message_id, timeout=30).succeeded
        assert second.worker_status() is WorkerStatus.OK
        assert len(second.outbox) == 1


def test_it_takes_over_when_the_process_of_the_first_is_killed(tmp_path: Path) -> None:
    """Row 50: the kernel gives the lock back, however the process ended."""
    with on(tmp_path) as m, another_process(tmp_path) as first:
        m.start()
        assert m.worker_status() is WorkerStatus.STANDBY
        first.kill()

        assert m.wait(m.send_email(an_email()), timeout=30).succeeded
        assert len(m.outbox) == 1


def test_a_child_that_lives_on_does_not_keep_its_dead_parents_place(tmp_path: Path) -> None:
    """Row 53."""
    script = DELIVERS.replace(
        "    print(",
        """
    import os, time
    if os.fork() == 0:
        sys.stdin.readline()
        os._exit(0)
    print(""",
    )
    with on(tmp_path) as m, another_process(tmp_path, script) as parent:
        m.start()
        assert m.worker_status() is WorkerStatus.STANDBY
        parent.kill()
        parent.wait(30)

        assert m.wait(m.send_email(an_email()), timeout=30).succeeded


def test_a_pause_of_who_stands_by_holds_when_its_turn_comes(tmp_path: Path) -> None:
    with on(tmp_path) as second:
        with on(tmp_path) as first:
            first.start().pause()
            second.start().pause()
            message_id = second.send_email(an_email())
        while second.worker_status() is WorkerStatus.STANDBY:
            second.wait(message_id, timeout=0.01)

        assert second.wait(message_id, timeout=0.1).state == "queued"
        assert second.worker_status() is WorkerStatus.PAUSED
        assert second.start().wait(message_id, timeout=30).succeeded


def test_who_stands_by_can_be_closed_or_ended_at_once(tmp_path: Path) -> None:
    with on(tmp_path) as first:
        first.start()
        second, third = on(tmp_path).start(), on(tmp_path).start()

        assert second.close() == ()
        third.die()

        assert second.worker_status() is third.worker_status() is WorkerStatus.TERMINATED


def test_always_delivers_beside_another(tmp_path: Path) -> None:
    with on(tmp_path) as first, on(tmp_path) as second:
        first.start()
        second.start("always")

        assert first.worker_status() is second.worker_status() is WorkerStatus.OK
        assert len(workers()) == 2


def test_never_leaves_it_to_another_process_and_waits_for_that(tmp_path: Path) -> None:
    with on(tmp_path) as m, another_process(tmp_path):
        m.start("never")

        status = m.wait(m.send_email(an_email()), timeout=30)

        assert (status.succeeded, m.drain(timeout=30)) == (True, True)
        assert m.worker_status() is WorkerStatus.STANDBY
        assert (workers(), len(m.outbox)) == ([], 0)


def test_never_may_become_auto(tmp_path: Path) -> None:
    with on(tmp_path) as m:
        m.start("never").start()

        assert m.wait(m.send_email(an_email()), timeout=30).succeeded


def test_who_stands_by_can_be_told_to_deliver_always(tmp_path: Path) -> None:
    with on(tmp_path) as first, on(tmp_path) as second:
        first.start()
        second.start()
        assert second.worker_status() is WorkerStatus.STANDBY

        second.start("always")

        assert second.worker_status() is WorkerStatus.OK
        assert len(workers()) == 2


def test_who_stands_by_can_be_told_to_deliver_never(tmp_path: Path) -> None:
    with on(tmp_path) as second:
        with on(tmp_path) as first:
            first.start()
            second.start().start("never")
        assert second.worker_status() is WorkerStatus.STANDBY
        assert threading.active_count() == 1

        assert second._life._tenure._takes_turn()  # a look that was under way
        assert workers() == []
        assert second.start().wait(second.send_email(an_email()), timeout=30).succeeded


@pytest.mark.parametrize("name", ["mailstrom-worker", "mailstrom-listener"])
def test_a_start_for_which_the_system_has_no_thread_can_be_made_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on(tmp_path) as m:
        message_id = m.send_email(an_email())
        with no_thread_for(name, monkeypatch), pytest.raises(NotRunningError, match=r"call start\(\) again"):
            m.start()
        assert m.worker_status() is WorkerStatus.NOT_STARTED
        with on(tmp_path) as other:
            assert other.start().worker_status() is WorkerStatus.OK  # the place is free

        assert m.start().wait(message_id, timeout=30).succeeded


def test_a_standby_for_which_the_system_has_no_thread_can_be_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on(tmp_path) as first, on(tmp_path) as second:
        first.start()
        none = no_thread_for("mailstrom-standby", monkeypatch)
        with none, pytest.raises(NotRunningError, match="no thread"):
            second.start()

        assert second.start().worker_status() is WorkerStatus.STANDBY


def test_who_stands_by_looks_again_where_the_system_had_no_thread_for_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with on(tmp_path) as first, on(tmp_path) as second:
        first.start().pause()
        second.start()
        message_id = second.send_email(an_email())
        with no_thread_for("mailstrom-worker", monkeypatch, times=1):
            first.close()
            assert second.wait(message_id, timeout=30).succeeded

    assert ["it is our turn" in record.getMessage() for record in caplog.records] == [True]


class FastClock(SystemClock):
    """Ten seconds pass between two looks at it."""

    def __init__(self) -> None:
        self._secs = itertools.count(0.0, 10.0)

    def monotonic(self) -> float:
        return next(self._secs)


class FastPlatform(SystemPlatform):
    """The system, where time flies."""

    clock = FastClock()


class FastMailstrom(Mailstrom):
    """A Mailstrom there."""

    _platform = FastPlatform()


def test_who_waits_long_where_nothing_was_started_is_told_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with FastMailstrom(CAPTURE, SqliteStorage(tmp_path / "mail.db")) as m:
        message_id = m.send_email(an_email())

        assert m.wait(message_id, timeout=40).state == "queued"
        assert not m.drain(timeout=40)
    assert ["call start()" in record.getMessage() for record in caplog.records] == [True]


def test_with_a_queue_in_memory_nobody_else_can_deliver() -> None:
    with Mailstrom(CAPTURE) as first, Mailstrom(CAPTURE) as second:
        first.start()
        second.start("never")
        message_id = second.send_email(an_email())

        assert second.worker_status() is WorkerStatus.NOT_STARTED
        with pytest.raises(NotRunningError, match=r"start\(\)"):
            second.wait(message_id)


def test_another_role_is_refused(tmp_path: Path) -> None:
    with on(tmp_path) as m, pytest.raises(ConfigError, match="'auto', 'always' or 'never'"):
        m.start("sometimes")  # type: ignore[arg-type]


def test_where_no_lock_can_be_had_it_delivers_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"mailstrom-{os.getuid()}").write_text("no directory")
    with on(tmp_path) as m, caplog.at_level(logging.WARNING, logger="mailstrom"):
        m.start()

        assert m.wait(m.send_email(an_email()), timeout=30).succeeded
    assert ["who else does" in record.getMessage() for record in caplog.records] == [True]


class Fragile(Engine):
    """An engine that does not live long."""

    async def _serve(self, carrier: object) -> None:
        raise SystemExit("killed")


class FragileMailstrom(Mailstrom):
    """A Mailstrom whose worker is a Fragile one."""

    def _make_runtime(self) -> object:  # type: ignore[override]
        runtime = super()._make_runtime()
        runtime._engine_class = Fragile
        return runtime


def test_a_worker_that_stays_down_leaves_its_place_to_another(tmp_path: Path) -> None:
    """Row 55."""
    crashing = FragileMailstrom(CAPTURE, SqliteStorage(tmp_path / "mail.db"))
    with crashing, on(tmp_path) as m:
        crashing.start()
        m.start()

        assert m.wait(m.send_email(an_email()), timeout=30).succeeded
        assert crashing.worker_status() is WorkerStatus.CRASHED


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_child_forked_while_its_parent_takes_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    """Row 53: it would stand by for ever, and keep all others from delivering, once the parent is dead."""
    script = """
    import os, sys, threading
    from mailstrom.wiring import SystemPlatform

    def is_open(folder):
        (file,) = [os.stat(each) for each in os.scandir(folder)]
        return any(is_same(file, number) for number in range(3, 32))

    def is_same(file, number):
        try:
            return os.path.samestat(file, os.fstat(number))
        except OSError:
            return False

    lock, is_over = SystemPlatform().turn("sqlite:/mail.db"), threading.Event()

    def taking():
        while not is_over.is_set():
            lock.try_acquire()
            lock.release()

    lock.try_acquire()
    threading.Thread(target=taking).start()
    kept = 0
    for _ in range(40):
        if (child := os.fork()) == 0:
            lock.leave_to_parent()
            os._exit(is_open(sys.argv[1]))
        kept += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    is_over.set()
    print(kept)
    """
    folder = tmp_path / f"mailstrom-{os.getuid()}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), str(folder)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("0\n", "")
