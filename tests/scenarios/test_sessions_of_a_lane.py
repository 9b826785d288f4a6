"""A lane has several hosts, and idle sessions with each: whoever comes to a host goes over one of those."""

from __future__ import annotations

import asyncio

from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import visits


def busy(address: str, count: int) -> str:
    return "450 4.2.1 busy"


def test_the_next_host_of_a_try_is_reached_over_its_idle_session() -> None:
    first, second = SmtpServer(on_rcpt=busy), SmtpServer(on_rcpt=busy)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        for _ in range(6):
            status = await sim.first_try(an_email())
            assert sorted(place for place, _, _ in visits(status)) == ["1", "2"]
            await asyncio.sleep(1)

    simulate(story, config=a_config(session_idle_secs=60.0))

    assert [len(server.ledger.sessions) for server in (first, second)] == [1, 1]


def test_an_idle_session_with_the_next_host_that_was_closed_meanwhile_is_replaced() -> None:
    first, second = SmtpServer(on_rcpt=busy, idle_secs=3.0), SmtpServer(on_rcpt=busy)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        for _ in range(3):
            status = await sim.first_try(an_email())
            assert sorted(visit for visit in visits(status)) == [
                ("1", "rcpt", "deferred"),
                ("2", "rcpt", "deferred"),
            ]
            await asyncio.sleep(10)

    simulate(story, config=a_config(session_idle_secs=60.0))

    assert [len(server.ledger.sessions) for server in (first, second)] == [3, 1]
