"""Much mail for one destination: a few connections at first, more as the host takes them."""

from __future__ import annotations

import asyncio

from mailstrom.explanation import Gate
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import a_domain, cancel_all, connects, gates, holds, send_to

IP = "198.51.100.1"


def test_five_connections_go_out_together_and_one_more_with_each_that_is_taken() -> None:
    """The issue: spread over connections by a ramp, not all at once. Each greeting takes a second."""
    server = SmtpServer(delays={"greeting": 1.0, "content": 100.0})

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        ids = send_to(sim, *["dest.example"] * 40)
        seen = []
        for _ in range(4):
            await asyncio.sleep(0.5)
            seen.append(len(connects(sim, IP)))
            await asyncio.sleep(0.5)
        assert seen == [5, 10, 15, 20]
        for message_id in ids:
            await sim.wait(message_id)

    simulate(story, config=a_config())


def test_what_is_one_too_many_for_the_pace_waits_for_its_lane() -> None:
    server = SmtpServer(delays={"greeting": 10.0})

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        ids = send_to(sim, *["dest.example"] * 6)
        await asyncio.sleep(5)
        assert gates(sim, ids[-1]) == [Gate.LANE_FULL]
        assert holds(sim, ids[-1])[0].text.startswith("5 of 5 deliveries are under way to mx.dest.example")
        assert [gates(sim, each) for each in ids[:5]] == [[Gate.CLAIMED]] * 5
        cancel_all(sim)

    simulate(story, config=a_config())


def test_connections_that_wait_for_the_next_message_are_used_first() -> None:
    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, SmtpServer())
        for _ in range(3):
            for message_id in send_to(sim, *["dest.example"] * 5):
                await sim.wait(message_id)
            await asyncio.sleep(1)
        assert len(connects(sim, IP)) == 5

    simulate(story, config=a_config())
