"""Mail parsers in other languages, each a process that reads one message after another.

    with ExitStack() as running:
        reader = running.enter_context(started("mailparser"))
        reader.hand(content)             # base64, on one line
        reader.answer()                  # JSON, on one line

Handing over and waiting are two calls, so that several readers can work at the same time.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.interop.readers.found import Found, one_line_end

END_SECS = 10.0

_HERE = Path(__file__).parent
_SCRIPTS = {
    "mailparser": ("node", "mailparser.mjs"),
    "postal-mime": ("node", "postal_mime.mjs"),
    "Email::MIME": ("perl", "email_mime.pl"),
    "MIME::Parser": ("perl", "mime_parser.pl"),
}
NAMES = tuple(_SCRIPTS)


class Reader:
    """One running parser. Used by one thread."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self.name = name
        self._process = process
        self._errors = errors

    def hand(self, content: bytes) -> None:
        """Gives the message to the parser, which takes all of it before it answers."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(base64.b64encode(content) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pytest.fail(f"{self.name} ended: {self.complaints()}")

    def answer(self) -> Found:
        """What it found in the message it was given last."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            pytest.fail(f"{self.name} ended: {self.complaints()}")
        found: Found = json.loads(line)
        return {**found, **{key: one_line_end(found[key]) for key in ("text", "html", "calendar")}}

    def complaints(self) -> str:
        """All that it has written to its error output."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")


def is_installed(name: str) -> bool:
    """The parser and the language it is written in are here."""
    program, script = _SCRIPTS[name]
    if shutil.which(program) is None:
        return False
    if program == "node":
        return (_HERE.parent / "node_modules" / name).is_dir()
    return subprocess.run([program, "-c", _HERE / script], capture_output=True).returncode == 0


def skip_unless_installed(name: str) -> None:
    """Skips the test, with what to do about it, where the parser is missing."""
    if is_installed(name):
        return
    if _SCRIPTS[name][0] == "node":
        pytest.skip(f"needs {name}: install Node.js 20 or later with npm, and run `make peers`")
    pytest.skip(f"needs {name}: apt install libemail-mime-perl libmime-tools-perl")


@contextmanager
def started(name: str) -> Iterator[Reader]:
    """The parser for the duration of the block."""
    program, script = _SCRIPTS[name]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [program, _HERE / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            yield Reader(name, process, errors)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It ends by itself when its input does."""
    try:
        process.communicate(timeout=END_SECS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
