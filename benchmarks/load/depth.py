"""Whether a worker is as fast, and as small, with a million messages queued as with some thousands."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tests.interop.mailbox import until

from ..queue_filling import fill_for_one
from ..queue_places import Place
from ..queue_processes import working
from ..rounds import Samples, in_turn
from .world import World, world

__all__ = ["depth_figures"]

FIRST = 500  # messages until it has got going
MOST = 5000  # messages that are measured, fewer where they take long
MOST_SECS = 3.0
SHALLOW = 20_000  # a queue that is no deeper would run dry: each round has one of its own
PATIENCE_SECS = 120.0


def depth_figures(
    place: Place, folder: Path, depths: Mapping[str, int], rounds: int
) -> tuple[Samples, Samples]:
    """Messages a second, and the most memory in MB, by a worker on queues of these depths, by name."""
    rates: Samples = {name: [] for name in depths}
    megabytes: Samples = {name: [] for name in depths}
    with world(folder, most_is_bad=False) as here:
        queues = {name: _queues(place, depth, rounds) for name, depth in depths.items()}
        os.sync()  # else the writing of them falls into what is measured
        for number in range(rounds):
            for name in in_turn(depths, number):
                rate, octets = _figures(queues[name][number], here)
                rates[name].append(rate)
                megabytes[name].append(octets / 1e6)
    return rates, megabytes


def _queues(place: Place, depth: int, rounds: int) -> list[str]:
    """The queue of each round."""
    made = [place.new_queue() for _ in range(rounds if depth <= SHALLOW else 1)]
    for url in made:
        fill_for_one(url, depth)
    return made * (rounds // len(made))


def _figures(queue: str, here: World) -> tuple[float, int]:
    before = here.taken()
    with working(queue, here.config_file) as worker:
        until(lambda: here.taken() - before >= FIRST, PATIENCE_SECS, f"{FIRST} messages")
        counted, start = here.taken(), time.monotonic()
        until(
            lambda: here.taken() - counted >= MOST or time.monotonic() - start >= MOST_SECS,
            PATIENCE_SECS,
            "the measured messages",
        )
        return (here.taken() - counted) / (time.monotonic() - start), worker.peak_octets
