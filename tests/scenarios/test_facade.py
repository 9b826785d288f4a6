"""The front door, blocking and asyncio, from one table: real threads, real sockets on loopback.

Each test that is given `made` runs with both faces, see `tests.scenarios.conftest`.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from mailstrom import (
    AsyncMailstrom,
    Cause,
    ClosedError,
    Config,
    DuplicateMessage,
    IdempotencyConflict,
    Mailstrom,
    MessageError,
    MessageNotFound,
    NotRunningError,
    RelayConfig,
    Submission,
    WorkerStatus,
)
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer
from tests.builders import an_email

CAPTURE = Config(helo_name="sender.example", mode="capture")


Maker = Callable[..., Any]


def test_nothing_is_sent_before_start(made: Maker) -> None:
    with made(CAPTURE) as m:
        message_id = m.send_email(an_email())

        assert m.query_status(message_id).state == "queued"
        assert m.worker_status() is WorkerStatus.NOT_STARTED
        assert len(m.outbox) == 0


def test_what_was_queued_before_start_is_sent_after_it(made: Maker) -> None:
    with made(CAPTURE) as m:
        message_id = m.send_email(an_email())

        status = m.start().wait(message_id, timeout=30)

        assert status.succeeded


def test_waiting_without_a_worker_says_call_start(made: Maker) -> None:
    with made(CAPTURE) as m:
        message_id = m.send_email(an_email())

        with pytest.raises(NotRunningError, match=r"start\(\)"):
            m.wait(message_id)
        with pytest.raises(NotRunningError, match=r"start\(\)"):
            m.drain()


def test_at_its_time_limit_wait_returns_the_status_as_it_is(made: Maker) -> None:
    with made(CAPTURE) as m:
        m.start().pause()
        message_id = m.send_email(an_email())

        assert m.wait(message_id, timeout=0.01).state == "queued"
        assert not m.drain(timeout=0.01)


def test_a_pause_ends_with_start(made: Maker) -> None:
    with made(CAPTURE) as m:
        m.start().pause()
        message_id = m.send_email(an_email())

        assert m.start().wait(message_id, timeout=30).succeeded
        assert m.drain(timeout=30)


def test_close_wakes_who_waits(made: Maker) -> None:
    m = made(CAPTURE)
    m.start().pause()
    message_id = m.send_email(an_email())
    seen: list[str] = []
    inner = getattr(m, "_mailstrom", m)
    waiting = threading.Thread(target=lambda: seen.append(inner.wait(message_id).state))

    waiting.start()
    while not inner._life.board._waiting:
        time.sleep(0)
    m.close()

    waiting.join(30)
    assert seen == ["queued"]


def test_after_close_each_method_says_so_and_close_answers_the_same(made: Maker) -> None:
    m = made(CAPTURE)
    m.send_email(an_email())
    left = m.close()

    assert m.close() == left
    assert [status.state for status in left] == ["queued"]
    assert m.worker_status() is WorkerStatus.TERMINATED
    for call in (m.start, m.pause, m.die, m.query_recent, m.drain, m.overview):
        with pytest.raises(ClosedError):
            call()
    for call in (m.query_status, m.wait, m.cancel, m.hold, m.release, m.retry_now, m.forget):
        with pytest.raises(ClosedError):
            call("id@x.example")
    with pytest.raises(ClosedError):
        m.send_email(an_email())


def test_close_gives_what_is_queued_its_first_try(made: Maker) -> None:
    m = made(CAPTURE)
    for _ in range(50):
        m.send_email(an_email())

    left = m.start().close()

    assert left == ()
    assert len(m.outbox) == 50


def test_a_body_that_raised_closes_without_sending_the_rest(made: Maker) -> None:
    m = made(CAPTURE)

    with pytest.raises(ZeroDivisionError), m:
        m.start().pause()
        m.send_email(an_email())
        raise ZeroDivisionError

    assert len(m.outbox) == 0


def test_an_unknown_id_is_not_found_anywhere_and_the_text_names_causes(made: Maker) -> None:
    with made(CAPTURE) as m:
        for call in (m.query_status, m.wait, m.cancel):
            with pytest.raises(MessageNotFound, match=r"never stored.*purged.*another process"):
                call("nobody@x.example")


def test_ids_come_without_brackets_and_are_taken_with_them(made: Maker) -> None:
    with made(CAPTURE) as m:
        message_id = m.send_email(an_email(message_id="<mine@sender.example>"))

        assert message_id == "mine@sender.example"
        assert m.query_status(f"<{message_id}>").message_id == message_id


def test_a_message_id_is_stored_once(made: Maker) -> None:
    with made(CAPTURE) as m:
        m.send_email(an_email(message_id="mine@sender.example", subject="first"))

        with pytest.raises(DuplicateMessage):
            m.send_email(an_email(message_id="mine@sender.example", subject="second"))


def test_the_same_idempotency_key_returns_the_first_id_and_sends_nothing(made: Maker) -> None:
    """Row 60."""
    with made(CAPTURE) as m:
        first = m.send_email(an_email(), idempotency_key="order-1")
        second = m.send_email(an_email(), idempotency_key="order-1")
        with pytest.raises(IdempotencyConflict):
            m.send_email(an_email(text="Something else.\n"), idempotency_key="order-1")
        m.start().drain(timeout=30)

        assert first == second
        assert len(m.outbox) == 1


def test_send_emails_stores_all_or_none_and_names_the_index(made: Maker) -> None:
    with made(CAPTURE) as m:
        ids = m.send_emails([an_email(), Submission(an_email(), metadata={"order": "1"})])
        with pytest.raises(MessageError, match=r"emails\[1\]") as caught:
            m.send_emails([an_email(), an_email(to=None), an_email()])

        assert caught.value.index == 1
        assert [status.message_id for status in m.query_recent()] == ids
        assert m.query_status(ids[1]).metadata == {"order": "1"}


def test_a_cancelled_message_is_not_sent(made: Maker) -> None:
    with made(CAPTURE) as m:
        message_id = m.send_email(an_email())

        status = m.cancel(message_id)
        m.start().drain(timeout=30)

        assert [r.result.cause for r in status] == [Cause.CANCELLED]
        assert len(m.outbox) == 0


def test_die_ends_it_at_once(made: Maker) -> None:
    m = made(CAPTURE)
    m.start().send_email(an_email())

    m.die()

    assert m.worker_status() is WorkerStatus.TERMINATED
    with pytest.raises(ClosedError):
        m.send_email(an_email())


def test_mail_goes_through_a_relay_given_as_a_url(made: Maker) -> None:
    server = SmtpServer()
    with LoopbackServer(server) as running, made(f"smtp://127.0.0.1:{running.port}") as m:
        status = m.start().wait(m.send_email(an_email()), timeout=30)

        assert status.succeeded
        assert status["you@dest.example"].attempts[0].ip == "127.0.0.1"
    (message,) = server.ledger.messages
    assert message.recipients == ("you@dest.example",)


def test_a_hundred_cycles_of_start_and_close_leave_nothing_behind(made: Maker) -> None:
    server = SmtpServer()
    with LoopbackServer(server) as running:
        relay = RelayConfig("127.0.0.1", running.port, tls="none")
        config = Config(helo_name="sender.example", delivery=relay)
        for _ in range(100):
            with made(config) as m:
                m.start().send_email(an_email())

    assert len(server.ledger.messages) == 100


def test_both_faces_have_the_same_methods_with_the_same_parameters() -> None:
    def signatures(face: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(face, inspect.isfunction)
        public = [(name, method) for name, method in methods if not name.startswith("_")]
        return {name: list(inspect.signature(method).parameters) for name, method in public}

    assert signatures(AsyncMailstrom) == signatures(Mailstrom)


def test_recent_statuses_are_awaited_or_gone_through() -> None:
    async def main() -> None:
        async with AsyncMailstrom(CAPTURE) as m:
            message_id = await m.send_email(an_email())

            listed = [status.message_id for status in await m.query_recent()]
            iterated = [status.message_id async for status in m.query_recent()]

            assert listed == iterated == [message_id]

    asyncio.run(main())


def test_send_emails_takes_an_async_iterable() -> None:
    async def emails() -> AsyncIterator[Any]:
        yield an_email()
        yield an_email()

    async def main() -> None:
        async with AsyncMailstrom(CAPTURE) as m:
            assert len(await m.send_emails(emails())) == 2

    asyncio.run(main())


def test_waiting_in_a_loop_lets_the_loop_go_on() -> None:
    async def main() -> None:
        async with AsyncMailstrom(CAPTURE) as m:
            await m.start()
            await m.pause()
            message_id = await m.send_email(an_email())
            waiting = asyncio.create_task(m.wait(message_id, timeout=30))
            await asyncio.sleep(0)
            assert not waiting.done()

            await m.start()

            assert (await waiting).succeeded

    asyncio.run(main())
