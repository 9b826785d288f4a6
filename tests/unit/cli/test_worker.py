"""What `mailstrom worker` does when its engine is lost, and what its log shows of errors."""

from __future__ import annotations

import io
import logging
import signal
from typing import cast

import pytest

from mailstrom import Mailstrom, WorkerStatus
from mailstrom.cli.exit_codes import CommandError, ExitCode
from mailstrom.cli.terminal import LogLines, Progress, Streams
from mailstrom.cli.worker import Signals, awaited_signal
from mailstrom.net.systemd import notify


class Crashed:
    """A Mailstrom whose engine stays down."""

    def worker_status(self) -> WorkerStatus:
        return WorkerStatus.CRASHED


class Delivering:
    """A Mailstrom that has nothing to complain of."""

    def worker_status(self) -> WorkerStatus:
        return WorkerStatus.OK


class StandingBy:
    """A Mailstrom whose turn comes at the third look; a signal comes with the fifth."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._looks = 0

    def worker_status(self) -> WorkerStatus:
        self._looks += 1
        if self._looks == 5:
            self._signals.came(signal.SIGTERM, None)
        return WorkerStatus.STANDBY if self._looks < 3 else WorkerStatus.OK


def logged(level: int) -> str:
    """What is shown of an exception that was logged."""
    streams = Streams(stdin=io.BytesIO(), stdout=io.StringIO(), stderr=(shown := io.StringIO()))
    with LogLines(streams, Progress(streams.stderr), level):
        try:
            raise ValueError("it is\nbroken")
        except ValueError:
            logging.getLogger("mailstrom.engine").exception("the try of %s ended", "1@sender.example")
    return shown.getvalue()


def test_an_engine_that_stays_down_ends_the_process_so_that_somebody_starts_another() -> None:
    with pytest.raises(CommandError, match="stays down") as caught:
        awaited_signal(cast("Mailstrom", Crashed()), Signals(), look_secs=0.001)

    assert caught.value.code is ExitCode.BROKEN


def test_a_signal_that_came_before_somebody_waits_is_not_lost() -> None:
    (signals := Signals()).came(signal.SIGTERM, None)

    assert awaited_signal(cast("Mailstrom", Delivering()), signals, look_secs=30.0) == signal.SIGTERM


def test_that_its_turn_has_come_is_told_once() -> None:
    turns: list[str] = []
    mailstrom = cast("Mailstrom", StandingBy(signals := Signals()))

    awaited_signal(mailstrom, signals, look_secs=0.001, on_turn=lambda: turns.append("turn"))

    assert turns == ["turn"]


def test_an_exception_in_the_log_is_one_line_with_its_text() -> None:
    assert logged(logging.INFO) == (
        "mailstrom: error: the try of 1@sender.example ended: ValueError: it is broken\n"
    )


def test_at_the_level_debug_an_exception_has_its_traceback() -> None:
    assert "\nTraceback (most recent call last):\n" in logged(logging.DEBUG)


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")

    monkeypatch.setenv("NOTIFY_SOCKET", "@mailstrom-nobody-listens-here")
    assert not notify("READY=1")
