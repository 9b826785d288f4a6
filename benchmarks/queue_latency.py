"""How soon an email is on its way: from the call of `send_email` to the first octet at its MX.

Each message has a connection of its own, so that octet is the E of EHLO. The MX host is on this
machine, and what the DNS says of it is known from the message before; nothing else is in the queue.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from mailstrom import Config, Mailstrom

from .queue_mail import MOST, an_email
from .queue_processes import Receiver, receiving
from .rounds import Samples, in_turn

__all__ = ["first_octet_secs"]

UNTIMED = 3  # what is done once, such as connecting and asking the DNS, is not what is measured
REST_SECS = (0.01, 0.03)  # between two messages: the engine has gone to sleep, at no fixed beat


def first_octet_secs(queues: Mapping[str, str | None], folder: Path, sends: int) -> Samples:
    """For each of these queues, one message at a time; None is a queue in memory. All take turns."""
    samples: Samples = {name: [] for name in queues}
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving())
        config = Config.from_toml(receiver.config_file(folder, max_messages_per_session=1))
        engines = {name: stack.enter_context(Mailstrom(config, url)).start() for name, url in queues.items()}
        for number in range(UNTIMED + sends):
            for name in in_turn(engines, number):
                samples[name].append(_first_octet_secs(engines[name], receiver, number))
    return {name: each[UNTIMED:] for name, each in samples.items()}


def _first_octet_secs(engine: Mailstrom, receiver: Receiver, number: int) -> float:
    time.sleep(random.uniform(*REST_SECS))
    email = an_email(number, MOST)
    start = time.monotonic()
    assert engine.wait(engine.send_email(email)).succeeded
    return receiver.next("ehlo") - start
