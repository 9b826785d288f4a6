"""Packets end anywhere; some servers end lines with LF alone."""

from __future__ import annotations

import re
import ssl

import pytest
import trustme

from mailstrom import RecipientStatus
from mailstrom.testing.script import Step, drip, expect, send_parts, send_split, start_tls
from mailstrom.testing.smtp_server import ScriptedServer
from tests.builders import a_config, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU, a_message

TWO = [YOU, "b@dest.example"]
PIPELINED = [
    ("CONNECT", b"220-mx.dest.example ESMTP\r\n220 no spam\r\n"),
    ("EHLO", b"250-mx.dest.example\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n"),
    ("MAIL+RCPT+RCPT+DATA", b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n550-5.1.1 un\r\n550 5.1.1 known\r\n354 go\r\n"),
    ("<content>", b"250-2.0.0 taken\r\n250 2.0.0 as 4711\r\n"),
]
ONE_BY_ONE = [
    ("CONNECT", b"220 mx.dest.example ESMTP\r\n"),
    ("EHLO", b"250 mx.dest.example\r\n"),
    ("MAIL", b"250 2.1.0 ok\r\n"),
    ("RCPT", b"250 2.1.5 ok\r\n"),
    ("RCPT", b"550-5.1.1 un\r\n550 5.1.1 known\r\n"),
    ("DATA", b"354 go\r\n"),
    ("<content>", b"250-2.0.0 taken\r\n250 2.0.0 as 4711\r\n"),
]
DIALOGUES = {"pipelined": PIPELINED, "one by one": ONE_BY_ONE}
REPLIES = [(kind, place) for kind, dialogue in DIALOGUES.items() for place in range(len(dialogue))]

Exchange = list[tuple[str, bytes]]


def told(steps: list[Step]) -> list[tuple[object, ...]]:
    """What the recipients' statuses say after that dialogue, without the times."""
    server = ScriptedServer([*steps, expect("QUIT")])

    async def story(sim: LoneEngine) -> list[tuple[object, ...]]:
        with_mx(sim, server)
        status = await sim.first_try(a_message(), recipients=TWO)
        return [_facts(recipient) for recipient in status]

    facts = simulate(story, config=a_config())

    assert server.transcripts[0].contents == [a_message()]
    assert len(server.transcripts) == 1
    return facts


def whole(dialogue: Exchange) -> list[Step]:
    """Each reply in one packet."""
    return [step for command, reply in dialogue for step in (expect(command), send_parts([reply]))]


@pytest.fixture(scope="module")
def expected() -> list[tuple[object, ...]]:
    return told(whole(PIPELINED))


def test_the_whole_replies_say_what_they_should(expected: list[tuple[object, ...]]) -> None:
    """Row 22: the standard that the others are held to."""
    assert [facts[:4] for facts in expected] == [
        ("delivered", 1, "250 2.0.0 taken as 4711", False),
        ("failed", 1, "550 5.1.1 un known", False),
    ]


@pytest.mark.parametrize(("kind", "place"), REPLIES)
def test_a_reply_split_anywhere_says_the_same(
    kind: str, place: int, expected: list[tuple[object, ...]]
) -> None:
    """Row 22: every split point of every reply."""
    command, reply = DIALOGUES[kind][place]
    before, after = whole(DIALOGUES[kind][:place]), whole(DIALOGUES[kind][place + 1 :])

    heard = [
        told([*before, expect(command), send_split(reply, at=at, pause_secs=0.5), *after])
        for at in range(1, len(reply))
    ]

    assert heard == [expected] * (len(reply) - 1)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("kind", DIALOGUES)
def test_replies_in_crumbs_say_the_same(kind: str, size: int, expected: list[tuple[object, ...]]) -> None:
    """Row 22."""
    crumbs = [
        step for command, reply in DIALOGUES[kind] for step in (expect(command), drip(reply, size=size))
    ]

    assert told(crumbs) == expected


@pytest.mark.parametrize("which", ["all", "first", "last"])
@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("kind", DIALOGUES)
def test_lines_that_end_with_lf_alone_say_the_same(
    kind: str, size: int, which: str, expected: list[tuple[object, ...]]
) -> None:
    """Row 22: bare LF is accepted from servers."""
    bare = [(command, _with_bare_lf(reply, which)) for command, reply in DIALOGUES[kind]]

    assert told([s for command, reply in bare for s in (expect(command), drip(reply, size=size))]) == expected


@pytest.mark.parametrize("at", range(1, len(b"220 2.0.0 go\r\n")))
def test_the_reply_to_starttls_may_be_split_as_well(
    at: int, tls_context: ssl.SSLContext, expected: list[tuple[object, ...]]
) -> None:
    """Row 22, row 28: what belongs to the reply is not taken for octets injected behind it."""
    greeting, offer, *rest = PIPELINED
    in_clear = [greeting, ("EHLO", b"250-mx.dest.example\r\n250 STARTTLS\r\n")]
    go = b"220 2.0.0 go\r\n"
    secured = [expect("STARTTLS"), send_parts([go[:at], go[at:]], 0.5), start_tls(tls_context)]

    assert told([*whole(in_clear), *secured, *whole([offer, *rest])]) == expected


@pytest.fixture(scope="module")
def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx1.dest.example").configure_cert(context)
    return context


def _with_bare_lf(reply: bytes, which: str) -> bytes:
    if which == "last":
        return reply[:-2] + b"\n"
    return re.sub(rb"\r\n", b"\n", reply, count=0 if which == "all" else 1)


def _facts(recipient: RecipientStatus) -> tuple[object, ...]:
    result = recipient.result
    attempts = [(a.host, a.ip, a.phase, a.reply, a.state, a.reason) for a in recipient.attempts]
    return (result.state, result.tries, str(result.reply), result.uncertain, result.reason, *attempts)
