"""Each recipient has its own answer, and its own fate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import pytest

from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, ScriptedServer, SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import a_message, exchange, outcome, visits

ABC = [f"{name}@dest.example" for name in "abc"]
KINDS = {"yes": None, "later": "450 4.2.1 busy", "never": "550 5.1.1 unknown", "full": "452 4.5.3 too many"}
MIXES = list(product(KINDS, repeat=3))
EITHER_WAY = pytest.mark.parametrize(
    "extensions", [DEFAULT_EXTENSIONS, DEFAULT_EXTENSIONS - {"PIPELINING"}], ids=["pipelined", "one by one"]
)

OFFERS_PIPELINING = [("CONNECT", "220 mx ESMTP"), ("EHLO", "250-mx\r\n250 PIPELINING")]
Outcome = tuple[str, str, bool, int]
BY_RCPT: Mapping[str, Outcome] = {
    "later": ("deferred", "4.2.1", False, 1),
    "never": ("failed", "5.1.1", False, 1),
    "full": ("deferred", "4.5.3", False, 1),
}


def answers(mix: tuple[str, ...]) -> Callable[[str, int], str | None]:
    """For `on_rcpt`: always the same answer to the same recipient."""
    return lambda address, _: KINDS[mix[ABC.index(address)]]


@EITHER_WAY
@pytest.mark.parametrize("mix", MIXES, ids="-".join)
def test_the_accepted_get_the_message_and_each_of_the_others_keeps_its_reply(
    mix: tuple[str, ...], extensions: frozenset[str]
) -> None:
    """Row 9: all 64 mixes of four replies for three recipients.

    In the crate one refused recipient failed or deferred everybody of its server.
    """
    server = SmtpServer(on_rcpt=answers(mix), extensions=extensions)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=ABC)
        expected = [{**BY_RCPT, "yes": ("delivered", "2.0.0", False, 1)}[kind] for kind in mix]
        assert [outcome(status, address) for address in ABC] == expected

        for address, kind in zip(ABC, mix, strict=True):
            assert str(status[address].result.reply)[:3] == (KINDS[kind] or "250")[:3]

    simulate(story, config=a_config())

    received = [address for message in server.ledger.messages for address in message.recipients]
    assert received == [address for address, kind in zip(ABC, mix, strict=True) if kind == "yes"]
    assert not server.ledger.violations


@pytest.mark.parametrize("mix", [mix for mix in MIXES if "yes" in mix], ids="-".join)
@pytest.mark.parametrize(
    ("fault", "for_the_accepted"),
    [
        ({"on_data": "451 4.3.0 no"}, ("deferred", "4.3.0", False, 1)),
        ({"on_data": "554 5.6.0 no"}, ("failed", "5.6.0", False, 1)),
        ({"on_content": "554 5.6.0 no"}, ("failed", "5.6.0", False, 1)),
        ({"on_content": Action.CLOSE}, ("deferred", "4.4.2", True, 1)),
    ],
    ids=["451 to DATA", "554 to DATA", "554 after the dot", "lost after the dot"],
)
def test_a_failing_data_changes_nothing_for_those_answered_at_rcpt(
    mix: tuple[str, ...], fault: dict[str, str | Action], for_the_accepted: Outcome
) -> None:
    """Row 9: each recipient keeps its own result even if DATA fails later."""
    server = SmtpServer(on_rcpt=answers(mix), **fault)  # type: ignore[arg-type]

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=ABC)
        expected = [{**BY_RCPT, "yes": for_the_accepted}[kind] for kind in mix]
        assert [outcome(status, address) for address in ABC] == expected

    simulate(story, config=a_config())

    assert not server.ledger.messages


@pytest.mark.parametrize("backup_says", ["550 5.1.1 unknown here", "450 4.2.1 busy"])
def test_what_one_mx_delivered_the_next_one_does_not_undo(backup_says: str) -> None:
    """Row 9. The crate's worst: A was delivered by the first MX and became failed, or was sent
    again, when the second refused or deferred B."""
    first = SmtpServer(on_rcpt=lambda address, _: "450 4.2.1 busy" if address == ABC[1] else None)
    second = SmtpServer(on_rcpt=backup_says)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.first_try(a_message(), recipients=ABC[:2])
        assert outcome(status, ABC[0]) == ("delivered", "2.0.0", False, 1)
        assert visits(status, ABC[0]) == [("1", "dot", "delivered")]
        assert status[ABC[1]].result.state == "deferred"
        status = await sim.wait(status.message_id)
        assert outcome(status, ABC[0]) == ("delivered", "2.0.0", False, 1)

    simulate(story, config=a_config())

    assert [message.recipients for message in first.ledger.messages] == [tuple(ABC[:1])]
    assert not any(ABC[0] in command for s in second.ledger.sessions for command in s.commands)


def test_a_recipient_deferred_at_the_first_mx_is_delivered_by_the_second_in_the_same_try() -> None:
    """Row 9: 4yz asks the next MX, 5yz by name does not."""
    says = {ABC[0]: "450 4.2.1 busy", ABC[1]: "550 5.1.1 unknown"}
    first, second = SmtpServer(on_rcpt=lambda address, _: says.get(address)), SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, first, second)
        status = await sim.deliver(a_message(), recipients=ABC)
        assert [outcome(status, address) for address in ABC] == [
            ("delivered", "2.0.0", False, 1),
            ("failed", "5.1.1", False, 1),
            ("delivered", "2.0.0", False, 1),
        ]

    simulate(story, config=a_config())

    assert [message.recipients for message in first.ledger.messages] == [tuple(ABC[2:])]
    assert [message.recipients for message in second.ledger.messages] == [tuple(ABC[:1])]


@pytest.mark.parametrize("reply", ["450 4.2.1 busy", "550 5.1.1 unknown"])
def test_without_pipelining_there_is_no_data_when_all_recipients_are_refused(reply: str) -> None:
    """Row 10: and RSET before the next message."""
    server = SmtpServer(extensions=(), on_rcpt=[reply])

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        first = sim.send_email(a_message(), recipients=ABC[:1])
        await sim.until(first, lambda seen: seen.state != "queued")
        assert (await sim.deliver(a_message(name="2"), recipients=ABC[1:2])).succeeded

    simulate(story, config=a_config())

    (session,) = server.ledger.sessions
    verbs = [command.partition(" ")[0] for command in session.commands]
    assert verbs == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]
    assert not session.violations


@pytest.mark.parametrize("to_the_dot", ["554 5.5.1 nobody named", "250 2.0.0 taken", "451 4.3.0 later"])
@pytest.mark.parametrize(
    ("to_rcpt", "expected"),
    [
        ("450 4.2.1 busy", ("deferred", "4.2.1", False, 1)),
        ("550 5.1.1 unknown", ("failed", "5.1.1", False, 1)),
    ],
)
def test_a_354_though_all_were_refused_is_answered_with_a_lone_dot(
    to_rcpt: str, expected: Outcome, to_the_dot: str
) -> None:
    """Row 10: RFC 2920 3.1. Whatever the dot brings, nobody got the message."""
    server = ScriptedServer(
        exchange(
            *OFFERS_PIPELINING,
            ("MAIL+RCPT+RCPT+DATA", f"250 ok\r\n{to_rcpt}\r\n{to_rcpt}\r\n354 go ahead"),
            ("<just a dot>", to_the_dot),
            ("RSET", "250 ok"),
            ("MAIL+RCPT+DATA", "250 ok\r\n250 ok\r\n354 go ahead"),
            ("<content>", "250 ok"),
            ("QUIT", "221 bye"),
        )
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=ABC[:2])
        assert [outcome(status, address) for address in ABC[:2]] == [expected] * 2
        assert (await sim.deliver(a_message(name="2"), recipients=ABC[2:])).succeeded
        await sim.stop()

    simulate(story, config=a_config())

    assert server.transcripts[0].contents == [b"", a_message(name="2")]


def test_a_354_though_mail_was_refused_is_answered_with_a_lone_dot() -> None:
    """Row 10: the refusal of MAIL is the verdict for all."""
    replies = "550 5.7.1 sender refused\r\n503 5.5.1 MAIL first\r\n503 5.5.1 MAIL first\r\n354 go ahead"
    server = ScriptedServer(
        exchange(
            *OFFERS_PIPELINING,
            ("MAIL+RCPT+RCPT+DATA", replies),
            ("<just a dot>", "554 5.5.1 nobody named"),
            ("QUIT", "221 bye"),
        )
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=ABC[:2])
        assert [outcome(status, address) for address in ABC[:2]] == [("failed", "5.7.1", False, 1)] * 2

    simulate(story, config=a_config())

    assert server.transcripts[0].contents == [b""]


def test_a_server_that_never_answers_the_lone_dot_delays_nobody_for_long() -> None:
    """Row 10: what was answered at RCPT stands, and nothing is uncertain."""
    server = SmtpServer(on_rcpt="550 5.1.1 unknown", on_data="354 go ahead", on_content=Action.HANG)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=ABC[:1])
        assert outcome(status, ABC[0]) == ("failed", "5.1.1", False, 1)
        assert sim.loop.time() <= 21.0

    simulate(story, config=a_config())
