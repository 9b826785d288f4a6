"""Row 62: hosts that are dead are not our fault, however silent everybody else is: their tries count."""

from __future__ import annotations

import asyncio
import socket

import pytest

from mailstrom import Config, RelayConfig, RetryPolicy, WorkerStatus
from mailstrom.explanation import Gate
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import a_domain, cancel_all, gates, living, send_to, states

RELAY = "relay.example"
RELAY_IPS = ("198.51.100.1", "2001:db8::1")


def dead(sim: LoneEngine, count: int) -> list[str]:
    return [a_domain(sim, f"dead{number}.example", f"203.0.113.{1 + number}") for number in range(count)]


def test_the_dead_alone_are_taken_for_dead_where_somebody_else_was_reached_before() -> None:
    """Then there is no other mail for hours."""

    async def story(sim: LoneEngine) -> None:
        for message_id in send_to(sim, *living(sim, 2)):
            assert (await sim.wait(message_id)).succeeded
        await asyncio.sleep(3600)
        ids = send_to(sim, *dead(sim, 20))
        await asyncio.sleep(120)
        assert states(sim, ids) == {("deferred", 1): 20}
        await asyncio.sleep(3600)
        assert states(sim, ids) == {("failed", 3): 20}
        assert sim.engine.status is WorkerStatus.OK

    simulate(story, config=a_config())


def test_the_dead_beside_the_living_are_taken_for_dead() -> None:
    """Though all of them were reached before: somebody is reached in between."""

    async def story(sim: LoneEngine) -> None:
        alive = living(sim, 3)
        gone = [a_domain(sim, f"g{n}.example", f"203.0.113.{1 + n}", SmtpServer()) for n in range(5)]
        for message_id in send_to(sim, *alive, *gone):
            assert (await sim.wait(message_id)).succeeded
        await asyncio.sleep(10)  # no connection stands any more
        for number in range(5):
            sim.network.black_hole(f"203.0.113.{1 + number}", 25)
        ids = send_to(sim, *gone)
        for _ in range(400):
            await asyncio.sleep(5)
            send_to(sim, alive[0])
            if states(sim, ids)["failed", 3] == 5:
                break
        assert WorkerStatus.NETWORK_FAILED not in [event.worker_status for event in sim.events]

    simulate(story, config=a_config(retry=RetryPolicy(jitter=0)))


def test_two_that_were_reached_before_and_are_gone_are_two_dead_hosts() -> None:
    async def story(sim: LoneEngine) -> None:
        names = living(sim, 2)
        for message_id in send_to(sim, *names):
            assert (await sim.wait(message_id)).succeeded
        await asyncio.sleep(10)  # no connection stands any more
        for ip in ("198.51.100.10", "198.51.100.11"):
            sim.network.refuse(ip, 25)
        ids = send_to(sim, *names * 10)
        await asyncio.sleep(3600)
        assert states(sim, ids) == {("failed", 3): 20}

    simulate(story, config=a_config())


# A relay is one destination


def through_a_relay() -> Config:
    return a_config(delivery=RelayConfig(RELAY, tls="none"))


def at_relay(sim: LoneEngine) -> SmtpServer:
    server = SmtpServer(name=RELAY)
    sim.network.hosts[RELAY] = RELAY_IPS
    for ip in RELAY_IPS:
        sim.network.listen(ip, 25, server)
    return server


@pytest.mark.parametrize("how", ["black_hole", "refuse"])
def test_a_relay_that_cannot_be_reached_is_down_and_the_tries_count(how: str) -> None:
    """One destination cannot tell its own fault from ours: its mail is deferred and tried as ever."""

    async def story(sim: LoneEngine) -> None:
        at_relay(sim)
        [first] = send_to(sim, "a.example")
        assert (await sim.wait(first)).succeeded
        await asyncio.sleep(10)  # no connection stands any more
        for ip in RELAY_IPS:
            getattr(sim.network, how)(ip, 25)
        ids = send_to(sim, *[f"d{number}.example" for number in range(50)])
        await asyncio.sleep(170)
        assert states(sim, ids) == {("deferred", 1): 50}
        assert gates(sim, ids[-1]) == [Gate.BACKOFF, Gate.HOST_DOWN]
        assert sim.engine.status is WorkerStatus.OK
        cancel_all(sim)

    simulate(story, config=through_a_relay())


def test_a_relay_whose_name_cannot_be_looked_up_is_down_and_the_tries_count() -> None:
    async def story(sim: LoneEngine) -> None:
        sim.network.hosts[RELAY] = socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        ids = send_to(sim, *["a.example"] * 50)
        await asyncio.sleep(60)
        assert states(sim, ids) == {("deferred", 1): 50}
        assert gates(sim, ids[-1]) == [Gate.BACKOFF, Gate.HOST_DOWN]
        at_relay(sim)
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded

    simulate(story, config=through_a_relay())


def test_where_no_address_of_the_relay_has_a_route_the_fault_is_ours() -> None:
    """ENETUNREACH: our own system says so, and nobody else has to be asked."""

    async def story(sim: LoneEngine) -> None:
        at_relay(sim)
        for ip in RELAY_IPS:
            sim.network.unreachable(ip, 25)
        ids = send_to(sim, *["a.example"] * 50)
        await asyncio.sleep(3600)
        assert states(sim, ids) == {("queued", 0): 50}
        assert sim.engine.status is WorkerStatus.NETWORK_FAILED
        assert gates(sim, ids[-1])[0] is Gate.NETWORK_FAILED
        at_relay(sim)
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded
        assert sim.engine.status is WorkerStatus.OK

    simulate(story, config=through_a_relay())


def test_one_address_of_the_relay_without_a_route_is_a_broken_family() -> None:
    """Row 44."""

    async def story(sim: LoneEngine) -> None:
        at_relay(sim)
        sim.network.unreachable(RELAY_IPS[1], 25)
        sim.network.refuse(RELAY_IPS[0], 25)
        ids = send_to(sim, *["a.example"] * 5)
        await asyncio.sleep(60)
        assert states(sim, ids) == {("deferred", 1): 5}
        assert sim.engine.status is WorkerStatus.OK
        cancel_all(sim)

    simulate(story, config=through_a_relay())
