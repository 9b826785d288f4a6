"""What CPython's `email` package does to the structure of a message, and our writer does not: P01 to P11.

Each test carries the number of its trap, and its docstring says what the package does with the
same input: it lets header fields in, ends the header too early, or writes what no header may hold.
"""

from __future__ import annotations

from email import message_from_bytes, policy
from typing import Any

import pytest

from mailstrom.message.attachment import Attachment
from mailstrom.message.email import Email
from tests.unit.message.trap_doors import (
    DATED,
    Door,
    content_of,
    legacy,
    modern,
    named,
    octets,
    our_email,
    prepared,
    refusal,
    sent,
)  # fmt: skip
from tests.unit.message.wire_reader import split

DOORS = (our_email, modern, legacy, octets)
INJECTED = "=?utf-8?q?hi=0D=0ABcc=3A_x=40evil=2Eexample?="
OURS = ["date", "message-id", "from", "to", "subject", "mime-version", "content-type"]
OURS += ["content-transfer-encoding"]
C0 = [chr(code) for code in range(32) if chr(code) not in "\t\r\n"]


# --- P01, P02: text that looks encoded


def test_p01_an_encoded_line_break_that_somebody_typed_is_text() -> None:
    """P01 (gh-121650, CVE-2024-6923): the package decodes it and writes a real Bcc field."""
    wire = sent(our_email({"Subject": INJECTED}))

    assert wire.names() == OURS
    assert wire.text("Subject") == INJECTED


def test_p01_an_encoded_line_break_in_any_text_of_an_email_is_text() -> None:
    """P01 (gh-121650, CVE-2024-6923): the same in names and in fields of the caller's own."""
    wire = sent(our_email({"To": (INJECTED, "you@dest.example"), "X-Note": INJECTED}))

    assert sorted(wire.names()) == sorted([*OURS, "x-note"])
    assert wire.mailboxes("To") == [(INJECTED, "you@dest.example")]
    assert wire.text("X-Note") == INJECTED


@pytest.mark.parametrize("door", [modern, legacy])
def test_p01_an_encoded_line_break_that_the_package_holds_is_refused(door: Door) -> None:
    """P01 (gh-121650, CVE-2024-6923): it has been decoded on the way in, or will be."""
    error = refusal(door, {"Subject": INJECTED})

    assert named(error, "Subject")


def test_p01_an_encoded_line_break_in_finished_octets_stays_encoded() -> None:
    """P01 (gh-121650, CVE-2024-6923): the package writes a parsed message with a real Bcc field."""
    found = content_of(octets({"Subject": INJECTED}))

    assert found == octets({"Subject": INJECTED})


@pytest.mark.parametrize("end", ["=0A", "=0D", "=0D=0A", "=0A=0A"])
def test_p02_an_encoded_line_end_at_the_end_of_a_text_is_text(end: str) -> None:
    """P02 (gh-132105): the package leaves a stray LF before the CRLF, a blank line in the header."""
    wire = sent(our_email({"Subject": f"=?utf-8?q?hi{end}?="}))

    assert wire.names() == OURS
    assert wire.text("Subject") == f"=?utf-8?q?hi{end}?="


@pytest.mark.parametrize("door", [modern, legacy])
@pytest.mark.parametrize("end", ["=0A", "=0D=0A"])
def test_p02_an_encoded_line_end_that_the_package_holds_is_refused(door: Door, end: str) -> None:
    """P02 (gh-132105): the package leaves a stray LF before the CRLF, a blank line in the header."""
    error = refusal(door, {"Subject": f"=?utf-8?q?hi{end}?="})

    assert named(error, "Subject")


# --- P03: folding


def address_of(letter: str, length: int) -> str:
    """An address of so many characters."""
    return f"{letter * (length // 2)}@{letter * (length - length // 2 - len('@.example'))}.example"


@pytest.mark.parametrize("door", DOORS)
def test_p03_no_pair_of_long_addresses_leaves_a_blank_line_in_the_header(door: Door) -> None:
    """P03 (gh-142006): the package writes an empty line, and later fields become body (174 of 714)."""
    pairs = [(address_of("a", one), address_of("b", two)) for one in range(62, 96) for two in range(72, 93)]

    found = [sent(door({"To": f"{one}, {two}"})) for one, two in pairs]

    assert len(pairs) == 714
    assert [wire.mailboxes("To") for wire in found] == [[("", one), ("", two)] for one, two in pairs]
    assert {wire.body for wire in found} == {b"Hi.\r\n"}


