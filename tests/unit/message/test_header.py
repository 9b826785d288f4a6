"""`message.header` and `message.encoded_word`: fields as they are written and read back."""

from __future__ import annotations

import re
from email import message_from_string, policy
from email.header import decode_header, make_header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.address import Group, Mailbox, parse_address_field, parse_mailbox
from mailstrom.message.writing.encoded_word import decoded_text, encoded_words
from mailstrom.message.writing.header import (
    address_field,
    checked_name,
    structured_field,
    text_field,
    token_field,
)

# what may stand in a header: no controls, no line separators, no surrogates
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]) | st.sampled_from(
    list('=? _.,"\\<>@\u00e9\U0001f4a9')
)
TEXTS = st.text(CHARACTERS, max_size=120) | st.lists(st.text(CHARACTERS, max_size=30), max_size=20).map(
    " ".join
)
NAMES = TEXTS.map(lambda text: text.strip(" ")).filter(bool)
ENCODED = re.compile(r"=\?utf-8\?[bq]\?[!->@-~]*\?=")


def unfolded(field: str) -> str:
    """The value of a field, its lines joined (RFC 5322 2.2.3)."""
    return field.replace("\r\n", "").partition(":")[2].removeprefix(" ")


def check_lines(field: str) -> None:
    """What holds of every field: RFC 5322 2.1.1, RFC 2047 2."""
    lines = field.split("\r\n")
    assert all(line.strip(" \t") for line in lines)
    assert all(line.startswith(" ") for line in lines[1:])
    assert lines[0].partition(":")[2].strip() or field.endswith(":")
    for line in lines:
        assert len(line) <= 76 or " " not in line.strip().partition(": ")[2]
        assert len(line.encode()) <= 998
    assert "?==?" not in field


# --- text


@given(TEXTS)
@example("a" * 70 + " " * 40 + "b" * 70)
@example("=?utf-8?q?x?=")
@example("\u0444" * 21 + " " + "\u0444" * 5 + " " + "\u0444" * 5)
@example("a " * 60)
@example("x" * 1200)
@example(" leading and trailing ")
@example("tab\there")
@example("")
def test_a_subject_is_read_as_it_was_typed(text: str) -> None:
    """P01, P02, P31-P33, P37-P41; RFC 2047."""
    field = text_field("Subject", text, field="subject", long_words=True)

    check_lines(field)
    assert field.isascii()
    assert decoded_text(unfolded(field)) == text
    assert all(len(word) <= 75 for word in ENCODED.findall(field))


@given(st.text(CHARACTERS | st.sampled_from(list("\u4e2d\u0444\u00fc")), min_size=1, max_size=200))
def test_other_readers_find_the_same_text_in_encoded_words(text: str) -> None:
    """P38-P40: by a decoder that is not ours."""
    words = encoded_words(text)

    assert str(make_header(decode_header("\r\n ".join(words)))) == text
    for word in words:
        assert len(word) <= 75
        decode_header(word)[0][0].decode("utf-8")  # whole characters


@pytest.mark.parametrize(
    ("text", "field"),
    (
        ("Hello Friend", "Subject: Hello Friend"),
        ('100% of "it" <now>; a=b?', 'Subject: 100% of "it" <now>; a=b?'),
        ("Caf\u00e9 au lait", "Subject: =?utf-8?q?Caf=C3=A9_au_lait?="),
        ("\u4e2d\u6587", "Subject: =?utf-8?b?5Lit5paH?="),
        ("=?utf-8?q?x?=", "Subject: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?="),
        ("", "Subject:"),
    ),
)
def test_ascii_stays_and_the_rest_is_encoded_the_shorter_way(text: str, field: str) -> None:
    assert text_field("Subject", text, field="subject") == field


def test_a_long_token_stays_whole_on_its_line() -> None:
    """P27: a token of an X- field may be long, within 998 octets."""
    token = "a" * 500

    assert text_field("X-Tag", f"x {token}", field="headers") == f"X-Tag: x\r\n {token}"
    assert structured_field("List-Unsubscribe", f"<https://x.example/{token}>", field="headers").isascii()
    with pytest.raises(MessageError, match="998"):
        text_field("X-Tag", "a" * 1000, field="headers")
    with pytest.raises(MessageError, match="998"):
        structured_field("List-Unsubscribe", "a" * 1000, field="headers")


# --- addresses


