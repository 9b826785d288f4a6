"""Pages of commands in colours, and one that is drawn again and again."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .page import Page, laid_out

STYLES = {
    "heading": "bold",
    "title": "dim",
    "queued": "cyan",
    "claimed": "bold cyan",
    "deferred": "yellow",
    "held": "magenta",
    "delivered": "green",
    "failed": "red",
    "healthy": "bold green",
    "unhealthy": "bold red",
}


def show(page: Page, stdout: TextIO) -> None:
    """Draws the page once."""
    console = _console(stdout)
    console.print(_drawn(page, console), soft_wrap=True)


class LivePage:
    """A page that changes in place, as long as `watching` lasts."""

    def __init__(self, stdout: TextIO) -> None:
        self._console = _console(stdout)
        self._live = Live(console=self._console, auto_refresh=False)

    def watching(self) -> AbstractContextManager[object]:
        """Around the calls of `show`."""
        return self._live

    def show(self, page: Page) -> None:
        """Draws the page in the place of the one before."""
        self._live.update(_drawn(page, self._console), refresh=True)


def _console(stdout: TextIO) -> Console:
    return Console(file=stdout, highlight=False)


def _drawn(page: Page, console: Console) -> Text:
    rows = [
        Text.assemble(*((piece.text, STYLES.get(piece.state, "")) for piece in row))
        for row in laid_out(page, console.width)
    ]
    return Text("\n", no_wrap=True, overflow="ignore").join(rows)
