"""The same message handed in twice by a caller that cannot know whether the first time counted."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from mailstrom import Config, DuplicateMessage, IdempotencyConflict, Mailstrom, MailstromError, Submission
from mailstrom.engine.events import Event, EventKind
from mailstrom.storage.memory import MemoryStorage
from tests.builders import an_email
from tests.contract.plain_storage import PlainStorage

CAPTURE = Config(helo_name="sender.example", mode="capture")
THREADS = 20


def from_many_threads(call):  # type: ignore[no-untyped-def]
    """The results and exceptions of a call made on 20 threads at once."""
    ready = threading.Barrier(THREADS)
    ended: list[object] = []

    def run() -> None:
        ready.wait()
        try:
            ended.append(call())
        except MailstromError as error:
            ended.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return ended


@pytest.mark.parametrize("started", [True, False], ids=["started", "not started"])
@pytest.mark.parametrize("durable", [False, True], ids=["memory", "durable"])
def test_one_key_from_twenty_threads_is_one_message(durable: bool, started: bool) -> None:
    """Row 60: one id, one delivery."""
    with Mailstrom(CAPTURE, PlainStorage(durable=True) if durable else MemoryStorage()) as m:
        if started:
            m.start()
        ids = from_many_threads(lambda: m.send_email(an_email(), idempotency_key="order-4711"))
        m.start().drain(timeout=30)

        assert (len(ids), len(set(ids))) == (THREADS, 1)
        assert len(m.outbox) == 1


def test_one_key_with_different_content_is_one_message_and_conflicts() -> None:
    """Row 60."""
    numbers = iter(range(THREADS))
    with Mailstrom(CAPTURE) as m:
        ended = from_many_threads(
            lambda: m.send_email(an_email(subject=f"{next(numbers)}"), idempotency_key="order-4711")
        )

        assert Counter(type(each) for each in ended) == {IdempotencyConflict: THREADS - 1, str: 1}


def test_one_message_id_from_twenty_threads_is_stored_once() -> None:
    """Row 60: without a key the second one is refused, never overwritten."""
    with Mailstrom(CAPTURE) as m:
        ended = from_many_threads(lambda: m.send_email(an_email(message_id="mine@sender.example")))

        assert Counter(type(each) for each in ended) == {DuplicateMessage: THREADS - 1, str: 1}


def test_a_key_is_remembered_when_the_message_is_delivered() -> None:
    """Row 60."""
    with Mailstrom(CAPTURE) as m:
        first = m.send_email(an_email(), idempotency_key="order-4711")
        m.start().wait(first, timeout=30)

        assert m.send_email(an_email(), idempotency_key="order-4711") == first
        assert m.drain(timeout=30)
        assert len(m.outbox) == 1


def test_a_key_is_remembered_after_a_restart_while_the_message_waits() -> None:
    """Row 60: by a durable storage."""
    storage = PlainStorage(durable=True)
    with Mailstrom(CAPTURE, storage) as m:
        first = m.send_email(an_email(), idempotency_key="order-4711")

    with Mailstrom(CAPTURE, storage) as m:
        assert m.send_email(an_email(), idempotency_key="order-4711") == first


def test_an_email_that_was_refused_does_not_use_up_its_key() -> None:
    """Row 60: nothing was accepted."""
    with Mailstrom(CAPTURE, MemoryStorage(max_messages=1)) as m:
        m.send_email(an_email())
        for _ in range(2):
            with pytest.raises(MailstromError, match="full"):
                m.send_email(an_email(subject="other"), idempotency_key="order-4711")
        m.start().drain(timeout=30)
        m.send_email(an_email(subject="changed"), idempotency_key="order-4711")


@pytest.mark.parametrize("message_id", [None, "mine@sender.example"], ids=["made here", "the caller's"])
def test_a_repeat_is_accepted_once(message_id: str | None) -> None:
    """Row 60: observers hear of one message, not of its repeats."""
    told: list[Event] = []
    with Mailstrom(CAPTURE, observers=[told.append]) as m:
        email = an_email(message_id=message_id)
        for _ in range(3):
            m.send_email(email, idempotency_key="order-4711")

    accepted = [event for event in told if event.kind is EventKind.ACCEPTED]
    assert len(accepted) == 1


def test_within_one_call_the_same_key_is_the_same_message() -> None:
    """Row 60."""
    with Mailstrom(CAPTURE) as m:
        ids = m.send_emails([Submission(an_email(), idempotency_key="order-4711") for _ in range(3)])

        assert len(set(ids)) == 1
        assert len(m.query_recent()) == 1
