"""mailstrom with workers in processes of their own: this one only stores the mail, and waits.

Options: those of `mailstrom_sender`, but for `form`, and `workers`, how many there are. A few settings
are enough: those that are texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from mailstrom import Config, Mailstrom

from ..queue_processes import working
from .turn import Task, take_turn

LOOK_SECS = 0.05  # how closely the end is seen: who waits without a limit looks more seldom with time


@contextmanager
def prepared(task: Task) -> Iterator[Callable[[], None]]:
    """The workers stand by; it stores finished octets, and waits until nothing is left in the queue."""
    config, storage = task.options["config"], task.options["storage"]
    with ExitStack() as stack:
        config_file = Path(stack.enter_context(TemporaryDirectory())) / "mailstrom.toml"
        config_file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in config.items()))
        m = stack.enter_context(Mailstrom(Config.from_dict(config), storage))
        workers = [stack.enter_context(working(storage, config_file)) for _ in range(task.options["workers"])]
        for worker in workers:
            worker.wait_until_ready()
        yield lambda: _send(m, task)


def _send(m: Mailstrom, task: Task) -> None:
    contents = (content for _, content in task.ready())
    while batch := list(islice(contents, task.options["batch"])):
        m.send_emails(batch)
    while not m.drain(timeout=LOOK_SECS):
        pass


if __name__ == "__main__":
    take_turn(prepared)
