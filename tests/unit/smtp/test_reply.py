"""The reply parser: strict, whatever the chunks, in linear time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.smtp.reply import ParsedReply, ReplyError, ReplyParser, ehlo_extensions
from mailstrom.status import EnhancedCode, Reply

SEVERAL = b"250-mx.example greets you\r\n250-SIZE 1000\r\n250 PIPELINING\r\n354 go\r\n550 5.1.1 no\n"


def replies(chunks: Iterable[bytes]) -> list[ParsedReply]:
    parser, found = ReplyParser(), []
    for chunk in chunks:
        parser.feed(chunk)
        while (reply := parser.next()) is not None:
            found.append(reply)
    return found


def error_of(octets: bytes) -> str:
    with pytest.raises(ReplyError) as caught:
        replies([octets])
    return str(caught.value)


@pytest.mark.parametrize("at", range(len(SEVERAL)))
def test_a_reply_split_anywhere_is_the_same(at: int) -> None:
    """Row 22."""
    whole = replies([SEVERAL])

    assert replies([SEVERAL[:at], SEVERAL[at:]]) == whole


def test_a_reply_may_arrive_octet_by_octet() -> None:
    """Row 22."""
    assert replies(bytes([octet]) for octet in SEVERAL) == [
        ParsedReply(250, None, ("mx.example greets you", "SIZE 1000", "PIPELINING")),
        ParsedReply(354, None, ("go",)),
        ParsedReply(550, EnhancedCode(5, 1, 1), ("no",)),
    ]


@pytest.mark.parametrize(
    "octets",
    [
        b"2500 ok\r\n",
        b"250xok\r\n",
        b"25\r\n",
        b"+50 x\r\n",
        b"150 x\r\n",
        b"650 x\r\n",
        b"550-no\r\n250 yes\r\n",
        b"250-a\r\n\r\n250 b\r\n",
        b"250 a\rb\r\n",
        b"250 a\r\r\n",
        "２５０ ok\r\n".encode(),
        b"\x00250 ok\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
)
def test_what_does_not_fit_the_grammar_is_no_reply(octets: bytes) -> None:
    """Row 18; RFC 5321 4.2: three digits from 2yz to 5yz, the same ones in a block."""
    assert error_of(octets)


def test_after_an_error_nothing_more_is_believed() -> None:
    """Row 18."""
    parser = ReplyParser()
    parser.feed(b"garbage\r\n250 ok\r\n")
    with pytest.raises(ReplyError):
        parser.next()

    parser.feed(b"250 ok\r\n")

    with pytest.raises(ReplyError):
        parser.next()
    assert parser.pending


@pytest.mark.parametrize("octets", [b"250 " + b"x" * 4093, b"250 " + b"x" * 4091 + b"\r\n"])
def test_a_line_of_more_than_4096_octets_is_refused_whether_it_ends_or_not(octets: bytes) -> None:
    """Row 17."""
    assert error_of(octets) == "a reply line of more than 4096 octets"


def test_a_line_of_4096_octets_is_taken() -> None:
    """Row 17."""
    assert len(replies([b"250 " + b"x" * 4090 + b"\r\n"])[0].lines[0]) == 4090


@pytest.mark.parametrize("octets", [b"250-x\r\n" * 129, (b"250-" + b"x" * 4000 + b"\r\n") * 9])
def test_a_reply_of_too_many_lines_or_octets_is_refused(octets: bytes) -> None:
    """Row 16."""
    assert error_of(octets) == "a reply of more than 128 lines or 32768 octets"


def test_what_is_behind_a_reply_stays_pending() -> None:
    """Row 20."""
    parser = ReplyParser()
    parser.feed(b"354 go\r\n250 ghost\r\n")

    reply = parser.next()

    assert (reply, parser.pending, parser.rest) == (ParsedReply(354, None, ("go",)), True, b"250 ghost\r\n")


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_any_octets_give_the_same_however_they_are_cut(octets: bytes, cuts: list[int]) -> None:
    """Rows 18, 22."""
    bounds = sorted({0, len(octets), *(cut for cut in cuts if cut < len(octets))})
    chunks = [octets[start:end] for start, end in pairwise(bounds)]

    assert _outcome(chunks) == _outcome([octets])


def _outcome(chunks: list[bytes]) -> object:
    try:
        return replies(chunks)
    except ReplyError as error:
        return str(error)


@given(st.binary(max_size=200).map(lambda text: text.replace(b"\r", b"").replace(b"\n", b"")))
def test_whatever_the_text_its_clean_form_is_printable_ascii(said: bytes) -> None:
    """Rows 18, 19."""
    (reply,) = replies([b"250 " + said + b"\r\n"])

    text = reply.reply.text

    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 1024


def test_octets_that_are_not_utf8_are_shown_escaped() -> None:
    """Row 19."""
    (reply,) = replies([b"250 \x00\xff\x1b[2J\r\n"])

    assert reply.reply == Reply(code=250, text="?\\xff?[2J")


@pytest.mark.parametrize("size", [1, 17, 65536])
def test_ten_times_the_input_takes_at_most_about_ten_times_as_long(size: int) -> None:
    """Threat S21: linear time whatever the chunks."""
    small, large = _seconds(3_000, size), _seconds(30_000, size)

    assert large <= 12 * max(small, 0.0005) + 0.05


def _seconds(count: int, size: int) -> float:
    octets = b"250-" + b"x" * 76 + b"\r\n"
    octets = (octets * 3 + b"250 end\r\n") * (count // 300)
    chunks = [octets[start : start + size] for start in range(0, len(octets), size)]
    times = []
    for _ in range(3):
        began_at = time.process_time()
        replies(chunks)
        times.append(time.process_time() - began_at)
    return min(times)


@pytest.mark.parametrize(
    ("lines", "extensions"),
    [
        (("mx", "SIZE 10", "size 20"), {"SIZE": "10"}),
        (("SIZE 10", "8bitmime", ""), {"8BITMIME": ""}),
        (("mx", "AUTH=PLAIN LOGIN", "AUTH CRAM-MD5"), {"AUTH": "PLAIN LOGIN CRAM-MD5"}),
        (("mx", "=X", "PIPELINING_X", "STARTTLS"), {"STARTTLS": ""}),
    ],
)
def test_extensions_are_the_keywords_after_the_first_line(
    lines: tuple[str, ...], extensions: dict[str, str]
) -> None:
    """RFC 5321 4.1.1.1."""
    assert ehlo_extensions(ParsedReply(250, None, lines)) == extensions
