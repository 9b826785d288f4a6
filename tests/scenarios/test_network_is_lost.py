"""Row 62: nobody at all can be reached: the fault is ours, and no mail pays for it with its tries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

import pytest

from mailstrom import Cause, RetryPolicy, Submission, WorkerStatus
from mailstrom.explanation import Gate
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import (
    a_domain,
    cancel_all,
    domains,
    gates,
    holds,
    living,
    send_to,
    states,
)

COUNT = 6
WAYS = ["black_hole", "unreachable", "refuse"]  # port 25 blocked, no network, a firewall that says so


async def delivered(sim: LoneEngine, names: Sequence[str]) -> None:
    for message_id in send_to(sim, *names):
        assert (await sim.wait(message_id)).succeeded
    await asyncio.sleep(10)  # no connection stands any more


def lose(sim: LoneEngine, how: str = "black_hole") -> None:
    for ip in domains(COUNT).values():
        getattr(sim.network, how)(ip, 25)


def bring_back(sim: LoneEngine) -> None:
    living(sim, COUNT)


def told(sim: LoneEngine) -> list[WorkerStatus]:
    """The worker's statuses, as observers are told them."""
    return [event.worker_status for event in sim.events if event.worker_status is not None]


@pytest.mark.parametrize("how", WAYS)
def test_nobody_loses_a_try_but_those_to_the_two_destinations_by_which_it_is_noticed(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two that cannot be reached are two dead hosts; from the third on it is suspicious.

    So what was under way to the first two, 6 at their pace, is tried once more.
    """

    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        lose(sim, how)
        ids = send_to(sim, *names * 20)
        await asyncio.sleep(3600)
        before = states(sim, ids)
        assert set(before) == {("queued", 0), ("deferred", 1)}
        assert before["deferred", 1] <= 12
        assert sim.engine.status is WorkerStatus.NETWORK_FAILED
        bring_back(sim)
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded
        assert sim.clock.monotonic() <= 3600 + 600 + 60
        assert set(states(sim, ids)) == {("delivered", 1), ("delivered", 2)}
        assert told(sim) == [WorkerStatus.OK, WorkerStatus.NETWORK_FAILED, WorkerStatus.OK]

    with caplog.at_level(logging.WARNING):
        simulate(story, config=a_config())

    messages = [record.getMessage() for record in caplog.records]
    assert [text.partition(":")[0] for text in messages if "network" in text] == [
        "the network failed",
        "the network works again",
    ]


def test_it_is_said_after_a_minute_without_anybody_and_not_before() -> None:
    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        lose(sim, "unreachable")
        send_to(sim, *names)
        await asyncio.sleep(59)
        early = sim.engine.status
        await asyncio.sleep(30)
        assert (early, sim.engine.status) == (WorkerStatus.OK, WorkerStatus.NETWORK_FAILED)
        cancel_all(sim)

    simulate(story, config=a_config())


def test_who_is_connected_with_is_reached_then_and_not_when_it_fails_to_greet() -> None:
    """A host that takes the connection, and says nothing for the five minutes that it may."""

    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        lose(sim, "unreachable")
        send_to(sim, *names)
        await asyncio.sleep(40)
        a_domain(sim, "mute.example", "198.51.100.99", SmtpServer())
        sim.network.never_reads("198.51.100.99", 25)
        send_to(sim, "mute.example")
        send_to(sim, *names)
        await asyncio.sleep(55)
        soon = sim.engine.status
        await asyncio.sleep(120)
        late = sim.engine.status
        sim.network.unreachable("198.51.100.99", 25)
        await asyncio.sleep(130)  # it has not greeted
        assert (soon, late, sim.engine.status) == (
            WorkerStatus.OK,
            WorkerStatus.NETWORK_FAILED,
            WorkerStatus.NETWORK_FAILED,
        )
        assert told(sim) == [WorkerStatus.OK, WorkerStatus.NETWORK_FAILED]
        cancel_all(sim)

    simulate(story, config=a_config())


def test_each_destination_is_asked_seldom_and_with_one_delivery_at_a_time() -> None:
    """At growing intervals of ten minutes at most: six in the first half hour, one in ten minutes then."""

    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        lose(sim)
        send_to(sim, *names * 50)
        await asyncio.sleep(1800)
        before = len(sim.network.connects)
        await asyncio.sleep(6 * 3600)
        asked = len(sim.network.connects) - before
        assert asked <= COUNT * 6 * 6
        assert asked >= COUNT * 6 * 6 * 0.9
        cancel_all(sim)

    simulate(story, config=a_config())


def test_what_waits_is_told_why_and_when_its_destination_is_asked_again() -> None:
    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        lose(sim, "unreachable")
        ids = send_to(sim, *names)
        await asyncio.sleep(100)
        now = sim.clock.now()
        [hold] = holds(sim, ids[-1])
        assert hold.gate is Gate.NETWORK_FAILED
        assert hold.until is not None
        assert now < hold.until <= now + timedelta(seconds=600)
        assert "no tries are spent" in hold.text
        [unasked] = send_to(sim, "another.example")
        assert gates(sim, unasked) == [Gate.NETWORK_FAILED]
        cancel_all(sim)

    simulate(story, config=a_config())


def test_one_that_is_reached_sets_all_others_free_at_once() -> None:
    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        lose(sim)
        ids = send_to(sim, *names)
        await asyncio.sleep(3600)
        bring_back(sim)
        await delivered(sim, [a_domain(sim, "new.example", "198.51.100.99", SmtpServer())])
        began = sim.clock.monotonic()
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded
        assert sim.clock.monotonic() - began < 1
        assert sim.engine.status is WorkerStatus.OK

    simulate(story, config=a_config(retry=RetryPolicy(base_delay_secs=1.0, jitter=0)))


def test_what_expires_meanwhile_is_failed_for_that_when_its_turn_has_come() -> None:
    """A destination is asked for one message at a time, each in its turn: here the second of two."""

    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        lose(sim)
        send_to(sim, *names)
        await asyncio.sleep(300)
        ends = sim.clock.now() + timedelta(hours=1)
        [short] = sim.send_emails([Submission(an_email(to=f"you@{names[-1]}"), expires_at=ends)])
        status = await sim.wait(short)
        [recipient] = status
        assert (recipient.result.cause, recipient.result.tries) == (Cause.EXPIRED, 0)
        assert status.completed_at is not None
        assert ends <= status.completed_at <= ends + 2 * timedelta(seconds=630)
        cancel_all(sim)

    simulate(story, config=a_config())


def test_a_destination_is_spared_for_a_day_then_its_tries_count() -> None:
    """Where it is not our fault after all, the sender hears of it one day later."""

    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        lose(sim)
        ids = send_to(sim, *names)
        await asyncio.sleep(86_000)
        assert states(sim, ids) == {("queued", 0): COUNT - 2, ("deferred", 1): 2}
        for message_id in ids:
            [recipient] = await sim.wait(message_id)
            assert recipient.result.cause is Cause.TRIES_EXHAUSTED
        assert sim.clock.monotonic() < 86_400 + 3 * 3600

    simulate(story, config=a_config())


def test_name_servers_that_do_not_answer_are_a_lost_network_too() -> None:
    """The resolver is gone; no answer is not "no such domain"."""

    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        await asyncio.sleep(600)  # what was looked up is forgotten, but not who was reached
        records = dict(sim.zone.records)
        sim.zone.records |= {name: {"rcode": "TIMEOUT"} for name in records}
        ids = send_to(sim, *names * 10)
        await asyncio.sleep(600)
        assert sim.engine.status is WorkerStatus.NETWORK_FAILED
        assert set(states(sim, ids)) == {("queued", 0), ("deferred", 1)}
        assert states(sim, ids)["deferred", 1] <= 12
        sim.zone.records |= records
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded
        assert sim.engine.status is WorkerStatus.OK

    simulate(story, config=a_config())


def test_a_worker_that_starts_without_a_network_spends_no_tries() -> None:
    """Nobody was ever reached: port 25 is blocked, as at most homes and clouds."""

    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        lose(sim)
        ids = send_to(sim, *names)
        await asyncio.sleep(3600)
        assert sim.engine.status is WorkerStatus.NETWORK_FAILED
        assert states(sim, ids)["queued", 0] == COUNT - 2
        cancel_all(sim)

    simulate(story, config=a_config())


def test_a_worker_that_started_without_a_network_has_one_as_soon_as_anybody_is_reached() -> None:
    """Nobody was reached before: whoever is the first ends it all the same, for all."""

    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        lose(sim)
        ids = send_to(sim, *names)
        await asyncio.sleep(3600)
        bring_back(sim)
        await delivered(sim, [a_domain(sim, "new.example", "198.51.100.99", SmtpServer())])
        began = sim.clock.monotonic()
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded
        assert sim.clock.monotonic() - began < 1
        assert told(sim) == [WorkerStatus.OK, WorkerStatus.NETWORK_FAILED, WorkerStatus.OK]

    simulate(story, config=a_config())


def test_a_paused_worker_stays_paused_whatever_the_network_does() -> None:
    async def story(sim: LoneEngine) -> None:
        names = living(sim, COUNT)
        await delivered(sim, names)
        lose(sim)
        send_to(sim, *names)
        await asyncio.sleep(300)
        sim.engine.pause()
        paused = sim.engine.status
        sim.engine.resume()
        assert (paused, sim.engine.status) == (WorkerStatus.PAUSED, WorkerStatus.NETWORK_FAILED)
        cancel_all(sim)

    simulate(story, config=a_config())
