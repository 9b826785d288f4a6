"""No more goes to a destination in a while than its rate says; what waits for that waits in the queue."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from mailstrom import RelayConfig
from mailstrom.abc import Note, Terms
from mailstrom.config_limits import LaneLimits
from mailstrom.explanation import Gate
from mailstrom.records import Claim
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import a_domain, cancel_all, gates, holds, send_to
from tests.scenarios.tls_hosts import at_relay

IP = "198.51.100.1"


class CountingStorage(ExclusiveStorage):
    """Counts what the worker asks of its queue."""

    def __init__(self) -> None:
        self.claims = self.notes = 0
        super().__init__(MemoryStorage())

    def claim_many(self, now: Any, terms: Terms) -> list[Claim]:
        claims = super().claim_many(now, terms)
        self.claims += len(claims)
        return claims

    def note(self, namespace: str, key: str, now: Any) -> Note | None:
        self.notes += 1
        return super().note(namespace, key, now)


def began(server: SmtpServer) -> list[float]:
    """When each message came, in seconds since the first."""
    times = sorted(message.at for message in server.ledger.messages)
    return [round(at - times[0], 3) for at in times]


async def deliver(sim: LoneEngine, ids: list[str]) -> None:
    for message_id in ids:
        assert (await sim.wait(message_id)).succeeded


def test_messages_go_to_a_domain_as_far_apart_as_its_rate_says() -> None:
    """GCRA: 10 a minute are one each 6 s, not ten at the full minute."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        await deliver(sim, send_to(sim, *["dest.example"] * 12))

    simulate(story, config=a_config(limits={"dest.example": LaneLimits(rate="10/min")}))

    assert began(server) == [6.0 * place for place in range(12)]


def test_after_a_pause_a_burst_goes_at_once_and_the_rest_evenly() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        await deliver(sim, send_to(sim, *["dest.example"] * 7))

    simulate(story, config=a_config(limits={"*": LaneLimits(rate="10/min, burst 4")}))

    assert began(server) == [0.0, 0.0, 0.0, 0.0, 6.0, 12.0, 18.0]


def test_a_high_rate_is_kept_too() -> None:
    """Drawn in blocks of ten: 100 a second, and never more than that and the burst."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        await deliver(sim, send_to(sim, *["dest.example"] * 1000))

    simulate(story, config=a_config(limits={"dest.example": LaneLimits(rate="100/s")}))

    times = began(server)
    assert 9.0 <= times[-1] <= 10.5
    assert max(sum(begin <= at <= begin + 1 for at in times) for begin in times) <= 200
    assert max(sum(begin <= at <= begin + 5 for at in times) for begin in times) <= 600


def test_all_domains_of_one_mx_set_share_the_rate_of_their_lane() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "one.example", IP, server)
        sim.zone.records["two.example"] = sim.zone.records["one.example"]
        await deliver(sim, send_to(sim, *["one.example", "two.example"] * 3))

    simulate(story, config=a_config(limits={"*": LaneLimits(rate="1/min")}))

    assert began(server) == [60.0 * place for place in range(6)]


def test_a_domain_with_a_rate_does_not_slow_down_the_others_of_its_mx_set() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "slow.example", IP, server)
        sim.zone.records["quick.example"] = sim.zone.records["slow.example"]
        await deliver(sim, send_to(sim, *["slow.example"] * 3, *["quick.example"] * 30))

    simulate(story, config=a_config(limits={"slow.example": LaneLimits(rate="1/min")}))

    assert began(server) == [*[0.0] * 31, 60.0, 120.0]


def test_a_relay_has_a_rate_by_its_name() -> None:
    """The demand: so many a minute for a relay."""
    server = SmtpServer()
    relay = RelayConfig("relay.example", port=25, tls="none")

    async def story(sim: LoneEngine) -> None:
        at_relay(sim, server)
        await deliver(sim, send_to(sim, "one.example", "two.example", "three.example"))

    simulate(story, config=a_config(delivery=relay, limits={"relay.example": LaneLimits(rate="30/min")}))

    assert began(server) == [0.0, 2.0, 4.0]


@pytest.mark.parametrize("rate", ["10/min", "10/s", "10/min, burst 5"])
def test_what_waits_for_a_rate_waits_in_the_queue_and_is_not_claimed_in_vain(rate: str) -> None:
    """Claimed and given back in turns it would keep the storage busy."""
    storage = CountingStorage()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, SmtpServer())
        await deliver(sim, send_to(sim, *["dest.example"] * 50))

    simulate(story, storage=storage, config=a_config(limits={"dest.example": LaneLimits(rate=rate)}))

    assert storage.claims <= 60
    assert storage.notes <= 60


def test_mail_without_a_limit_asks_for_no_note() -> None:
    storage = CountingStorage()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, SmtpServer())
        await deliver(sim, send_to(sim, *["dest.example"] * 50))

    simulate(story, storage=storage, config=a_config(limits={"other.example": LaneLimits(rate="1/min")}))

    assert storage.notes == 0


def test_the_gate_says_which_rate_it_is_and_when_it_opens() -> None:
    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, SmtpServer())
        first, second = send_to(sim, "dest.example", "dest.example")
        await sim.wait(first)
        began_at = sim.clock.now()
        await asyncio.sleep(10)
        assert gates(sim, second) == [Gate.RATE_LIMIT]
        [hold] = holds(sim, second)
        assert hold.until is not None
        assert abs(hold.until - began_at - timedelta(minutes=1)) < timedelta(milliseconds=1)
        assert hold.text == "no more than 1/min go to dest.example (Config.limits)"
        cancel_all(sim)

    simulate(story, config=a_config(limits={"dest.example": LaneLimits(rate="1/min")}))


def test_a_rate_outlives_the_worker() -> None:
    """A day's worth is not begun anew with each start."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        await deliver(sim, send_to(sim, "dest.example"))
        await sim.stop()
        sim.resolver = FakeResolver(sim.zone)
        sim.start()
        await deliver(sim, send_to(sim, "dest.example"))

    simulate(story, config=a_config(limits={"dest.example": LaneLimits(rate="24/day")}))

    assert began(server) == [0.0, 3600.0]


def test_several_recipients_of_one_message_count_once() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        for _ in range(2):
            await sim.deliver(an_email(to=[f"r{number}@dest.example" for number in range(50)]))

    simulate(story, config=a_config(limits={"dest.example": LaneLimits(rate="1/min")}))

    assert began(server) == [0.0, 60.0]


def test_modes_that_send_nothing_heed_no_rate() -> None:
    async def story(sim: LoneEngine) -> None:
        began_at = sim.loop.time()
        await deliver(sim, send_to(sim, *["dest.example"] * 20))
        assert sim.loop.time() == began_at

    simulate(story, config=a_config(mode="capture", limits={"*": LaneLimits(rate="1/min")}))
