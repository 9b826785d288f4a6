"""What is claimed of a mailstrom that has much to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from ..comparisons import Claim, Comparison
from ..queue_places import Place
from ..rounds import Samples, percentile, ratio
from .bad_host import KINDS
from .calls import FSYNC, call_secs, calls_of
from .depth import depth_figures
from .fairness import ALONE, delivery_secs
from .large import megabytes_for_large, secs_for_many

__all__ = ["LoadScale", "load_comparisons"]

CREWS = (1, 16)  # threads that call send_email at once


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadScale:
    """How much is measured."""

    rounds: int = 3
    bad: int = 100_000
    good: int = 1_000
    deep: int = 1_000_000
    shallow: int = 10_000
    call_rounds: int = 20
    recipients: int = 100_000
    large: int = 4
    large_octets: int = 50 << 20


def load_comparisons(scale: LoadScale, folder: Path, found: Sequence[Place]) -> Iterator[Comparison]:
    """All there are, in these places."""
    sqlite = found[0]
    yield _calls(scale, folder, sqlite)
    yield _fairness(scale, folder, sqlite)
    yield from _many(scale, folder, found)
    yield _large(scale, folder, found)
    for place in found:
        yield from _depth(scale, folder, place)


def _calls(scale: LoadScale, folder: Path, place: Place) -> Comparison:
    return Comparison(
        "send_email, beside one fsync on the same disk",
        partial(call_secs, place.new_queue(), folder, CREWS, scale.call_rounds),
        tuple(_p99(calls_of(threads)) for threads in CREWS),
    )


def _p99(name: str) -> Claim:
    def figure(samples: Samples) -> float:
        return percentile(samples[name], 99) / percentile(samples[FSYNC], 99)

    return Claim(f"{name}, p99", figure, "× that of the fsync", 3.0)


def _fairness(scale: LoadScale, folder: Path, place: Place) -> Comparison:
    return Comparison(
        f"{scale.good:,} messages to hosts that answer, beside {scale.bad:,} to one that ...",
        partial(delivery_secs, place, folder, bad=scale.bad, good=scale.good, rounds=scale.rounds),
        tuple(Claim(kind, partial(ratio, of=kind, to=ALONE), "× alone", 1.5) for kind in KINDS),
    )


def _many(scale: LoadScale, folder: Path, found: Sequence[Place]) -> Iterator[Comparison]:
    urls = {"memory": None, **{place.name: place.new_queue() for place in found}}
    secs = {name: secs_for_many(url, folder, scale.recipients) for name, url in urls.items()}
    accepted: Samples = {name: [each[0]] for name, each in secs.items()}
    delivered: Samples = {name: [each[1]] for name, each in secs.items()}
    what = f"One email to {scale.recipients:,} recipients"
    limits = tuple(_at_most(name, 3.0, "s") for name in urls)
    yield Comparison(f"{what}, until it is accepted", lambda: accepted, limits)
    yield Comparison(f"{what}, until the last is delivered, 100 at a time", lambda: delivered)


def _large(scale: LoadScale, folder: Path, found: Sequence[Place]) -> Comparison:
    def measure() -> Samples:
        more = partial(megabytes_for_large, messages=scale.large, octets=scale.large_octets)
        return {place.name: [more(place.new_queue(), folder)] for place in found}

    return Comparison(
        f"Memory that a worker takes for {scale.large} emails of {scale.large_octets >> 20} MB at once",
        measure,
        tuple(_at_most(place.name, 64, "MB") for place in found),
        unit="MB",
    )


def _depth(scale: LoadScale, folder: Path, place: Place) -> Iterator[Comparison]:
    shallow, deep = f"{scale.shallow:,} queued", f"{scale.deep:,} queued"
    depths = {shallow: scale.shallow, deep: scale.deep}
    rates, megabytes = depth_figures(place, folder, depths, scale.rounds)
    as_fast = Claim(deep, lambda _rates: ratio(rates, deep, shallow), f"× {shallow}", 0.8, at_least=True)
    yield Comparison(f"Rate of a worker, {place.name}", lambda: rates, (as_fast,), unit="msg/s")
    small = tuple(_at_most(name, 150, "MB") for name in depths)
    yield Comparison(f"Peak memory of a worker, {place.name}", lambda: megabytes, small, unit="MB")


def _at_most(name: str, limit: float, unit: str) -> Claim:
    return Claim(name, lambda samples: median(samples[name]), unit, limit)
