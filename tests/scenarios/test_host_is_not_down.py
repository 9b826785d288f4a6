"""What is not a host that is down, though mail for it is not delivered now, or not at the first place."""

from __future__ import annotations

import asyncio

import pytest

from mailstrom import RetryPolicy
from mailstrom.explanation import Gate
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import a_domain, cancel_all, connects, gates, send_to, states

IP = "198.51.100.1"


def test_a_host_that_greylists_is_asked_for_each_message() -> None:
    """Row 7: each recipient must be seen, and the second try is taken."""
    server = SmtpServer(on_rcpt="450 4.7.1 greylisted, try again later")

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        ids = send_to(sim, *["dest.example"] * 100)
        await asyncio.sleep(60)
        assert states(sim, ids) == {("deferred", 1): 100}
        assert {len(sim.status(each).recipients[0].attempts) for each in ids} == {1}
        assert {sim.status(each).recipients[0].attempts[0].ip for each in ids} == {IP}
        assert gates(sim, ids[0]) == [Gate.BACKOFF]
        cancel_all(sim)

    simulate(story, config=a_config())


@pytest.mark.parametrize("stage", ["greeting", "mail", "rcpt", "content"])
def test_a_host_that_refuses_for_good_is_asked_for_each_message(stage: str) -> None:
    """It spoke with us: what it says of a message, or of us, is an answer, and no trouble of the host."""
    server = SmtpServer(**{f"on_{stage}": "554 5.7.1 no"})

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        ids = send_to(sim, *["dest.example"] * 100)
        for message_id in ids:
            [recipient] = await sim.wait(message_id)
            assert recipient.result.state == "failed"
            assert [attempt.ip for attempt in recipient.attempts] == [IP]

    simulate(story, config=a_config())


def test_a_lane_of_two_hosts_is_up_as_long_as_one_of_them_answers() -> None:
    """A failure is a pass over all hosts in which nobody was reached."""
    second = SmtpServer(delays={"content": 1.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(), second)
        sim.network.refuse(IP, 25)
        ids = send_to(sim, *["dest.example"] * 200)
        assert all([(await sim.wait(message_id)).succeeded for message_id in ids])
        assert sim.clock.monotonic() < 20  # at full pace: 20 at once, a second each

    simulate(story, config=a_config())

    assert len(second.ledger.messages) == 200


def test_a_host_that_lets_in_every_second_connection_is_not_down() -> None:
    """Any success makes the failures begin anew."""
    visits = [0]

    def every_second(*_: object) -> str | None:
        visits[0] += 1
        return "421 4.3.2 too many connections" if visits[0] % 2 else None

    server = SmtpServer(on_greeting=every_second)

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        ids = send_to(sim, *["dest.example"] * 100)
        assert all([(await sim.wait(message_id)).succeeded for message_id in ids])
        tried = [attempt.ip for each in ids for attempt in sim.status(each).recipients[0].attempts]
        assert None not in tried

    simulate(story, config=a_config(retry=RetryPolicy.rfc5321()))


def test_who_stops_us_from_connecting_is_no_host() -> None:
    """A worker that is stopped while it connects learns nothing of the host."""

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP)
        ids = send_to(sim, *["dest.example"] * 5)
        for _ in range(5):
            await asyncio.sleep(5)
            await sim.die()
            sim.start()
        assert states(sim, ids) == {("queued", 0): 5}
        sim.network.listen(IP, 25, SmtpServer())
        await sim.die()
        sim.start()
        assert all([(await sim.wait(message_id)).succeeded for message_id in ids])
        assert len(connects(sim, IP)) <= 6 * 5 + 5

    simulate(story, config=a_config())
