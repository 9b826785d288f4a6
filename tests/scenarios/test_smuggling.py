"""Content that looks like its own end, or like commands behind it: it arrives whole, or not at all."""

from __future__ import annotations

import email.message
import email.policy
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailstrom import MailstromError, MemoryStorage, MessageError
from mailstrom.abc import PreparedEmail
from mailstrom.message.prepare import prepare
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, SmtpServer
from tests.builders import a_config, an_email, with_mx
from tests.lone_engine import LoneEngine, simulate
from tests.scenarios.stages import YOU

#: What some server takes for a line end or for an empty line, and what may stand on both sides of a dot.
BEFORE = [
    b"\n", b"\r", b"\r\n", b"\r\r", b"\r\r\n", b"\n\r", b"\n\n", b"\r\n\0", b"\0", b"\n\0", b"\r\0", b"\r\n ",
    b"\x0b", b"\x0c", b"\x1a", b"\x85", b"\xe2\x80\xa8", b"\r\n.\n", b"\n.\r\n", b"",
]  # fmt: skip
AFTER = [
    b"\n", b"\r", b"\r\n", b"\r\r", b"\r\r\n", b"\n\r", b"\n\n", b"\0\r\n", b"\0\n", b"\r\n.\r", b"\n.\r\n",
    b".\r\n", b" \r\n", b"\x85", b"\xe2\x80\xa8", b"\x1a\r\n",
]  # fmt: skip
PAIRS = [(before, after) for before in BEFORE for after in AFTER]

HEAD = (
    b"From: no-reply@sender.example\r\nTo: you@dest.example\r\nMessage-ID: <%d@sender.example>\r\n"
    b"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\n\r\n"
)
SMUGGLED = (
    b"MAIL FROM:<ceo@dest.example>\r\nRCPT TO:<staff@dest.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nhi"
)


def a_body(before: bytes, after: bytes, line_end: bytes = b"\r\n") -> bytes:
    """A dot between the two, and a whole transaction behind it."""
    smuggled = SMUGGLED.replace(b"\r\n", line_end)
    return b"first line" + before + b"." + after + smuggled + before + b"." + after + b"end" + line_end


def is_clean(content: bytes) -> bool:
    """CR and LF come as CRLF only."""
    return content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")


def sent_through(emails: list[object], **settings: object) -> tuple[SmtpServer, list[object]]:
    """What a strict server made of the emails, and what was refused at the call, by place."""
    server = SmtpServer(**settings)
    refused: list[object] = [None] * len(emails)

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        for place, each in enumerate(emails):
            try:
                status = await sim.deliver(each, recipients=[YOU])
            except MessageError as error:
                refused[place] = error.field
            else:
                assert status.succeeded, status

    simulate(story, config=a_config())
    return server, refused


def test_the_pairs_are_as_many_as_they_should_be() -> None:
    assert len(set(PAIRS)) >= 300


@pytest.mark.parametrize("pipelining", [True, False])
def test_finished_octets_with_odd_dots_arrive_as_they_are_or_are_refused_at_the_call(
    pipelining: bool,
) -> None:
    """Threat S5: 320 pairs around a dot, through a strict sink; none is repaired, none ends the content."""
    emails = [HEAD % number + a_body(*pair) for number, pair in enumerate(PAIRS)]

    server, refused = sent_through(
        list(emails), extensions=DEFAULT_EXTENSIONS if pipelining else DEFAULT_EXTENSIONS - {"PIPELINING"}
    )

    accepted = [each for each, field in zip(emails, refused, strict=True) if field is None]
    assert [message.content for message in server.ledger.messages] == accepted
    assert server.ledger.violations == ()
    assert {message.recipients for message in server.ledger.messages} == {(YOU,)}
    assert all(is_clean(each) and b"\0" not in each for each in accepted)
    for each, field in zip(emails, refused, strict=True):
        assert (field is None) is (is_clean(each) and b"\0" not in each)
    assert {field for field in refused if field} == {"content"}
    assert 40 < len(accepted) < len(emails)


