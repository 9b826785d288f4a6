"""What a claim costs: its own transaction, to the end of its commit, by the clock on the wall."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from time import perf_counter

from mailstrom.abc import CLAIM_LIMIT, SharedStorage
from mailstrom.storage.urls import storage_from_url

from .rounds import Samples, in_turn

__all__ = ["claim_secs"]

UNTIMED = 3  # what is done once, such as connecting, is not what is measured


def claim_secs(queues: Mapping[str, str], rounds: int) -> Samples:
    """The seconds that a claim of 100 recipients takes on each of these queues, by URL; all take turns."""
    samples: Samples = {name: [] for name in queues}
    with ExitStack() as stack:
        storages = {name: stack.enter_context(closing(storage_from_url(url))) for name, url in queues.items()}
        for number in range(UNTIMED + rounds):
            for name in in_turn(storages, number):
                samples[name].append(_claim_secs(storages[name]))
    return {name: each[UNTIMED:] for name, each in samples.items()}


def _claim_secs(storage: SharedStorage) -> float:
    now = datetime.now(UTC)
    start = perf_counter()
    claim = storage.claim(now, owner="bench", lease=timedelta(minutes=1))
    secs = perf_counter() - start
    assert claim is not None
    assert len(claim.recipients) == CLAIM_LIMIT
    storage.give_back(claim)
    return secs
