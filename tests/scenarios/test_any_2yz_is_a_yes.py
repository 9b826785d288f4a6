"""Only the first digit of a reply says yes."""

from __future__ import annotations

import pytest

from mailstrom.testing.smtp_server import SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, a_message

BARE = frozenset({"PIPELINING"})


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("stage", "code"),
    [("content", code) for code in (200, 202, 220, 221, 251, 252, 299)]
    + [("rcpt", code) for code in (200, 251, 252)]
    + [("mail", code) for code in (200, 251)]
    + [("ehlo", code) for code in (200, 220, 251)]
    + [("data", code) for code in (350, 355)],
)
def test_the_message_is_delivered(stage: str, code: int, pipelining: bool) -> None:
    """Row 12: RFC 5321 4.3.2. aiosmtplib takes 251 after the dot and 252 at RCPT for errors."""
    answer = f"{code}-mx\n{code} PIPELINING" if stage == "ehlo" and pipelining else f"{code} fine"
    server = SmtpServer(extensions=BARE if pipelining else (), **{f"on_{stage}": answer})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(a_message(), recipients=[YOU])
        assert (status[YOU].result.state, status[YOU].result.tries) == ("delivered", 1)
        assert status[YOU].result.uncertain is False
        if stage == "content":
            assert str(status[YOU].result.reply) == f"{code} fine"

    simulate(story, config=a_config())

    assert [(m.recipients, m.content) for m in server.ledger.messages] == [((YOU,), a_message())]


@pytest.mark.parametrize(("stage", "code"), [("greeting", 250), ("greeting", 354), ("data", 250)])
def test_where_one_code_is_asked_for_another_yes_is_none(stage: str, code: int) -> None:
    """Row 12, row 20: 220 greets, 3yz asks for the content; anything else positive is out of step."""
    server = SmtpServer(**{f"on_{stage}": f"{code} hello"})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        result = (await sim.first_try(a_message(), recipients=[YOU]))[YOU].result
        assert (result.state, str(result.enhanced_code), result.uncertain) == ("deferred", "4.5.0", False)

    simulate(story, config=a_config())

    assert not server.ledger.messages
