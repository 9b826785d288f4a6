"""How long mail takes to hosts that answer, while the queue is full of mail for one that is bad."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from mailstrom import Config, Email, Mailstrom
from tests.interop.mailbox import until

from ..queue_filling import fill_for_one
from ..queue_mail import OTHERS, an_email
from ..queue_places import Place
from ..rounds import Samples, in_turn
from .bad_host import KINDS, bad_host
from .world import World, world

__all__ = ["ALONE", "delivery_secs"]

ALONE = "alone"
REST_SECS = 1.0  # until the worker is busy with the bad host
PATIENCE_SECS = 300.0


def delivery_secs(place: Place, folder: Path, *, bad: int, good: int, rounds: int) -> Samples:
    """From the call that stores the good messages until the last is received, beside so many bad ones."""
    kinds = [ALONE, *KINDS]
    samples: Samples = {kind: [] for kind in kinds}
    emails = [an_email(number, OTHERS[number % len(OTHERS)]) for number in range(good)]
    with world(folder, most_is_bad=True) as here:
        for number in range(rounds):
            for kind in in_turn(kinds, number):
                queue = place.new_queue()
                if kind != ALONE:
                    fill_for_one(queue, bad)
                samples[kind].append(_delivery_secs(queue, here, emails, kind))
    return samples


def _delivery_secs(queue: str, here: World, emails: Sequence[Email], kind: str) -> float:
    before = here.taken()
    with ExitStack() as stack:
        if kind != ALONE:
            stack.enter_context(bad_host(kind, here.port))
        m = stack.enter_context(Mailstrom(Config.from_toml(here.config_file), queue)).start()
        time.sleep(REST_SECS)
        start = time.monotonic()
        m.send_emails(emails)
        until(lambda: here.taken() - before >= len(emails), PATIENCE_SECS, f"the good mail: {kind}")
        secs = time.monotonic() - start
        m.die()  # in good order it would wait for those at the bad host
        return secs
