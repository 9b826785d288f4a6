"""A server that wants to be asked twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailstrom import Cause, Mailstrom, RelayConfig, RetryPolicy
from mailstrom.testing.smtp_server import LoopbackServer, SmtpServer, greylist
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, a_message, outcome, visits

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("code", [450, 451])
def test_only_the_greylisted_recipient_waits(code: int) -> None:
    """Row 7: greylisting at RCPT; the retry comes from the same address and brings the same octets.

    The crate always added a line end to the content, and missed some of the dots to be doubled.
    """
    reply = f"{code} 4.7.1 greylisted, try again later"
    server = SmtpServer(on_rcpt=lambda address, count: reply if address[0] == "g" and count == 1 else None)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=["g@dest.example", "ok@dest.example"])
        assert outcome(status, "ok@dest.example") == ("delivered", "2.0.0", False, 1)
        assert outcome(status, "g@dest.example") == ("deferred", "4.7.1", False, 1)
        assert str(status["g@dest.example"].result.reply) == reply
        status = await sim.wait(status.message_id)
        assert outcome(status, "g@dest.example") == ("delivered", "2.0.0", False, 2)
        assert visits(status, "g@dest.example") == [("1", "rcpt", "deferred"), ("1", "dot", "delivered")]

    simulate(story, config=a_config())

    assert [(m.recipients, m.content) for m in server.ledger.messages] == [
        (("ok@dest.example",), a_message()),
        (("g@dest.example",), a_message()),
    ]
    assert len({session.ip for session in server.ledger.sessions}) == 1


def test_a_host_that_greylists_is_not_passed_by_while_its_backup_greylists_too() -> None:
    """Row 7: each host is asked once in a pass, and again in the next."""
    first, second = SmtpServer(on_rcpt=greylist()), SmtpServer(on_rcpt=greylist())

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 2)
        assert [place for place, _, _ in visits(status)] == ["1", "2", "1"]

    simulate(story, config=a_config())

    assert (len(first.ledger.messages), len(second.ledger.messages)) == (1, 0)


@pytest.mark.parametrize("closed_minutes", [5, 10])
def test_the_default_schedule_gets_through_a_greylist_of_that_many_minutes(closed_minutes: int) -> None:
    """Row 7: greylists open after 5 to 10 minutes; the default tries come at 0, 3 and 12 minutes."""

    async def story(sim: LoneEngine) -> None:
        opens_at = closed_minutes * 60.0
        with_mx(sim, SmtpServer(on_rcpt=lambda *_: "450 4.7.1 wait" if sim.loop.time() < opens_at else None))
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 3)

    simulate(story, config=a_config())


def test_a_greylist_that_never_opens_fails_with_its_own_words() -> None:
    """Row 7. The crate left the recipient deferred for ever."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_rcpt=greylist(99)))
        result = (await sim.deliver(an_email()))[YOU].result
        assert (result.state, result.cause, result.tries) == ("failed", Cause.TRIES_EXHAUSTED, 2)
        assert "greylisted" in str(result)

    simulate(story, config=a_config(retry=RetryPolicy(tries=2, jitter=0)))


def test_recipients_that_were_deferred_together_are_tried_together() -> None:
    """Row 7: in one transaction again, by a clock that goes on between them, too."""
    server = SmtpServer(on_rcpt=greylist())
    with LoopbackServer(server) as running:
        relay = RelayConfig("127.0.0.1", running.port, tls="none")
        config = a_config(delivery=relay, retry=RetryPolicy(base_delay_secs=0.01))
        with Mailstrom(config) as m:
            m.start()
            m.send_email(an_email(to="a@dest.example, b@dest.example, c@dest.example"))
            assert m.drain(10)

    assert [len(message.recipients) for message in server.ledger.messages] == [3]
