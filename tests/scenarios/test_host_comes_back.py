"""Row 61: a host that was down answers again; its lane opens at once, as one that was never used."""

from __future__ import annotations

import asyncio

from mailstrom.explanation import Gate
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import DEAD, DEAD_IP, a_domain, connects, gates, send_to, states


def test_the_first_delivery_that_reaches_it_opens_the_lane_for_all() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        ids = send_to(sim, *[DEAD] * 50)
        await asyncio.sleep(100)
        assert states(sim, ids) == {("deferred", 1): 50}
        sim.network.listen(DEAD_IP, 25, server)
        more = send_to(sim, *[DEAD] * 50)
        assert all([(await sim.wait(message_id)).succeeded for message_id in more])
        assert sim.clock.monotonic() < 101
        assert gates(sim, ids[0]) == [Gate.BACKOFF]
        assert all([(await sim.wait(message_id)).succeeded for message_id in ids])

    simulate(story, config=a_config())

    assert len(server.ledger.messages) == 100


def test_it_opens_as_soon_as_a_session_is_open_however_slow_the_first_message_is() -> None:
    server = SmtpServer(delays={"content": 60.0})

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        send_to(sim, *[DEAD] * 5)
        await asyncio.sleep(40)
        sim.network.listen(DEAD_IP, 25, server)
        send_to(sim, *[DEAD] * 10)
        before = len(connects(sim))
        await asyncio.sleep(10)
        assert len(connects(sim)) - before == 10

        for status in sim.storage.retrieve_all_incomplete():
            await sim.wait(status.message_id)

    simulate(story, config=a_config())


def test_a_domain_that_has_moved_to_another_host_does_not_wait_for_the_dead_one() -> None:
    """Which keys lead to a lane that is down is looked up again now and then."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, DEAD, DEAD_IP)
        stay = send_to(sim, *[DEAD] * 10)
        sim.zone.records["moves.example"] = {**mx(f"mx.{DEAD}"), "ttl_secs": 60}
        [moves] = send_to(sim, "moves.example")
        await asyncio.sleep(300)
        sim.zone.records |= {"moves.example": mx("mx.new.example")}
        sim.host("mx.new.example", "198.51.100.2", server)
        assert (await sim.wait(moves)).succeeded
        for message_id in stay:
            await sim.wait(message_id)

    simulate(story, config=a_config())

    assert len(server.ledger.messages) == 1
