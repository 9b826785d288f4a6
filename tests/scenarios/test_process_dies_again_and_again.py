"""A message kills the process, and a supervisor starts it again at once: no hot loop, the others go out."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from mailstrom.route.mx import MxAnswer
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.contract.plain_storage import PlainStorage
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

POISON = "you@poison.example"
INNOCENT = 10
MINUTE = 60
WAITS = (range(2, 4), range(4, 8), range(8, 16))  # minutes, after the second death in a row and later


class Killing(FakeResolver):
    """Nobody comes back who asks it for one domain."""

    def __init__(self, sim: LoneEngine) -> None:
        super().__init__(sim.zone)
        self.killed = asyncio.Event()

    async def mx(self, domain: str) -> MxAnswer:
        if domain == "poison.example":
            self.killed.set()
            await asyncio.Event().wait()
        return await super().mx(domain)


def start(sim: LoneEngine, storage: PlainStorage) -> Killing:
    """A new process, and what may kill it."""
    sim.resolver = killing = Killing(sim)
    sim.storage = ExclusiveStorage(storage, lease_clock=sim.clock.monotonic)
    sim.start()
    return killing


async def live_and_die(sim: LoneEngine, storage: PlainStorage) -> float:
    """When it died; the next process finds what this one had written."""
    await start(sim, storage).killed.wait()
    written = dict(storage.statuses)
    await sim.die()
    storage.statuses = written  # as kill -9 leaves it
    return sim.loop.time()


@pytest.mark.parametrize("seed", range(5))
def test_it_waits_longer_after_each_death_and_takes_no_other_with_it(seed: int) -> None:
    """Rows 50 and 56: the first time at once; five in a row hold what was being tried each time."""
    storage = PlainStorage(durable=True)
    server = SmtpServer(delays={"rcpt": 1.0})

    async def story(sim: LoneEngine) -> None:
        sim.storage = ExclusiveStorage(storage, lease_clock=sim.clock.monotonic)
        with_mx(sim, server)
        innocent = [sim.send_email(an_email()) for _ in range(INNOCENT)]
        poison = sim.send_email(an_email(to=POISON))
        died = [await live_and_die(sim, storage) for _ in range(5)]
        start(sim, storage)
        await asyncio.sleep(MINUTE)
        first, *later = [after - before for before, after in pairwise(died)]
        assert first == 0
        assert [wait // MINUTE in least for wait, least in zip(later, WAITS, strict=True)] == [True] * 3
        held = sim.status(poison)[POISON].result
        assert (held.state, held.next_attempt_at) == ("deferred", None)
        assert [sim.status(each)[YOU].result.state for each in innocent] == ["delivered"] * INNOCENT

    simulate(story, config=a_config(), storage=storage, seed=seed, start=False)

    assert len(server.ledger.messages) == INNOCENT
