"""More replies than commands, fewer, earlier, or in another order."""

from __future__ import annotations

import asyncio
from itertools import permutations

import pytest

from mailstrom.testing.script import Step, expect, hang, pause, send
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, ScriptedServer, SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, a_message, in_mid_body, outcome, visits

ALONE = DEFAULT_EXTENSIONS - {"PIPELINING"}
TWO = [YOU, "b@dest.example"]
OPENING: list[Step] = [send("220 mx"), expect("EHLO"), send("250-mx\r\n250 PIPELINING")]
GROUP = expect("MAIL+RCPT+RCPT+DATA")
RIGHT = ("250 2.1.0 sender", "250 2.1.5 recipient", "550 5.1.1 unknown", "354 go ahead")


@pytest.mark.parametrize("extensions", [DEFAULT_EXTENSIONS, ALONE], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("ghost", ["250 ghost", "354 ghost", "550 ghost", "nonsense"])
@pytest.mark.parametrize(
    ("stage", "code"), [("greeting", 220), ("ehlo", 250), ("mail", 250), ("rcpt", 250), ("data", 354)]
)
def test_a_second_reply_in_the_same_packet_ends_the_session(
    stage: str, code: int, ghost: str, extensions: frozenset[str]
) -> None:
    """Row 20: 4.5.0, never delivered. aiosmtplib let `354` and `250 ghost` in one packet answer
    DATA and the final dot."""
    both = f"{code} ok\r\n{ghost}\r\n".encode()
    server = SmtpServer(extensions=extensions, on_content="554 5.6.0 no", **{f"on_{stage}": both})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        result = (await sim.first_try(a_message(), recipients=[YOU]))[YOU].result
        assert (result.state, str(result.enhanced_code), result.uncertain) == ("deferred", "4.5.0", False)

    simulate(story, config=a_config())

    assert not server.ledger.messages


@pytest.mark.parametrize(("stage", "code"), [("mail", 250), ("rcpt", 250), ("data", 354)])
def test_a_421_behind_another_reply_before_the_dot_delivers_nothing(stage: str, code: int) -> None:
    """Row 20: 421 while no command is open: the host is closing; the next MX is asked."""
    answer = f"{code} ok\r\n421 4.3.2 closing\r\n".encode()
    first, second = SmtpServer(extensions=ALONE, **{f"on_{stage}": answer}), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        assert outcome(await sim.deliver(a_message(), recipients=[YOU])) == ("delivered", "2.0.0", False, 1)

    simulate(story, config=a_config())

    assert not first.ledger.messages
    assert len(second.ledger.messages) == 1


def test_a_yes_before_the_dot_was_sent_is_no_delivery() -> None:
    """Row 20: a 2yz in the middle of the content is a protocol error; the next MX gets the message."""
    first, second = in_mid_body(send("250 2.0.0 taken")), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(a_message("body"), recipients=[YOU])
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert visits(status) == [("1", "body", "deferred"), ("2", "dot", "delivered")]
        assert str(status[YOU].attempts[0].reply) == "250 2.0.0 taken"

    simulate(story, config=a_config())

    assert [message.content for message in second.ledger.messages] == [a_message("body")]


def test_a_yes_before_the_dot_with_no_other_mx_is_a_protocol_error() -> None:
    """Row 20: 4.5.0, and surely not delivered."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, in_mid_body(send("250 2.0.0 taken"), hang()))
        status = await sim.first_try(a_message("body"), recipients=[YOU])
        assert outcome(status) == ("deferred", "4.5.0", False, 1)

    simulate(story, config=a_config())


@pytest.mark.parametrize("replies", ["250 yes\r\n554 no", "554 no\r\n250 yes", "250 yes\r\n250 ghost"])
def test_two_replies_to_the_dot_say_nothing(replies: str) -> None:
    """Row 20, row 18: which of them was the answer? Uncertain."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_content=f"{replies}\r\n".encode()))
        status = await sim.first_try(a_message(), recipients=[YOU])
        assert outcome(status) == ("deferred", "4.5.0", True, 1)

    simulate(story, config=a_config())


def test_a_yes_to_the_dot_and_a_421_behind_it_is_a_delivery() -> None:
    """Row 20: 421 while no command is open says that the host is closing, nothing else."""
    server = SmtpServer(on_content=[b"250 2.0.0 taken\r\n421 4.3.2 closing\r\n"])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert outcome(await sim.deliver(a_message(), recipients=[YOU])) == ("delivered", "2.0.0", False, 1)
        status = await sim.deliver(a_message(name="2"), recipients=TWO[1:])
        assert outcome(status, TWO[1]) == ("delivered", "2.0.0", False, 1)

    simulate(story, config=a_config())

    assert [session.ordinal for session in server.ledger.sessions] == [1, 2]


@pytest.mark.parametrize("said", ["250 ghost", "421 4.4.2 idle", "220 hello again", "\x00"])
def test_what_an_idle_host_says_ends_its_session_and_answers_nothing(said: str) -> None:
    """Row 20: octets while no command is open."""
    transaction = [expect("MAIL+RCPT+DATA"), send("250 ok\r\n250 ok\r\n354 go ahead"), expect("<content>")]
    first = [*OPENING, *transaction, send("250 ok"), pause(1.0), send(said), hang()]
    second = [*OPENING, *transaction, send("554 5.6.0 refused"), hang()]
    server = ScriptedServer(first, second)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(a_message(), recipients=[YOU])).succeeded
        await asyncio.sleep(2.0)
        status = await sim.first_try(a_message(name="2"), recipients=TWO[1:])
        assert outcome(status, TWO[1]) == ("failed", "5.6.0", False, 1)

    simulate(story, config=a_config())


