"""The worker is ended in the middle of a delivery: what is known is kept, what is not known is said."""

from __future__ import annotations

import asyncio

import pytest

from mailstrom import EventKind
from mailstrom.testing.dns import FakeResolver
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, SmtpServer
from tests.builders import a_config, an_email, mx, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, outcome, visits


async def restarted(sim: LoneEngine) -> None:
    """As after `die`, with a new worker over the same queue."""
    await sim.die()
    sim.resolver = FakeResolver(sim.zone)
    sim.start()


def results(sim: LoneEngine) -> list[tuple[str | None, str]]:
    """What observers were told of recipients."""
    return [(e.address, str(e.kind)) for e in sim.events if e.result is not None]


def test_recipients_that_an_earlier_transaction_delivered_are_not_sent_to_again() -> None:
    """Row 8: one session, a transaction for each recipient; cut off in the second."""
    server = SmtpServer(recipient_limit=1, on_data=[None, None], delays={"mail": 10.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email(to="a@dest.example, b@dest.example"))
        await asyncio.sleep(15)
        assert len(server.ledger.messages) == 1
        await restarted(sim)
        status = await sim.wait(message_id)
        assert [outcome(status, f"{name}@dest.example") for name in "ab"] == [
            ("delivered", "2.0.0", False, 1),
            ("delivered", "2.0.0", False, 1),
        ]

    simulate(story, config=a_config())

    assert [m.recipients for m in server.ledger.messages] == [("a@dest.example",), ("b@dest.example",)]


def test_after_the_final_dot_it_is_uncertain_and_the_attempt_tells_where() -> None:
    """Rows 4 and 50."""
    server = SmtpServer(delays={"content": 10.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        await asyncio.sleep(5)
        await restarted(sim)
        status = sim.status(message_id)
        assert outcome(status) == ("deferred", "4.4.2", True, 1)
        assert visits(status) == [("1", "dot", "deferred")]
        assert status[YOU].attempts[0].uncertain
        assert results(sim) == [(YOU, "deferred")]
        assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config())


def test_one_that_was_refused_by_name_is_not_uncertain_with_the_others() -> None:
    """Rows 4 and 9: all were named in the one write that held the end of the message."""
    server = SmtpServer(
        extensions=DEFAULT_EXTENSIONS | {"CHUNKING"},
        on_rcpt=lambda address, _: "550 5.1.1 unknown" if address.startswith("a") else None,
        delays={"content": 10.0},
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email(to="a@dest.example, b@dest.example"))
        await asyncio.sleep(5)
        await restarted(sim)
        status = sim.status(message_id)
        assert [outcome(status, f"{name}@dest.example") for name in "ab"] == [
            ("failed", "5.1.1", False, 1),
            ("deferred", "4.4.2", True, 1),
        ]
        assert (await sim.wait(message_id))["b@dest.example"].result.state == "delivered"

    simulate(story, config=a_config())


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data"])
def test_before_the_final_dot_it_is_as_if_it_had_not_been_tried(stage: str) -> None:
    """W2: a connection that is aborted before the dot delivers nothing."""
    server = SmtpServer(delays={stage: 10.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        await asyncio.sleep(5)
        await restarted(sim)
        assert outcome(sim.status(message_id)) == ("queued", "None", False, 0)
        assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config())

    assert len(server.ledger.messages) == 1


def test_who_was_cancelled_meanwhile_is_told_as_failed_where_the_worker_ends() -> None:
    """Row 54: observers hear what stands in the queue."""
    server = SmtpServer(delays={"content": 10.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        message_id = sim.send_email(an_email())
        await asyncio.sleep(5)
        sim.cancel(message_id)
        await sim.die()
        assert outcome(sim.status(message_id))[0] == "failed"
        assert results(sim) == [(YOU, "failed")]

    simulate(story, config=a_config())


def test_look_ups_under_way_end_with_the_worker() -> None:
    async def story(sim: LoneEngine) -> None:
        sim.zone.records["slow.example"] = {"rcode": "TIMEOUT"}
        sim.send_email(an_email(to="you@slow.example"))
        await asyncio.sleep(5)
        await sim.die()
        assert len(asyncio.all_tasks()) == 1

    simulate(story, config=a_config())


def test_a_worker_that_is_ended_before_it_has_begun_ends() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        sim.send_email(an_email())
        sim.start()
        await sim.die()
        assert sim.network.connects == []

    simulate(story, config=a_config(), start=False)


@pytest.mark.parametrize("answer", ["451 4.3.0 not now", "250 2.0.0 taken"])
def test_after_the_reply_to_a_final_dot_no_other_is_sent_where_the_worker_ends(answer: str) -> None:
    """Row 54: neither by the next host nor in the next transaction; who is left is as if not tried."""
    delays = {"mail": 1.5, "content": 5.0}
    first = SmtpServer(on_content=answer, delays=delays, recipient_limit=1, on_data=[None, None])
    second = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        message_id = sim.send_email(an_email(to="a@dest.example, b@dest.example"))
        await asyncio.sleep(2)
        sim.engine.abort_before_dot()
        assert sim._task is not None
        await sim._task
        assert sim.loop.time() == pytest.approx(6.5, abs=1)
        states = [str(recipient.result.state) for recipient in sim.status(message_id)]
        assert states == ["delivered" if answer.startswith("250") else "queued", "queued"]

    simulate(story, config=a_config())

    assert (len(first.ledger.messages), len(second.ledger.sessions)) == (int(answer.startswith("250")), 0)


@pytest.mark.parametrize("ending", ["die", "exit"])
@pytest.mark.parametrize("turns", range(130))
def test_cut_off_at_any_moment_nothing_is_lost_doubled_or_left_open(turns: int, ending: str) -> None:
    """Each turn of the loop is a place where some task waits: the worker is ended at every one."""
    busy = SmtpServer(
        recipient_limit=1, on_rcpt=lambda address, _: "450 4.2.0 later" if address.startswith("b") else None
    )
    second = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, busy, second)
        with_mx(sim, SmtpServer(), domain="other.example")
        sim.zone.records["more.example"] = mx("mx1.dest.example", "mx2.dest.example")
        ids = [
            sim.send_email(an_email(to="a@dest.example, b@dest.example, c@dest.example, x@other.example")),
            sim.send_email(an_email(to="a@more.example")),
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        if ending == "exit":
            sim.engine.abort_before_dot()
            assert sim._task is not None
            await sim._task
        await restarted(sim)
        for message_id in ids:
            assert (await sim.wait(message_id)).succeeded
        assert sim.loop.time() < 1 or any(event.result and event.result.uncertain for event in sim.events)
        for recipient in [recipient for message_id in ids for recipient in sim.status(message_id)]:
            messages = busy.ledger.messages + second.ledger.messages
            copies = [message for message in messages if recipient.address in message.recipients]
            perhaps = [attempt for attempt in recipient.attempts if attempt.uncertain]
            assert len(copies) <= 1 + len(perhaps)
        told = [event.address for event in sim.events if event.kind is EventKind.DELIVERED]
        assert sorted(filter(None, told)) == [f"{name}.example" for name in EVERYBODY]

    simulate(story, config=a_config())


EVERYBODY = ("a@dest", "a@more", "b@dest", "c@dest", "x@other")
