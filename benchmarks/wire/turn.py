"""What a sender in Python has around it: it gets its task, waits for the word, and says when all is sent.

    python -m benchmarks.wire.aiosmtplib_sender '{"letters": "letters.json", "port": 2525, "count": 1000}'

It prints "ready" when all is loaded, begins when it reads a line, prints "done", and ends with its
standard input. Until then it can be watched from outside. Senders in other languages do the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["Letter", "Sending", "Task", "take_turn"]

Letter: TypeAlias = dict[str, str]  # as `benchmarks.wire.letters` writes them
Sending: TypeAlias = AbstractContextManager[Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Task:
    """What to send, and where to; `options` is all that was given, with what is the sender's own."""

    letters: list[Letter]
    port: int
    count: int
    options: dict[str, Any]

    def numbered(self) -> Iterator[tuple[int, Letter]]:
        """So many letters as are to be sent, each with its number."""
        return ((number, self.letters[number % len(self.letters)]) for number in range(self.count))

    def ready(self) -> Iterator[tuple[Letter, bytes]]:
        """So many letters, each with its finished octets: no two have the same Message-ID."""
        contents = [letter["content"].encode() for letter in self.letters]
        for number, letter in self.numbered():
            field = b"Message-ID: <%d@shop.example.org>\r\n" % number
            yield letter, field + contents[number % len(contents)]


def take_turn(prepare: Callable[[Task], Sending]) -> None:
    """The life of a sender: `prepare` gives what sends everything when it is called."""
    given = json.loads(sys.argv[1])
    letters = json.loads(Path(given["letters"]).read_text(encoding="utf-8"))
    task = Task(letters, given["port"], given["count"], given)
    with prepare(task) as send:
        print("ready", flush=True)
        sys.stdin.readline()
        send()
        print("done", flush=True)
        sys.stdin.read()
