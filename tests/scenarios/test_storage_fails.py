"""A storage that is full, locked or away for a while: nothing is lost, and nothing sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from mailstrom import Config, Mailstrom, MemoryStorage, StorageError, StorageFull, WorkerStatus
from mailstrom.abc import InternalMessageStatus, PreparedEmail
from mailstrom.engine.events import EventKind
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.contract.plain_storage import PlainStorage
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

METHODS = ("store", "update_status", "retrieve", "retrieve_status", "retrieve_all_incomplete")
NO_ROOM = StorageFull("no room left on the disk")
LOCKED = OSError("the database is locked")


class Sick(PlainStorage):
    """A durable storage whose methods named in `failing` raise `error`."""

    def __init__(self, error: Exception = LOCKED, *failing: str) -> None:
        super().__init__(durable=True)
        self.error = error
        self.failing = set(failing)
        self.failures = 0

    def __getattribute__(self, name: str) -> object:
        if name in METHODS and name in self.failing:
            self.failures += 1
            return self._fail
        return super().__getattribute__(name)

    def _fail(self, *_: object) -> object:
        raise type(self.error)(*self.error.args)


def worker_statuses(sim: LoneEngine) -> list[WorkerStatus | None]:
    return [event.worker_status for event in sim.events if event.kind is EventKind.WORKER_STATUS]


def when_content_came(then: Callable[[], object]) -> Callable[[str, int], None]:
    """A hook that does `then` when the final dot has arrived, and lets the server accept."""

    def hook(_content: str, _count: int) -> None:
        then()

    return hook


@pytest.mark.parametrize("error", [NO_ROOM, LOCKED], ids=["full", "locked"])
def test_a_result_that_cannot_be_written_is_kept_and_written_later_and_nothing_is_sent_again(
    error: Exception,
) -> None:
    """Rows 46 and 47: results kept, claiming stops, resumes alone; the worker never resends."""
    storage = Sick(error)
    server = SmtpServer(on_content=when_content_came(lambda: storage.failing.add("update_status")))

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        first = sim.send_email(an_email())
        await asyncio.sleep(10)
        assert sim.engine.status is WorkerStatus.STORAGE_WRITE_FAILED
        assert sim.status(first).state == "queued"
        second = sim.send_email(an_email())
        await asyncio.sleep(600)
        assert (len(server.ledger.messages), sim.status(second).state) == (1, "queued")

        storage.failing.clear()
        assert (await sim.wait(first)).succeeded
        await asyncio.sleep(60)
        assert sim.engine.status is WorkerStatus.STORAGE_WRITE_FAILED  # the second one's result
        storage.failing.clear()
        assert (await sim.wait(second)).succeeded
        assert sim.engine.status is WorkerStatus.OK

    simulate(story, config=a_config(), storage=storage)

    assert len(server.ledger.messages) == 2


def test_a_storage_that_fails_is_asked_again_after_1_to_8_seconds() -> None:
    """Row 47: backoff, no storm, and work resumes within 10 s."""
    storage = Sick()
    server = SmtpServer(on_content=when_content_came(lambda: storage.failing.add("update_status")))

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        await asyncio.sleep(3600)
        assert storage.failures == pytest.approx(4 + 3593 / 8, abs=2)
        storage.failing.clear()
        assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config(), storage=storage)


def test_a_queue_that_cannot_be_read_is_a_status_and_goes_on_when_it_can() -> None:
    """Row 47."""
    storage = Sick(LOCKED, "retrieve")

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        message_id = sim.send_email(an_email())
        await asyncio.sleep(30)
        assert sim.engine.status is WorkerStatus.STORAGE_READ_FAILED
        assert sim.status(message_id).state == "queued"
        storage.failing.clear()
        status = await sim.wait(message_id)
        assert status[YOU].result.tries == 1
        assert sim.engine.status is WorkerStatus.OK

        expected = [WorkerStatus.OK, WorkerStatus.STORAGE_READ_FAILED, WorkerStatus.OK]
        assert worker_statuses(sim) == expected

    simulate(story, config=a_config(), storage=storage)


def test_a_worker_that_starts_while_the_storage_is_away_begins_when_it_is_back() -> None:
    """Row 47."""
    storage = Sick()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        message_id = sim.send_email(an_email())
        storage.failing |= {"retrieve", "update_status", "retrieve_all_incomplete"}
        sim.start()
        await asyncio.sleep(120)
        storage.failing.clear()
        assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config(), storage=storage, start=False)


def test_a_claim_that_cannot_be_written_ahead_is_not_sent() -> None:
    """Row 46: storage sick, stop sending."""
    storage = Sick(NO_ROOM, "update_status")
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        await asyncio.sleep(300)
        assert sim.engine.status in (WorkerStatus.STORAGE_WRITE_FAILED, WorkerStatus.STORAGE_READ_FAILED)
        assert server.ledger.sessions == ()
        storage.failing.clear()
        assert (await sim.wait(message_id))[YOU].result.tries == 1

    simulate(story, config=a_config(), storage=storage)


def test_nothing_is_begun_in_a_pause_that_came_while_the_storage_was_away() -> None:
    """Row 47: pause() holds whatever the storage does."""
    storage = Sick(LOCKED, "update_status")
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        await asyncio.sleep(10)
        sim.engine.pause()
        storage.failing.clear()
        await asyncio.sleep(300)
        assert (sim.engine.status, server.ledger.sessions) == (WorkerStatus.PAUSED, ())
        sim.engine.resume()
        assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config(), storage=storage)


def test_nothing_is_begun_after_stop_when_the_storage_comes_back() -> None:
    """Row 47: closing makes no new claims."""
    storage = Sick(LOCKED, "update_status")
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        await asyncio.sleep(10)
        stopping = asyncio.ensure_future(sim.stop())
        await asyncio.sleep(10)
        storage.failing.clear()
        await stopping
        assert (sim.status(message_id).state, server.ledger.sessions) == ("queued", ())

    simulate(story, config=a_config(), storage=storage)


def test_other_mail_in_flight_is_finished_while_one_result_waits_for_the_storage() -> None:
    """Row 47."""
    storage = Sick()
    fast = SmtpServer(on_content=when_content_came(lambda: storage.failing.add("update_status")))
    slow = SmtpServer(delays={"content": 40.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, fast, domain="fast.example")
        with_mx(sim, slow, domain="slow.example")
        ids = [sim.send_email(an_email(to=f"you@{name}.example")) for name in ("slow", "fast")]
        await asyncio.sleep(100)
        assert (len(fast.ledger.messages), len(slow.ledger.messages)) == (1, 1)
        storage.failing.clear()
        assert all([(await sim.wait(each)).succeeded for each in ids])

    simulate(story, config=a_config(), storage=storage)

    assert (len(fast.ledger.messages), len(slow.ledger.messages)) == (1, 1)


@pytest.mark.parametrize(("error", "raised"), [(NO_ROOM, StorageFull), (LOCKED, StorageError)])
def test_what_cannot_be_stored_is_not_accepted_and_the_caller_hears_it(
    error: Exception, raised: type[Exception]
) -> None:
    """Rows 46 and 47: send_email raises; the next one is taken."""
    storage = Sick(error, "store")
    with Mailstrom(Config(helo_name="sender.example", mode="capture"), storage) as m:
        m.start()
        with pytest.raises(raised) as caught:
            m.send_email(an_email(subject="refused"))
        storage.failing.clear()
        m.wait(m.send_email(an_email(subject="taken")), timeout=30)

        assert type(caught.value) is raised
        assert [b"Subject: taken" in email.content for email in m.outbox] == [True]


def test_of_several_emails_none_is_sent_when_the_storage_fails_in_the_middle() -> None:
    """Row 46: all or nothing."""

    class FullAfterTwo(PlainStorage):
        def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
            if len(self.emails) == 2:
                raise NO_ROOM
            super().store(email, status)

    with Mailstrom(Config(helo_name="sender.example", mode="capture"), FullAfterTwo()) as m:
        m.start()
        with pytest.raises(StorageFull, match=r"emails\[2\]"):
            m.send_emails([an_email() for _ in range(4)])
        m.drain(timeout=30)

        assert len(m.outbox) == 0


def test_a_storage_that_is_away_when_it_is_closed_leaves_nothing_running() -> None:
    """Row 47: close() ends the worker whatever the storage does."""
    storage = Sick()
    m = Mailstrom(Config(helo_name="sender.example", mode="capture"), storage)
    m.send_email(an_email())
    storage.failing |= {"retrieve", "update_status", "retrieve_all_incomplete"}
    m.start()

    left = m.close(timeout=0.2)

    assert [status.state for status in left] == ["queued"]
    assert m.worker_status() is WorkerStatus.TERMINATED


def test_a_storage_that_was_never_there_can_be_closed() -> None:
    """Row 47."""
    m = Mailstrom(Config(mode="capture"), Sick(LOCKED, "retrieve_all_incomplete"), observers=[print])
    m.start()

    assert m.close(timeout=0.2) == ()
    assert m.worker_status() is WorkerStatus.TERMINATED


def test_statuses_can_be_read_while_the_storage_cannot_be_written() -> None:
    """Row 46."""
    storage = Sick(NO_ROOM)
    with Mailstrom(Config(helo_name="sender.example", mode="capture"), storage) as m:
        message_id = m.send_email(an_email())
        storage.failing.add("update_status")

        assert m.query_status(message_id).state == "queued"
        with pytest.raises(StorageFull):
            m.cancel(message_id)
        assert m.query_status(message_id).state == "queued"


def test_memory_is_no_exception() -> None:
    """Row 46: a storage in memory that refuses for a while."""

    class Hiccup(MemoryStorage):
        failures = 3

        def update_status(self, status: InternalMessageStatus) -> None:
            if self.failures:
                self.failures -= 1
                raise NO_ROOM
            super().update_status(status)

    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert status.completed_at is not None
        assert status.completed_at - status.submitted_at < timedelta(minutes=1)

    simulate(story, config=a_config(), storage=Hiccup())

    assert len(server.ledger.messages) == 1


