"""Two workers with one queue, each with connections of its own to it, in one virtual loop."""

from __future__ import annotations

from mailstrom.abc import SharedStorage
from mailstrom.testing.dns import FakeResolver
from tests.lone_engine import LoneEngine


def beside(sim: LoneEngine, storage: SharedStorage) -> LoneEngine:
    """Another worker, as in another process: the same network and DNS, the queue by a way of its own."""
    other = LoneEngine(sim.loop, config=sim.config, storage=storage, seed=1)
    other.network, other.zone, other.resolver = sim.network, sim.zone, FakeResolver(sim.zone)
    return other
