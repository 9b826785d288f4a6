"""mailstrom: from the call until every status is stored.

Options: `config`, as `Config.from_dict` has it; `storage`, a URL, or null for a queue in memory;
`form`, "ready" (finished octets) or "composed" (an `Email`); `batch`, how many emails go into one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from mailstrom import Config, Email, Mailstrom

from .turn import Letter, Task, take_turn


@contextmanager
def prepared(task: Task) -> Iterator[Callable[[], None]]:
    """A Mailstrom that runs; it sends everything, and waits until nothing is left in the queue."""
    config = Config.from_dict(task.options["config"])
    with Mailstrom(config, task.options["storage"]).start() as m:
        yield lambda: _send(m, task)


def _send(m: Mailstrom, task: Task) -> None:
    emails: Iterator[bytes | Email] = (
        _composed(task) if task.options["form"] == "composed" else (content for _, content in task.ready())
    )
    while batch := list(islice(emails, task.options["batch"])):
        m.send_emails(batch)
    m.drain()


def _composed(task: Task) -> Iterator[Email]:
    return (_email(number, letter) for number, letter in task.numbered())


def _email(number: int, letter: Letter) -> Email:
    return Email(
        from_=letter["from"],
        to=letter["to"],
        subject=f"{letter['subject']}, {number}",
        text=letter["text"],
        html=letter["html"],
    )


if __name__ == "__main__":
    take_turn(prepared)
