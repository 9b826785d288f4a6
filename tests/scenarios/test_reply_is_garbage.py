"""Octets that are no reply, and replies with octets that no storage wants."""

from __future__ import annotations

import json
import random
import sqlite3

import pytest

from mailstrom import MessageStatus
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import (
    BEFORE_THE_DOT,
    YOU,
    a_config_for,
    a_message,
    open_connections,
    outcome,
    phase_of,
    server_that,
    visits,
    with_hosts,
)

STAGES = (*BEFORE_THE_DOT, "content")
ALONE = DEFAULT_EXTENSIONS - {"PIPELINING"}
CHANCE = random.Random(18)

GARBAGE = {
    "no space": b"250xok\r\n",
    "four digits": b"2500 ok\r\n",
    "two digits": b"25 ok\r\n",
    "two codes": b"550-no\r\n250 yes\r\n",
    "1yz": b"150 ok\r\n",
    "6yz": b"650 ok\r\n",
    "empty line": b"\r\n",
    "space first": b" 250 ok\r\n",
    "tab": b"250\tok\r\n",
    "NUL first": b"\x00250 ok\r\n",
    "NUL in the code": b"2\x0050 ok\r\n",
    "ESC": b"\x1b[2J250 ok\r\n",
    "bare CR": b"250 ok\r250 ok\r\n",
    "full-width digits": "２５０ ok\r\n".encode(),
    "BOM": b"\xef\xbb\xbf250 ok\r\n",
    "HTTP": b"HTTP/1.1 200 OK\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\x05hello\r\n",
    **{f"random {n}": CHANCE.randbytes(60).replace(b"\n", b"") + b"\r\n" for n in range(5)},
}

TEXTS = {
    "NUL and not UTF-8": b"\x00\xff",
    "ESC": b"\x1b[31mred\x1b[0m",
    "a lone surrogate": b"\xed\xa0\x80",
    "UTF-8": "grüße \u202e \u2028 \U0001f4e7".encode(),
    "Latin-1": b"gr\xfc\xdfe",
    "DEL and C1": b"\x7f\x9b31m",
    "long": b"y" * 3000,
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_reply_is_never_taken_for_one(kind: str, stage: str) -> None:
    """Row 18: 4.5.0, after the dot uncertain. aiosmtplib takes `250xok` and `550-no`/`250 yes` for 250;
    in the crate what could not be parsed was a permanent failure."""

    async def story(sim: LoneEngine) -> None:
        with_hosts(sim, server_that(GARBAGE[kind], stage, extensions=ALONE))
        status = await sim.first_try(a_message(stage), recipients=[YOU])
        assert outcome(status) == ("deferred", "4.5.0", stage == "content", 1)
        assert visits(status) == [("1", phase_of(stage), "deferred")]
        assert await open_connections(sim) == 0
        assert_storable(status)

    simulate(story, config=a_config_for(stage))


@pytest.mark.parametrize("stage", ["rset", "quit"])
@pytest.mark.parametrize("kind", GARBAGE)
def test_between_two_messages_it_touches_no_result(kind: str, stage: str) -> None:
    """Row 18: the session is not used any further."""
    server = SmtpServer(on_rcpt=["550 5.1.1 unknown"], **{f"on_{stage}": GARBAGE[kind]})

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        first = await sim.first_try(a_message(), recipients=["a@dest.example"])
        assert outcome(first, "a@dest.example") == ("failed", "5.1.1", False, 1)
        assert outcome(await sim.deliver(an_email())) == ("delivered", "2.0.0", False, 1)

    simulate(story, config=a_config())


@pytest.mark.parametrize("kind", GARBAGE)
def test_the_next_mx_is_asked(kind: str) -> None:
    """Row 18."""
    second = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(on_mail=GARBAGE[kind]), second)
        assert outcome(await sim.deliver(an_email())) == ("delivered", "2.0.0", False, 1)

    simulate(story, config=a_config())

    assert len(second.ledger.messages) == 1


@pytest.mark.parametrize("kind", TEXTS)
def test_a_delivery_is_stored_whatever_the_server_adds_to_its_yes(kind: str) -> None:
    """Row 19: cleaned before it is stored, else it could not be and the message went out for ever."""
    server = SmtpServer(on_content=b"250 2.0.0 " + TEXTS[kind] + b"\r\n")

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(a_message(), recipients=[YOU])
        assert outcome(status) == ("delivered", "2.0.0", False, 1)
        assert_storable(status)

    simulate(story, config=a_config())

    assert [message.content for message in server.ledger.messages] == [a_message()]


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data", "content"])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_refusal_is_stored_whatever_its_text(kind: str, stage: str) -> None:
    """Row 18: printable ASCII of at most 1 KB."""

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, SmtpServer(**{f"on_{stage}": b"450 4.2.1 " + TEXTS[kind] + b"\r\n"}))
        status = await sim.first_try(an_email())
        assert outcome(status) == ("deferred", "4.2.1", False, 1)
        assert_storable(status)

    simulate(story, config=a_config())


def assert_storable(status: MessageStatus) -> None:
    """Every text is printable ASCII and short, and goes into a database and comes back."""
    written = json.dumps(status.to_dict(), ensure_ascii=False)
    assert written.isascii()
    assert written.isprintable()
    recipient = status[YOU]
    for reply in (recipient.result.reply, *(attempt.reply for attempt in recipient.attempts)):
        assert reply is None or len(reply.text) <= 1024
    for text in (recipient.result.reason, str(recipient.result)):
        assert text is not None
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 1500
    database = sqlite3.connect(":memory:")
    assert database.execute("select ?", (written,)).fetchone() == (written,)
    database.close()
    assert MessageStatus.from_dict(json.loads(written)) == status
