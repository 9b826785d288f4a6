"""An order over many recipients, while a worker fails their mail again: each of them is met once."""

from __future__ import annotations

import asyncio
from datetime import datetime

from mailstrom.abc import EVERYTHING, Order, Selection
from mailstrom.engine.steering import carried_out
from mailstrom.records import START, Cursor, Ordered
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU


class InSmallParts(ExclusiveStorage):
    """Changes two recipients at once."""

    def order(
        self, order: Order, selection: Selection, now: datetime, *, after: Cursor = START, limit: int = 2
    ) -> list[Ordered]:
        return super().order(order, selection, now, after=after, limit=limit)


def test_retry_now_costs_each_recipient_one_try_though_the_worker_is_quicker() -> None:
    async def story(sim: LoneEngine) -> None:
        sim.storage = InSmallParts(MemoryStorage(), lease_clock=sim.clock.monotonic)
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.0 later"))
        sim.start()
        ids = [(await sim.first_try(an_email())).message_id for _ in range(6)]
        met = []
        for batch in carried_out(sim.storage, Order.RETRY, EVERYTHING, sim.clock.now()):
            met += [each.message_id for each in batch]
            sim.engine.wake()
            await asyncio.sleep(10)  # the worker tries them, and each is deferred again
        results = [sim.status(message_id)[YOU].result for message_id in ids]
        assert met == ids
        assert [(result.state, result.tries) for result in results] == [("deferred", 2)] * 6

    simulate(story, config=a_config(), start=False)
