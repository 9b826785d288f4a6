"""`message.finished`: whether octets can be sent as they stand, and where their fields are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.reading.finished import (
    COPIED_OCTETS,
    Field,
    crlf_content,
    field_label,
    read_header,
    split_header,
)
from tests.unit.message.proportion import assert_in_proportion

BODY = b"\r\nHi.\r\n"


def refusal(content: bytes) -> MessageError:
    with pytest.raises(MessageError) as caught:
        read_header(crlf_content(content))
    return caught.value


# --- line ends


@pytest.mark.parametrize(
    ("content", "expected"),
    (
        (b"a\r\n\r\nb\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\n\nb\n", b"a\r\n\r\nb\r\n"),
        (b"a\n\nb", b"a\r\n\r\nb"),
        (b"", b""),
        (b"x" * 998 + b"\r\n" + b"y" * 998, b"x" * 998 + b"\r\n" + b"y" * 998),
    ),
)
def test_lines_end_with_crlf_or_every_one_of_them_with_lf(content: bytes, expected: bytes) -> None:
    """RFC 5322 2.1, 2.1.1."""
    assert crlf_content(content) == expected
    assert crlf_content(content, obsolete=True) == expected


@pytest.mark.parametrize(
    ("content", "at", "given_as"),
    (
        (b"a\r\nb\nc\r\n", 4, "first bare LF at octet 4"),
        (b"a\nb\r\n", 1, "first bare LF at octet 1"),
        (b"a\r\nb\rc\r\n", 4, "first bare CR at octet 4"),
        (b"a\n\rb\n", 2, "first bare CR at octet 2"),
        (b"a\r\n\0", 3, "NUL at octet 3"),
        (b"a\r\n" + b"x" * 999 + b"\r\n", 3, "longer line at octet 3"),
        (b"x" * 999, 0, "longer line at octet 0"),
    ),
)
def test_what_receivers_disagree_about_is_refused_with_its_place(
    content: bytes, at: int, given_as: str
) -> None:
    """S5; RFC 5322 2.1.1, 2.3, 4.1."""
    with pytest.raises(MessageError) as caught:
        crlf_content(content)

    assert (caught.value.field, caught.value.at) == ("content", at)
    assert given_as in caught.value.given
    if b"\r\n" in content and b"x" not in content:  # obsolete syntax, but for the long line
        assert crlf_content(content, obsolete=True) == content


@given(st.text("ab\r\n", max_size=8))
def test_the_line_ends_of_a_long_content_are_judged_as_those_of_a_short_one(end: str) -> None:
    """S5: short contents are compared with a copy, long ones are counted."""
    short, lines = b"a\r\n" + end.encode(), b"a\r\n" * (COPIED_OCTETS // 3)

    results = [_crlf_or_refusal(short), _crlf_or_refusal(lines + short)]

    assert results[0] is results[1]


def _crlf_or_refusal(content: bytes) -> bool:
    try:
        return crlf_content(content) == content
    except MessageError:
        return False


# --- the fields


def test_a_field_is_its_name_its_value_on_one_line_and_its_place() -> None:
    """RFC 5322 2.2.3."""
    content = b"To: a@b.example\r\nSubject:\r\n one\r\n\ttwo \r\nX-A:b\r\nX-B:\r\n" + BODY

    header = read_header(content)

    assert header.fields == (
        Field("To", "a@b.example", 0, 17),
        Field("Subject", "one\ttwo", 17, 40),
        Field("X-A", "b", 40, 47),
        Field("X-B", "", 47, 53),
    )
    assert (header.end, header.is_ascii) == (53, True)
    assert [content[field.start : field.end].count(b":") for field in header.fields] == [1, 1, 1, 1]
    assert header.all("subject") == [header.one("SUBJECT")]
    assert header.one("Cc") is None


def test_every_character_of_a_value_has_its_octet() -> None:
    content = "X-A: x\r\nSubject: é\r\n  b\r\n\r\n".encode()

    field = read_header(content).fields[1]

    assert field.value == "é  b"
    assert [content[field.octet(content, place) :][:1] for place in (0, 1, 3)] == [b"\xc3", b" ", b"b"]
    assert field.octet(content, 4) == field.end - 2


def test_utf8_in_a_value_is_read_and_said() -> None:
    """RFC 6532 3.2: whether it may be there is for others to judge."""
    header = read_header("X-A: b\r\nSubject: Café\r\n é\r\n\r\n".encode())

    assert (header.fields[1].value, header.is_ascii) == ("Café é", False)


@pytest.mark.parametrize(
    ("content", "field", "expected", "at"),
    (
        (b"", "content", "header fields", 0),
        (b"X-A: b", "content", "header fields", 6),
        (b"X-A: b\r\nno field\r\n" + BODY, "content", "name, colon, value", 8),
        (b" X-A: b\r\n" + BODY, "content[' X-A']", "a field name", 0),
        (b"X A: b\r\n" + BODY, "content['X A']", "a field name", 0),
        (b"X-A : b\r\n" + BODY, "content['X-A ']", "a field name", 0),
        (b": b\r\n" + BODY, "content['']", "a field name", 0),
        (b"X\x01: b\r\n" + BODY, "content['X\\x01']", "a field name", 0),
        (b"X\xe9: b\r\n" + BODY, "content['X\\ufffd']", "a field name", 0),
        (b"X-A: b\r\nX-B: \xe9\r\n" + BODY, "x_b", "ASCII or UTF-8", 8),
        (b"X-A: b\r\n \r\n c\r\n" + BODY, "x_a", "no blank line", 0),
        (b"X-A: b\r\n \r\n" + BODY, "x_a", "no blank line", 0),
        (b"X-A: b\x07\r\n" + BODY, "x_a", "U+0007", 6),
        (b"X-A: b\xc2\x85\r\n" + BODY, "x_a", "U+0085", 6),
        (b"X-A: b\xe2\x80\xa8\r\n" + BODY, "x_a", "U+2028", 6),
        (b"From: a@b.example\r\nfrom: c@d.example\r\n" + BODY, "from_", "one from field", 19),
        (b"MIME-Version: 1.0\r\nMime-Version: 1.0\r\n" + BODY, "mime_version", "one mime-version", 19),
        (b"Date: now\r\n" + BODY, "date", "a date such as", None),
        (b"Resent-Date: Tue, 2 Mar 2026 09:30 +0000\r\n" + BODY, "resent_date", "a date such as", None),
    ),
)
def test_a_header_that_can_be_read_in_two_ways_is_refused(
    content: bytes, field: str, expected: str, at: int | None
) -> None:
    """P04-P06, P08, P10, P11, P30; RFC 5322 2.2, 3.6, 4.2, 4.5."""
    error = refusal(content)

    assert error.field == field
    assert expected in str(error)
    assert error.at == at


@pytest.mark.parametrize(
    ("content", "names", "values"),
    (
        (b"X-A \t: b\r\n" + BODY, ["X-A"], ["b"]),
        (b"X-A: b\r\n \r\n\t\r\n c\r\n" + BODY, ["X-A"], ["b \t c"]),
        (b"X-A: b\rc\nd\0\x07\r\n" + BODY, ["X-A"], ["b\rc\nd\0\x07"]),
        (b"To: a\r\nTo: b\r\nX-A: c\r\n" + BODY, ["To", "To", "X-A"], ["a", "b", "c"]),
    ),
)
def test_the_obsolete_forms_of_fields_are_taken_on_demand(
    content: bytes, names: list[str], values: list[str]
) -> None:
    """RFC 5322 4.1, 4.2, 4.5."""
    refusal(content)

    fields = split_header(content, obsolete=True).fields

    assert [field.name for field in fields] == names
    assert [field.value for field in fields] == values


def test_even_an_obsolete_message_has_one_author_field() -> None:
    with pytest.raises(MessageError, match="one from field"):
        split_header(b"From: a@b.example\r\nFrom: c@d.example\r\n\r\n", obsolete=True)


def test_errors_call_a_field_by_its_keyword() -> None:
    assert [field_label(name) for name in ("From", "REPLY-TO", "X-A")] == ["from_", "reply_to", "x_a"]


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([b"A: b", b"\r\n", b"\n", b" ", b"\t", b":", b"\xc3\xa9"])).map(b"".join)
)
def test_any_octets_are_read_or_refused_and_nothing_else(content: bytes) -> None:
    """S21; and the fields that are found lie one behind the other, up to the end of the header."""
    try:
        header = read_header(crlf_content(content))
    except MessageError:
        return

    content = crlf_content(content)
    assert [field.start for field in header.fields] == [0, *[field.end for field in header.fields]][:-1]
    assert header.end == (header.fields[-1].end if header.fields else 0)
    assert content[header.end : header.end + 2] in (b"\r\n", b"")


@pytest.mark.parametrize(
    "line",
    (
        b"A: b\r\n",
        b"A: b\r\n c\r\n",
        b"A:\r\n",
        b"A\r\n",
        b"A: \xc3\xa9\r\n",
        b"A: b\r\n \r\n",
        b"Date: x\r\n",
        b"A" * 997,
    ),
)
@pytest.mark.parametrize("obsolete", (False, True))
def test_ten_times_the_header_takes_about_ten_times_as_long(line: bytes, obsolete: bool) -> None:
    """S21."""
    assert_in_proportion(
        lambda size: line * size + BODY, lambda content: split_header(content, obsolete=obsolete), 500
    )
