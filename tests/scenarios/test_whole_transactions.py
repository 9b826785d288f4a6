"""A host that offers CHUNKING: the whole message in one write, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from mailstrom.testing.network import MemoryNetwork
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, Action, ScriptedServer, SmtpServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, a_message, exchange, outcome, visits

CHUNKING = DEFAULT_EXTENSIONS | {"CHUNKING"}
ABC = [f"{name}@dest.example" for name in "abc"]
OFFERS_CHUNKING = [("CONNECT", "220 mx ESMTP"), ("EHLO", "250-mx\r\n250-PIPELINING\r\n250 CHUNKING")]
BY_DATA = [("MAIL+RCPT+DATA", "250 ok\r\n250 ok\r\n354 go"), ("<content>", "250 ok"), ("QUIT", "221 bye")]


def verbs(server: SmtpServer) -> list[str]:
    """What was asked, in all sessions."""
    return [command.partition(" ")[0] for s in server.ledger.sessions for command in s.commands]


def test_a_message_takes_one_write_and_one_round_trip() -> None:
    """RFC 3030: from MAIL to the reply that delivers it."""
    server = SmtpServer(extensions=CHUNKING)
    content = a_message()

    async def story(sim: LoneEngine) -> None:
        sim.network = MemoryNetwork(latency_secs=0.5)
        with_mx(sim, server)
        sim.start()
        (attempt,) = (await sim.deliver(content))[YOU].attempts
        # to connect 1 s and the greeting 0.5 s, EHLO 1 s, all of the message 1 s
        assert attempt.duration_secs == pytest.approx(3.5)

    simulate(story, config=a_config(), start=False)

    assert [message.content for message in server.ledger.messages] == [content]
    assert verbs(server)[:4] == ["EHLO", "MAIL", "RCPT", "BDAT"]
    assert not server.ledger.violations


def test_what_looks_like_commands_arrives_octet_for_octet() -> None:
    """Threat S5: chunks are counted, so no content can end one."""
    server = SmtpServer(extensions=CHUNKING)
    content = a_message() + b"BDAT 0 LAST\r\n.\r\nRSET\r\nMAIL FROM:<evil@x.example>\r\nDATA\r\n.\r\n"

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(content)).succeeded

    simulate(story, config=a_config())

    assert [message.content for message in server.ledger.messages] == [content]
    assert not any("evil" in command for command in server.ledger.sessions[0].commands)


def test_a_large_message_goes_by_data_over_the_same_session() -> None:
    server = SmtpServer(extensions=CHUNKING)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        assert (await sim.deliver(a_message("body"))).succeeded
        assert (await sim.deliver(a_message(name="2"))).succeeded

    simulate(story, config=a_config())

    assert verbs(server)[:7] == ["EHLO", "MAIL", "RCPT", "DATA", "MAIL", "RCPT", "BDAT"]


def test_each_recipient_has_its_own_answer() -> None:
    """Row 9."""
    says = {ABC[0]: "450 4.2.1 busy", ABC[1]: "550 5.1.1 unknown"}
    first = SmtpServer(extensions=CHUNKING, on_rcpt=lambda address, _: says.get(address))
    second = SmtpServer(extensions=CHUNKING)

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


@pytest.mark.parametrize(
    "answer",
    [
        ("on_mail", "451 4.3.0 later", ("deferred", "4.3.0", False, 1)),
        ("on_mail", "550 5.7.1 no", ("failed", "5.7.1", False, 1)),
        ("on_content", "451 4.3.0 later", ("deferred", "4.3.0", False, 1)),
        ("on_content", "554 5.6.0 no", ("failed", "5.6.0", False, 1)),
        ("on_mail", Action.CLOSE, ("deferred", "4.4.2", True, 1)),
        ("on_rcpt", Action.CLOSE, ("deferred", "4.4.2", True, 1)),
        ("on_content", Action.CLOSE, ("deferred", "4.4.2", True, 1)),
        ("on_content", Action.HANG, ("deferred", "4.4.2", True, 1)),
        ("on_rcpt", b"garbage\r\n", ("deferred", "4.5.0", True, 1)),
    ],
    ids=lambda answer: f"{answer[0]} {answer[1]!r}",
)
def test_a_refusal_is_certain_and_what_has_no_answer_may_have_been_delivered(
    answer: tuple[str, Action, tuple[str, str, bool, int]],
) -> None:
    """Rows 4, 11, 13, 18; all replies of a server come when it has read everything."""
    hook, said, expected = answer
    server = SmtpServer(extensions=CHUNKING, **{hook: said})  # type: ignore[arg-type]

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=ABC[:1])
        assert outcome(status, ABC[0]) == expected

    simulate(story, config=a_config())

    assert server.ledger.messages == ()


def test_one_that_was_refused_by_name_is_not_uncertain_with_the_others() -> None:
    """Row 4: the mark is set for both, its answer is there for one."""
    server = SmtpServer(
        extensions=CHUNKING,
        on_rcpt=lambda address, _: "550 5.1.1 unknown" if address == ABC[0] else None,
        on_content=[Action.CLOSE],
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=ABC[:2])
        assert outcome(status, ABC[0]) == ("failed", "5.1.1", False, 1)
        assert outcome(status, ABC[1]) == ("deferred", "4.4.2", True, 1)
        assert (await sim.wait(status.message_id))[ABC[1]].result.state == "delivered"

    simulate(story, config=a_config())

    assert [command.partition(" ")[0] for command in server.ledger.sessions[1].commands][:4] == [
        "EHLO", "MAIL", "RCPT", "DATA",
    ]  # fmt: skip


# -- hosts that do not mean it -------------------------------------------------------------


def test_a_host_that_has_no_chunking_after_all_gets_the_message_by_data_in_the_same_try() -> None:
    """And is asked no more; other hosts are."""
    liar = ScriptedServer(
        exchange(
            *OFFERS_CHUNKING,
            ("MAIL+RCPT+<chunk>", "250 ok\r\n250 ok\r\n502 what"),
            ("RSET", "250 ok"),
            *BY_DATA,
        ),
        exchange(*OFFERS_CHUNKING, *BY_DATA),
    )
    honest = SmtpServer(extensions=CHUNKING)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, liar)
        with_mx(sim, honest, domain="other.example")
        status = await sim.deliver(a_message())
        assert visits(status) == [("1", "dot", "delivered")]
        await asyncio.sleep(60.0)  # the idle session is given up
        assert (await sim.deliver(a_message(name="2"))).succeeded
        await sim.deliver(a_message(name="3"), recipients=["you@other.example"])

    simulate(story, config=a_config())

    assert len(liar.transcripts) == 2
    assert "BDAT" in verbs(honest)


def test_a_host_that_takes_the_content_for_commands_is_tried_again_by_data() -> None:
    """Row 20: 15 minutes later, since nobody knows what it made of it."""
    liar = ScriptedServer(
        [
            *exchange(*OFFERS_CHUNKING, ("MAIL+RCPT+BDAT", "250 ok\r\n250 ok\r\n500 what\r\n500 what")),
        ],
        exchange(*OFFERS_CHUNKING, *BY_DATA),
    )

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, liar)
        status = await sim.deliver(a_message())
        assert (status.succeeded, sim.loop.time()) == (True, 900.0)

    simulate(story, config=a_config())


def test_a_host_that_refuses_everybody_is_not_sent_chunks_in_vain() -> None:
    """RFC 3030 has the client send them before it knows."""
    server = SmtpServer(extensions=CHUNKING, on_rcpt="550 5.1.1 unknown")

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        for number in range(5):
            await sim.deliver(a_message(name=str(number)))

    simulate(story, config=a_config())

    assert verbs(server).count("BDAT") == 2


# -- LIMITS --------------------------------------------------------------------------------

TEN = [f"r{number}@dest.example" for number in range(10)]


@pytest.mark.parametrize(
    ("limits", "transactions", "sessions"),
    [
        ({"RCPTMAX": 3}, [3, 3, 3, 1], 1),
        ({"RCPTMAX": 3, "MAILMAX": 2}, [3, 3, 3, 1], 2),
        ({"RCPTMAX": 1, "MAILMAX": 1}, [1] * 10, 10),
    ],
)
@pytest.mark.parametrize("extensions", [DEFAULT_EXTENSIONS, CHUNKING], ids=["DATA", "BDAT"])
def test_a_host_is_asked_for_no_more_than_it_takes_and_all_is_one_try(
    extensions: frozenset[str], limits: Mapping[str, int], transactions: list[int], sessions: int
) -> None:
    """RFC 9422."""
    server = SmtpServer(limits=limits, extensions=extensions)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(a_message(), recipients=TEN)
        assert {outcome(status, address) for address in TEN} == {("delivered", "2.0.0", False, 1)}
        assert all(visits(status, address) == [("1", "dot", "delivered")] for address in TEN)
        assert sim.loop.time() == 0.0

    simulate(story, config=a_config())

    assert [len(message.recipients) for message in server.ledger.messages] == transactions
    assert (len(server.ledger.sessions), server.ledger.violations) == (sessions, ())


def test_a_session_whose_transactions_are_used_up_is_not_kept() -> None:
    """RFC 9422: MAILMAX."""
    server = SmtpServer(limits={"MAILMAX": 2})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        for number in range(5):
            assert (await sim.deliver(a_message(name=str(number)))).succeeded

    simulate(story, config=a_config())

    assert [verb for verb in verbs(server) if verb != "RCPT"] == [
        *["EHLO", "MAIL", "DATA", "MAIL", "DATA", "QUIT"] * 2, "EHLO", "MAIL", "DATA", "QUIT",
    ]  # fmt: skip
    assert not server.ledger.violations


def test_a_relay_that_takes_one_domain_a_session_gets_one_session_for_each() -> None:
    """RFC 9422: RCPTDOMAINMAX; an idle session of another domain is no hindrance, and makes room."""
    server = SmtpServer(limits={"RCPTDOMAINMAX": 1})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        sim.zone.records["other.example"] = sim.zone.records["dest.example"]
        for number, domain in enumerate(["dest.example", "other.example", "dest.example"]):
            message = a_message(name=str(number))
            assert (await sim.deliver(message, recipients=[f"you@{domain}"])).succeeded
            await asyncio.sleep(0.1)
            assert [session.ended_at for session in server.ledger.sessions].count(None) == 1

        told = [event.transaction for event in sim.events if event.transaction is not None]
        assert [transaction.recipients for transaction in told] == [1, 1, 1]

    simulate(story, config=a_config(max_sessions_per_lane=1))

    assert len(server.ledger.messages) == 3
    assert not server.ledger.violations
