"""The seams through which the engine meets the world, gathered in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from ..abc import Clock, Network, Resolver, StorageRunner

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Clock, network, resolver, chance, and the running of storage calls.

    Exchange all five and the whole engine runs on a virtual clock and a simulated network.
    """

    clock: Clock
    network: Network
    make_resolver: Callable[[], Resolver]  # in the worker's loop; may raise: tried again
    run_storage: StorageRunner
    chance: random.Random


class SteadyClock(Clock):
    """A wall clock that no jump of the real one moves while the process lives.

    The due times of a queue that is ours alone are made and judged by it: a wall clock set ten years
    ahead neither sends everything at once nor expires it, one set back stalls nothing. (For a queue of
    several processes: `SharedClock`.)
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_at = clock.now()
        self._began = clock.monotonic()

    def now(self) -> datetime:
        """The wall clock's time at the start and what has passed since."""
        return self._began_at + timedelta(seconds=self.monotonic() - self._began)

    @cached_property
    def monotonic(self) -> Callable[[], float]:
        """The underlying clock's: read too often for a call around it."""
        return self._clock.monotonic
