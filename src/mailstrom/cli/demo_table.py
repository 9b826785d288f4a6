"""The demo's table on a terminal, drawn by rich."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ..event import Event
from ..status import Deferred, MessageStatus, RecipientStatus
from .demo_view import View, answer_of, conclusion, introduction, tls_of
from .demo_world import EXPECTED, DemoWorld

STYLES = {"queued": "cyan", "deferred": "yellow", "delivered": "green", "failed": "red"}
MARKS = {"delivered": "✔", "failed": "✘", "deferred": "…"}


class TableView(View):
    """A live table of the recipients, then the final one with what each stands for."""

    def __init__(self, stdout: TextIO) -> None:
        self._console = Console(file=stdout, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=10, transient=True)
        self._waiting = Spinner("dots")

    def begin(self, world: DemoWorld) -> None:
        """Says what runs."""
        self._console.print()
        for line in introduction(world):
            self._console.print(line)
        legend = Table.grid(padding=(0, 2))
        for expected in EXPECTED:
            legend.add_row("", expected.address, Text(expected.stands_for, style="dim"))
        self._console.print(legend)
        self._console.print()

    def live(self) -> AbstractContextManager[object]:
        """While the table changes."""
        return self._live

    def tell(self, event: Event) -> None:
        """The status shows it."""

    def show(self, status: MessageStatus) -> None:
        """Draws the table anew."""
        now = datetime.now(UTC)
        table = _empty_table()
        for expected in EXPECTED:
            recipient = status[expected.address]
            table.add_row(*self._cells(recipient, _answer_so_far(recipient, now)))
        self._live.update(table)

    def end(self, world: DemoWorld, status: MessageStatus, complaints: Sequence[str]) -> None:
        """The table that stays, and whether all went as it should."""
        table = _empty_table()
        for expected in EXPECTED:
            recipient = status[expected.address]
            table.add_row(*self._cells(recipient, Text(answer_of(recipient.result), overflow="fold")))
        self._console.print(table)
        self._console.print()
        lead, *rest = conclusion(world, complaints)
        self._console.print(lead, style="bold red" if complaints else "bold green", markup=False)
        for line in rest:
            self._console.print(line, markup=False)

    def _cells(self, recipient: RecipientStatus, answer: RenderableType) -> list[RenderableType]:
        state, style = recipient.result.state, STYLES[recipient.result.state]
        mark: RenderableType = Text(MARKS[state], style=style) if state in MARKS else self._waiting
        tries = str(recipient.result.tries) if recipient.result.tries else ""
        return [mark, recipient.address, Text(state, style=style), tries, tls_of(recipient), answer]


def _empty_table() -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("", width=1)
    table.add_column("recipient", no_wrap=True, min_width=24)
    table.add_column("result", no_wrap=True, min_width=9)
    table.add_column("tries", justify="right", no_wrap=True)
    table.add_column("TLS", no_wrap=True, min_width=7)
    table.add_column("answer", ratio=1)
    return table


def _answer_so_far(recipient: RecipientStatus, now: datetime) -> Text:
    result = recipient.result
    answer = Text(answer_of(result), no_wrap=True, overflow="ellipsis")
    if isinstance(result, Deferred) and result.next_attempt_at is not None:
        wait = max((result.next_attempt_at - now).total_seconds(), 0.0)
        answer = Text(f"again in {wait:.1f} s: ", style="yellow").append_text(answer)
        answer.no_wrap, answer.overflow = True, "ellipsis"
    return answer
