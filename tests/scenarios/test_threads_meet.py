"""Many threads use one Mailstrom at once, and close it under each other's hands."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from mailstrom import (
    ClosedError,
    Config,
    Event,
    EventKind,
    Mailstrom,
    MemoryStorage,
    MessageNotFound,
    NotRunningError,
    WorkerStatus,
)
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer
from tests.builders import an_email

CAPTURE = Config(helo_name="sender.example", mode="capture")


def together(*calls: Callable[[], object]) -> list[object]:
    """What the calls came to, each on a thread of its own, all begun at once."""
    found: list[object] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(place: int, call: Callable[[], object]) -> None:
        barrier.wait(30)
        try:
            found[place] = call()
        except Exception as error:
            found[place] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "stuck"
    return found


class SlowToReturn(ExclusiveStorage):
    """Stores at once, and lets its caller go only when the Mailstrom is closed, or after a second."""

    def __init__(self) -> None:
        super().__init__(MemoryStorage())
        self.stored = threading.Event()
        self.until: Callable[[], bool] = lambda: False

    def store(self, entries: Sequence[object]) -> list[str]:
        ids = super().store(entries)  # type: ignore[arg-type]
        self.stored.set()
        deadline = time.monotonic() + 1
        while not self.until() and time.monotonic() < deadline:
            time.sleep(0.001)
        return ids


def test_mail_that_is_being_stored_when_close_begins_is_taken_and_sent() -> None:
    """Told that it was not taken, its sender would send it again."""
    storage = SlowToReturn()
    m = Mailstrom(CAPTURE, storage).start()
    storage.until = lambda: m._life.is_closed

    def close() -> object:
        assert storage.stored.wait(30)
        return m.close()

    sent, left = together(lambda: m.send_email(an_email()), close)

    assert [email.message_id for email in m.outbox] == [sent]
    assert left == ()


def test_die_cuts_a_close_short() -> None:
    server = SmtpServer(on_greeting=Action.HANG)
    with LoopbackServer(server) as running:
        m = Mailstrom(f"smtp://127.0.0.1:{running.port}").start()
        m.send_email(an_email())
        began = time.monotonic()

        def die() -> None:
            while m.worker_status() is not WorkerStatus.STOPPING:
                time.sleep(0.001)
            m.die()

        (left, _) = together(m.close, die)

    assert time.monotonic() - began < 10
    assert [status.state for status in left] == ["queued"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("ending", ["close", "die"])
def test_an_observer_may_close_what_is_just_being_closed(ending: str) -> None:
    """Each would wait for the other."""

    def closing(event: Event) -> None:
        if event.worker_status is WorkerStatus.TERMINATED:
            try:
                getattr(m, ending)()
            except ClosedError:
                return

    m = Mailstrom(CAPTURE, observers=[closing]).start()
    m.drain(timeout=30)
    began = time.monotonic()

    m.close()

    assert time.monotonic() - began < 4


def test_nothing_starts_once_it_is_closed() -> None:
    for _ in range(30):
        m = Mailstrom(CAPTURE)

        found = together(m.start, m.close, m.start, m.pause)

        assert m.worker_status() is WorkerStatus.TERMINATED
        for each in found:
            assert each in (m, (), None) or isinstance(each, (ClosedError, NotRunningError)), each
    assert threading.active_count() == 1


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_threads_do_it_ends_and_no_mail_is_lost_without_a_word(seed: int) -> None:
    chance = random.Random(seed)
    accepted: list[str] = []
    events: list[Event] = []
    m = Mailstrom(CAPTURE, observers=[events.append])

    def send() -> None:
        accepted.append(m.send_email(an_email()))

    def send_and_wait() -> None:
        m.wait(m.send_email(an_email()), timeout=0.01)

    def some_calls(calls: Sequence[Callable[[], object]]) -> Callable[[], None]:
        def run() -> None:
            for call in calls:
                try:
                    call()
                except (ClosedError, NotRunningError, MessageNotFound):
                    continue

        return run

    kinds = [m.start, m.start, m.pause, send, send, send_and_wait, m.query_recent, lambda: m.drain(0.001)]
    threads = [some_calls(chance.choices(kinds, k=30)) for _ in range(6)]
    ending = some_calls([lambda: time.sleep(chance.random() / 50), chance.choice([m.close, m.die])])

    together(*threads, ending)
    left = {status.message_id for status in m.close()}

    sent = {email.message_id for email in m.outbox}
    assert set(accepted) <= sent | left
    told = [event.message_id for event in events if event.kind is EventKind.DELIVERED]
    assert len(told) == len(set(told))
