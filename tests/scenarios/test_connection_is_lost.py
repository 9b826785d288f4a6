"""A connection that ends where a reply was due."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import pytest

from mailstrom import Cause, RetryPolicy
from mailstrom.testing.script import Step, close, expect, read_octets, reset, send
from mailstrom.testing.simulation import Simulation, simulate
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, ScriptedServer, SmtpServer
from tests.builders import a_config, an_email, with_mx
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

ENDS = [Action.CLOSE, Action.RESET]
MINUTE = timedelta(minutes=1)
ALONE = DEFAULT_EXTENSIONS - {"PIPELINING"}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("stage", BEFORE_THE_DOT)
def test_a_connection_lost_before_the_dot_leads_to_the_next_host(stage: str, end: Action) -> None:
    """Row 3: 8 stages, FIN and RST.

    In the crate a close without a reply was a parse error, and so permanent.
    """
    second = SmtpServer(credentials={"user": "secret"} if stage == "auth" else None)

    async def story(sim: Simulation) -> None:
        with_hosts(sim, server_that(end, stage, extensions=ALONE), second)
        status = await sim.deliver(a_message(stage), recipients=[YOU])
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", stage, "deferred"), ("2", "dot", "delivered")]

    simulate(story, config=a_config_for(stage))

    assert [message.content for message in second.ledger.messages] == [a_message(stage)]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("stage", BEFORE_THE_DOT)
def test_where_no_other_host_is_left_the_mail_is_deferred(stage: str, end: Action) -> None:
    """Row 3: 4.4.2, and surely not delivered."""

    async def story(sim: Simulation) -> None:
        with_hosts(sim, server_that(end, stage, extensions=ALONE))
        began = sim.clock.now()
        status = await sim.first_try(a_message(stage), recipients=[YOU])
        assert outcome(status) == ("deferred", "4.4.2", False, 1)
        assert visits(status) == [("1", stage, "deferred")]
        assert status[YOU].result.next_attempt_at == began + 3 * MINUTE
        assert await open_connections(sim) == 0

    simulate(story, config=a_config_for(stage))


@pytest.mark.parametrize(
    ("extensions", "end"),  # a reset overtakes the replies to pipelined commands: then nothing was said
    [(DEFAULT_EXTENSIONS, Action.CLOSE), (ALONE, Action.CLOSE), (ALONE, Action.RESET)],
    ids=["pipelined-close", "close", "reset"],
)
@pytest.mark.parametrize("stage", ["rcpt", "data", "body"])
def test_a_recipient_refused_by_name_stays_refused_when_the_connection_is_lost_later(
    end: Action, stage: str, extensions: frozenset[str]
) -> None:
    """Row 3: the 5yz to a recipient that was received is kept, and nobody else has its fate."""
    first = _refuses_a_then(end, stage, extensions)
    second = SmtpServer()

    async def story(sim: Simulation) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(a_message(stage), recipients=[f"{n}@dest.example" for n in "abc"])
        assert outcome(status, "a@dest.example") == ("failed", "5.1.1", False, 1)
        assert status["a@dest.example"].result.cause is Cause.REFUSED
        assert visits(status, "a@dest.example") == [("1", "rcpt", "failed")]
        for address in ("b@dest.example", "c@dest.example"):
            assert outcome(status, address) == ("delivered", "2.0.0", False, 1)
            assert visits(status, address) == [("1", stage, "deferred"), ("2", "dot", "delivered")]

    simulate(story, config=a_config())

    assert [m.recipients for m in second.ledger.messages] == [("b@dest.example", "c@dest.example")]


@pytest.mark.parametrize("end", ENDS)
def test_after_the_dot_no_other_host_is_visited_and_the_result_is_uncertain(end: Action) -> None:
    """Row 4: no reply to the final dot. The crate called it a permanent failure or sent it again."""
    first, second = SmtpServer(on_content=[end]), SmtpServer()

    async def story(sim: Simulation) -> None:
        with_mx(sim, first, second)
        began = sim.clock.now()
        status = await sim.first_try(a_message())
        assert outcome(status) == ("deferred", "4.4.2", True, 1)
        assert visits(status) == [("1", "dot", "deferred")]
        assert status[YOU].attempts[0].uncertain
        assert status[YOU].result.next_attempt_at == began + 15 * MINUTE
        status = await sim.wait(status.message_id)
        assert outcome(status) == ("delivered", "2.0.0", False, 2)

    simulate(story, config=a_config())

    assert [message.content for message in first.ledger.messages] == [a_message()]
    assert not second.ledger.sessions


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("on_uncertain", "expected"), [("hold", ("deferred", None)), ("fail", ("failed", Cause.UNCERTAIN))]
)
def test_who_wants_no_duplicates_has_uncertain_mail_held_or_failed(
    on_uncertain: Literal["hold", "fail"], expected: tuple[str, Cause | None], end: Action
) -> None:
    """Row 4: at most once, for those who need it."""
    server = SmtpServer(on_content=[end])

    async def story(sim: Simulation) -> None:
        with_mx(sim, server)
        result = (await sim.first_try(an_email()))[YOU].result
        assert (result.state, result.cause) == expected
        assert (result.uncertain, result.next_attempt_at) == (True, None)

    simulate(story, config=a_config(retry=RetryPolicy(on_uncertain=on_uncertain)))

    assert len(server.ledger.sessions) == 1


def test_uncertain_mail_that_is_refused_later_keeps_the_doubt() -> None:
    """Row 4: a 550 to the second copy says nothing of the first."""
    server = SmtpServer(on_content=[Action.CLOSE], on_rcpt=[None, "550 5.1.1 gone"])

    async def story(sim: Simulation) -> None:
        with_mx(sim, server)
        result = (await sim.deliver(an_email()))[YOU].result
        assert (result.state, result.cause, result.uncertain) == ("failed", Cause.REFUSED, True)

    simulate(story, config=a_config())


def test_only_those_named_in_the_lost_transaction_are_uncertain() -> None:
    """Row 4, row 9: a recipient that was refused or deferred at its RCPT did not get the message."""
    replies = {"a": "550 5.1.1 unknown", "b": "450 4.2.1 busy"}
    server = SmtpServer(on_rcpt=lambda address, _: replies.get(address[0]), on_content=Action.RESET)

    async def story(sim: Simulation) -> None:
        with_mx(sim, server)
        status = await sim.first_try(an_email(to=[f"{name}@dest.example" for name in "abc"]))
        assert [outcome(status, f"{name}@dest.example") for name in "abc"] == [
            ("failed", "5.1.1", False, 1),
            ("deferred", "4.2.1", False, 1),
            ("deferred", "4.4.2", True, 1),
        ]

    simulate(story, config=a_config())


def _refuses_a_then(end: Action, stage: str, extensions: frozenset[str]) -> ScriptedServer | SmtpServer:
    if stage == "body":
        return _refuses_a_and_ends_in_the_content(close() if end is Action.CLOSE else reset(), extensions)

    def on_rcpt(address: str, _: int) -> str | Action | None:
        if address.startswith("a"):
            return "550 5.1.1 unknown"
        return end if stage == "rcpt" and address.startswith("b") else None

    if stage == "data":
        return SmtpServer(extensions=extensions, on_rcpt=on_rcpt, on_data=end)
    return SmtpServer(extensions=extensions, on_rcpt=on_rcpt)


def _refuses_a_and_ends_in_the_content(end: Step, extensions: frozenset[str]) -> ScriptedServer:
    replies = ["250 ok", "550 5.1.1 unknown", "250 ok", "250 ok", "354 go ahead"]
    commands = ["MAIL", "RCPT", "RCPT", "RCPT", "DATA"]
    if "PIPELINING" in extensions:
        offer, dialogue = "250-mx\r\n250 PIPELINING", [expect("+".join(commands)), send("\r\n".join(replies))]
    else:
        pairs = zip(commands, replies, strict=True)
        offer, dialogue = "250 mx", [step for pair in pairs for step in (expect(pair[0]), send(pair[1]))]
    return ScriptedServer(
        [send("220 mx ESMTP"), expect("EHLO"), send(offer), *dialogue, read_octets(100_000), end]
    )
