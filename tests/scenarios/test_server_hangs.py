"""A server that is silent where a reply is due: one timer for each phase."""

from __future__ import annotations

import ssl
from datetime import timedelta

import pytest
import trustme

from mailstrom import SmtpTimeouts
from mailstrom.testing.script import hang, stop_reading
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, ScriptedServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import (
    YOU,
    a_config_for,
    a_message,
    exchange,
    in_mid_body,
    open_connections,
    outcome,
    server_that,
    visits,
    with_hosts,
)

MINUTE = timedelta(minutes=1)
TIMERS = {
    "greeting": 300.0,
    "ehlo": 300.0,
    "starttls": 120.0,
    "auth": 300.0,
    "mail": 300.0,
    "rcpt": 300.0,
    "data": 120.0,
}
PIPELINED_OR_NOT = pytest.mark.parametrize(
    "extensions", [DEFAULT_EXTENSIONS, DEFAULT_EXTENSIONS - {"PIPELINING"}], ids=["pipelined", "one by one"]
)


@PIPELINED_OR_NOT
@pytest.mark.parametrize(("stage", "secs"), TIMERS.items())
def test_each_phase_has_its_own_timer(stage: str, secs: float, extensions: frozenset[str]) -> None:
    """Row 13: 4.4.2 and the next host. The crate had one minute for everything, called a timeout
    permanent, and waited for a greeting without any limit."""
    second = SmtpServer(credentials={"user": "secret"} if stage == "auth" else None)

    async def story(sim: LoneEngine) -> None:
        with_hosts(sim, server_that(Action.HANG, stage, extensions=extensions), second)
        status = await sim.deliver(a_message(), recipients=[YOU])
        assert sim.loop.time() == pytest.approx(secs, abs=1)
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", stage, "deferred"), ("2", "dot", "delivered")]

    simulate(story, config=a_config_for(stage))

    assert [message.content for message in second.ledger.messages] == [a_message()]


def test_an_attempt_begins_when_the_host_is_dialled() -> None:
    """A host that is slow to greet was visited all that time."""
    slow = SmtpServer(delays={"greeting": 200.0})

    async def story(sim: LoneEngine) -> None:
        with_hosts(sim, slow)
        (attempt,) = (await sim.deliver(a_message(), recipients=[YOU]))[YOU].attempts
        (connect,) = sim.network.connects
        assert sim.loop.time() - connect.at == pytest.approx(attempt.duration_secs)
        assert attempt.duration_secs == pytest.approx(200.0, abs=1)

    simulate(story, config=a_config_for("greeting"))


@pytest.mark.parametrize("stage", TIMERS)
def test_each_timer_can_be_set_by_itself(stage: str) -> None:
    """Row 13: configurable; where no host is left, deferred with 4.4.2, the connection gone."""
    timeouts = SmtpTimeouts(**{f"{stage}_secs": 7.0})

    async def story(sim: LoneEngine) -> None:
        with_hosts(sim, server_that(Action.HANG, stage))
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert sim.loop.time() == pytest.approx(7.0, abs=1)
        assert outcome(status) == ("deferred", "4.4.2", False, 1)
        assert status[YOU].attempts[0].duration_secs == pytest.approx(7.0, abs=1)
        assert await open_connections(sim) == 0

    simulate(story, config=a_config_for(stage, timeouts=timeouts))


def test_the_crates_one_timer_leaves_content_and_final_dot_alone() -> None:
    """Row 13: `smtp_timeout_secs` is the crate's; a short dot timer buys duplicates, nothing else."""
    server = SmtpServer(on_content=[Action.HANG])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert sim.loop.time() == pytest.approx(600.0, abs=1)
        assert outcome(status) == ("deferred", "4.4.2", True, 1)

    simulate(story, config=a_config(smtp_timeout_secs=10.0))


def test_the_reply_to_the_dot_is_awaited_for_ten_minutes_and_then_nobody_knows() -> None:
    """Row 13: 600 s; uncertain, so no other MX, and not again before 15 minutes."""
    server, backup = SmtpServer(on_content=[Action.HANG]), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server, backup)
        began = sim.clock.now()
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert sim.loop.time() == pytest.approx(600.0, abs=1)
        assert outcome(status) == ("deferred", "4.4.2", True, 1)
        assert visits(status) == [("1", "dot", "deferred")]
        assert status[YOU].result.next_attempt_at == began + 25 * MINUTE
        assert outcome(await sim.wait(status.message_id)) == ("delivered", "2.0.0", False, 2)

    simulate(story, config=a_config())

    assert not backup.ledger.sessions
    assert [message.content for message in server.ledger.messages] == [a_message()]


