"""What is claimed of queues that outlive the process: SQLite and PostgreSQL, by the clock on the wall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from .comparisons import Claim, Comparison
from .queue_claims import claim_secs
from .queue_filling import DUE_ONCE, fill
from .queue_latency import first_octet_secs
from .queue_places import POSTGRES, Place
from .queue_workers import drain_secs, first_delivery_secs, idle_percents, peak_megabytes
from .rounds import Samples, percentile, ratio

__all__ = ["QueueScale", "queue_comparisons"]

MEMORY = "memory"
HOST_SECS = 0.02  # what the receiving side takes for a message
HOST_SESSIONS = 2  # at once, by each worker: few, so that it is the host's time that is waited for

_Queues = Mapping[str, str]  # the URL of a queue in each place


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueScale:
    """How much is measured."""

    finished: int = 1_000_000
    due: int = 100_000
    claims: int = 200
    starts: int = 3
    busy_secs: float = 10.0
    rest_secs: float = 5.0  # until a worker that was started is idle
    idle_secs: float = 25.0
    sends: int = 300
    messages: int = 400
    drains: int = 3


def queue_comparisons(scale: QueueScale, folder: Path, found: Sequence[Place]) -> Iterator[Comparison]:
    """All there are, in these places; the queues of each are made when it is its turn."""
    large = {place.name: _filled(place, finished=scale.finished, due=scale.due) for place in found}
    yield from (_claiming(scale, place, large[place.name]) for place in found)
    yield from _starting(scale, folder, large)
    yield _idling(scale, folder, {place.name: place.new_queue() for place in found})
    yield _sending(scale, folder, {place.name: place.new_queue() for place in found})
    yield from (_draining(scale, folder, place.new_queue()) for place in found if place.name == POSTGRES)


def _filled(place: Place, *, finished: int, due: int) -> str:
    url = place.new_queue()
    fill(url, finished=finished, due=due)
    return url


def _claiming(scale: QueueScale, place: Place, large: str) -> Comparison:
    small = _filled(place, finished=0, due=DUE_ONCE)
    first, second = f"{DUE_ONCE:,} due, none finished", f"{scale.due:,} due, {scale.finished:,} finished"
    return Comparison(
        f"Claim of 100 recipients, {place.name} {place.version}",
        partial(claim_secs, {first: small, second: large}, scale.claims),
        (Claim(second, lambda samples: ratio(samples, second, first), "×", 1.5),),
    )


def _starting(scale: QueueScale, folder: Path, queues: _Queues) -> Iterator[Comparison]:
    on_that = f"a worker on {scale.due:,} due, {scale.finished:,} finished"
    yield Comparison(
        f"First delivery of {on_that}, from the making of its process",
        partial(first_delivery_secs, queues, folder, due=scale.due, starts=scale.starts),
        tuple(_at_most(name, 2.0, "s") for name in queues),
    )
    yield Comparison(
        f"Peak memory of {on_that}, after {scale.busy_secs:g} s",
        partial(peak_megabytes, queues, folder, due=scale.due, secs=scale.busy_secs),
        tuple(_at_most(name, 150, "MB") for name in queues),
        unit="MB",
    )


def _idling(scale: QueueScale, folder: Path, queues: _Queues) -> Comparison:
    return Comparison(
        f"Processor time of an idle worker, over {scale.idle_secs:g} s",
        partial(idle_percents, queues, folder, rest_secs=scale.rest_secs, secs=scale.idle_secs),
        tuple(_at_most(name, 0.2, "%") for name in queues),
        unit="%",
    )


def _sending(scale: QueueScale, folder: Path, queues: _Queues) -> Comparison:
    limits = {MEMORY: 0.02, **dict.fromkeys(queues, 0.05)}
    return Comparison(
        "send_email to the first octet at the MX, on an idle engine",
        partial(first_octet_secs, {MEMORY: None, **queues}, folder, scale.sends),
        tuple(_p99(name, limit) for name, limit in limits.items()),
    )


def _draining(scale: QueueScale, folder: Path, queue: str) -> Comparison:
    return Comparison(
        f"{scale.messages} messages, PostgreSQL, {HOST_SESSIONS} sessions a worker with a host "
        f"that takes {HOST_SECS * 1e3:g} ms a message",
        partial(
            drain_secs,
            queue,
            folder,
            messages=scale.messages,
            content_delay_secs=HOST_SECS,
            sessions=HOST_SESSIONS,
            rounds=scale.drains,
        ),
        (Claim("two workers", _speed_of_two, "× as fast as one", 1.6, at_least=True),),
    )


def _speed_of_two(samples: Samples) -> float:
    return ratio(samples, "one worker", "two workers")


def _at_most(name: str, limit: float, unit: str) -> Claim:
    return Claim(name, lambda samples: median(samples[name]), unit, limit)


def _p99(name: str, limit_secs: float) -> Claim:
    return Claim(f"{name}, p99", lambda samples: percentile(samples[name], 99) * 1e3, "ms", limit_secs * 1e3)
