"""A connection that ends where a reply was due."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import Literal

import pytest
import trustme

from mailstrom import Cause, Mailstrom, RetryPolicy
from mailstrom.testing.script import Step, close, read_octets, reset, start_tls
from mailstrom.testing.smtp_server import (
    DEFAULT_EXTENSIONS,
    Action,
    LoopbackServer,
    ScriptedServer,
    SmtpServer,
)
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.raw_server import a_config_for_port
from tests.scenarios.stages import (
    BEFORE_THE_DOT,
    TO_CONTENT,
    YOU,
    a_config_for,
    a_message,
    exchange,
    open_connections,
    outcome,
    phase_of,
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

    async def story(sim: LoneEngine) -> None:
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

    async def story(sim: LoneEngine) -> None:
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

    async def story(sim: LoneEngine) -> None:
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

    async def story(sim: LoneEngine) -> None:
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

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        result = (await sim.first_try(an_email()))[YOU].result
        assert (result.state, result.cause) == expected
        assert (result.uncertain, result.next_attempt_at) == (True, None)

    simulate(story, config=a_config(retry=RetryPolicy(on_uncertain=on_uncertain)))

    assert len(server.ledger.sessions) == 1


def test_uncertain_mail_that_is_refused_later_keeps_the_doubt() -> None:
    """Row 4: a 550 to the second copy says nothing of the first."""
    server = SmtpServer(on_content=[Action.CLOSE], on_rcpt=[None, "550 5.1.1 gone"])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        result = (await sim.deliver(an_email()))[YOU].result
        assert (result.state, result.cause, result.uncertain) == ("failed", Cause.REFUSED, True)

    simulate(story, config=a_config())


def test_only_those_named_in_the_lost_transaction_are_uncertain() -> None:
    """Row 4, row 9: a recipient that was refused or deferred at its RCPT did not get the message."""
    replies = {"a": "550 5.1.1 unknown", "b": "450 4.2.1 busy"}
    server = SmtpServer(on_rcpt=lambda address, _: replies.get(address[0]), on_content=Action.RESET)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(an_email(to=[f"{name}@dest.example" for name in "abc"]))
        assert [outcome(status, f"{name}@dest.example") for name in "abc"] == [
            ("failed", "5.1.1", False, 1),
            ("deferred", "4.2.1", False, 1),
            ("deferred", "4.4.2", True, 1),
        ]

    simulate(story, config=a_config())


@pytest.mark.parametrize("stage", ["rset", "quit"])
@pytest.mark.parametrize("end", ENDS)
def test_a_connection_lost_between_two_messages_costs_nobody_anything(end: Action, stage: str) -> None:
    """Row 3: nothing was asked of the host for any recipient."""
    server = SmtpServer(on_rcpt=["550 5.1.1 unknown"], **{f"on_{stage}": end})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        first = await sim.first_try(a_message(), recipients=["a@dest.example"])
        second = await sim.deliver(an_email())
        assert outcome(first, "a@dest.example") == ("failed", "5.1.1", False, 1)
        assert outcome(second) == ("delivered", "2.0.0", False, 1)
        assert visits(second) == [("1", "dot", "delivered")]

    simulate(story, config=a_config())


SAID = {"greeting": "554", "mail": "550", "rcpt": "550", "data": "554", "content": "550"}


@pytest.mark.parametrize(
    ("stage", "code"), [*SAID.items(), *dict.fromkeys(SAID, "450").items(), ("content", "250")]
)
def test_a_reply_that_came_before_the_end_counts(stage: str, code: str) -> None:
    """Row 3, row 4: many servers hang up on those they refuse, and some on everybody."""
    commands = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "<content>"]
    codes = {"greeting": "220", "ehlo": "250", "mail": "250", "rcpt": "250", "data": "354"}
    place = [*codes, "content"].index(stage)
    said = [(command, f"{own} words") for command, own in zip(commands[:place], codes.values(), strict=False)]
    steps = exchange(*said, (commands[place], f"{code} words"))

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, ScriptedServer([*steps, close()]))
        result = (await sim.first_try(a_message(), recipients=[YOU]))[YOU].result
        state = {"2": "delivered", "4": "deferred", "5": "failed"}[code[0]]
        assert (result.state, str(result.reply), result.uncertain) == (state, f"{code} words", False)

    simulate(story, config=a_config())


@pytest.fixture(scope="module")
def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx1.dest.example").configure_cert(context)
    return context


@pytest.mark.parametrize("stage", ["ehlo", "mail", "rcpt", "data", "body", "content"])
@pytest.mark.parametrize("end", ENDS)
def test_inside_tls_it_is_the_same(end: Action, stage: str, tls_context: ssl.SSLContext) -> None:
    """Row 3, row 4: over STARTTLS."""
    on_stage = {"ehlo": [None, end]}.get(stage, end)
    first = SmtpServer(tls_context=tls_context, extensions=ALONE, **{f"on_{stage}": on_stage})
    if stage == "body":
        finish = close() if end is Action.CLOSE else reset()
        first = _ends_in_the_content_inside_tls(finish, tls_context)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first)
        status = await sim.first_try(_large_if(stage), recipients=[YOU])
        assert outcome(status) == ("deferred", "4.4.2", stage == "content", 1)
        assert visits(status) == [("1", phase_of(stage), "deferred")]
        assert await open_connections(sim) == 0

    simulate(story, config=a_config())


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data", "body", "content"])
@pytest.mark.parametrize("end", ENDS)
def test_on_real_sockets_it_is_the_same(end: Action, stage: str) -> None:
    """Row 3, row 4: FIN, and RST by SO_LINGER 0."""
    server = server_that(end, stage, extensions=ALONE)
    with LoopbackServer(server) as running, Mailstrom(a_config_for_port(running.port)) as m:
        status = m.start().wait(m.send_email(_large_if(stage), recipients=[YOU]), timeout=30)

    assert outcome(status) == ("failed", "4.4.2", stage == "content", 1)
    assert [(a.phase, a.state) for a in status[YOU].attempts] == [(phase_of(stage), "deferred")]


def _large_if(stage: str) -> bytes:
    """More than kernels hold, or TLS, where the stage is inside the content."""
    return a_message() + (b"x" * 70 + b"\r\n") * (150_000 if stage == "body" else 0)


def _ends_in_the_content_inside_tls(end: Step, context: ssl.SSLContext) -> ScriptedServer:
    offer = [("CONNECT", "220 mx"), ("EHLO", "250-mx\r\n250 STARTTLS"), ("STARTTLS", "220 go ahead")]
    return ScriptedServer([*exchange(*offer), start_tls(context), *TO_CONTENT[2:], read_octets(100_000), end])


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
        dialogue = [("EHLO", "250-mx\r\n250 PIPELINING"), ("+".join(commands), "\r\n".join(replies))]
    else:
        dialogue = [("EHLO", "250 mx"), *zip(commands, replies, strict=True)]
    return ScriptedServer([*exchange(("CONNECT", "220 mx"), *dialogue), read_octets(100_000), end])
