"""`mailstrom demo`: mail delivered for real, all of it inside this process."""

from __future__ import annotations

import argparse
import logging
import queue
import time
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .exit_codes import CommandError, ExitCode
from .terminal import LogLines, Progress, Streams, can_draw, is_live_terminal

if TYPE_CHECKING:
    from ..event import Event
    from ..facade import Mailstrom
    from ..message.prepared import PreparedEmail
    from ..status import MessageStatus
    from .demo_view import View
    from .demo_world import DemoWorld

ABOUT = "Shows mail being delivered, deferred and refused; needs no network, sends nothing out."

DEADLINE_SECS = 30.0
LOOK_SECS = 0.1

EXPLANATION = """\
Starts SMTP servers and a DNS server on loopback addresses of this machine, inside this process,
sends one message to recipients in several domains, and shows what becomes of each. Each domain
stands for something that happens to real mail. Nothing leaves this machine.

exit codes: 0 every recipient ended as it should; 1 one did not; 69 the extra 'cli' is not installed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `mailstrom demo`."""
    parser.epilog = EXPLANATION
    parser.add_argument(
        "--plain", action="store_true", help="a log instead of a live table, as without a terminal"
    )
    parser.add_argument("--one-address", action="store_true", help=argparse.SUPPRESS)


def run(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Delivers the demo's message, shows it, and checks how it ended."""
    is_plain = given.plain or not (is_live_terminal(streams.stdout) and can_draw(streams.stdout))
    _check_installed("trustme", *(() if is_plain else ("rich",)))
    from .demo_check import complaints_of
    from .demo_view import view_for
    from .demo_world import DemoWorld

    view = view_for(streams.stdout, is_plain=is_plain)
    log = LogLines(streams, Progress(streams.stderr), logging.ERROR)
    with log, DemoWorld(one_address=given.one_address or None) as world:
        view.begin(world)
        prepared, status = _deliver(world, view)
        complaints = complaints_of(status, prepared, world.ledgers)
        view.end(world, status, complaints)
    return ExitCode.UNEXPECTED if complaints else ExitCode.OK


def _deliver(world: DemoWorld, view: View) -> tuple[PreparedEmail, MessageStatus]:
    from ..facade import Mailstrom
    from ..storage.memory import MemoryStorage

    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    storage = MemoryStorage()
    with Mailstrom(world.config(), storage, observers=[events.put]) as mailstrom:
        try:
            message_id = mailstrom.send_email(world.email())
            prepared, _ = storage.retrieve(message_id)
            mailstrom.start()
            with view.live():
                status = _watch(mailstrom, message_id, events, view)
        except BaseException:
            mailstrom.die()
            raise
    while not events.empty():
        view.tell(events.get())
    return prepared, status


def _watch(
    mailstrom: Mailstrom, message_id: str, events: queue.SimpleQueue[Event], view: View
) -> MessageStatus:
    until = time.monotonic() + DEADLINE_SECS
    while True:
        with suppress(queue.Empty):
            view.tell(events.get(timeout=LOOK_SECS))
        status = mailstrom.query_status(message_id)
        view.show(status)
        if (status.completed and events.empty()) or time.monotonic() > until:
            return status


def _check_installed(*modules: str) -> None:
    if missing := [name for name in modules if find_spec(name) is None]:
        raise CommandError(
            ExitCode.UNAVAILABLE,
            f"the demo needs the extra 'cli' ({', '.join(missing)} not found): pip install 'mailstrom[cli]'",
        )