@given(
    st.lists(
        st.tuples(
            st.none() | NAMES, st.sampled_from(["a@example.org", "b" * 60 + "@example.org", '"x, y"@z'])
        ),
        min_size=1,
        max_size=12,
    )
)
@example(
    [
        (
            "Sender, spoofed, with a very long display name that must be folded over several lines ok",
            "to@example.com",
        )
    ]
)
@example([("A v\u00e9ry long name with non-ASCII char and, comma", "to@example.com")])
@example([(None, "a" * 61 + "@example.com"), (None, "b" * 64 + "@example.com")])
@example([(None, "0" * 62 + "@example.org"), ("\u00e4", "foo@example.org")])
def test_mailboxes_are_read_back_as_they_are(entries: list[tuple[str | None, str]]) -> None:
    """P03, P07, P12-P15, P19-P21."""
    mailboxes = tuple(parse_mailbox((name, address)) for name, address in entries)

    field = address_field("To", mailboxes, field="to")

    check_lines(re.sub(r'"[^"]*"', "q", field))
    assert parse_address_field(unfolded(field), field="to") == mailboxes


@given(st.lists(st.tuples(NAMES, st.lists(st.none() | NAMES, max_size=4)), min_size=1, max_size=4))
def test_groups_are_read_back_as_they_are(entries: list[tuple[str, list[str | None]]]) -> None:
    groups = tuple(
        Group(name=name, members=tuple(parse_mailbox((member, "a@example.org")) for member in members))
        for name, members in entries
    )

    field = address_field("To", groups, field="to")

    assert parse_address_field(unfolded(field), field="to") == groups


@given(st.lists(NAMES, min_size=1, max_size=6))
def test_the_standard_library_finds_the_same_addresses(names: list[str]) -> None:
    """By a reader that is not ours; where it stumbles over names is its own affair."""
    mailboxes = tuple(
        Mailbox(name=name, local_part=f"u{n}", domain="example.org") for n, name in enumerate(names)
    )
    field = address_field("To", mailboxes, field="to")

    message = message_from_string(f"{field}\r\n\r\n", policy=policy.default)

    assert [found.addr_spec for found in message["To"].addresses] == [
        mailbox.address for mailbox in mailboxes
    ]


def test_500_recipients_are_folded_after_their_commas() -> None:
    """P21."""
    mailboxes = tuple(Mailbox(local_part=f"user{number}", domain="example.org") for number in range(500))

    field = address_field("To", mailboxes, field="to")

    check_lines(field)
    assert parse_address_field(unfolded(field), field="to") == mailboxes


# --- tokens and names


def test_message_ids_are_folded_between_and_never_inside() -> None:
    """P26."""
    ids = [f"<{'x' * 90}{number}@example.org>" for number in range(5)]

    field = token_field("References", ids, field="references")

    assert field.split("\r\n") == [f"References: {ids[0]}", *(f" {one}" for one in ids[1:])]


def test_structured_fields_are_ascii_and_written_as_they_stand() -> None:
    """P28."""
    value = "Some list =?x?= <list.example.org>"

    assert structured_field("List-ID", value, field="headers") == f"List-ID: {value}"
    with pytest.raises(MessageError, match="ASCII"):
        structured_field("List-ID", "Gr\u00f6\u00dfe <list.example.org>", field="headers")


@pytest.mark.parametrize(
    "name", ("X Bad", "", "X-A: b\r\nBcc", "\u00dcn\u00ef", "X:", "a" * 77, None, "X-A\t", "From ")
)
def test_a_field_name_is_printable_ascii_without_a_colon(name: object) -> None:
    """Threat S2; P06."""
    with pytest.raises(MessageError, match="field name"):
        checked_name(name)


@pytest.mark.parametrize(
    ("value", "text"),
    (
        ("=?iso-8859-1?Q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        ("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
        ("=?utf-8?b?w6k?=", "\u00e9"),
        ("=?utf-8?q?=FF?=", "=?utf-8?q?=FF?="),
        ("=?x-no?q?a?=  b", "=?x-no?q?a?=  b"),
        ("a=?utf-8?q?b?=", "a=?utf-8?q?b?="),
    ),
)
def test_encoded_words_are_read_as_rfc_2047_says(value: str, text: str) -> None:
    """RFC 2047 6.1, 6.2, RFC 2231 5."""
    assert decoded_text(value) == text
