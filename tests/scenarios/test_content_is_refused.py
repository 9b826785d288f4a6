"""4yz and 5yz to DATA, in the middle of the content, and after the final dot."""

from __future__ import annotations

import pytest

from mailstrom import Cause
from mailstrom.testing.script import expect, send
from mailstrom.testing.smtp_server import Action, SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import (
    YOU,
    a_message,
    in_mid_body,
    open_connections,
    outcome,
    phase_of,
    server_that,
    visits,
)

STAGES = ("data", "body", "content")


@pytest.mark.parametrize("stage", STAGES)
def test_a_5yz_is_final_for_the_accepted_and_no_other_mx_is_asked(stage: str) -> None:
    """Row 11."""
    backup = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server_that("554 5.7.1 content refused", stage), backup)
        status = await sim.first_try(a_message(stage), recipients=[YOU])
        assert outcome(status) == ("failed", "5.7.1", False, 1)
        assert status[YOU].result.cause is Cause.REFUSED
        assert visits(status) == [("1", phase_of(stage), "failed")]

    simulate(story, config=a_config())

    assert not backup.ledger.sessions


@pytest.mark.parametrize("stage", STAGES)
def test_a_4yz_defers_the_accepted_after_the_next_mx_was_asked(stage: str) -> None:
    """Row 11."""
    reply = "451 4.3.0 not now"

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server_that(reply, stage), SmtpServer(on_content=[reply]))
        status = await sim.first_try(a_message(stage), recipients=[YOU])
        assert outcome(status) == ("deferred", "4.3.0", False, 1)
        assert visits(status) == [("1", phase_of(stage), "deferred"), ("2", "dot", "deferred")]

    simulate(story, config=a_config())


@pytest.mark.parametrize("reply", ["451 4.3.0 not now", "554 5.7.1 content refused"])
def test_a_refusal_in_mid_body_stops_the_sending(reply: str) -> None:
    """Row 11: the connection is aborted, so that what was written does not look like the whole."""
    server = in_mid_body(send(reply), expect("<content>"))

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        await sim.first_try(a_message("body"), recipients=[YOU])
        assert await open_connections(sim) == 0

    simulate(story, config=a_config())

    (transcript,) = server.transcripts
    assert transcript.contents == []
    assert b"\r\n.\r\n" not in transcript.received[-1000:]
    assert len(transcript.received) < len(a_message("body"))


@pytest.mark.parametrize("stage", ["rcpt", "data"])
@pytest.mark.parametrize(
    ("reply", "state"), [("451 4.3.0 not now", "deferred"), ("554 5.7.1 refused", "failed")]
)
def test_a_hanging_rset_hides_nothing_and_costs_the_next_message_only_its_timer(
    reply: str, state: str, stage: str
) -> None:
    """Row 11. In aiosmtplib's sendmail() a timeout at RSET takes the reply's place."""
    server = SmtpServer(on_rset=Action.HANG, **{f"on_{stage}": [reply]})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert outcome(status) == (state, reply[4:9], False, 1)
        assert sim.loop.time() == 0.0

        status = await sim.deliver(a_message(name="2"), recipients=["b@dest.example"])
        assert outcome(status, "b@dest.example") == ("delivered", "2.0.0", False, 1)
        assert sim.loop.time() == 20.0

    simulate(story, config=a_config())


@pytest.mark.parametrize("reply", ["354 go on", "300 what", "354-a\r\n354 b"])
def test_a_3yz_after_the_dot_is_no_delivery(reply: str) -> None:
    """Row 11, row 18. In the crate a final 3yz counted as delivered."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_content=reply.encode() + b"\r\n"))
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert outcome(status) == ("deferred", "4.5.0", True, 1)

    simulate(story, config=a_config())
