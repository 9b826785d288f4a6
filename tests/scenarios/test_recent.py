"""`query_recent`: what there is to do, and what was done since one last asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailstrom import Config, Mailstrom, MemoryStorage, MessageNotFound
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate

CAPTURE = Config(helo_name="sender.example", mode="capture")


def test_what_waits_is_there_each_time_and_what_is_completed_once() -> None:
    with Mailstrom(CAPTURE) as m:
        first, second = m.send_email(an_email()), m.send_email(an_email())
        assert [(s.message_id, s.state) for s in m.query_recent()] == [(first, "queued"), (second, "queued")]
        assert [s.message_id for s in m.query_recent()] == [first, second]

        m.cancel(first)
        assert [(s.message_id, s.state) for s in m.query_recent()] == [(first, "failed"), (second, "queued")]
        assert [s.message_id for s in m.query_recent()] == [second]

        m.start().wait(second, timeout=30)
        assert [(s.message_id, s.state) for s in m.query_recent()] == [(second, "delivered")]
        assert m.query_recent() == []


def test_a_completed_message_is_still_known_by_its_id() -> None:
    with Mailstrom(CAPTURE) as m:
        message_id = m.send_email(an_email(), metadata={"order": "4711"})
        m.start().wait(message_id, timeout=30)
        m.query_recent()

        status = m.query_status(message_id)
        assert (status.succeeded, status.metadata) == (True, {"order": "4711"})


def test_after_its_retention_it_is_forgotten() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        old = await sim.deliver(an_email())
        await sim.deliver(an_email(), send_at=sim.clock.now() + timedelta(hours=2))
        with pytest.raises(MessageNotFound):
            sim.status(old.message_id)

    simulate(story, config=a_config(), storage=MemoryStorage(retention=timedelta(hours=1)))


def test_a_status_once_read_does_not_change_under_its_reader() -> None:
    with Mailstrom(CAPTURE) as m:
        message_id = m.send_email(an_email())
        before = m.query_status(message_id)
        m.start().wait(message_id, timeout=30)

        assert before.state == "queued"
        assert m.query_status(message_id).state == "delivered"
