"""Mail that another process puts into the queue is found by looking now and then, sooner by listening."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from mailstrom import Config, Mailstrom, MemoryStorage, SqliteStorage
from mailstrom.abc import Claim, Terms
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.submission import Moment, Submission, UnsignedDomains, entry_for
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate

CAPTURE = Config(helo_name="sender.example", mode="capture")
POLL_SECS = 2.0


class Shared(ExclusiveStorage):
    """As if other processes stored here, too; counts what it is asked."""

    poll_secs = POLL_SECS

    def __init__(self) -> None:
        super().__init__(MemoryStorage(), lease_clock=lambda: asyncio.get_running_loop().time())
        self.asked: Counter[str] = Counter()

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        self.asked["claim_many"] += 1
        return super().claim_many(now, terms)

    def next_due(self, *args: Any, **kwargs: Any) -> Any:
        self.asked["next_due"] += 1
        return super().next_due(*args, **kwargs)


def stored_by_another(sim: LoneEngine) -> str:
    """The id of an email that nobody tells the worker of."""
    moment = Moment(wall=sim.clock.now(), steady=sim.clock.now())
    entry = entry_for(Submission(an_email()), sim.config, moment, "other", UnsignedDomains())
    return sim.storage.store([entry])[0]


def test_it_is_sent_as_soon_as_the_worker_looks() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        await asyncio.sleep(100.5)
        status = await sim.wait(stored_by_another(sim))
        assert status.succeeded
        assert 100.5 <= sim.loop.time() <= 100.5 + POLL_SECS

    simulate(story, config=a_config(), storage=Shared())


def test_one_that_is_idle_asks_one_question_at_a_look_and_claims_nothing() -> None:
    storage = Shared()

    async def story(sim: LoneEngine) -> None:
        await asyncio.sleep(10)
        storage.asked.clear()
        await asyncio.sleep(100 * POLL_SECS)
        assert storage.asked == {"next_due": 100}

    simulate(story, config=a_config(), storage=storage)


def test_one_that_is_paused_does_not_look() -> None:
    storage = Shared()

    async def story(sim: LoneEngine) -> None:
        await asyncio.sleep(10)
        sim.engine.pause()
        await asyncio.sleep(POLL_SECS)
        storage.asked.clear()
        await asyncio.sleep(100 * POLL_SECS)
        assert not storage.asked

    simulate(story, config=a_config(), storage=storage)


def test_what_looks_due_and_cannot_be_had_is_asked_for_with_pauses() -> None:
    """Another process is claiming it at this moment; no storm of questions."""

    class Contended(Shared):
        def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
            self.asked["claim_many"] += 1
            return []

    storage = Contended()

    async def story(sim: LoneEngine) -> None:
        sim.send_email(an_email())
        await asyncio.sleep(10)
        assert 1 < storage.asked["claim_many"] < 250

    simulate(story, config=a_config(), storage=storage)


class Listening(SqliteStorage):
    """Looks once an hour, and is told at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, poll_secs=3600.0)
        self.told = threading.Event()
        self.listeners: list[str] = []

    def listen(self, wake: Callable[[], object], is_over: Callable[[], bool]) -> None:
        self.listeners.append(threading.current_thread().name)
        while not is_over():
            if self.told.wait(0.01):
                wake()


def test_a_storage_that_listens_wakes_the_worker(tmp_path: Path) -> None:
    """On a thread of its own, which ends with the worker: a thread that is left fails the test."""
    storage = Listening(tmp_path / "mail.db")
    other = Mailstrom(CAPTURE, SqliteStorage(tmp_path / "mail.db"))
    with Mailstrom(CAPTURE, storage) as m, other:
        m.start()
        m.wait(m.send_email(an_email()), timeout=30)  # from here on it sleeps
        message_id = other.send_email(an_email())
        storage.told.set()

        assert other.start("never").wait(message_id, timeout=30).succeeded

    assert storage.listeners == ["mailstrom-listener"]
