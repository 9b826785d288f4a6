"""The strict reader of DATA, octet by octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.testing.data_reader import DataReader, ReceivedData, read_data

_LINE = st.text(alphabet=st.sampled_from("ab. \t"), max_size=6)


def stuffed(lines: list[str]) -> bytes:
    return b"".join(
        (b"." + line.encode() if line.startswith(".") else line.encode()) + b"\r\n" for line in lines
    )


@given(st.lists(_LINE, max_size=6), st.integers(min_value=0, max_value=60))
def test_doubled_dots_are_undone_however_the_octets_are_split(lines: list[str], at: int) -> None:
    """RFC 5321 4.5.2"""
    wire = stuffed(lines) + b".\r\nQUIT\r\n"

    reader = DataReader()
    reader.feed(wire[:at])
    reader.feed(wire[at:])

    content = "".join(line + "\r\n" for line in lines).encode()
    assert reader.result() == ReceivedData(content=content, rest=b"QUIT\r\n")


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\r.\r",
        b"\n.\r\n",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r\n\0.\r\n",
        b".\r\n",
        b"\r\n..\r\n",
    ],
)
def test_nothing_but_crlf_dot_crlf_ends_the_content(end: bytes) -> None:
    """RFC 5321 4.1.1.4; what "SMTP smuggling" relies on."""
    reader = DataReader()

    assert not reader.feed(b"one" + end + b"MAIL FROM:<a@b.example>\r\n")
    assert reader.feed(b".\r\n")


@pytest.mark.parametrize(
    ("wire", "fault"),
    [
        (b"a\rb\r\n.\r\n", "bare CR in content"),
        (b"a\nb\r\n.\r\n", "bare LF in content"),
        (b"a\r\r\n.\r\n", "bare CR in content"),
        (b"\n\r\n.\r\n", "bare LF in content"),
        (b"a\r\n", "ended before the final dot"),
    ],
)
def test_what_is_not_made_of_whole_lines_has_a_fault(wire: bytes, fault: str) -> None:
    """RFC 5321 2.3.8: CR and LF stand only together."""
    assert read_data(wire).fault == fault
