"""A worker that was away for longer than its lease must not send what another may have sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from mailstrom import MemoryStorage
from mailstrom.abc import Claim, Order, Settlement
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU


class Forgetful(ExclusiveStorage):
    """Does not prolong the leases of its first claims: for it their owner is gone after 60 s."""

    lost_claims = 1

    def renew(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim | None]:
        renewed = super().renew([claim for claim in claims if claim.token > self.lost_claims], lease)
        return [None] * (len(claims) - len(renewed)) + renewed


def slow_once(secs: float) -> SmtpServer:
    """Takes its time before the 354 of every DATA."""
    return SmtpServer(delays={"data": secs})


def forgetful() -> Forgetful:
    return Forgetful(MemoryStorage(), lease_clock=lambda: asyncio.get_running_loop().time())


def test_a_lease_lost_before_the_final_dot_ends_the_delivery_before_the_dot() -> None:
    """Row 52: abort before the dot; whoever has the claim now sends it, once."""
    server = slow_once(90.0)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert status[YOU].result.tries == 1

    simulate(story, config=a_config(), storage=forgetful())

    assert (len(server.ledger.messages), len(server.ledger.sessions)) == (1, 2)


def test_a_message_that_goes_out_in_one_write_is_not_begun_without_a_lease() -> None:
    """Row 52: that write holds the end of the message."""
    chunking = DEFAULT_EXTENSIONS | {"CHUNKING"}
    server = SmtpServer(extensions=chunking, delays={"ehlo": 90.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config(), storage=forgetful())

    first, second = server.ledger.sessions
    assert first.commands == ["EHLO sender.example"]
    verbs = [command.partition(" ")[0] for command in second.commands]
    assert verbs == ["EHLO", "MAIL", "RCPT", "BDAT", "QUIT"]
    assert len(server.ledger.messages) == 1


def test_a_lease_that_ends_within_its_margin_is_not_used_for_a_dot() -> None:
    """Row 52: a margin of 10 s."""
    server = slow_once(51.0)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config(), storage=forgetful())

    assert (len(server.ledger.messages), len(server.ledger.sessions)) == (1, 2)


def test_a_lease_lost_after_the_final_dot_brings_a_result_that_is_refused_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Rows 48 and 52: a late result with a stale token; this is the window nobody can close."""
    server = SmtpServer(delays={"content": 90.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert (status.succeeded, status[YOU].result.tries, len(status[YOU].attempts)) == (True, 1, 1)
        refused = f"results of message {status.message_id} came after its claim was lost"
        assert [record.getMessage() for record in caplog.records] == [refused]

    with caplog.at_level(logging.WARNING, logger="mailstrom"):
        simulate(story, config=a_config(), storage=forgetful())


def test_who_was_cancelled_after_the_lease_ended_does_not_take_the_others_results_along() -> None:
    """What was delivered to them counts, and is not sent again."""
    server = SmtpServer(delays={"content": 90.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email(to=[YOU, "other@dest.example"]))
        await asyncio.sleep(61.0)
        sim.order(Order.CANCEL, message_id, address="other@dest.example")
        status = await sim.wait(message_id)
        found = [(each.result.state, each.result.uncertain) for each in status]
        assert found == [("delivered", False), ("failed", True)]

    simulate(story, config=a_config(max_sessions_per_lane=1), storage=forgetful())

    assert len(server.ledger.messages) == 1


def test_what_was_delivered_is_not_given_back_where_the_worker_ends_over_a_refused_result() -> None:
    """Row 54: the first refusal is of both results, the second of her who was cancelled alone."""
    server = SmtpServer(delays={"content": 90.0})

    class Refusing(Forgetful):
        refusals = 0

        def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
            settled = super().settle(settlements, now)
            self.refusals += not all(settled)
            if self.refusals == 2:
                worker.engine.abort()
            return settled

    async def story(sim: LoneEngine) -> None:
        nonlocal worker
        worker = sim
        with_mx(sim, server)
        message_id = sim.send_email(an_email(to=["other@dest.example", YOU]))
        await asyncio.sleep(61.0)
        sim.order(Order.CANCEL, message_id, address="other@dest.example")
        assert sim._task is not None
        await sim._task
        await sim.die()
        sim.resolver = FakeResolver(sim.zone)
        sim.start()
        assert (await sim.wait(message_id))[YOU].result.state == "delivered"

    worker: LoneEngine
    storage = Refusing(MemoryStorage(), lease_clock=lambda: asyncio.get_running_loop().time())
    simulate(story, config=a_config(max_sessions_per_lane=1), storage=storage)

    assert (storage.refusals, len(server.ledger.messages)) == (2, 1)


def test_a_long_delivery_keeps_its_lease() -> None:
    """Row 52: the heartbeat; nobody sends a second copy meanwhile."""
    server = SmtpServer(delays={"data": 110.0, "content": 590.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config())

    assert (len(server.ledger.messages), len(server.ledger.sessions)) == (1, 1)


def test_a_storage_that_cannot_prolong_for_a_minute_stops_what_has_not_sent_its_dot() -> None:
    """Row 52: without a lease that is known to stand there is no dot."""

    class Locked(Forgetful):
        def renew(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim | None]:
            if any(claim.token <= self.lost_claims for claim in claims):
                raise OSError("the database is locked")
            return super().renew(claims, lease)

    server = slow_once(90.0)
    storage = Locked(MemoryStorage(), lease_clock=lambda: asyncio.get_running_loop().time())

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(an_email())).succeeded

    simulate(story, config=a_config(), storage=storage)

    assert len(server.ledger.messages) == 1
