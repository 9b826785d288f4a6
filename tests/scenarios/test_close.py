"""What `close()` does with mail in memory, and with mail that outlives the process."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailstrom import (
    Config,
    Mailstrom,
    MemoryStorage,
    RelayConfig,
    StorageError,
    WorkerStatus,
)
from mailstrom.abc import InternalMessageStatus
from mailstrom.storage.sqlite import SqliteStorage
from mailstrom.testing.smtp_server import Action, LoopbackServer, SmtpServer
from tests.builders import an_email
from tests.contract.plain_storage import PlainStorage

CAPTURE = Config(helo_name="sender.example", mode="capture")


def through(running: LoopbackServer[SmtpServer], **settings: object) -> Config:
    relay = RelayConfig("127.0.0.1", running.port, tls="none")
    return Config(helo_name="sender.example", delivery=relay, **settings)  # type: ignore[arg-type]


def until_a_session(server: SmtpServer) -> None:
    assert server.ledger.wait_for(lambda seen: bool(seen.sessions))


def test_mail_in_memory_gets_its_first_try() -> None:
    server = SmtpServer()
    with LoopbackServer(server) as running:
        m = Mailstrom(through(running), MemoryStorage()).start()
        for _ in range(300):
            m.send_email(an_email())

        assert m.close() == ()

    assert len(server.ledger.messages) == 300


def test_a_second_try_is_not_waited_for_and_the_loss_is_told(caplog: pytest.LogCaptureFixture) -> None:
    server = SmtpServer(on_rcpt="450 4.2.1 later")
    with LoopbackServer(server) as running, caplog.at_level(logging.WARNING, logger="mailstrom"):
        m = Mailstrom(through(running)).start()
        ids = [m.send_email(an_email()) for _ in range(3)]
        began = time.monotonic()
        left = m.close(timeout=30)

        assert time.monotonic() - began < 10
    assert [status.message_id for status in left] == ids
    assert {status.state for status in left} == {"deferred"}
    (told,) = [record.getMessage() for record in caplog.records if "lost" in record.getMessage()]
    assert told.startswith("3 messages")
    assert all(message_id in told for message_id in ids)


def test_mail_for_later_is_not_sent_before_its_time() -> None:
    m = Mailstrom(CAPTURE).start()
    m.send_email(an_email(), send_at=datetime.now(UTC) + timedelta(hours=1))

    left = m.close(timeout=30)

    assert [status.state for status in left] == ["queued"]
    assert len(m.outbox) == 0


def test_a_host_that_hangs_is_given_up_at_the_timeout() -> None:
    server = SmtpServer(delays={"ehlo": 60.0})
    with LoopbackServer(server) as running:
        m = Mailstrom(through(running)).start()
        m.send_email(an_email())
        until_a_session(server)
        began = time.monotonic()
        left = m.close(timeout=0.3)

        assert 0.3 <= time.monotonic() - began < 5
    assert [status.state for status in left] == ["queued"]


def test_with_a_worker_that_was_never_started_nothing_is_sent() -> None:
    m = Mailstrom(CAPTURE)
    m.send_email(an_email())

    assert len(m.close()) == 1


def test_during_a_pause_nothing_is_sent() -> None:
    m = Mailstrom(CAPTURE).start()
    m.pause()
    m.send_email(an_email())

    assert len(m.close()) == 1
    assert len(m.outbox) == 0


def test_a_durable_storage_is_left_alone_and_the_next_process_delivers_the_rest() -> None:
    storage, server = PlainStorage(durable=True), SmtpServer(delays={"content": 0.3})
    with LoopbackServer(server) as running:
        first = Mailstrom(through(running, max_sessions=1), storage).start()
        ids = [first.send_email(an_email()) for _ in range(5)]
        until_a_session(server)
        left = first.close()
        sent = len(server.ledger.messages)

        assert (len(left), sent) == (5 - sent, sent)
        assert sent < 5
        with Mailstrom(through(running), storage) as second:
            second.start()
            assert all(second.wait(message_id, timeout=30).succeeded for message_id in ids)

    assert len(server.ledger.messages) == 5


def test_what_is_in_flight_is_finished_with_a_durable_storage() -> None:
    storage, server = PlainStorage(durable=True), SmtpServer(delays={"content": 0.5})
    with LoopbackServer(server) as running:
        m = Mailstrom(through(running), storage).start()
        m.send_email(an_email())
        until_a_session(server)

        assert m.close() == ()

    assert len(server.ledger.messages) == 1


def test_nothing_is_said_to_be_lost_that_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="mailstrom"):
        m = Mailstrom(CAPTURE, PlainStorage(durable=True))
        m.send_email(an_email())

        assert len(m.close()) == 1

    assert caplog.records == []


class Unlisted(PlainStorage):
    """A storage that fails when its messages are to be listed."""

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        raise StorageError("the disk is gone")


def test_a_queue_that_cannot_be_listed_is_closed_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    m = Mailstrom(CAPTURE, Unlisted(durable=True))

    answers = [m.close(), m.close()]

    assert answers == [(), ()]
    (told,) = [record.getMessage() for record in caplog.records]
    assert "the disk is gone" in told


class Unanswering(PlainStorage):
    """A storage that never lists its messages, until its test is over."""

    def __init__(self) -> None:
        super().__init__(durable=True)
        self.is_over = threading.Event()

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        self.is_over.wait(30)
        return super().retrieve_all_incomplete()


def test_a_queue_that_is_never_listed_is_closed_in_time_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = Unanswering()
    m = Mailstrom(CAPTURE, storage)
    began = time.monotonic()

    try:
        assert m.close(timeout=0.1) == ()
        assert time.monotonic() - began < 10
    finally:
        storage.is_over.set()
    (told,) = [record.getMessage() for record in caplog.records]
    assert "cannot be listed: the storage has not answered" in told


def test_of_two_with_one_storage_the_second_is_closed_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = SqliteStorage(tmp_path / "mail.db")
    first, second = Mailstrom(CAPTURE, storage), Mailstrom(CAPTURE, storage)
    first.close()

    assert (second.close(), second.worker_status()) == ((), WorkerStatus.TERMINATED)
    assert ["is closed" in record.getMessage() for record in caplog.records] == [True]


class ClosedUnderALook(SqliteStorage):
    """Notices when it is closed under a look."""

    was_closed = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.closed, self.looking = threading.Event(), threading.Event()

    def close(self) -> None:
        self.closed.set()
        super().close()

    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        self.looking.set()
        self.was_closed |= self.closed.wait(0.2)
        return super().retrieve_status(message_id)


def test_the_storage_is_closed_when_those_who_wait_have_looked_for_the_last_time(tmp_path: Path) -> None:
    storage = ClosedUnderALook(tmp_path / "mail.db")
    m = Mailstrom(CAPTURE, storage)
    message_id = m.send_email(an_email())
    seen: list[str] = []
    waiting = threading.Thread(target=lambda: seen.append(m.wait(message_id).state))
    waiting.start()
    assert storage.looking.wait(30)
    m.close()
    waiting.join(30)

    assert (seen, storage.was_closed) == (["queued"], False)


def test_an_exception_of_the_applications_own_leaves_the_block_though_the_queue_cannot_be_listed() -> None:
    with pytest.raises(KeyError), Mailstrom(CAPTURE, Unlisted(durable=True)):
        raise KeyError("of the application")


def test_die_sends_nothing_more_and_a_durable_storage_keeps_it() -> None:
    storage, server = PlainStorage(durable=True), SmtpServer(delays={"rcpt": 60.0})
    with LoopbackServer(server) as running:
        m = Mailstrom(through(running), storage).start()
        message_id = m.send_email(an_email())
        until_a_session(server)
        m.die()

    assert server.ledger.messages == ()
    (recipient,) = storage.retrieve_status(message_id).recipients
    assert (recipient.result.state, recipient.crashes) == ("queued", 0)
    assert recipient.due_at is not None


def test_mail_cut_off_after_its_dot_is_perhaps_delivered() -> None:
    arrived = threading.Event()

    def never_answers(_content: str, _count: int) -> Action:
        arrived.set()
        return Action.HANG

    storage, server = PlainStorage(durable=True), SmtpServer(on_content=never_answers)
    with LoopbackServer(server) as running:
        m = Mailstrom(through(running), storage).start()
        message_id = m.send_email(an_email())
        assert arrived.wait(30)
        (left,) = m.close(timeout=0.3)

    (recipient,) = left.recipients
    assert (left.message_id, recipient.result.state) == (message_id, "deferred")
    assert recipient.result.uncertain


def test_close_from_many_threads_closes_once_and_all_get_the_same_answer() -> None:
    m = Mailstrom(CAPTURE).start()
    m.pause()
    m.send_email(an_email())
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(m.close())) for _ in range(10)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(answers) == 10
    assert all(answer == answers[0] for answer in answers)


def test_close_while_many_threads_send_loses_nothing_without_a_word() -> None:
    """Each mail is sent, or listed as left, or its sender got an exception."""
    m = Mailstrom(CAPTURE).start()
    taken: list[str] = []

    def sending() -> None:
        try:
            while True:
                taken.append(m.send_email(an_email()))
        except Exception:
            return

    threads = [threading.Thread(target=sending) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(taken) < 50:
        time.sleep(0)
    left = m.close()
    for thread in threads:
        thread.join(30)

    sent = {email.message_id for email in m.outbox}
    assert sent | {status.message_id for status in left} == set(taken)


def test_a_status_can_be_asked_for_while_it_closes() -> None:
    server = SmtpServer(delays={"content": 0.5})
    with LoopbackServer(server) as running:
        m = Mailstrom(through(running)).start()
        message_id = m.send_email(an_email())
        until_a_session(server)
        closing = threading.Thread(target=m.close)
        closing.start()
        while m.worker_status() is WorkerStatus.OK:
            time.sleep(0)
        seen = [m.worker_status(), m.query_status(message_id).state]
        closing.join(30)

    assert seen == [WorkerStatus.STOPPING, "queued"]
