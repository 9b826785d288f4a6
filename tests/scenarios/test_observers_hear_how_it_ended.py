"""What observers are told is what the status says: each result once, also where cancel comes in between."""

from __future__ import annotations

import asyncio
from typing import Any

from mailstrom import Cause, Config, Event, EventKind, Mailstrom, MemoryStorage
from mailstrom.abc import Order, Selection
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU


def told(sim: LoneEngine) -> list[EventKind]:
    return [event.kind for event in sim.events if event.result is not None]


def test_a_deferral_that_cancel_made_a_failure_is_told_as_a_failure() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later", delays={"rcpt": 60.0}))
        message_id = sim.send_email(an_email())
        await asyncio.sleep(30)
        sim.cancel(message_id)
        status = await sim.wait(message_id)
        await asyncio.sleep(3600)
        assert told(sim) == [EventKind.FAILED]
        assert [event.result for event in sim.events if event.result] == [status[YOU].result]
        assert status[YOU].result.cause is Cause.CANCELLED

    simulate(story, config=a_config())


def test_one_that_was_delivered_before_cancel_could_is_not_told_as_failed() -> None:
    class DeliversFirst(ExclusiveStorage):
        """The worker delivers between the order and its being carried out."""

        def order(self, order: Order, selection: Selection, *args: Any, **kwargs: Any) -> Any:
            m.start().wait(selection.message_id, timeout=30)
            return super().order(order, selection, *args, **kwargs)

    events: list[Event] = []
    storage = DeliversFirst(MemoryStorage())
    with Mailstrom(Config(mode="capture"), storage, observers=[events.append]) as m:
        assert m.cancel(m.send_email(an_email())).succeeded

    results = [event.kind for event in events if event.result is not None]
    assert results == [EventKind.DELIVERED]
