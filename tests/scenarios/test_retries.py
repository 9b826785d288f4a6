"""When a deferred recipient is tried again, and when we give up."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from mailstrom import Cause, RetryPolicy
from mailstrom.testing.smtp_server import SmtpServer, greylist
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate

MINUTE = timedelta(minutes=1)


def tries_at(sim: LoneEngine) -> list[timedelta]:
    """When each connection was made, after the first."""
    return [timedelta(seconds=round(c.at - sim.network.connects[0].at)) for c in sim.network.connects]


def test_a_deferred_recipient_is_tried_again_after_3_and_9_minutes_and_then_fails() -> None:
    """The crate left it deferred for ever."""
    server = SmtpServer(on_rcpt="450 4.2.1 mailbox busy")

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        result = status["you@dest.example"].result
        assert (result.state, result.cause, result.tries) == ("failed", Cause.TRIES_EXHAUSTED, 3)
        assert "mailbox busy" in str(result)
        assert tries_at(sim) == [0 * MINUTE, 3 * MINUTE, 12 * MINUTE]

    simulate(story, config=a_config())


def test_other_mail_does_not_bring_a_deferred_recipients_next_try_forward() -> None:
    """The crate tried all deferred mail again at any wake-up."""
    server = SmtpServer(on_rcpt=lambda address, _: "450 4.2.1 busy" if address.startswith("busy") else None)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        busy = sim.send_email(an_email(to="busy@dest.example"))
        for _ in range(20):
            await sim.deliver(an_email(to="ok@dest.example"))
        status = await sim.wait(busy)
        waits = [b.at - a.at for a, b in pairwise(status["busy@dest.example"].attempts)]
        assert waits == [3 * MINUTE, 9 * MINUTE]

    simulate(story, config=a_config())


def test_greylisting_costs_one_wait_and_only_for_the_greylisted() -> None:
    """Row 7: greylisting 450 at RCPT."""
    server = SmtpServer(on_rcpt=lambda a, n: "450 4.2.0 greylisted" if a.startswith("g") and n == 1 else None)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email(to="g@dest.example, ok@dest.example"))
        assert status.succeeded
        assert [recipient.result.tries for recipient in status] == [2, 1]

    simulate(story, config=a_config())

    assert [message.recipients for message in server.ledger.messages] == [
        ("ok@dest.example",),
        ("g@dest.example",),
    ]


def test_the_schedule_of_rfc_5321_goes_on_for_five_days() -> None:
    """RFC 5321 4.5.4.1: at least 30 minutes apart, 4 to 5 days in all."""
    server = SmtpServer(on_rcpt="450 4.2.1 mailbox busy")

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        recipient = status["you@dest.example"]
        waits = [b.at - a.at for a, b in pairwise(recipient.attempts)]
        assert recipient.result.cause is Cause.EXPIRED
        assert str(recipient.result.enhanced_code) == "4.4.7"
        assert min(waits) >= 30 * MINUTE
        assert status.completed_at is not None
        assert status.completed_at - status.submitted_at == timedelta(days=5)

    simulate(story, config=a_config(retry=RetryPolicy.rfc5321()))


def test_a_message_that_expires_while_it_waits_fails_at_that_moment() -> None:
    server = SmtpServer(on_rcpt="450 4.2.1 mailbox busy")

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        expires_at = sim.clock.now() + 5 * MINUTE
        status = await sim.deliver(an_email(), expires_at=expires_at)
        result = status["you@dest.example"].result
        assert (result.cause, status.completed_at) == (Cause.EXPIRED, expires_at)

    simulate(story, config=a_config())


def test_a_message_for_later_is_sent_then() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        send_at = sim.clock.now() + timedelta(days=2)
        status = await sim.deliver(an_email(), send_at=send_at)
        assert status.succeeded
        assert status.completed_at == send_at

    simulate(story, config=a_config())


def test_every_try_carries_the_same_octets() -> None:
    """Receivers that drop duplicates go by Message-ID and Date."""
    seen: list[str] = []

    def later(content: str, _: int) -> str | None:
        seen.append(content)
        return "451 4.3.0 later" if len(seen) == 1 else None

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_content=later))
        await sim.deliver(an_email())

    simulate(story, config=a_config())

    first, second = seen
    assert first == second


def test_five_mx_hosts_are_one_try() -> None:
    """The crate counted each MX host as a try."""
    servers = [SmtpServer(on_rcpt=greylist()) for _ in range(5)]

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, *servers)
        status = await sim.first_try(an_email())
        assert status["you@dest.example"].result.tries == 1

    simulate(story, config=a_config())
