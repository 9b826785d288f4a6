"""The standard library's smtplib: one connection, one message after the other."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .turn import Task, take_turn


@contextmanager
def prepared(task: Task) -> Iterator[Callable[[], None]]:
    """Sends finished octets."""
    yield lambda: _send(task)


def _send(task: Task) -> None:
    with smtplib.SMTP("127.0.0.1", task.port) as client:
        for letter, content in task.ready():
            client.sendmail(letter["sender"], [letter["recipient"]], content)


if __name__ == "__main__":
    take_turn(prepared)