@pytest.mark.parametrize("door", DOORS)
def test_p03_a_local_part_over_64_octets_is_refused(door: Door) -> None:
    """P03 (gh-142006): the very addresses of the report; the package breaks the header at them."""
    error = refusal(door, {"To": "a" * 61 + "@example.com, " + "b" * 80 + "@example.com"})

    assert named(error, "To")


# --- P04, P05: line breaks that are given


@pytest.mark.parametrize("subject", ["hi\n\nbody", "a\r\n\r\nb", "hi\n", "hi\r", "\r\nhi", "hi\n\t\nbody"])
@pytest.mark.parametrize("door", [our_email, legacy])
def test_p04_a_line_break_in_a_subject_is_refused(door: Door, subject: str) -> None:
    """P04 (gh-144125, CVE-2026-1299): as_bytes() writes a line without a colon, which ends the header."""
    error = refusal(door, {"Subject": subject})

    assert named(error, "Subject")


def test_p04_a_folded_subject_is_one_line_to_a_legacy_message_and_no_subject_to_an_email() -> None:
    """P04 (gh-144125, CVE-2026-1299): a fold is no harm; legacy messages hold fields as they are read."""
    assert sent(legacy({"Subject": "hi\n more"})).text("Subject") == "hi more"
    assert named(refusal(our_email, {"Subject": "hi\n more"}), "Subject")


def test_p04_finished_octets_of_mixed_line_ends_are_refused() -> None:
    """P04 (gh-144125, CVE-2026-1299): as_bytes() writes a line without a colon, which ends the header."""
    error = refusal(octets, {"Subject": "hi\n\nbody"})

    assert "LF" in str(error)


@pytest.mark.parametrize("message", [b"Subject: hi\r\nbody\r\n\r\n", b"Subject: hi\nbody\n\n"])
def test_p04_a_header_line_without_a_colon_is_refused(message: bytes) -> None:
    """P04 (gh-144125, CVE-2026-1299): what as_bytes() makes of such a subject is no header."""
    line_end = b"\r\n" if b"\r" in message else b"\n"
    head = line_end.join(f"{name}: {value}".encode() for name, value in DATED.items() if name != "Subject")

    error = refusal(bytes, head + line_end + message)

    assert "body" in str(error)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("from_", "me@sender.example\r\nBcc: x@y.example"),
        ("to", "you@dest.example\nBcc: x@y.example"),
        ("to", ("You\r\nBcc: x@y.example", "you@dest.example")),
        ("cc", ["you@dest.example\r\n"]),
        ("reply_to", "you@dest.example\r\n\r\nbody"),
        ("sender", "you@dest.example\rBcc: x@y.example"),
        ("subject", "hi\nBcc: x@y"),
        ("message_id", "a@b.example>\r\nBcc: <x@y.example"),
        ("in_reply_to", "a@b.example\nBcc: x@y.example"),
        ("references", ["a@b.example", "c@d.example\r\nBcc: x@y.example"]),
        ("comments", "hi\nBcc: x@y"),
        ("keywords", ["hi\nBcc: x@y"]),
        ("headers", {"X-Note": "hi\nBcc: x@y"}),
        ("headers", {"List-Unsubscribe": "<https://a.example/>\r\nBcc: x@y.example"}),
    ],
)
def test_p05_a_field_that_is_hidden_in_another_is_refused(keyword: str, value: object) -> None:
    """P05: as_bytes(policy=SMTP) of a MIMEText emits a real Bcc field."""
    error = refusal(lambda: Email(**{"from_": "me@sender.example", "to": "z@dest.example", keyword: value}))

    assert error.field.startswith(keyword)


@pytest.mark.parametrize("name", ["Subject", "X-Note", "To", "Message-ID", "Reply-To"])
def test_p05_a_field_that_is_hidden_in_another_of_a_mime_text_is_refused(name: str) -> None:
    """P05: as_bytes(policy=SMTP) of a MIMEText emits a real Bcc field."""
    error = refusal(legacy, {name: "<hi@y.example>\nBcc: x@y.example"})

    assert named(error, name)


