"""What observers are told, in which order, and that delivery never waits for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from mailstrom import Config, Mailstrom, MemoryStorage, RelayConfig, RetryPolicy, WorkerStatus
from mailstrom.abc import InternalMessageStatus, PreparedEmail
from mailstrom.engine.events import QUEUE_LIMIT, Event, EventKind, Observers
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.clock import START
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from mailstrom.wiring import SystemPlatform
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU
from tests.scenarios.test_process_life import Fragile, FragileMailstrom

CAPTURE = Config(helo_name="sender.example", mode="capture")


def through(server: LoopbackServer[SmtpServer], **settings: object) -> Config:
    relay = RelayConfig("127.0.0.1", server.port, tls="none")
    return Config(helo_name="sender.example", delivery=relay, **settings)  # type: ignore[arg-type]


def kinds(events: list[Event], message_id: str | None = None) -> list[str]:
    return [str(event.kind) for event in events if message_id in (None, event.message_id)]


def test_a_delivery_is_accepted_attempted_and_delivered_in_this_order() -> None:
    told: list[Event] = []
    with LoopbackServer(SmtpServer()) as running, Mailstrom(through(running), observers=[told.append]) as m:
        message_id = m.start().send_email(an_email())
        status = m.wait(message_id, timeout=30)

    assert kinds(told, message_id) == ["accepted", "transaction", "attempt", "delivered"]
    *_, attempt, delivered = [event for event in told if event.message_id == message_id]
    assert (attempt.address, attempt.attempt) == (YOU, status[YOU].attempts[0])
    assert (delivered.address, delivered.result) == (YOU, status[YOU].result)


def test_each_host_visited_is_an_attempt_and_the_try_has_one_result() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"), SmtpServer(on_mail="550 5.7.1 no"))
        message_id = sim.send_email(an_email())
        await sim.until(message_id, lambda status: status.state == "deferred")
        told = kinds(sim.events, message_id)
        assert told == ["transaction", "transaction", "attempt", "attempt", "deferred"]

    simulate(story, config=a_config())


def test_failed_deferred_and_delayed_are_told() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"))
        await sim.deliver(an_email())
        results = [event for event in sim.events if event.result]
        assert [(event.kind, event.at - results[0].at) for event in results] == [
            (EventKind.DEFERRED, timedelta(0)),
            (EventKind.DEFERRED, timedelta(minutes=3)),
            (EventKind.DELAYED, timedelta(minutes=3)),
            (EventKind.FAILED, timedelta(minutes=12)),
        ]

    simulate(story, config=a_config(delayed_after_secs=60.0))


def test_a_delay_is_told_once() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"))
        await sim.deliver(an_email())
        assert kinds(sim.events).count("delayed") == 1

    simulate(story, config=a_config(retry=RetryPolicy.rfc5321()))


def test_the_workers_status_is_told() -> None:
    told: list[Event] = []
    with Mailstrom(CAPTURE, observers=[told.append]) as m:
        m.start()
        m.wait(m.send_email(an_email()), timeout=30)
        m.pause()
        m.start()
        m.wait(m.send_email(an_email()), timeout=30)

    statuses = [event.worker_status for event in told if event.kind is EventKind.WORKER_STATUS]
    assert statuses == [
        WorkerStatus.OK,
        WorkerStatus.PAUSED,
        WorkerStatus.OK,
        WorkerStatus.STOPPING,
        WorkerStatus.TERMINATED,
    ]


def test_a_worker_that_stays_down_is_told() -> None:
    """Row 55: never a silent stop."""
    told: list[Event] = []
    Fragile.crashes = 100
    with FragileMailstrom(CAPTURE, observers=[told.append]) as m:
        m.start()
        m._life._tenure.runtime._thread.join(30)

    assert WorkerStatus.CRASHED in [event.worker_status for event in told]


def test_a_cancelled_recipient_is_told_as_failed() -> None:
    told: list[Event] = []
    with Mailstrom(CAPTURE, observers=[told.append]) as m:
        message_id = m.send_email(an_email())
        m.cancel(message_id)
        m.cancel(message_id)

    assert kinds(told, message_id) == ["accepted", "failed"]


class Late(ExclusiveStorage):
    """Comes back from `store` when the worker is done with what was stored."""

    meanwhile: Callable[[], object]

    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        ids = super().store(entries)
        self.meanwhile()
        return ids


def test_accepted_comes_first_also_when_the_worker_is_faster_than_the_caller() -> None:
    told: list[Event] = []
    storage = Late(MemoryStorage())
    with Mailstrom(CAPTURE, storage, observers=[told.append]) as m:
        storage.meanwhile = lambda: m.start().drain(timeout=30)
        message_id = m.send_email(an_email())

    assert kinds(told, message_id) == ["accepted", "attempt", "delivered"]


def test_mail_that_was_not_accepted_is_not_told() -> None:
    told: list[Event] = []
    with Mailstrom(CAPTURE, MemoryStorage(max_messages=1), observers=[told.append]) as m:
        m.send_email(an_email())
        with pytest.raises(Exception, match="full"):
            m.send_email(an_email())

    assert kinds(told) == ["accepted"]


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3), KeyboardInterrupt()])
def test_an_observer_that_raises_is_logged_and_nobody_else_notices(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Event] = []

    def raising(event: Event) -> None:
        raise error

    caplog.set_level(logging.ERROR, logger="mailstrom")
    with Mailstrom(CAPTURE, observers=[raising, told.append]) as m:
        assert m.start().wait(m.send_email(an_email()), timeout=30).succeeded

    assert {"delivered", "worker status"} <= {*kinds(told)}
    assert len(caplog.records) == len(told)
    assert all(record.exc_info and record.exc_info[1] is error for record in caplog.records)


@pytest.fixture
def blocked() -> Iterator[threading.Event]:
    """What an observer waits for until the test is over."""
    until = threading.Event()
    yield until
    until.set()


def test_an_observer_that_never_returns_holds_up_nothing(blocked: threading.Event) -> None:
    m = Mailstrom(CAPTURE, observers=[lambda _: blocked.wait()])
    m.start()
    for _ in range(200):
        m.send_email(an_email())

    assert m.drain(timeout=30)
    assert len(m.outbox) == 200
    threading.Timer(0.2, blocked.set).start()
    assert m.close() == ()


def test_an_observer_that_is_too_slow_loses_events_not_memory(
    blocked: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    observers = Observers([lambda _: blocked.wait()], SystemPlatform())
    event = Event(kind=EventKind.DELIVERED, at=START)
    with caplog.at_level(logging.WARNING, logger="mailstrom"):
        for _ in range(QUEUE_LIMIT + 100):
            observers.tell(event)
    blocked.set()
    observers.close(30)

    assert "dropped" in caplog.text


def test_an_observer_may_use_the_mailstrom_it_observes() -> None:
    seen: list[str] = []

    def asking(event: Event) -> None:
        if event.kind is EventKind.DELIVERED:
            seen.append(m.query_status(event.message_id).state)
            if len(seen) < 3:
                m.send_email(an_email())

    with Mailstrom(CAPTURE, observers=[asking]) as m:
        m.start().send_email(an_email())
        while len(seen) < 3:
            m.drain(timeout=30)

    assert seen == ["delivered"] * 3


def test_an_event_is_frozen_and_one_line() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="550 5.1.1 \x1b[31mno such user\x00"))
        await sim.deliver(an_email())
        for event in sim.events:
            assert str(event).isprintable()
            with pytest.raises(FrozenInstanceError):
                event.at = None  # type: ignore[misc,assignment]

    simulate(story, config=a_config())
