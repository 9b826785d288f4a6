"""What the demo shows: a table that changes on a terminal, else a log."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TextIO

from ..event import Event, EventKind
from ..status import Attempt, MessageStatus, RecipientStatus
from .demo_world import EXPECTED, DemoWorld

if TYPE_CHECKING:
    from ..status import DeliveryResult

HINT = "Next: mailstrom send --help, or help(mailstrom) in Python."


class View(ABC):
    """Told of the demo's course, in the main thread."""

    @abstractmethod
    def begin(self, world: DemoWorld) -> None:
        """The servers run; nothing is sent yet."""

    @abstractmethod
    def live(self) -> AbstractContextManager[object]:
        """Around the time in which `tell` and `show` are called."""

    @abstractmethod
    def tell(self, event: Event) -> None:
        """Something happened."""

    @abstractmethod
    def show(self, status: MessageStatus) -> None:
        """How it stands now."""

    @abstractmethod
    def end(self, world: DemoWorld, status: MessageStatus, complaints: Sequence[str]) -> None:
        """It is over."""


def view_for(stdout: TextIO, *, is_plain: bool) -> View:
    """The log, or the live table."""
    if is_plain:
        return PlainView(stdout)
    from .demo_table import TableView

    return TableView(stdout)


class PlainView(View):
    """A line per event, then the results as text; plain ASCII."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout = stdout
        self._began = time.monotonic()

    def begin(self, world: DemoWorld) -> None:
        """Says what runs."""
        for line in introduction(world):
            self._write(line)
        for expected in EXPECTED:
            self._write(f"  {expected.address:<25} {expected.stands_for}")
        self._write("")
        self._began = time.monotonic()

    def live(self) -> AbstractContextManager[object]:
        """Nothing to keep up."""
        return nullcontext()

    def tell(self, event: Event) -> None:
        """One line, where the event is worth one."""
        if line := line_for(event):
            self._write(f"{time.monotonic() - self._began:5.2f} s  {line}")

    def show(self, status: MessageStatus) -> None:
        """The events have said it."""

    def end(self, world: DemoWorld, status: MessageStatus, complaints: Sequence[str]) -> None:
        """The table, and whether all went as it should."""
        self._write("")
        self._write(f"{'recipient':<26} {'result':<10} {'tries':<6} {'TLS':<8} answer")
        for expected in EXPECTED:
            recipient = status[expected.address]
            result = recipient.result
            cells = f"{result.state:<10} {result.tries:<6} {tls_of(recipient):<8} {answer_of(result)}"
            self._write(f"{recipient.address:<26} {cells}")
        self._write("")
        for line in conclusion(world, complaints):
            self._write(line)

    def _write(self, line: str) -> None:
        print(line.rstrip(), file=self._stdout, flush=True)


def introduction(world: DemoWorld) -> list[str]:
    """What runs, and where."""
    servers = len(world.ledgers)
    many = "1 SMTP server plays all hosts" if servers == 1 else f"{servers} SMTP servers"
    return [
        f"{many} (port {world.port}) and a DNS server (port {world.dns_port}) run in this process.",
        "Nothing leaves this machine. One message goes to:",
    ]


def conclusion(world: DemoWorld, complaints: Sequence[str]) -> list[str]:
    """Whether all went as it should, and if not, what did not."""
    if complaints:
        return ["Not all went as it should:", *(f"  {line}" for line in complaints)]
    taken = [message for ledger in world.ledgers.values() for message in ledger.messages]
    octets = sum(len(message.content) for message in taken)
    return [
        f"All {len(EXPECTED)} recipients ended as they should.",
        f"The servers took {len(taken)} copies, {octets} octets, each byte for byte what was prepared.",
        HINT,
    ]


def line_for(event: Event) -> str | None:
    """The event for the log; None where another event says it too."""
    match event:
        case Event(kind=EventKind.ACCEPTED):
            return f"queued as {event.message_id}"
        case Event(kind=EventKind.ATTEMPT, attempt=Attempt(ip=str()) as visit):
            return f"{event.address:<25} {visit.host} [{visit.ip}] {_heard(visit)}"
        case Event(kind=EventKind.DELIVERED | EventKind.DEFERRED | EventKind.FAILED):
            return f"{event.address:<25} {_became(event)}"
    return None


def _heard(attempt: Attempt) -> str:
    if attempt.reply is None:
        return (attempt.reason or "").removeprefix(f"{attempt.host}: ")
    how = "in clear" if attempt.tls is None else str(attempt.tls)
    return f"{how}: {attempt.reply}"


def _became(event: Event) -> str:
    result = event.result
    assert result is not None
    state = result.state.upper()
    if result.next_attempt_at is not None:
        return f"{state}, next try in {(result.next_attempt_at - event.at).total_seconds():.1f} s"
    return state if result.reply else f"{state}: {result.reason}"


def tls_of(recipient: RecipientStatus) -> str:
    """The TLS version of the last visit, "clear", or nothing where there was none."""
    visits = [attempt for attempt in recipient.attempts if attempt.ip is not None]
    if not visits:
        return "-"
    return "clear" if visits[-1].tls is None else visits[-1].tls.version


def answer_of(result: DeliveryResult) -> str:
    """What the host said, else what we found out."""
    return str(result.reply or result.reason or "")
