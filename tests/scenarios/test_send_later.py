"""Mail with a time of its own: `send_at`, `expires_at`, and what `cancel` ends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mailstrom import Cause, Config, Deferred, EventKind, Failed, Mailstrom, MessageError, Queued, RetryPolicy
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

HOUR = timedelta(hours=1)


def test_until_then_the_status_tells_when_it_will_be_sent() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        send_at = sim.clock.now() + HOUR
        message_id = sim.send_email(an_email(), send_at=send_at)
        await asyncio.sleep(3599)
        result = sim.status(message_id)[YOU].result
        assert result == Queued(next_attempt_at=send_at)
        assert str(result) == "queued; first try at 2025-01-01 13:00:00 UTC"
        assert sim.network.connects == []
        assert (await sim.wait(message_id)).completed_at == send_at

    simulate(story, config=a_config())


def test_the_time_may_be_given_in_any_zone() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        send_at = (sim.clock.now() + HOUR).astimezone(timezone(timedelta(hours=-7)))
        assert (await sim.deliver(an_email(), send_at=send_at)).completed_at == send_at

    simulate(story, config=a_config())


def test_a_time_that_is_over_means_now() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        status = await sim.deliver(an_email(), send_at=sim.clock.now() - HOUR)
        assert status.completed_at == status.submitted_at

    simulate(story, config=a_config())


def test_mail_for_later_holds_up_no_mail_for_now() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        later = sim.send_email(an_email(), send_at=sim.clock.now() + HOUR)
        now = await sim.deliver(an_email())
        assert now.completed_at == now.submitted_at
        assert sim.status(later).state == "queued"

    simulate(story, config=a_config())


def test_retries_count_from_the_first_try() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.0 later"))
        await sim.deliver(an_email(), send_at=sim.clock.now() + HOUR)
        assert [round(connect.at) for connect in sim.network.connects] == [3600, 3780, 4320]

    simulate(story, config=a_config())


def test_mail_that_could_not_be_tried_before_it_expired_is_not_sent() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        sim.engine.pause()
        message_id = sim.send_email(an_email(), expires_at=sim.clock.now() + HOUR)
        await asyncio.sleep(7200)
        sim.engine.resume()
        result = (await sim.wait(message_id))[YOU].result
        assert isinstance(result, Failed)
        assert (result.cause, str(result.enhanced_code), result.tries) == (Cause.EXPIRED, "4.4.7", 0)
        assert sim.network.connects == []

    simulate(story, config=a_config())


def test_an_expired_message_says_what_stood_in_its_way() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="452 4.2.2 mailbox full"))
        status = await sim.deliver(an_email(), expires_at=sim.clock.now() + timedelta(minutes=10))
        assert "mailbox full" in str(status[YOU].result)
        assert sim.clock.monotonic() == 600

    simulate(story, config=a_config())


@pytest.mark.parametrize("naive", ["send_at", "expires_at"])
def test_a_time_without_a_zone_is_refused(naive: str) -> None:
    with Mailstrom(Config(mode="capture")) as m:
        with pytest.raises(MessageError, match=naive):
            m.send_email(an_email(), **{naive: datetime(2030, 1, 1)})
        assert m.query_recent() == []


def test_mail_that_would_expire_before_it_is_sent_is_refused() -> None:
    now = datetime.now(UTC)
    with Mailstrom(Config(mode="capture")) as m:
        with pytest.raises(MessageError, match="expires_at"):
            m.send_email(an_email(), expires_at=now - HOUR)
        with pytest.raises(MessageError, match="expires_at"):
            m.send_email(an_email(), send_at=now + 2 * HOUR, expires_at=now + HOUR)


def test_the_ends_of_time_mean_at_once_and_never() -> None:
    always, never = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))
    with Mailstrom(Config(mode="capture")) as m:
        m.start()
        now = m.send_email(an_email(), send_at=always, expires_at=never)
        later = m.send_email(an_email(), send_at=never)

        assert m.wait(now, timeout=30).succeeded
        assert str(m.query_status(later).recipients[0].result).startswith("queued; first try at 9999")
        m.cancel(later)


def test_a_cancelled_message_that_waits_for_its_time_is_never_sent() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer())
        message_id = sim.send_email(an_email(), send_at=sim.clock.now() + HOUR)
        sim.cancel(message_id)
        await asyncio.sleep(7200)
        assert sim.status(message_id)[YOU].result == Failed(reason="cancelled", cause=Cause.CANCELLED)
        assert sim.network.connects == []

    simulate(story, config=a_config())


def test_cancel_while_it_is_being_sent_lets_a_delivery_stand() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(delays={"content": 60.0}))
        message_id = sim.send_email(an_email())
        await asyncio.sleep(30)
        sim.cancel(message_id)
        assert not sim.status(message_id).completed
        assert (await sim.wait(message_id)).succeeded

    simulate(story, config=a_config())


def test_cancel_while_it_is_being_sent_ends_what_would_be_tried_again() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later", delays={"rcpt": 60.0}))
        message_id = sim.send_email(an_email())
        await asyncio.sleep(30)
        sim.cancel(message_id)
        result = (await sim.wait(message_id))[YOU].result
        assert (result.cause, result.tries, sim.clock.monotonic()) == (Cause.CANCELLED, 1, 60)
        assert "later" in str(result)

    simulate(story, config=a_config())


def test_cancel_between_two_tries_ends_it_at_once() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt="450 4.2.1 later"))
        message_id = sim.send_email(an_email())
        await sim.until(message_id, lambda status: isinstance(status[YOU].result, Deferred))
        sim.cancel(message_id)
        await asyncio.sleep(7200)
        assert sim.status(message_id)[YOU].result.cause is Cause.CANCELLED
        assert len(sim.network.connects) == 1

    simulate(story, config=a_config())


def test_cancel_leaves_what_is_delivered() -> None:
    busy = SmtpServer(on_rcpt="450 4.2.1 later")

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(), domain="one.example")
        with_mx(sim, busy, domain="two.example")
        message_id = sim.send_email(an_email(to="a@one.example, b@two.example"))
        await asyncio.sleep(60)
        sim.cancel(message_id)
        assert [r.result.state for r in sim.status(message_id)] == ["delivered", "failed"]

    simulate(story, config=a_config())


def test_cancelling_twice_or_too_late_changes_nothing() -> None:
    with Mailstrom(Config(mode="capture")) as m:
        cancelled, sent = m.send_email(an_email()), m.send_email(an_email())
        first = m.cancel(cancelled)
        m.start()
        delivered = m.wait(sent, timeout=30)

        assert m.cancel(cancelled) == first
        assert m.cancel(sent) == delivered


def test_the_age_of_mail_for_later_counts_from_its_time() -> None:
    """Else what is to be sent after `max_age` would expire without a try."""
    policy = RetryPolicy(jitter=0, max_age=HOUR)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt=["450 4.2.0 later"]))
        send_at = sim.clock.now() + 48 * HOUR
        status = await sim.deliver(an_email(), send_at=send_at)
        assert status.succeeded
        assert status.completed_at == send_at + timedelta(minutes=3)

    simulate(story, config=a_config(retry=policy))


def test_mail_for_later_is_not_delayed_at_its_first_deferral() -> None:
    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt=["450 4.2.0 later"]))
        await sim.deliver(an_email(), send_at=sim.clock.now() + 48 * HOUR)
        assert EventKind.DELAYED not in [event.kind for event in sim.events]

    simulate(story, config=a_config())
