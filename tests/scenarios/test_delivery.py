"""The ordinary day: mail that goes out at the first try."""

from __future__ import annotations

from mailstrom import Delivered, Reply
from mailstrom.status import EnhancedCode
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate


def test_each_recipient_gets_the_message_at_the_mx_of_its_domain() -> None:
    first, second = SmtpServer(), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, domain="one.example")
        with_mx(sim, second, domain="two.example")
        status = await sim.deliver(an_email(to="a@one.example, b@one.example", cc="c@two.example"))
        assert status.succeeded

    simulate(story, config=a_config())

    assert [message.recipients for message in first.ledger.messages] == [("a@one.example", "b@one.example")]
    assert [message.recipients for message in second.ledger.messages] == [("c@two.example",)]


def test_the_servers_final_reply_stands_in_the_status() -> None:
    server = SmtpServer(on_content="250 2.0.0 queued as 4711")

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert status["you@dest.example"].result == Delivered(
            tries=1,
            reason="mx1.dest.example took it over: 250 2.0.0 queued as 4711",
            reply=Reply(code=250, enhanced=EnhancedCode(2, 0, 0), text="queued as 4711"),
            enhanced_code=EnhancedCode(2, 0, 0),
        )

    simulate(story, config=a_config())


def test_bcc_recipients_get_the_message_and_stand_nowhere_in_it() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        await sim.deliver(an_email(bcc="hidden@dest.example"))

    simulate(story, config=a_config())

    (message,) = server.ledger.messages
    assert message.recipients == ("you@dest.example", "hidden@dest.example")
    assert b"hidden" not in message.content


def test_a_connection_is_used_again_for_the_next_message_of_the_lane() -> None:
    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        await sim.deliver(an_email())
        await sim.deliver(an_email())

    simulate(story, config=a_config())

    assert len(server.ledger.messages) == 2
    assert len(server.ledger.sessions) == 1