def test_unix_octets_are_mended_as_a_whole_or_refused() -> None:
    """Threat S5: every line end LF becomes CRLF, and its dots are doubled after that."""
    emails = [HEAD.replace(b"\r\n", b"\n") % n + a_body(*pair, b"\n") for n, pair in enumerate(PAIRS)]

    server, refused = sent_through(list(emails))

    accepted = [each for each, field in zip(emails, refused, strict=True) if field is None]
    assert all(b"\r" not in each and b"\0" not in each for each in accepted)
    assert [m.content for m in server.ledger.messages] == [each.replace(b"\n", b"\r\n") for each in accepted]
    assert server.ledger.violations == ()
    assert len(accepted) > 10


def test_texts_with_odd_dots_arrive_as_one_message_of_clean_lines() -> None:
    """Threat S5: the text of an `Email` has its line ends made CRLF before anything else."""
    texts = [a_body(*pair).decode("utf-8", "surrogateescape") for pair in PAIRS]
    emails: list[object] = []
    for text in texts:
        with suppress(MessageError):
            emails.append(an_email(text=text))

    server, refused = sent_through(emails)

    assert refused == [None] * len(emails)
    assert len(server.ledger.messages) == len(emails) > 100
    assert server.ledger.violations == ()
    for message in server.ledger.messages:
        assert is_clean(message.content)
        assert message.recipients == (YOU,)


def test_messages_of_the_standard_library_arrive_as_one_message_of_clean_lines() -> None:
    """Threat S5: `EmailMessage.as_bytes` writes bare LF and passes on a bare CR."""
    emails: list[object] = []
    for pair in PAIRS:
        message = email.message.EmailMessage(policy=email.policy.default)
        message["From"], message["To"] = "no-reply@sender.example", YOU
        message.set_content(a_body(*pair).decode("utf-8", "replace"))
        emails.append(message)

    server, refused = sent_through(emails)

    accepted = refused.count(None)
    assert len(server.ledger.messages) == accepted > 100
    assert server.ledger.violations == ()
    assert all(is_clean(message.content) for message in server.ledger.messages)


@pytest.mark.parametrize("where", [0, 1, 2, 65_535, 65_536, 65_537, 131_071])
def test_dots_at_the_borders_of_blocks_are_doubled_once(where: int) -> None:
    """Threat S5: the content is written in blocks; a line end may be cut in two by a border."""
    head = HEAD % 1
    filler = b"x" * 70 + b"\r\n"
    start = max(where - len(head), 0)
    body = (filler * (start // len(filler) + 1))[:start].rstrip(b"\r\n")
    body = body + b"y" * (start - len(body)) + b"\r\n.\r\n..\r\n.end\r\n" + filler * 1000 + b".\r\n"

    server, refused = sent_through([head + body])

    assert refused == [None]
    assert [message.content for message in server.ledger.messages] == [head + body]
    assert server.ledger.violations == ()


@pytest.mark.parametrize("pair", [p for p in PAIRS if not is_clean(a_body(*p))][::7], ids=repr)
def test_a_storage_that_spoils_the_content_does_not_get_it_onto_the_wire(pair: tuple[bytes, bytes]) -> None:
    """Threat S5: checked once more on what is about to be sent; the message fails, nothing is sent."""

    class Spoiling(MemoryStorage):
        def retrieve(self, message_id: str) -> tuple[PreparedEmail, object]:  # type: ignore[override]
            email, status = super().retrieve(message_id)
            return replace(email, content=email.content + a_body(*pair)), status

    server = SmtpServer()

    async def story(sim: LoneEngine) -> None:
        with_mx(sim, server)
        status = await sim.deliver(an_email())
        result = status[YOU].result
        assert (result.state, str(result.enhanced_code)) == ("failed", "5.6.0")

    simulate(story, config=a_config(), storage=Spoiling())

    assert not server.ledger.messages
    assert server.ledger.violations == ()
    assert not any("smuggled" in command for s in server.ledger.sessions for command in s.commands)


def test_what_is_prepared_is_clean_whatever_was_given() -> None:
    """Threat S5: line ends are settled when the email is prepared, where a signature would be made."""
    now = datetime(2026, 1, 5, tzinfo=UTC)
    for number, pair in enumerate(PAIRS):
        for given in (
            HEAD % number + a_body(*pair),
            HEAD.replace(b"\r\n", b"\n") % number + a_body(*pair, b"\n"),
        ):
            try:
                prepared = prepare(given, recipients=[YOU], now=now, random_id="1").email
            except MailstromError:
                continue
            assert is_clean(prepared.content)