@pytest.mark.parametrize("option", ["filename", "content_type", "content_id"])
def test_p05_a_field_that_is_hidden_in_the_head_of_a_part_is_refused(option: str) -> None:
    """P05: the head of a part is a header, too."""
    values = {"filename": "a.txt\r\nBcc: x@y.example", "content_type": "text/plain\r\nBcc: x@y.example"}
    values["content_id"] = "a@b.example\r\nBcc: x@y.example"
    given: dict[str, Any] = {"filename": "a.txt", option: values[option]}

    error = refusal(
        lambda: Email(
            from_="me@sender.example", to="you@dest.example", attachments=[Attachment(content=b"x", **given)]
        )
    )

    assert option in error.field


# --- P06: names of fields


@pytest.mark.parametrize("name", ["X Bad", "", "X-A: b\r\nBcc", "\u00dcn\u00ef", "X:", "X-A\n", "X\0A", " X"])
@pytest.mark.parametrize("door", [our_email, modern, legacy])
def test_p06_a_name_that_is_no_field_name_is_refused(door: Door, name: str) -> None:
    """P06 (gh-127794): the package writes them all, and even encodes the name."""
    error = refusal(door, {name: "v"})

    assert "headers" in error.field


@pytest.mark.parametrize("name", ["X Bad", "", "\u00dcn\u00ef", "X\x01A"])
def test_p06_finished_octets_with_a_name_that_is_no_field_name_are_refused(name: str) -> None:
    """P06 (gh-127794): the package writes them all, and even encodes the name."""
    error = refusal(octets, {name: "v"})

    assert "content" in error.field


# --- P07: comments


@pytest.mark.parametrize("gap", [" ", ""])
@pytest.mark.parametrize("door", [modern, legacy, octets])
def test_p07_a_long_comment_is_no_part_of_an_address(door: Door, gap: str) -> None:
    """P07 (gh-143935): the package folds a comment and loses its parentheses."""
    wire = split(content_of(door({"To": f"a@example.com{gap}(" + "word " * 25 + ")"})))

    assert wire.mailboxes("To") == [("", "a@example.com")]
    assert prepared(door({"To": f"a@example.com{gap}(" + "word " * 25 + ")"})).email.recipients == (
        "a@example.com",
    )


def test_p07_a_comment_where_an_email_wants_an_address_is_refused() -> None:
    """P07 (gh-143935): the package folds a comment and loses its parentheses."""
    error = refusal(our_email, {"To": "a@example.com (" + "word " * 25 + ")"})

    assert named(error, "To")
    assert "comment" in error.expected


# --- P08: control characters


@pytest.mark.parametrize("door", [our_email, modern, legacy])
def test_p08_control_characters_in_a_subject_are_refused(door: Door) -> None:
    """P08: they go out raw."""
    error = refusal(door, {"Subject": "a\x00b\x1bc"})

    assert named(error, "Subject")


@pytest.mark.parametrize("char", [*C0, "\x7f"])
def test_p08_no_control_character_gets_into_a_header_field(char: str) -> None:
    """P08: they go out raw."""
    refused = [refusal(our_email, {name: f"a{char}b"}).field for name in ("Subject", "X-Note")]
    refused.append(refusal(our_email, {"To": (f"a{char}b", "you@dest.example")}).field)
    refused.append(refusal(octets, {"X-Note": f"a{char}b"}).field)

    assert refused[:3] == ["subject", "headers['X-Note']", "to"]


@pytest.mark.parametrize("door", [our_email, modern, legacy])
@pytest.mark.parametrize("char", C0)
def test_p08_no_control_character_gets_into_a_text(door: Door, char: str) -> None:
    """P08: set_content() takes a NUL, and the body is labelled 7bit."""
    error = refusal(door, {}, f"a{char}b\n")

    assert error.field in ("text", "content")


def test_p08_a_nul_in_finished_octets_is_refused() -> None:
    """P08: the package passes it on."""
    error = refusal(octets, {}, "a\0b\r\n")

    assert "NUL" in str(error)


