"""Who sends: each a program that is made ready, gets the word, and says when it is done.

`turn.py` says how they are spoken with. What ends by itself, such as `smtp-source`, is run by a shell that
speaks for it.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Sender", "in_node", "in_python", "spoken_for", "started"]

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "tests" / "interop" / "node_modules"

_SPOKEN_FOR = 'echo ready; read -r _; "$@"; echo done; read -r _'


class Sender:
    """A program that is ready to send."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid = process.pid
        self._input, self._output = process.stdin, process.stdout
        self._hears("ready")

    def begin(self) -> None:
        """Gives the word."""
        self._input.write("\n")
        self._input.flush()

    def is_done(self, patience_secs: float) -> bool:
        """It has said so, at the latest after so many seconds."""
        if not select.select([self._output], [], [], patience_secs)[0]:
            return False
        self._hears("done")
        return True

    def _hears(self, word: str) -> None:
        said = self._output.readline().strip()
        assert said == word, f"expected {word!r} of the sender, got {said!r}"


@contextmanager
def started(command: Sequence[str]) -> Iterator[Sender]:
    """The program, ready; it ends with the block, by itself if all went well."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        try:
            yield Sender(process)
        except BaseException:
            process.kill()  # it may wait for ever for what did not happen
            raise
        process.stdin.close()


def in_python(module: str, task: Mapping[str, object]) -> list[str]:
    """The command that runs a module of this package."""
    return [sys.executable, "-m", f"benchmarks.wire.{module}", json.dumps(task)]


def in_node(program: str, task: Mapping[str, object]) -> list[str]:
    """The command that runs a program in JavaScript which lies here."""
    return ["node", str(Path(__file__).with_name(program)), json.dumps({**task, "modules": str(MODULES)})]


def spoken_for(command: Sequence[str]) -> list[str]:
    """The command that runs this one at the word."""
    return ["sh", "-c", _SPOKEN_FOR, "sh", *command]
