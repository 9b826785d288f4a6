"""Much mail for one host waits in the queue: it is not claimed in vain, and hides no other mail."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from mailstrom import Config
from mailstrom.abc import Claim, Terms
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.smtp_server import Action, SmtpServer
from tests.builders import a_config, an_email, mx, with_mx
from tests.lone_engine import LoneEngine, simulate


class Counting(ExclusiveStorage):
    """Counts the claims that were granted, and those that were given back."""

    def __init__(self) -> None:
        super().__init__(MemoryStorage(), lease_clock=lambda: asyncio.get_running_loop().time())
        self.granted = self.given_back = 0

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        claims = super().claim_many(now, terms)
        self.granted += len(claims)
        assert self.granted < 10_000, "claimed again and again"
        return claims

    def give_back(self, *args: Any, **kwargs: Any) -> None:
        self.given_back += 1
        super().give_back(*args, **kwargs)


def test_each_message_of_a_long_queue_is_claimed_once() -> None:
    """Its lane is known from the first look-up on."""
    storage = Counting()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(delays={"content": 1.0}))
        for message_id in [sim.send_email(an_email()) for _ in range(300)]:
            assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config(), storage=storage)

    assert (storage.granted, storage.given_back) == (300, 0)


def test_domains_that_turn_out_to_share_a_host_are_claimed_in_vain_at_most_once() -> None:
    storage = Counting()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(delays={"content": 1.0}))
        for number in range(200):
            sim.zone.records[f"d{number}.example"] = mx("mx1.dest.example")
        ids = [sim.send_email(an_email(to=f"you@d{number}.example")) for number in range(200)]
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config(), storage=storage)

    assert storage.given_back <= 200


@pytest.mark.parametrize("redirected_to", ["one", "another"])
def test_mail_that_is_redirected_waits_for_room_as_any_other(redirected_to: str) -> None:
    """All of it goes to one lane, whatever the route keys of the queue are."""
    storage = Counting()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(delays={"content": 1.0}), domain="staging.example")
        ids = [
            sim.send_email(an_email(to=f"you@{redirected_to if redirected_to == 'one' else number}.example"))
            for number in range(100)
        ]
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded

    config: Config = a_config(redirect_to="tester@staging.example")
    simulate(story, config=config, storage=storage)

    assert storage.given_back <= 100


def test_a_long_queue_for_a_domain_whose_look_ups_hang_leaves_room_for_other_mail() -> None:
    """600 messages for a name server that does not answer, and one for another domain."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        sim.zone.records["silent.example"] = {"rcode": "TIMEOUT"}
        for _ in range(600):
            sim.send_email(an_email(to="you@silent.example"))
        await asyncio.sleep(1)
        assert (await sim.deliver(an_email())).succeeded
        assert sim.loop.time() < 2

    simulate(story, config=a_config())


def test_a_long_queue_for_a_host_that_hangs_leaves_room_for_other_mail() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_greeting=Action.HANG), domain="hangs.example")
        with_mx(sim, SmtpServer())
        for _ in range(600):
            sim.send_email(an_email(to="you@hangs.example"))
        await asyncio.sleep(1)
        assert (await sim.deliver(an_email())).succeeded
        assert sim.loop.time() < 2

    simulate(story, config=a_config())


def test_sessions_that_wait_for_more_mail_are_bounded_as_well() -> None:
    """100 domains in turn, each session idle for a minute: the longest idle end first."""

    async def story(sim: LoneEngine) -> None:
        for number in range(100):
            with_mx(sim, SmtpServer(), domain=f"d{number}.example")
            await sim.deliver(an_email(to=f"you@d{number}.example"))
            await asyncio.sleep(0.1)
            ends = 2 * (sim.config.max_sessions + 1)
            assert len(sim.network.open_transports) <= ends
        connects = len(sim.network.connects)
        await sim.deliver(an_email(to="you@d99.example"))
        assert len(sim.network.connects) == connects

    simulate(story, config=a_config(max_sessions=5, session_idle_secs=60.0))
