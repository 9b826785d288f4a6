"""A provider with an MX set for each customer gets no more sessions than it bears, over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mailstrom.config_limits import LaneLimits
from mailstrom.explanation import Gate
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.ledger import Session
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import cancel_all, gates, holds, send_to

SITE = "mail.protection.outlook.com"
TWO = {"office365": LaneLimits(max_sessions=2)}


def customers(sim: LoneEngine, count: int, server: SmtpServer, site: str = SITE) -> list[str]:
    """So many domains, each with an MX host of its own at the provider."""
    names = [f"customer{number}.example" for number in range(count)]
    for number, name in enumerate(names):
        host = f"customer{number}-example.{site}"
        sim.zone.records[name] = mx(host)
        sim.host(host, f"198.51.100.{number + 1}", server)
    return names


def most_at_once(sessions: Sequence[Session]) -> int:
    """How many were open together."""
    steps = [(session.began_at, 1) for session in sessions]
    steps += [(session.ended_at or float("inf"), -1) for session in sessions]
    now = most = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


async def deliver(sim: LoneEngine, ids: list[str]) -> None:
    for message_id in ids:
        assert (await sim.wait(message_id)).succeeded


def test_the_sessions_with_a_provider_are_counted_over_all_its_mx_sets() -> None:
    """The MX set is the lane, the provider a level above."""
    server = SmtpServer(delays={"content": 1.0})

    async def story(sim: LoneEngine) -> None:
        await deliver(sim, send_to(sim, *customers(sim, 6, server) * 5))

    simulate(story, config=a_config(limits=TWO))

    assert most_at_once(server.ledger.sessions) == 2
    assert len(server.ledger.messages) == 30


def test_idle_sessions_count_too() -> None:
    """One that waits for its next message ends before another is opened for another customer."""
    server = SmtpServer(delays={"quit": 0.5})

    async def story(sim: LoneEngine) -> None:
        for name in customers(sim, 5, server):
            await deliver(sim, send_to(sim, name))
            await asyncio.sleep(1)

    simulate(story, config=a_config(limits={"office365": LaneLimits(max_sessions=1)}, session_idle_secs=30.0))

    assert most_at_once(server.ledger.sessions) == 1


def test_a_session_that_is_used_up_has_ended_before_the_next_begins() -> None:
    """A host counts a connection until it is closed."""
    server = SmtpServer(delays={"quit": 0.5})
    limits = {"office365": LaneLimits(max_sessions=1, max_messages_per_session=1)}

    async def story(sim: LoneEngine) -> None:
        await deliver(sim, send_to(sim, *customers(sim, 2, server) * 3))

    simulate(story, config=a_config(limits=limits))

    assert len(server.ledger.sessions) == 6
    assert most_at_once(server.ledger.sessions) == 1


@pytest.mark.parametrize(
    ("provider_limits", "most"), [(True, 10), (False, 80)], ids=["as shipped", "switched off"]
)
def test_what_a_provider_bears_is_known_without_any_setting(provider_limits: bool, most: int) -> None:
    """Google: ten, whatever its customers' MX sets are; it can be switched off."""
    server = SmtpServer(delays={"content": 10.0})

    async def story(sim: LoneEngine) -> None:
        await deliver(sim, send_to(sim, *customers(sim, 40, server, "aspmx.l.google.com") * 2))

    simulate(story, config=a_config(provider_limits=provider_limits))

    assert most_at_once(server.ledger.sessions) == most


def test_a_full_provider_does_not_hold_up_who_is_somewhere_else() -> None:
    slow, quick = SmtpServer(delays={"content": 100.0}), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        names = customers(sim, 50, slow)
        sim.zone.records["dest.example"] = mx("mx.dest.example")
        sim.host("mx.dest.example", "198.51.101.1", quick)
        send_to(sim, *names * 10)
        await asyncio.sleep(1)
        began = sim.loop.time()
        await deliver(sim, send_to(sim, *["dest.example"] * 100))
        assert sim.loop.time() - began < 1
        cancel_all(sim)

    simulate(story, config=a_config(limits=TWO))


def test_a_session_carries_no_more_messages_than_the_provider_takes() -> None:
    """Yahoo ends a connection after 20 without a word."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        await deliver(sim, send_to(sim, *customers(sim, 1, server, "am0.yahoodns.net") * 300))

    simulate(story, config=a_config(max_sessions_per_lane=1))

    carried = [sum(m.session == s.ordinal for m in server.ledger.messages) for s in server.ledger.sessions]
    assert carried == [20] * 15


def test_the_gate_says_whose_sessions_are_all_in_use() -> None:
    server = SmtpServer(delays={"content": 100.0})

    async def story(sim: LoneEngine) -> None:
        names = customers(sim, 3, server)
        ids = send_to(sim, *names)
        await asyncio.sleep(10)
        waiting = [each for each in ids if gates(sim, each) != [Gate.CLAIMED]]
        assert [gates(sim, each) for each in waiting] == [[Gate.LANE_LIMIT]]
        [hold] = holds(sim, waiting[0])
        where = "office365 (Config.limits, provider_limits)"
        assert hold.text == f"2 of 2 sessions for {where} are in use by this worker"
        await deliver(sim, ids)

    simulate(story, config=a_config(limits=TWO))


class CountingSqlite(SqliteStorage):
    """Counts the worker's questions for work."""

    asked = 0

    def claim_many(self, now: Any, terms: Any) -> Any:
        self.asked += 1
        return super().claim_many(now, terms)


@pytest.mark.parametrize("limits", [LaneLimits(rate="1/min"), LaneLimits(max_sessions=1)], ids=str)
def test_a_worker_whose_destinations_are_all_closed_sleeps(limits: LaneLimits, tmp_path: Path) -> None:
    """On a queue that is passed the closed keys in SQL, those of lanes where nothing is under way too."""
    server = SmtpServer(delays={"content": 1000.0})
    storage = CountingSqlite(tmp_path / "mail.db", durability="normal")

    async def story(sim: LoneEngine) -> None:
        send_to(sim, *customers(sim, 30, server) * 3)
        await asyncio.sleep(10)
        storage.asked = 0
        await asyncio.sleep(45)
        assert storage.asked <= 10
        cancel_all(sim)
        await sim.die()

    simulate(story, config=a_config(limits={"office365": limits}), storage=storage)
    storage.close()
