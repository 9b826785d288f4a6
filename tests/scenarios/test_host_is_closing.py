"""421: the host closes the connection, whatever was asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import (
    BEFORE_THE_DOT,
    YOU,
    a_config_for,
    a_message,
    open_connections,
    outcome,
    server_that,
    visits,
    with_hosts,
)

CLOSING = "421 mx1.dest.example closing"
STAYS_OPEN = CLOSING.encode() + b"\r\n"  # a server that says so and does not close
ALONE = DEFAULT_EXTENSIONS - {"PIPELINING"}


@pytest.mark.parametrize("stage", BEFORE_THE_DOT)
@pytest.mark.parametrize("answer", [CLOSING, STAYS_OPEN], ids=["closes", "stays open"])
@pytest.mark.parametrize("extensions", [DEFAULT_EXTENSIONS, ALONE], ids=["pipelined", "one by one"])
def test_a_421_before_the_dot_leads_to_the_next_host(
    stage: str, answer: str | bytes, extensions: frozenset[str]
) -> None:
    """Row 5: 421 at each stage before the dot."""
    second = SmtpServer(credentials={"user": "secret"} if stage == "auth" else None)

    async def story(sim: LoneEngine) -> None:
        with_hosts(sim, server_that(answer, stage, extensions=extensions), second)
        status = await sim.deliver(a_message(stage), recipients=[YOU])
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", stage, "deferred"), ("2", "dot", "delivered")]

    simulate(story, config=a_config_for(stage))

    assert [message.content for message in second.ledger.messages] == [a_message(stage)]


@pytest.mark.parametrize("stage", [*BEFORE_THE_DOT, "content"])
def test_where_no_other_host_is_left_a_421_defers_and_the_connection_is_closed(stage: str) -> None:
    """Row 5: 421 at 9 stages, 4.3.2, not uncertain."""

    async def story(sim: LoneEngine) -> None:
        with_hosts(sim, server_that(STAYS_OPEN, stage))
        status = await sim.first_try(a_message(stage), recipients=[YOU])
        assert outcome(status) == ("deferred", "4.3.2", False, 1)
        assert str(status[YOU].result.reply) == CLOSING
        assert await open_connections(sim) == 0

    simulate(story, config=a_config_for(stage))


def test_a_421_after_the_dot_is_a_clear_no_and_no_other_host_gets_the_message_now() -> None:
    """Row 5: it is not uncertain, and the schedule's ordinary wait holds."""
    first, second = SmtpServer(on_content=[CLOSING]), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        began = sim.clock.now()
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.3.2", False, 1)
        assert visits(status) == [("1", "dot", "deferred")]
        assert status[YOU].result.next_attempt_at == began + timedelta(minutes=3)
        assert (await sim.wait(status.message_id)).succeeded

    simulate(story, config=a_config())

    assert len(first.ledger.messages) == 1
    assert not second.ledger.sessions


def test_the_servers_own_enhanced_code_stands() -> None:
    """Row 5: 4.3.2 is what we say where the server does not."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_greeting="421 4.7.0 too many connections from you"))
        assert outcome(await sim.first_try(an_email())) == ("deferred", "4.7.0", False, 1)

    simulate(story, config=a_config())


def test_recipients_answered_before_the_421_keep_their_answer() -> None:
    """Row 5: a 5yz by name stands; who was only accepted has got nothing yet."""
    answers = {"a": "550 5.1.1 unknown", "c": CLOSING}
    first, second = SmtpServer(on_rcpt=lambda address, _: answers.get(address[0])), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(an_email(to=[f"{name}@dest.example" for name in "abcd"]))
        assert outcome(status, "a@dest.example") == ("failed", "5.1.1", False, 1)
        others = {outcome(status, f"{name}@dest.example") for name in "bcd"}
        assert others == {("delivered", "2.0.0", False, 1)}

    simulate(story, config=a_config())

    assert [m.recipients for m in second.ledger.messages] == [tuple(f"{n}@dest.example" for n in "bcd")]


def test_a_421_to_an_idle_session_costs_the_next_message_nothing() -> None:
    """Row 5, row 20: said while no command is open, it closes, and the next message dials again."""
    server = SmtpServer(idle_secs=2.0)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        await sim.deliver(an_email())
        status = await sim.deliver(an_email(), send_at=sim.clock.now() + timedelta(seconds=3))
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "dot", "delivered")]

    simulate(story, config=a_config())

    assert [session.ordinal for session in server.ledger.sessions] == [1, 2]
    assert "QUIT" not in server.ledger.sessions[0].commands


def test_a_session_that_turns_out_closed_at_mail_costs_the_next_message_nothing() -> None:
    """Row 5: RFC 5321 3.8: the host had gone before it read our MAIL."""
    server = SmtpServer(on_mail=[None, "421 4.4.2 idle for too long"])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        await sim.deliver(an_email())
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "dot", "delivered")]

    simulate(story, config=a_config())

    assert len(server.ledger.messages) == 2
