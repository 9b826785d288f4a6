"""What an operator asks of the queue: cancel, hold, release, retry now; by id and by selection."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailstrom import (
    AsyncMailstrom,
    Cause,
    Config,
    Event,
    EventKind,
    Mailstrom,
    MemoryStorage,
    MessageError,
    MessageNotFound,
    SqliteStorage,
)
from mailstrom.abc import Order
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

CAPTURE = Config(helo_name="sender.example", mode="capture")
HOUR = timedelta(hours=1)
ORDERS = ["cancel", "hold", "release", "retry_now"]


@pytest.fixture(params=["memory", "sqlite"])
def m(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mailstrom]:
    """One that is not started."""
    storage = MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path / "mail.db")
    with Mailstrom(CAPTURE, storage) as mailstrom:
        yield mailstrom


def test_what_is_held_is_sent_only_after_its_release(m: Mailstrom) -> None:
    message_id = m.send_email(an_email())

    held = m.hold(message_id)
    m.start()
    m.wait(m.send_email(an_email()), timeout=30)

    assert (held.state, len(m.outbox)) == ("deferred", 1)
    assert m.query_status(message_id) == held
    m.release(message_id)
    assert m.wait(message_id, timeout=30).succeeded


def test_by_id_the_status_comes_back_and_by_selection_how_many_recipients(m: Mailstrom) -> None:
    ids = [m.send_email(an_email(to=["a@one.example", f"b{n}@two.example"])) for n in range(3)]

    assert m.hold(ids[0], domain="one.example")["a@one.example"].result.state == "deferred"
    assert m.hold(domain="one.example") == 2
    assert m.hold(domain="one.example") == 0
    assert m.cancel(held=True) == 3
    assert m.cancel(address="b1@two.example") == 1
    assert m.cancel(everything=True) == 2
    assert all(m.query_status(each).completed for each in ids)


def test_more_than_the_storage_changes_at_once_are_all_changed(m: Mailstrom) -> None:
    m.send_emails([an_email(to=[f"you{n}@dest.example" for n in range(250)]) for _ in range(9)])

    assert m.hold(sender="no-reply@sender.example") == 2250
    assert m.cancel(everything=True) == 2250


@pytest.mark.parametrize("order", ORDERS)
def test_nothing_named_is_not_everything(order: str, m: Mailstrom) -> None:
    message_id = m.send_email(an_email())

    with pytest.raises(MessageError, match="everything=True"):
        getattr(m, order)()

    assert m.query_status(message_id).state == "queued"


@pytest.mark.parametrize("order", ORDERS)
def test_an_unknown_id_is_not_found(order: str, m: Mailstrom) -> None:
    with pytest.raises(MessageNotFound):
        getattr(m, order)("nobody@x.example")


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_for_what_is_completed_changes_nothing(order: str, m: Mailstrom) -> None:
    done = m.start().wait(m.send_email(an_email()), timeout=30)

    assert getattr(m, order)(done.message_id) == done
    assert getattr(m, order)(everything=True) == 0


def test_retry_now_makes_due_what_waits_for_its_next_try() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt=["450 4.2.0 later"]))
        status = await sim.first_try(an_email())
        await asyncio.sleep(10)
        assert sim.order(Order.RETRY, domain="dest.example") == 1
        assert (await sim.wait(status.message_id)).succeeded
        assert sim.loop.time() == pytest.approx(10, abs=1)

    simulate(story, config=a_config())


def test_retry_now_leaves_what_is_held() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        message_id = sim.send_email(an_email(), send_at=sim.clock.now() + HOUR)
        sim.order(Order.HOLD, message_id)
        assert sim.order(Order.RETRY, everything=True) == 0
        await asyncio.sleep(7200)
        assert sim.status(message_id)[YOU].result.next_attempt_at is None

    simulate(story, config=a_config())


def test_a_hold_of_what_is_being_sent_takes_effect_where_it_is_not_delivered() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later", delays={"rcpt": 60.0}))
        message_id = sim.send_email(an_email())
        await asyncio.sleep(30)
        assert sim.order(Order.HOLD, everything=True) == 1
        await asyncio.sleep(7200)
        result = sim.status(message_id)[YOU].result
        assert (result.state, result.tries, result.next_attempt_at) == ("deferred", 1, None)

    simulate(story, config=a_config())


@pytest.mark.parametrize(("order", "state"), [(Order.CANCEL, "failed"), (Order.HOLD, "deferred")])
def test_whom_an_order_meets_before_the_final_dot_gets_none(order: Order, state: str) -> None:
    async def story(sim: LoneEngine) -> None:
        server = SmtpServer(delays={"data": 60.0})
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        await asyncio.sleep(30)
        assert sim.order(order, everything=True) == 1
        await asyncio.sleep(7200)
        result = sim.status(message_id)[YOU].result
        assert (result.state, result.tries, server.ledger.messages) == (state, 0, ())

    simulate(story, config=a_config())


def test_observers_hear_of_each_recipient_that_was_cancelled_once() -> None:
    events: list[Event] = []
    with Mailstrom(CAPTURE, observers=[events.append]) as m:
        m.send_emails([an_email(to=["a@one.example", "b@two.example"]) for _ in range(2)])
        m.hold(everything=True)
        m.cancel(domain="two.example")
        m.cancel(everything=True)

    failed = [event for event in events if event.kind is EventKind.FAILED]
    assert sorted(event.address or "" for event in failed) == ["a@one.example"] * 2 + ["b@two.example"] * 2
    assert {event.result.cause for event in failed if event.result} == {Cause.CANCELLED}


def test_an_order_wakes_who_waits() -> None:
    with Mailstrom(CAPTURE) as m:
        m.start().pause()
        message_id = m.send_email(an_email())

        with soon(lambda: m._life.board._waiting, lambda: m.cancel(everything=True)):
            assert m.wait(message_id, timeout=30).state == "failed"


def test_the_asyncio_face_takes_the_same_orders(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncMailstrom(CAPTURE, SqliteStorage(tmp_path / "mail.db")) as m:
            message_id = await m.send_email(an_email())
            assert (await m.hold(message_id)).state == "deferred"
            assert await m.release(everything=True) == 1
            assert await m.retry_now(domain="dest.example") == 0
            assert [each.recipients for each in (await m.overview()).backlog] == [1]
            assert await m.cancel(state="queued") == 1
            with pytest.raises(MessageError, match="everything=True"):
                await m.cancel()

    asyncio.run(main())


@contextmanager
def soon(is_so: Callable[[], Any], then: Callable[[], object]) -> Iterator[None]:
    """Does `then` on another thread as soon as `is_so`."""

    def run() -> None:
        while not is_so():
            time.sleep(0)
        then()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(30)
