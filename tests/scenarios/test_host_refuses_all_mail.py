"""5yz before any recipient is named: this host takes no mail, or none from us."""

from __future__ import annotations

import pytest

from mailstrom import Cause
from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, a_message, outcome, visits

REFUSALS = [
    ("greeting", "554 5.3.2 no service here"),
    ("greeting", "521 5.3.2 this host takes no mail"),
    ("ehlo", "550 5.7.1 not from you"),
    ("mail", "550 5.7.1 sender refused"),
]


@pytest.mark.parametrize(("stage", "reply"), REFUSALS)
def test_the_next_mx_is_asked(stage: str, reply: str) -> None:
    """Row 6. In the crate a 5yz of the first host failed everybody."""
    first, second = SmtpServer(**{f"on_{stage}": reply}), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(an_email())
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", stage, "failed"), ("2", "dot", "delivered")]

    simulate(story, config=a_config())

    assert not first.ledger.violations


@pytest.mark.parametrize(("stage", "reply"), REFUSALS)
def test_when_all_hosts_say_so_it_is_final_with_the_peers_code(stage: str, reply: str) -> None:
    """Row 6."""
    servers = [SmtpServer(**{f"on_{stage}": reply}) for _ in range(2)]

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, *servers)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("failed", reply[4:9], False, 1)
        assert status[YOU].result.cause is Cause.REFUSED
        assert str(status[YOU].result.reply) == reply
        assert visits(status) == [("1", stage, "failed"), ("2", stage, "failed")]

    simulate(story, config=a_config())


@pytest.mark.parametrize(("stage", "reply"), REFUSALS)
@pytest.mark.parametrize("good_place", [0, 1])
def test_one_host_that_may_still_take_it_keeps_it_alive(stage: str, reply: str, good_place: int) -> None:
    """Row 6: deferred at one MX beats failed at the other, whatever their order."""
    servers = [SmtpServer(**{f"on_{stage}": reply}), SmtpServer(on_rcpt="450 4.2.1 busy")]

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, servers[1 - good_place], servers[good_place])
        assert outcome(await sim.first_try(an_email())) == ("deferred", "4.2.1", False, 1)

    simulate(story, config=a_config())


@pytest.mark.parametrize("code", [500, 501, 502, 504, 550, 554])
def test_a_host_that_refuses_ehlo_is_greeted_with_helo(code: int) -> None:
    """Row 6: HELO after any 5yz to EHLO (RFC 5321 3.2), and then no parameter of an extension."""
    server = SmtpServer(extensions=(), on_ehlo=[f"{code} what?"])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(a_message())).succeeded

    simulate(story, config=a_config())

    (session,) = server.ledger.sessions
    assert session.commands[:2] == ["EHLO sender.example", "HELO sender.example"]
    assert session.commands[2] == "MAIL FROM:<no-reply@sender.example>"
    assert [message.content for message in server.ledger.messages] == [a_message()]


@pytest.mark.parametrize("reply", ["450 4.3.2 later", "454 4.3.0 not now"])
@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail"])
def test_a_4yz_there_leads_to_the_next_mx_and_else_defers(stage: str, reply: str) -> None:
    """Row 6, the mild form; no HELO after a 4yz."""
    first, second = SmtpServer(**{f"on_{stage}": reply}), SmtpServer(**{f"on_{stage}": [reply]})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", reply[4:9], False, 1)
        assert len(status[YOU].attempts) == 2
        assert (await sim.wait(status.message_id)).succeeded

    simulate(story, config=a_config())

    assert not any(c.startswith("HELO") for s in first.ledger.sessions for c in s.commands)
