"""`message.wire`: from content to the octets of DATA."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.wire import (
    CHUNK_OCTETS,
    DotStuffer,
    check_line_ends,
    dot_stuffed,
    dot_stuffed_chunks,
    whole_chunk,
)

PIECES = st.lists(st.sampled_from([b"\r\n", b".", b"\r\n.", b"..", b"a", b"bc", b"\x00", b"\xff"]))


@given(PIECES, st.integers(min_value=1, max_value=9))
def test_chunks_of_any_size_make_the_same_octets(pieces: list[bytes], size: int) -> None:
    """RFC 5321 4.5.2."""
    content = b"".join(pieces)

    chunks = list(dot_stuffed_chunks(content, size))

    assert b"".join(chunks) == dot_stuffed(content)
    assert all(chunks)


@given(PIECES)
def test_a_content_of_one_chunk_is_the_same_octets(pieces: list[bytes]) -> None:
    content = b"".join(pieces)

    assert list(dot_stuffed_chunks(content)) == [dot_stuffed(content)]


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"x"])), st.integers(min_value=1, max_value=5))
def test_a_bare_cr_or_lf_is_never_passed_on(pieces: list[bytes], size: int) -> None:
    """S5; RFC 5321 2.3.8."""
    content = b"".join(pieces)
    rest = content.replace(b"\r\n", b"")
    stuffer = DotStuffer()
    chunks = [content[start : start + size] for start in range(0, len(content), size)]

    if b"\r" not in rest and b"\n" not in rest:
        assert b"".join(map(stuffer.stuffed, chunks)) + stuffer.end() == dot_stuffed(content)
        return

    with pytest.raises(MessageError, match="CRLF"):
        dot_stuffed(content)
    with pytest.raises(MessageError, match="CRLF"):
        b"".join([*map(stuffer.stuffed, chunks), stuffer.end()])


@pytest.mark.parametrize(
    ("content", "where"),
    (
        (b"a\r\nb\nc", "LF at octet 4"),
        (b"a\rb\r\n", "CR at octet 1"),
        (b"a\r\n\r", "CR at the end"),
        (b"\n", "LF at octet 0"),
    ),
)
def test_the_error_says_where_the_line_end_is_broken(content: bytes, where: str) -> None:
    with pytest.raises(MessageError) as caught:
        dot_stuffed(content)

    assert (caught.value.field, caught.value.given) == ("content", f"'{where}'")


def test_nothing_is_sent_of_content_that_is_broken_further_on() -> None:
    """S5: a transaction is not begun that cannot be finished."""
    content = b"a" * 100 + b"\n"

    with pytest.raises(MessageError):
        next(dot_stuffed_chunks(content, 10))


@pytest.mark.parametrize("lines", [0, 1, 2 * CHUNK_OCTETS // 10])
@pytest.mark.parametrize("bare", [b"\r", b"\n", b"\n\r", b"\r\r\n", b"\r\n\n"])
def test_a_bare_line_end_is_seen_in_a_content_of_any_length(bare: bytes, lines: int) -> None:
    """S5."""
    content = b"ten octets\r\n" * lines

    check_line_ends(content)
    with pytest.raises(MessageError):
        check_line_ends(content + bare)


@pytest.mark.parametrize(
    ("content", "chunk"),
    [(b"", b""), (b"a", b"a\r\n"), (b".\r\n..\r\n", b".\r\n..\r\n"), (b"a\r\n.", b"a\r\n.\r\n")],
)
def test_a_chunk_is_the_content_with_a_line_end(content: bytes, chunk: bytes) -> None:
    """RFC 3030 2: nothing is doubled, what DATA adds is added."""
    assert whole_chunk(content) == chunk


@pytest.mark.parametrize("content", [b"a\nb", b"a\rb", b"a\r", b"\n"])
def test_a_chunk_has_no_bare_line_end(content: bytes) -> None:
    """Threat S5."""
    with pytest.raises(MessageError):
        whole_chunk(content)