def test_a_reply_to_the_dot_within_ten_minutes_is_a_delivery() -> None:
    """Row 13: 599 s is slow and no fault."""
    server = SmtpServer(delays={"content": 599.0})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert outcome(await sim.deliver(an_email())) == ("delivered", "2.0.0", False, 1)

    simulate(story, config=a_config())

    assert len(server.ledger.messages) == 1


def test_a_block_that_is_not_taken_within_three_minutes_ends_the_session() -> None:
    """Row 13: 180 s a block; abort() drops what was not sent, the final dot with it."""
    first, second = in_mid_body(stop_reading(), hang()), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(a_message("body"), recipients=[YOU])
        assert sim.loop.time() == pytest.approx(180.0, abs=1)
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "body", "deferred"), ("2", "dot", "delivered")]

    simulate(story, config=a_config())

    assert b"\r\n.\r\n" not in first.transcripts[0].received[-1000:]
    assert [message.content for message in second.ledger.messages] == [a_message("body")]


def test_a_tls_handshake_that_never_ends_has_a_timer_too() -> None:
    """Row 13: STARTTLS 120 s, for the handshake again."""
    offer = [("CONNECT", "220 mx"), ("EHLO", "250-mx\r\n250 STARTTLS"), ("STARTTLS", "220 go ahead")]
    server = ScriptedServer([*exchange(*offer), hang()])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert sim.loop.time() == pytest.approx(120.0, abs=1)
        assert outcome(status) == ("deferred", "4.7.5", False, 1)
        assert visits(status) == [("1", "tls", "deferred")]

    simulate(story, config=a_config(require_tls=True))


def test_a_rset_that_is_not_answered_ends_the_session_after_twenty_seconds() -> None:
    """Row 13: RSET 20 s; the message that asked for the session takes another."""
    server = SmtpServer(on_rcpt=["450 4.2.1 busy"], on_rset=Action.HANG)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        await sim.first_try(a_message(), recipients=["busy@dest.example"])
        assert outcome(await sim.deliver(an_email())) == ("delivered", "2.0.0", False, 1)
        assert sim.loop.time() == pytest.approx(20.0, abs=1)

    simulate(story, config=a_config())

    assert server.ledger.sessions[0].ended_at == pytest.approx(20.0, abs=1)


def test_a_quit_that_is_not_answered_ends_after_five_seconds() -> None:
    """Row 13: QUIT 5 s, after the session has idled for 5 s."""
    server = SmtpServer(on_quit=Action.HANG)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        assert status.succeeded
        assert sim.loop.time() == 0.0
        await sim.deliver(an_email(), send_at=sim.clock.now() + MINUTE)

    simulate(story, config=a_config())

    first = server.ledger.sessions[0]
    assert first.ended_at == pytest.approx(10.0, abs=1)
    assert first.commands[-1] == "QUIT"


def test_inside_tls_the_timers_are_the_same() -> None:
    """Row 13: 600 s for the dot over STARTTLS."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mx1.dest.example").configure_cert(context)
    server = SmtpServer(tls_context=context, on_content=[Action.HANG], on_mail=[Action.HANG])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert sim.loop.time() == pytest.approx(300.0, abs=1)
        assert outcome(status) == ("deferred", "4.4.2", False, 1)
        second_try_at = status[YOU].result.next_attempt_at
        assert second_try_at is not None
        status = await sim.until(status.message_id, lambda seen: seen[YOU].result.tries == 2)
        assert sim.clock.now() - second_try_at == timedelta(seconds=600)
        assert outcome(status) == ("deferred", "4.4.2", True, 2)

    simulate(story, config=a_config())


def test_a_host_that_hangs_holds_up_nobody_else() -> None:
    """Row 13. In the crate one slow host stopped everything."""
    slow, quick = SmtpServer(on_greeting=Action.HANG), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, slow, domain="slow.example")
        with_mx(sim, quick)
        for number in range(50):
            sim.send_email(an_email(to=f"r{number}@slow.example"))
        await sim.deliver(an_email())
        assert sim.loop.time() == 0.0

    simulate(story, config=a_config())
