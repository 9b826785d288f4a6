"""A queue in memory is bounded: what does not fit is not accepted, and nothing is dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mailstrom import ClosedError, Config, Mailstrom, MemoryStorage, QueueFull
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate


def capturing(storage: MemoryStorage, wait_secs: float = 0.0) -> Mailstrom:
    return Mailstrom(Config(mode="capture", queue_full_wait_secs=wait_secs), storage)


@contextmanager
def on_a_thread(call: Callable[[], object]) -> Iterator[list[object]]:
    """Runs the call meanwhile; its result or exception is in the list after the block."""
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(call())
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ended
    finally:
        thread.join(30)


def until_it_waits_for_room(m: Mailstrom) -> None:
    while not m._life.board._waiting:
        time.sleep(0)


@pytest.mark.parametrize(
    "storage", [MemoryStorage(max_messages=3), MemoryStorage(max_bytes=1200)], ids=["count", "octets"]
)
def test_what_does_not_fit_is_refused_and_what_is_in_stays(storage: MemoryStorage) -> None:
    """Row 57: bound by count and bytes; raise QueueFull; never drop."""
    with capturing(storage) as m:
        ids: list[str] = []
        with pytest.raises(QueueFull, match="at most"):
            while True:
                ids.append(m.send_email(an_email()))

        assert 0 < len(ids) <= 4
        assert [status.message_id for status in m.query_recent()] == ids
        m.start().drain(timeout=30)
        assert len(m.outbox) == len(ids)


def test_there_is_room_again_when_mail_was_delivered() -> None:
    """Row 57."""
    with capturing(MemoryStorage(max_messages=1)) as m:
        m.start()
        for _ in range(20):
            m.wait(m.send_email(an_email()), timeout=30)

        assert len(m.outbox) == 20


def test_send_email_waits_for_room_as_long_as_it_is_told() -> None:
    """Row 57: block with timeout."""
    with capturing(MemoryStorage(max_messages=1), wait_secs=30.0) as m:
        m.send_email(an_email())
        with on_a_thread(lambda: m.send_email(an_email())) as sent:
            until_it_waits_for_room(m)
            m.start()

        (message_id,) = sent
        assert isinstance(message_id, str)
        assert m.wait(message_id, timeout=30).succeeded


def test_then_it_raises() -> None:
    """Row 57."""
    with capturing(MemoryStorage(max_messages=1), wait_secs=0.05) as m:
        m.send_email(an_email())
        began = time.monotonic()
        with pytest.raises(QueueFull):
            m.send_email(an_email())

        assert 0.05 <= time.monotonic() - began < 5


def test_many_callers_wait_together_and_all_get_through() -> None:
    """Row 57: twenty threads, a queue of two."""
    with capturing(MemoryStorage(max_messages=2), wait_secs=30.0) as m:
        m.start()
        failed: list[Exception] = []

        def send_ten() -> None:
            try:
                for _ in range(10):
                    m.send_email(an_email())
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=send_ten) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        m.drain(timeout=30)

        assert failed == []
        assert len(m.outbox) == 200


def test_close_wakes_who_waits_for_room() -> None:
    """Row 57: it is told that this Mailstrom is closed."""
    m = capturing(MemoryStorage(max_messages=1), wait_secs=30.0)
    m.send_email(an_email())
    began = time.monotonic()

    with on_a_thread(lambda: m.send_email(an_email())) as sent:
        until_it_waits_for_room(m)
        m.close()

    assert [type(each) for each in sent] == [ClosedError]
    assert time.monotonic() - began < 10


def test_of_several_emails_that_do_not_all_fit_none_is_taken() -> None:
    """Row 57: all or nothing."""
    with capturing(MemoryStorage(max_messages=2)) as m:
        with pytest.raises(QueueFull, match=r"emails\[2\]"):
            m.send_emails([an_email() for _ in range(3)])

        assert m.query_recent() == []


def test_what_waits_for_its_next_try_takes_up_room() -> None:
    """Row 57."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt=["450 4.2.0 later"]))
        message_id = sim.send_email(an_email())
        await sim.until(message_id, lambda status: status.state == "deferred")
        with pytest.raises(QueueFull):
            sim.send_email(an_email())
        await sim.wait(message_id)
        await sim.deliver(an_email())

    simulate(story, config=a_config(), storage=MemoryStorage(max_messages=1))
