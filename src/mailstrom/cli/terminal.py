"""Where a command reads and writes, and a progress line where somebody is watching."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Self, TextIO

from ..status import one_line, printable

TICK_SECS = 0.5  # the progress line is written no more often


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Standard input as octets, standard output and standard error as text."""

    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO

    @classmethod
    def of_process(cls) -> Self:
        """Those of this process; what its encoding cannot write is escaped. A closed one leads nowhere."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        # Python has None for a descriptor that was closed when it began
        stdin = os.fdopen(_nowhere(), "rb", closefd=False) if sys.stdin is None else sys.stdin.buffer
        return cls(stdin=stdin, stdout=sys.stdout or _unread(), stderr=sys.stderr or _unread())

    def write(self, line: str) -> None:
        """One line on standard output, shown at once."""
        print(line, file=self.stdout, flush=True)

    def mention(self, line: str) -> None:
        """The same where it does not matter whether anybody still listens."""
        try:
            self.write(line)
        except OSError:
            silence(self.stdout)

    def complain(self, line: str) -> None:
        """One line on standard error, beginning with who says it."""
        print(f"mailstrom: {one_line(line)}", file=self.stderr, flush=True)


def _nowhere() -> int:
    """Takes the number of the descriptor that is closed, so that no other file gets it."""
    return os.open(os.devnull, os.O_RDWR)


def _unread() -> TextIO:
    return os.fdopen(_nowhere(), "w", encoding="utf-8", closefd=False)


def silence(stream: TextIO) -> None:
    """What is written there from now on, and what is left in its buffer, goes nowhere."""
    with suppress(OSError):  # of a stream that is no file, too
        descriptor, nowhere = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def is_live_terminal(stream: TextIO) -> bool:
    """Whether somebody watches who can be shown changing lines."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def can_draw(stream: TextIO) -> bool:
    """Whether more than ASCII can be written there."""
    return (stream.encoding or "").lower().startswith("utf")


class Progress:
    """A line on standard error that changes in place; nothing where that is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = is_live_terminal(stream)
        self._shown_at: float | None = None

    def show(self, text: str, *, at_once: bool = False) -> None:
        """Replaces the line, at most every TICK_SECS."""
        now = time.monotonic()
        is_early = self._shown_at is not None and now - self._shown_at < TICK_SECS
        if not self._is_live or (is_early and not at_once):
            return
        self._shown_at = now
        room = max(shutil.get_terminal_size().columns - 1, 20)
        print(f"\r\x1b[K{printable(text, room)}", end="", file=self._stream, flush=True)

    def clear(self) -> None:
        """Takes the line away."""
        if self._shown_at is not None:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
            self._shown_at = None


class LogLines(logging.Handler):
    """Shows mailstrom's log from `level` on, on standard error, without tearing the progress line."""

    def __init__(self, streams: Streams, progress: Progress, level: int) -> None:
        super().__init__(level)
        self._streams = streams
        self._progress = progress
        self._logger = logging.getLogger("mailstrom")
        self._level_before = self._logger.level

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        self._logger.setLevel(self.level)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level_before)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record as one line. Who logs goes on even where nobody reads it any more."""
        try:
            self._write(record)
        except OSError:
            silence(self._streams.stderr)

    def _write(self, record: logging.LogRecord) -> None:
        self._progress.clear()
        text = printable(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {_name_and_text(record.exc_info[1])}"
        self._streams.complain(f"{record.levelname.lower()}: {text}")
        if record.exc_info and self.level <= logging.DEBUG:
            traceback.print_exception(record.exc_info[1], file=self._streams.stderr)


def _name_and_text(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}")
