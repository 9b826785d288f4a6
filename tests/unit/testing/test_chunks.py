"""BDAT and LIMITS as the strict receiving server speaks them."""

from __future__ import annotations

import pytest

from mailstrom.testing.chunks import ChunkArgument, read_bdat
from mailstrom.testing.smtp_server import DEFAULT_EXTENSIONS, SmtpServer
from tests.unit.testing.test_smtp_server import talk

HELLO = "EHLO me.example\r\n"
ENVELOPE = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n"
ACCEPTED = ["250 2.1.0 sender ok", "250 2.1.5 recipient ok"]
FIRST = "503 5.5.1 MAIL and RCPT first"


def chunking(**settings: object) -> SmtpServer:
    return SmtpServer(extensions=DEFAULT_EXTENSIONS | {"CHUNKING"}, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        ("0", ChunkArgument(size=0, is_last=False)),
        ("86 LAST", ChunkArgument(size=86, is_last=True)),
        ("86 last", ChunkArgument(size=86, is_last=True)),
        *((wrong, None) for wrong in ("", "x", "-1", "1.5", "86  LAST", "86 LAST ", "LAST", "１", "9" * 11)),
    ],
)
def test_a_chunk_has_a_size_and_may_be_the_last(argument: str, read: ChunkArgument | None) -> None:
    """RFC 3030 2."""
    assert read_bdat(argument) == read


def test_a_message_in_one_chunk_is_taken_as_it_is() -> None:
    server = chunking()

    replies = talk(server, HELLO, ENVELOPE + "BDAT 10 LAST\r\n..\r\n.\r\nx\r\nRSET\r\n")

    assert "250-CHUNKING" in replies[1]
    assert replies[2] == [*ACCEPTED, "250 2.0.0 taken as 1", "250 2.0.0 forgotten"]
    assert [message.content for message in server.ledger.messages] == [b"..\r\n.\r\nx\r\n"]
    assert server.ledger.violations == ()


def test_chunks_make_one_message_and_may_be_empty_at_the_end() -> None:
    """RFC 3030 2: where one ends means nothing, not even between CR and LF."""
    server = chunking()

    replies = talk(
        server, HELLO, ENVELOPE, "BDAT 2\r\na\r", "BDAT 3\r\n\nb\r", "BDAT 1\r\n\n", "BDAT 0 LAST\r\n"
    )

    assert replies[3:] == [
        ["250 2.0.0 2 octets"],
        ["250 2.0.0 3 octets"],
        ["250 2.0.0 1 octets"],
        ["250 2.0.0 taken as 1"],
    ]
    assert server.ledger.messages[0].content == b"a\r\nb\r\n"


def test_the_octets_of_a_refused_chunk_are_read_and_dropped() -> None:
    """RFC 3030 2: and RSET comes next."""
    server = chunking(on_rcpt="550 5.1.1 no")

    replies = talk(
        server, HELLO, ENVELOPE + "BDAT 6 LAST\r\nQUIT\r\n", "MAIL FROM:<>\r\n", "RSET\r\n", ENVELOPE
    )

    assert replies[2] == ["250 2.1.0 sender ok", "550 5.1.1 no", FIRST]
    assert replies[3] == ["503 5.5.1 RSET first"]
    assert replies[5] == ["250 2.1.0 sender ok", "550 5.1.1 no"]
    assert server.ledger.violations == ("MAIL FROM:<>: 503 5.5.1 RSET first",)


@pytest.mark.parametrize("content", ["554 5.7.1 no", "451 4.3.0 later"])
def test_the_hook_for_content_answers_the_last_chunk(content: str) -> None:
    server = chunking(on_content=content)

    replies = talk(
        server, HELLO, ENVELOPE, "BDAT 2\r\n\r\n", "BDAT 2 LAST\r\n\r\n", "BDAT 0 LAST\r\n", ENVELOPE
    )

    assert replies[3:6] == [["250 2.0.0 2 octets"], [content], [FIRST]]
    assert replies[6] == ["503 5.5.1 RSET first"] * 2
    assert server.ledger.messages == ()


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("BDAT\r\n", "501 5.5.4 not the syntax of BDAT"),
        ("BDAT 2\r\n\r\nDATA\r\n", "503 5.5.1 DATA has no place beside BDAT"),
        ("BDAT 2\r\n\r\nRCPT TO:<c@y.example>\r\n", "503 5.5.1 MAIL first"),
        ("BDAT 3 LAST\r\na\n.", "550 5.6.0 bare LF in content"),
    ],
)
def test_what_no_correct_client_sends_is_refused_and_noted(said: str, reply: str) -> None:
    server = chunking()

    replies = talk(server, HELLO, ENVELOPE, said)

    assert replies[3][-1] == reply
    assert len(server.ledger.violations) == 1
    assert server.ledger.messages == ()


def test_without_chunking_bdat_is_not_known_and_its_octets_are_commands() -> None:
    replies = talk(SmtpServer(), HELLO, ENVELOPE, "BDAT 6 LAST\r\nRSET\r\n")

    assert replies[3] == ["502 5.5.1 command not implemented", "250 2.0.0 forgotten"]


def test_a_chunk_that_does_not_come_ends_the_session() -> None:
    server = chunking()

    talk(server, HELLO, ENVELOPE, "BDAT 10 LAST\r\nx")

    assert server.ledger.messages == ()
    assert server.ledger.sessions[0].ended_at is not None


# -- LIMITS --------------------------------------------------------------------------------


def test_limits_are_offered_and_passing_them_is_noted() -> None:
    """RFC 9422: in a session, or in a transaction."""
    server = SmtpServer(limits={"MAILMAX": 2, "RCPTMAX": 1, "RCPTDOMAINMAX": 1})
    rcpt = "RCPT TO:<b@y.example>\r\n"

    replies = talk(
        server,
        HELLO,
        "MAIL FROM:<>\r\n",
        rcpt,
        rcpt,
        "RSET\r\n",
        "MAIL FROM:<>\r\n",
        "RCPT TO:<b@Z.example>\r\n",
        rcpt.upper(),
        "RSET\r\n",
        "MAIL FROM:<>\r\n",
    )

    assert "250 LIMITS MAILMAX=2 RCPTMAX=1 RCPTDOMAINMAX=1" in replies[1]
    assert [heard[0] for heard in replies[3:]] == [
        "250 2.1.5 recipient ok",
        "452 4.5.3 RCPTMAX=1",
        "250 2.0.0 forgotten",
        "250 2.1.0 sender ok",
        "452 4.5.3 RCPTDOMAINMAX=1",
        "452 4.5.3 RCPTMAX=1",
        "250 2.0.0 forgotten",
        "452 4.5.3 MAILMAX=2",
    ]
    assert len(server.ledger.violations) == 4
