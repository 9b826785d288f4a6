"""`mailstrom worker`: the engine as a process of its own.

    ready ──SIGTERM, SIGINT──► draining ──all in flight ended──────────────► 0
                                   │ ──--grace is over: what is not sent is given back, what
                                   │   waits for its dot reply is uncertain──────────────► 0
                                   └──a second signal: ends at once, as if killed────────► 128 + signal

The signals are caught by name, so that it works as the first process of a container, too: the
kernel gives that one no default actions.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING

from .exit_codes import CommandError, ExitCode
from .metrics_page import MetricsPage, add_metrics_arguments, metrics_page_of
from .send_arguments import secs_above_zero
from .storage_option import STORAGE_HELP, add_storage_arguments, config_with_storage, place_of
from .terminal import LogLines, Progress, Streams

if TYPE_CHECKING:
    from ..abc import SharedStorage
    from ..config import Config
    from ..engine.events import Observer
    from ..engine.tenure import Role
    from ..facade import Mailstrom

ABOUT = "Delivers what other processes put into a queue, until it is told to stop."

LOOK_SECS = 1.0  # how soon it is seen that the engine stays down
LEVELS = ("error", "warning", "info", "debug")

EXPLANATION = f"""\
Your program stores its mail in a queue on SQLite or PostgreSQL, and this process delivers it. Any
number of workers may work on one queue, on one machine (SQLite) or on many (PostgreSQL).

examples:
  mailstrom worker --config mailstrom.toml
  MAILSTROM_STORAGE=postgresql://mail@db.mydomain.example/app mailstrom worker --grace 60
  mailstrom worker --config mailstrom.toml --metrics-port 9464

It writes one line to standard output when it is ready, and another when it has stood by (--role auto)
and begins to deliver; and its log to standard error, one line for each result. Under systemd
(Type=notify) it tells when it is ready, too.

SIGTERM or Ctrl-C drains it: nothing new is begun, and what is in flight goes on for up to --grace
seconds. Then what has not sent its final dot goes back into the queue, and what waits for the
reply to it is deferred as uncertain. A second signal ends it at once, like a kill: nothing is lost
then either, but on PostgreSQL others go on with that mail only when its lease is over.

{STORAGE_HELP}
exit codes: 0 drained after a signal; 64 the command line is wrong; 66 a file cannot be read; 69 the
extra 'prometheus' is not installed; 70 the engine failed too often and stays down; 75 the queue cannot
be reached; 78 a setting cannot be used, or this process may not write to the queue
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom worker`."""
    parser.epilog = EXPLANATION
    add_storage_arguments(parser)
    parser.add_argument(
        "--grace",
        type=secs_above_zero,
        default=30.0,
        metavar="SECS",
        help="how long what is in flight may go on after the first signal (30)",
    )
    parser.add_argument(
        "--role",
        choices=("always", "auto"),
        default="always",
        help="auto: deliver only while no other process of this host does (always)",
    )
    add_metrics_arguments(parser)
    parser.add_argument(
        "--log-level", choices=LEVELS, default="info", help="the least that is logged (info: each result)"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_const", const="debug", dest="log_level", help="--log-level debug"
    )


def run(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Works until a signal comes, then drains."""
    config = config_with_storage(given, os.environ)
    level = logging.getLevelNamesMapping()[given.log_level.upper()]
    with metrics_page_of(given) as page:
        deliver(config, role=given.role, grace=given.grace, level=level, streams=streams, page=page)
    return ExitCode.OK


def deliver(
    config: Config, *, role: Role, grace: float, level: int, streams: Streams, page: MetricsPage | None = None
) -> None:
    """The same with these settings, a storage among them; logs from `level` on."""
    with caught_signals() as signals, LogLines(streams, Progress(streams.stderr), level):
        mailstrom = _started(config, role, streams, () if page is None else (page.metrics,))
        try:
            if page is not None:
                page.show(mailstrom)
            signalled = awaited_signal(mailstrom, signals, on_turn=lambda: _tell_turn(streams))
        except BaseException:
            mailstrom.die()
            raise
        _drain(mailstrom, signalled, grace, streams)


class Signals:
    """The first signal is kept for who waits; another ends the process at once."""

    def __init__(self) -> None:
        self._came: queue.SimpleQueue[int] = queue.SimpleQueue()  # put() is safe in a signal handler
        self._is_draining = False

    def came(self, number: int, _: FrameType | None) -> None:
        """The handler."""
        if self._is_draining:
            os._exit(128 + number)
        self._is_draining = True
        self._came.put(number)

    def wait(self, timeout: float) -> int | None:
        """The number of the first signal; None where none came in this time."""
        with suppress(queue.Empty):
            return self._came.get(timeout=timeout)
        return None


@contextmanager
def caught_signals() -> Iterator[Signals]:
    """SIGTERM and SIGINT, as long as this lasts."""
    signals = Signals()
    before = {number: signal.signal(number, signals.came) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _started(config: Config, role: Role, streams: Streams, observers: Iterable[Observer]) -> Mailstrom:
    """A worker that has seen its queue: who names a wrong one is told now."""
    from ..facade import Mailstrom
    from ..net.systemd import notify
    from ..status import WorkerStatus
    from ..wiring import storage_of

    storage = storage_of(config.storage)
    mailstrom = Mailstrom(config, storage, observers=observers)
    try:
        waiting = "nothing is waiting" if storage.is_idle() else "mail is waiting"
        _check_may_write(storage)
        mailstrom.start(role)
    except BaseException:
        mailstrom.die()
        raise
    stands_by = mailstrom.worker_status() is WorkerStatus.STANDBY
    state = "stands by, another process delivers" if stands_by else "is ready"
    streams.mention(f"mailstrom worker {os.getpid()} {state}: {place_of(storage)}, {waiting}")
    notify("READY=1")
    return mailstrom


def _check_may_write(storage: SharedStorage) -> None:
    """Raises what it would fail with for ever after: it may read the queue, and no more."""
    from ..records import Note, Order, Selection

    now = datetime.now(UTC)
    storage.order(Order.RETRY, Selection(message_id="nobody"), now)
    storage.put_note(Note(namespace="worker", key="may-write", value="", expires_at=now), now)


def awaited_signal(
    mailstrom: Mailstrom,
    signals: Signals,
    look_secs: float = LOOK_SECS,
    on_turn: Callable[[], object] = lambda: None,
) -> int:
    """The number of the signal; raises `CommandError` where the engine stays down before one comes.

    Calls `on_turn` when it stands by no more.
    """
    from ..status import WorkerStatus

    stands_by = mailstrom.worker_status() is WorkerStatus.STANDBY
    while (came := signals.wait(look_secs)) is None:
        status = mailstrom.worker_status()
        if status is WorkerStatus.CRASHED:
            raise CommandError(ExitCode.BROKEN, "the engine failed too often and stays down: see the log")
        stood_by, stands_by = stands_by, status is WorkerStatus.STANDBY
        if stood_by and not stands_by:
            on_turn()
    return came


def _tell_turn(streams: Streams) -> None:
    streams.mention(f"mailstrom worker {os.getpid()} delivers now: the other process has ended")


def _drain(mailstrom: Mailstrom, signalled: int, grace: float, streams: Streams) -> None:
    from ..net.systemd import notify

    name = signal.Signals(signalled).name
    streams.mention(f"{name}: draining for up to {grace:g} s; a second signal ends it at once")
    notify("STOPPING=1")
    mailstrom.close(grace)
    streams.mention("drained")
