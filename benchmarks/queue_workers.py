"""What workers cost, and how fast they are, as processes that find their queue and their mail like any."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from mailstrom import Email

from .queue_mail import MOST, an_email, store
from .queue_processes import Receiver, receiving, working
from .rounds import Samples, in_turn

__all__ = ["drain_secs", "first_delivery_secs", "idle_percents", "peak_megabytes"]


def first_delivery_secs(queues: Mapping[str, str], folder: Path, *, due: int, starts: int) -> Samples:
    """From the making of the process to its first message whole at the server."""
    samples: Samples = {name: [] for name in queues}
    for number in range(starts):
        for name in in_turn(queues, number):
            with (
                receiving(due=due) as receiver,
                working(queues[name], receiver.config_file(folder)) as worker,
            ):
                samples[name].append(receiver.next("content") - worker.began_at)
    return samples


def peak_megabytes(queues: Mapping[str, str], folder: Path, *, due: int, secs: float) -> Samples:
    """The peak of a worker's memory, after it has delivered for so long."""
    samples: Samples = {}
    for name, url in queues.items():
        with receiving(due=due) as receiver, working(url, receiver.config_file(folder)) as worker:
            receiver.next("content")
            time.sleep(secs)
            samples[name] = [worker.peak_octets / 1e6]
    return samples


def idle_percents(queues: Mapping[str, str], folder: Path, *, rest_secs: float, secs: float) -> Samples:
    """Of a processor, user and system, while workers have nothing to do, all at once; not of their start."""
    with ExitStack() as stack:
        config_file = stack.enter_context(receiving()).config_file(folder)
        workers = {name: stack.enter_context(working(url, config_file)) for name, url in queues.items()}
        for worker in workers.values():
            worker.wait_until_ready()
        time.sleep(rest_secs)
        before = {name: worker.cpu_secs for name, worker in workers.items()}
        time.sleep(secs)
        return {name: [(worker.cpu_secs - before[name]) / secs * 100] for name, worker in workers.items()}


def drain_secs(
    url: str, folder: Path, *, messages: int, content_delay_secs: float, sessions: int, rounds: int
) -> Samples:
    """From the commit that stores the messages until the last is delivered, by one worker and by two."""
    crews = {"one worker": 1, "two workers": 2}
    samples: Samples = {name: [] for name in crews}
    emails = [an_email(number, MOST) for number in range(messages)]
    with receiving(content_delay_secs=content_delay_secs) as receiver:
        config_file = receiver.config_file(folder, max_sessions_per_lane=sessions)
        for number in range(rounds):
            for name in in_turn(crews, number):
                samples[name].append(_drain_secs(url, emails, receiver, config_file, crews[name]))
    return samples


def _drain_secs(
    url: str, emails: Sequence[Email], receiver: Receiver, config_file: Path, workers: int
) -> float:
    with ExitStack() as stack:
        for worker in [stack.enter_context(working(url, config_file)) for _ in range(workers)]:
            worker.wait_until_ready()
        store(url, emails)
        start = time.monotonic()
        return max([receiver.next("content") for _ in emails]) - start
