"""What two workers on one queue owe a destination with limits; told of each storage that they may share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mailstrom.abc import SharedStorage
from mailstrom.config_limits import LaneLimits
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.lane_tools import a_domain, cancel_all, send_to
from tests.scenarios.test_sessions_of_a_site import customers, most_at_once
from tests.scenarios.two_workers import beside

Open = Callable[[], SharedStorage]  # the same queue each time

IP = "198.51.100.1"


async def until_delivered(sim: LoneEngine, ids: list[str]) -> None:
    """By whichever worker: who does not deliver it has to look."""
    while not all(sim.status(message_id).succeeded for message_id in ids):
        await asyncio.sleep(0.25)


def two_workers_keep_one_rate(open_storage: Open) -> None:
    """The demand: a limit that is only per process is none."""
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        a_domain(sim, "dest.example", IP, server)
        other = beside(sim, open_storage())
        other.start()
        await until_delivered(sim, send_to(sim, *["dest.example"] * 60))
        await other.stop()
        other.storage.close()

    config = a_config(limits={"dest.example": LaneLimits(rate="20/s, burst 10")})
    storage = open_storage()
    simulate(story, config=config, storage=storage)
    storage.close()

    times = sorted(message.at for message in server.ledger.messages)
    windows = [(begin, end) for place, begin in enumerate(times) for end in times[place:]]
    counts = [sum(begin <= at <= end for at in times) - 20 * (end - begin) for begin, end in windows]
    assert len(times) == 60
    assert max(counts) <= 10 + 1e-6
    assert times[-1] - times[0] < 60 / 20 * 1.5


def two_workers_keep_one_cap(open_storage: Open) -> None:
    server = SmtpServer(delays={"content": 1.0})

    async def story(sim: LoneEngine) -> None:
        names = customers(sim, 8, server)
        other = beside(sim, open_storage())
        other.start()
        await until_delivered(sim, send_to(sim, *names * 5))
        await other.stop()
        other.storage.close()

    storage = open_storage()
    simulate(story, config=a_config(limits={"office365": LaneLimits(max_sessions=4)}), storage=storage)
    storage.close()

    assert len(server.ledger.messages) == 40
    assert most_at_once(server.ledger.sessions) == 4


def a_dead_workers_sessions_are_free_after_a_while(open_storage: Open) -> None:
    """What it held ends 20 s after it said last that it is there."""
    server = SmtpServer(delays={"content": 1.0})

    async def story(sim: LoneEngine) -> None:
        [name] = customers(sim, 1, server)
        other = beside(sim, open_storage())
        other.start()
        sim.send_emails([])
        await until_delivered(other, send_to(other, name))
        await other.die()
        other.storage.close()
        sim.start()
        died_at = sim.loop.time()
        ids = send_to(sim, name)
        await asyncio.sleep(14)
        assert not sim.status(ids[0]).completed
        await until_delivered(sim, ids)
        assert sim.loop.time() - died_at < 27
        cancel_all(sim)

    storage = open_storage()
    config = a_config(limits={"office365": LaneLimits(max_sessions=1)})
    simulate(story, config=config, storage=storage, start=False)
    storage.close()


def a_worker_that_ends_leaves_its_sessions_to_the_others(open_storage: Open) -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        [name] = customers(sim, 1, server)
        other = beside(sim, open_storage())
        other.start()
        await until_delivered(other, send_to(other, name))
        await other.stop()
        other.storage.close()
        sim.start()
        began = sim.loop.time()
        await until_delivered(sim, send_to(sim, name))
        assert sim.loop.time() - began < 1

    storage = open_storage()
    config = a_config(limits={"office365": LaneLimits(max_sessions=1)})
    simulate(story, config=config, storage=storage, start=False)
    storage.close()


STORIES = (
    two_workers_keep_one_rate,
    two_workers_keep_one_cap,
    a_dead_workers_sessions_are_free_after_a_while,
    a_worker_that_ends_leaves_its_sessions_to_the_others,
)