@pytest.mark.parametrize("order", [*permutations(range(4))], ids=lambda order: "".join(map(str, order)))
def test_replies_to_pipelined_commands_in_any_other_order_deliver_nothing(order: tuple[int, ...]) -> None:
    """Row 21: all permutations of the replies to MAIL, two RCPT and DATA; any mismatch aborts."""
    replies = [RIGHT[place] for place in order]
    server = ScriptedServer(
        [*OPENING, GROUP, send("\r\n".join(replies)), expect("<content>"), send("250 2.0.0 taken"), hang()]
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=TWO)
        if replies[0].startswith("250") and replies[3].startswith("354"):
            # each code fits its place: nobody can tell
            yes = [reply.startswith("250") for reply in replies[1:3]]
            expected = [("delivered", "2.0.0") if said else ("failed", "5.1.1") for said in yes]
        else:
            expected = [("deferred", "4.5.0")] * 2
        assert [outcome(status, address)[:2] for address in TWO] == expected
        assert not any(status[address].result.uncertain for address in TWO)

    simulate(story, config=a_config())


@pytest.mark.parametrize("missing", range(3))
def test_a_missing_reply_is_noticed_at_the_next_that_does_not_fit(missing: int) -> None:
    """Row 21: replies are counted exactly."""
    replies = [reply for place, reply in enumerate(RIGHT) if place != missing]
    server = ScriptedServer([*OPENING, GROUP, send("\r\n".join(replies)), hang()])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=TWO)
        # the 354 stands where the last RCPT's reply was due, the 550 perhaps where another's was
        assert {outcome(status, address) for address in TWO} == {("deferred", "4.5.0", False, 1)}
        assert sim.loop.time() < 1.0

    simulate(story, config=a_config())

    assert server.transcripts[0].contents == []


def test_when_the_last_reply_is_missing_its_timer_decides() -> None:
    """Row 21: the recipient that was refused by name stays refused."""
    server = ScriptedServer([*OPENING, GROUP, send("\r\n".join(RIGHT[:3])), hang()])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=TWO)
        assert outcome(status, YOU) == ("deferred", "4.4.2", False, 1)
        assert outcome(status, TWO[1]) == ("failed", "5.1.1", False, 1)
        assert sim.loop.time() == pytest.approx(120.0, abs=1)

    simulate(story, config=a_config())


@pytest.mark.parametrize("doubled", range(4))
def test_a_doubled_reply_delivers_nothing(doubled: int) -> None:
    """Row 21: one too many is a mismatch as well."""
    replies = [*RIGHT[: doubled + 1], *RIGHT[doubled:]]
    server = ScriptedServer([*OPENING, GROUP, send("\r\n".join(replies)), hang()])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=TWO)
        assert {outcome(status, address) for address in TWO} == {("deferred", "4.5.0", False, 1)}

    simulate(story, config=a_config())

    assert server.transcripts[0].contents == []
