"""Shows pages: drawn by rich where somebody watches and rich is there, else as plain text."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec

from .page import Page, plain_text
from .terminal import Streams, can_draw, is_live_terminal

CLEAR = "\x1b[H\x1b[2J"  # ECMA-48: cursor home, erase the screen


def write_page(page: Page, streams: Streams) -> None:
    """Shows the page once."""
    if _is_drawn(streams):
        from .page_rich import show

        show(page, streams.stdout)
        return
    streams.stdout.write(plain_text(page, _width(streams)))
    streams.stdout.flush()


def watch_page(look: Callable[[], Page], streams: Streams, interval_secs: float) -> None:
    """Shows a new page every `interval_secs`, in the place of the old one, until it is interrupted."""
    if not _is_drawn(streams):
        repeat(lambda: _write_anew(look(), streams), interval_secs)
        return
    from .page_rich import LivePage

    live = LivePage(streams.stdout)
    with live.watching():
        repeat(lambda: live.show(look()), interval_secs)


def repeat(once: Callable[[], object], interval_secs: float) -> None:
    """Does it every `interval_secs` until Ctrl-C, which is the ordinary end."""
    try:
        while True:
            once()
            time.sleep(interval_secs)
    except KeyboardInterrupt:
        return


def _write_anew(page: Page, streams: Streams) -> None:
    before = CLEAR if is_live_terminal(streams.stdout) else ""
    after = "" if before else "\n"  # pages in a file are parted by an empty line
    streams.stdout.write(before + plain_text(page, _width(streams)) + after)
    streams.stdout.flush()


def _is_drawn(streams: Streams) -> bool:
    return is_live_terminal(streams.stdout) and can_draw(streams.stdout) and find_spec("rich") is not None


def _width(streams: Streams) -> int | None:
    """A terminal's width; what is read by programs is not cut."""
    return shutil.get_terminal_size().columns if streams.stdout.isatty() else None