def test_p08_a_tab_is_no_fault() -> None:
    """P08: the one control character that text may hold."""
    wire = sent(our_email({"Subject": "a\tb"}, "a\tb\n"))

    assert wire.text("Subject") == "a\tb"
    assert wire.parts()[0].text == "a\tb\r\n"


# --- P09: Bcc


@pytest.mark.parametrize("name", ["Bcc", "BCC", "bcc"])
@pytest.mark.parametrize("door", [modern, legacy, octets])
def test_p09_a_bcc_is_in_the_envelope_and_never_in_the_header(door: Door, name: str) -> None:
    """P09: as_bytes() keeps it."""
    found = prepared(door({name: "hidden@dest.example,\r\n other@dest.example"} if door is octets else
                          {name: "hidden@dest.example, other@dest.example"})).email  # fmt: skip

    assert found.recipients == ("you@dest.example", "hidden@dest.example", "other@dest.example")
    assert b"bcc" not in found.content.lower()
    assert b"hidden" not in found.content
    assert b"other" not in found.content


def test_p09_the_bcc_of_an_email_is_never_in_the_header() -> None:
    """P09: as_bytes() keeps it."""
    found = prepared(our_email({"Bcc": "Hidden: hidden@dest.example;"})).email

    assert found.recipients == ("you@dest.example", "hidden@dest.example")
    assert b"idden" not in found.content


@pytest.mark.parametrize("door", [modern, legacy, octets])
def test_p09_a_resent_bcc_is_in_the_envelope_and_never_in_the_header(door: Door) -> None:
    """P09: as_bytes() keeps it."""
    resent = {"Resent-Date": DATED["Date"], "Resent-From": "me@sender.example"}

    found = prepared(door({**resent, "Resent-Bcc": "hidden@dest.example"})).email

    assert found.recipients == ("hidden@dest.example",)
    assert b"bcc" not in found.content.lower()
    assert b"hidden" not in found.content


# --- P10: fields that may stand once

ONCE = ["From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References"]
SAMPLES = {**DATED, "In-Reply-To": "<a@b.example>", "References": "<a@b.example>"}
SAMPLES |= {"Cc": "c@dest.example", "Reply-To": "r@sender.example"}


@pytest.mark.parametrize("name", [*ONCE, "subject", "MIME-Version", "Content-Type", "Bcc"])
def test_p10_a_field_that_has_its_keyword_is_refused_among_the_headers(name: str) -> None:
    """P10: the legacy class writes it twice, the modern one raises an error of its own."""
    error = refusal(lambda: Email(from_="a@b.example", to="c@d.example", headers={name: "x"}))

    assert named(error, name)


@pytest.mark.parametrize("name", ONCE)
def test_p10_a_second_field_in_a_message_of_the_package_is_refused(name: str) -> None:
    """P10: the legacy class writes two of them."""
    message = legacy(SAMPLES)
    message[name] = SAMPLES[name]

    error = refusal(lambda: message)

    assert named(error, name)


@pytest.mark.parametrize("name", ONCE)
def test_p10_a_second_field_in_octets_is_refused_whoever_read_them(name: str) -> None:
    """P10: the package reads both, and writes both."""
    twice = octets(SAMPLES).replace(b"\r\n\r\n", f"\r\n{name.upper()}: {SAMPLES[name]}\r\n\r\n".encode())

    errors = [refusal(lambda: twice), refusal(message_from_bytes, twice)]
    errors.append(refusal(lambda: message_from_bytes(twice, policy=policy.default)))

    assert [named(error, name) for error in errors] == [True] * 3


# --- P11: characters that the package takes for line breaks


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
@pytest.mark.parametrize("door", [our_email, legacy, octets])
def test_p11_the_error_names_the_character_that_cannot_stand_in_a_header(door: Door, char: str) -> None:
    """P11: a ValueError speaks of "linefeed or carriage return", which are not there."""
    error = refusal(door, {"Subject": f"a{char}b"})

    assert named(error, "Subject")
    assert f"U+{ord(char):04X}" in str(error)


def test_p11_an_encoded_word_that_stands_for_such_a_character_is_refused() -> None:
    """P11: a ValueError speaks of "linefeed or carriage return", which are not there."""
    error = refusal(legacy, {"Subject": "=?utf-8?q?a=E2=80=A8b?="})

    assert named(error, "Subject")
    assert "=E2=80=A8" in str(error)
