"""How long `send_email` keeps its caller waiting, beside one fsync on the same disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter

from mailstrom import Config, Mailstrom

from ..queue_mail import HELO, MOST, an_email
from ..rounds import Samples, in_turn

__all__ = ["FSYNC", "call_secs", "calls_of"]

FSYNC = "one write and fsync of 4 KB"
BATCH = 160  # calls of each in a turn: a multiple of the threads
_BLOCK = bytes(4096)


def calls_of(threads: int) -> str:
    """The name of the samples of so many threads."""
    return f"send_email, SQLite, {threads} thread{'s' * (threads > 1)}"


def call_secs(url: str, folder: Path, crews: tuple[int, ...], rounds: int) -> Samples:
    """Each call's seconds, by one thread and by several at once; nothing is delivered meanwhile."""
    email = an_email(1, MOST)
    with Mailstrom(Config(helo_name=HELO), url) as m, _synced_file(folder / "fsync") as sync:
        calls = {
            calls_of(threads): partial(_by_threads, threads, partial(m.send_email, email))
            for threads in crews
        }
        variants = {FSYNC: partial(_by_threads, 1, sync), **calls}
        samples: Samples = {name: [] for name in variants}
        for number in range(rounds):
            for name in in_turn(variants, number):
                samples[name] += variants[name]()
    return samples


def _by_threads(threads: int, call: Callable[[], object]) -> list[float]:
    with ThreadPoolExecutor(threads) as pool:
        shares = [pool.submit(_each_secs, call, BATCH // threads) for _ in range(threads)]
        return [secs for share in shares for secs in share.result()]


def _each_secs(call: Callable[[], object], times: int) -> list[float]:
    secs = []
    for _ in range(times):
        start = perf_counter()
        call()
        secs.append(perf_counter() - start)
    return secs


@contextmanager
def _synced_file(path: Path) -> Iterator[Callable[[], None]]:
    with path.open("wb", buffering=0) as file:

        def sync() -> None:
            file.write(_BLOCK)
            os.fsync(file.fileno())

        yield sync
