"""Many deliveries run at once: a dead or slow host delays nobody else's mail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from mailstrom import MessageStatus, Submission
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, mx
from tests.lone_engine import LoneEngine, simulate

LATENCY_SECS = 0.05
DEAD, ALIVE = 100, 200


def with_domains(sim: LoneEngine, first: int, last: int, server: SmtpServer | None) -> list[str]:
    """A domain each with one host of its own; None: a host that never answers."""
    names = [f"d{number}.example" for number in range(first, last)]
    for number, name in zip(range(first, last), names, strict=True):
        ip = f"198.51.{100 + number // 200}.{1 + number % 200}"
        sim.zone.records |= {name: mx(f"mx.{name}"), f"mx.{name}": {"A": [ip]}}
        if server is None:
            sim.network.black_hole(ip)
        else:
            sim.network.listen(ip, 25, server, latency_secs=LATENCY_SECS)
    return names


def to_each(names: Sequence[str]) -> list[Submission]:
    return [Submission(an_email(to=f"you@{name}")) for name in names]


async def all_of(sim: LoneEngine, ids: Sequence[str]) -> list[MessageStatus]:
    return [await sim.wait(message_id) for message_id in ids]


def secs_alone() -> float:
    """How long the mail to hosts that answer takes when there is no other."""

    async def story(sim: LoneEngine) -> float:
        names = with_domains(sim, 0, ALIVE, SmtpServer())
        await all_of(sim, sim.send_emails(to_each(names)))
        return sim.clock.monotonic()

    return simulate(story, config=a_config())


@pytest.mark.parametrize("silence", ["no connection", "no greeting", "no DNS"])
def test_hundred_dead_hosts_leave_two_hundred_others_at_most_twice_their_time(silence: str) -> None:
    """Threat S21: 300 emails to 300 domains, default limits, the dead ones submitted first."""
    alone = secs_alone()

    async def story(sim: LoneEngine) -> None:
        living = with_domains(sim, 0, ALIVE, SmtpServer())
        dead = with_domains(sim, ALIVE, ALIVE + DEAD, None)
        for number, name in enumerate(dead, ALIVE):
            if silence == "no greeting":
                sim.network.never_reads(f"198.51.{100 + number // 200}.{1 + number % 200}", 25)
            if silence == "no DNS":
                sim.zone.records[name] = {"rcode": "TIMEOUT"}
        ids = sim.send_emails(to_each([*dead, *living]))
        statuses = await all_of(sim, ids[DEAD:])
        assert all(status.succeeded for status in statuses)
        limit = 2 * alone if silence != "no DNS" else alone + 5
        assert sim.clock.monotonic() <= limit
        for message_id in ids[:DEAD]:
            sim.cancel(message_id)

    simulate(story, config=a_config())


def test_twenty_connections_to_one_set_of_hosts_and_no_more() -> None:
    """Threat S21: the limit per lane."""
    server = SmtpServer(delays={"content": 1.0})
    most: list[int] = []

    async def story(sim: LoneEngine) -> None:
        names = with_domains(sim, 0, 1, server) * 200
        ids = sim.send_emails(to_each(names))
        for _ in range(20):
            await asyncio.sleep(0.5)
            most.append(sum(session.ended_at is None for session in server.ledger.sessions))
        await all_of(sim, ids)

    simulate(story, config=a_config())

    assert max(most) == 20
    assert len(server.ledger.messages) == 200


def test_domains_that_share_their_hosts_share_the_limit() -> None:
    """The lane is the MX set, not the domain."""
    server = SmtpServer(delays={"content": 1.0})
    most: list[int] = []

    async def story(sim: LoneEngine) -> None:
        sim.host("mx.host.example", "198.51.100.1", server)
        names = [f"d{number}.example" for number in range(100)]
        sim.zone.records |= {name: mx("mx.host.example") for name in names}
        ids = sim.send_emails(to_each(names))
        for _ in range(10):
            await asyncio.sleep(0.5)
            most.append(sum(session.ended_at is None for session in server.ledger.sessions))
        await all_of(sim, ids)

    simulate(story, config=a_config())

    assert max(most) == 20


def test_a_slow_host_with_much_mail_delays_nobody_else() -> None:
    """500 messages for one slow host were there first; one for another goes out at once."""

    async def story(sim: LoneEngine) -> None:
        slow = with_domains(sim, 0, 1, SmtpServer(delays={"content": 500.0}))
        sim.send_emails(to_each(slow * 500))
        await asyncio.sleep(10)
        with_domains(sim, 1, 2, SmtpServer())
        status = await sim.deliver(an_email(to="you@d1.example"))
        assert status.completed_at is not None
        assert status.completed_at - status.submitted_at < timedelta(seconds=5)
        for other in sim.storage.retrieve_all_incomplete():
            sim.cancel(other.message_id)

    simulate(story, config=a_config())


def test_a_slow_host_of_one_recipient_does_not_keep_the_others_of_the_message() -> None:
    async def story(sim: LoneEngine) -> None:
        with_domains(sim, 0, 1, SmtpServer(delays={"content": 500.0}))
        with_domains(sim, 1, 2, SmtpServer())
        message_id = sim.send_email(an_email(to="a@d0.example, b@d1.example"))
        status = await sim.until(message_id, lambda status: status["b@d1.example"].result.completed)
        assert sim.clock.monotonic() < 5
        assert status["a@d0.example"].result.state == "queued"
        await sim.wait(message_id)

    simulate(story, config=a_config())


@pytest.mark.parametrize(("setting", "limit"), [({"max_sessions": 7}, 7), ({"max_sessions_per_lane": 3}, 3)])
def test_the_limits_are_settings(setting: dict[str, int], limit: int) -> None:
    """Threat S21: total sockets, and those of one lane."""
    server = SmtpServer(delays={"content": 1.0})
    most: list[int] = []

    async def story(sim: LoneEngine) -> None:
        domains = 50 if "max_sessions" in setting else 1
        names = with_domains(sim, 0, domains, server) * (50 // domains)
        ids = sim.send_emails(to_each(names))
        for _ in range(10):
            await asyncio.sleep(0.25)
            most.append(sum(session.ended_at is None for session in server.ledger.sessions))
        await all_of(sim, ids)

    simulate(story, config=a_config(**setting))

    assert max(most) == limit
