"""What CPython's `email` package does to bodies and parts, and our writer does not: P42 to P49.

Each test carries the number of its trap, and its docstring says what the package does with the
same input: line ends, encodings, and attachments that arrive as others.
"""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from mailstrom.message.attachment import Attachment
from mailstrom.message.email import Email
from tests.unit.message.trap_doors import (
    DATED,
    USUAL,
    Door,
    content_of,
    legacy,
    modern,
    octets,
    our_email,
    prepared,
    refusal,
    sent,
)  # fmt: skip
from tests.unit.message.wire_reader import Part, split

OBJECTS = (our_email, modern, legacy)
TEXTS = {
    "ascii": "hello\nworld\n",
    "latin": "h\u00e9llo\nw\u00f6rld, gr\u00fc\u00dfe\n",
    "japanese": "\u3053\u3093\u306b\u3061\u306f\n\u4e16\u754c\n" * 30,
    "long": "x" * 2000 + "\n" + "\u00e9" * 2000 + "\n",
    "blanks": "a \nb\t\n\n \n  c\n",
    "dots": ".\n..\n.a\n",
    "from": "From x\n>From y\nFrom z\n",
    "equals": "a=b\n=20\n==\n=\n",
    "emoji": "\U0001f600 ok\n" * 40,
}


def with_content(*given: Any, **options: Any) -> EmailMessage:
    message = modern({})
    message.set_content(*given, **options)
    return message


def with_attachment(*given: Any, **options: Any) -> EmailMessage:
    message = modern({})
    message.add_attachment(*given, **options)
    return message


def with_file(content: bytes, filename: str = "a.bin", content_type: str | None = None) -> Email:
    return our_email({}).replace(attachments=[Attachment(filename, content, content_type)])


def attached(message: Email | Message | bytes) -> Part:
    """The one part beside the text."""
    [_, part] = sent(message).parts()
    return part


# --- P42 to P46: texts


@pytest.mark.parametrize("door", OBJECTS)
@pytest.mark.parametrize("name", TEXTS)
def test_p42_every_text_arrives_with_crlf_line_ends_only(door: Door, name: str) -> None:
    """P42: as_bytes() has bare LF, and smtplib passes it on. (The reader refuses any bare CR or LF.)"""
    [part] = sent(door({}, TEXTS[name])).parts()

    assert part.text == TEXTS[name].replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("a\nb\n", "a|b|"),
        ("a\rb\r", "a|b|"),
        ("a\r\nb\r\n", "a|b|"),
        ("a\r\nb\n", "a|b|"),
        ("a\nb", "a|b|"),
        ("a\n\rb\r\n\n", "a||b||"),
        ("\n\na", "||a|"),
    ],
)
def test_p42_each_line_end_of_a_text_is_one_crlf(given: str, lines: str) -> None:
    """P42: as_bytes() has bare LF, and smtplib passes it on."""
    [part] = sent(our_email({}, given)).parts()

    assert part.text == lines.replace("|", "\r\n")


def test_p42_finished_octets_with_lf_throughout_are_given_crlf_and_nothing_else() -> None:
    """P42: as_bytes() has bare LF, and smtplib passes it on."""
    assert content_of(octets(DATED).replace(b"\r\n", b"\n")) == octets(DATED)
    assert content_of(legacy(DATED).as_bytes()) == legacy(DATED).as_bytes().replace(b"\n", b"\r\n")


@pytest.mark.parametrize("end", ["\r", "\n", "\n\r", "\r\r\n"])
def test_p42_finished_octets_of_mixed_line_ends_are_refused(end: str) -> None:
    """P42: smtplib passes them on."""
    assert "CRLF" in refusal(octets, {}, f"a{end}b\r\n").expected


JAPANESE = TEXTS["japanese"]


@pytest.mark.parametrize(
    "message",
    [
        our_email({}, JAPANESE),
        modern({}, JAPANESE, policy=policy.default),
        with_content(JAPANESE, cte="base64"),
        modern({}, JAPANESE, policy=policy.SMTP.clone(cte_type="7bit")),
        legacy({}, JAPANESE),
    ],
    ids=["Email", "default", "base64", "7bit", "MIMEText"],
)
def test_p43_a_text_in_base64_has_crlf_line_ends_within(message: Any) -> None:
    """P43: it holds LF, when it is made under the default policy."""
    [part] = sent(message).parts()

    assert part.encoding == "base64"
    assert part.octets == JAPANESE.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("how", [policy.default, policy.SMTP, policy.SMTP.clone(max_line_length=200)])
def test_p44_lines_of_quoted_printable_are_within_76(how: Any) -> None:
    """P44 (gh-78206): they have 78 under policy.SMTP. (The reader refuses any over 76.)"""
    text = "".join("word " * (length // 5) + "x" * (length % 5) + " \u00e9\n" for length in range(150))
    given: list[Email | EmailMessage] = [our_email({}, text), modern({}, text, policy=how)]
    given[1].set_content(text, cte="quoted-printable")

    for message in given:
        [part] = sent(message).parts()

        assert part.encoding == "quoted-printable"
        assert part.text == text.replace("\n", "\r\n")


def test_p45_a_text_in_utf_16_is_refused_or_arrives_as_the_text_it_was() -> None:
    """P45: set_content() corrupts it."""
    message = MIMEText("hello\nw\u00f6rld\n", "plain", "utf-16")
    for name, value in USUAL.items():
        message[name] = value
    [part] = sent(message).parts()

    assert part.text == "hello\r\nw\u00f6rld\r\n"
    assert part.parameters["charset"].lower() == "utf-8"
    assert "UTF-8" in refusal(lambda: with_content("hello\nw\u00f6rld", charset="utf-16")).expected


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "iso-2022-jp", "koi8-r", "utf-8"])
def test_p45_a_text_in_another_charset_arrives_in_utf_8(charset: str) -> None:
    """P45: "UTF-8 only" holds for whatever the package has made of a text."""
    text = {"iso-2022-jp": "\u4e16\u754c\n", "koi8-r": "\u0444\u0443\n"}.get(charset, "w\u00f6rld\n")

    for message in (with_content(text, charset=charset), legacy({})):
        message.set_payload(text, charset)
        [part] = sent(message).parts()

        assert part.text == text.replace("\n", "\r\n")


@pytest.mark.parametrize("cte", [None, "8bit", "base64", "quoted-printable"])
def test_p46_a_text_is_stored_in_7_bit_octets_whatever_was_asked(cte: str | None) -> None:
    """P46: 8bit by default, and sent so to a host that does not offer 8BITMIME."""
    found = prepared(with_content(TEXTS["latin"], cte=cte)).email

    assert found.content.isascii()
    assert not found.needs_8bitmime
    assert sent(with_content(TEXTS["latin"], cte=cte)).parts()[0].encoding in ("base64", "quoted-printable")
    assert prepared(our_email({}, TEXTS["latin"])).email.content.isascii()


# --- P47 to P49: parts

NOTE = b"Subject: folded\r\n  here\r\nFROM: a@b.example\r\nX-Odd:=?utf-8?q?x?=\r\n\r\nhi\r\n"


def test_p47_a_message_is_attached_in_7bit_as_it_is_or_refused() -> None:
    """P47: it is labelled 8bit, or is in base64, which RFC 2046 forbids. (The reader refuses both.)"""
    part = attached(with_file(NOTE, "note.eml", "message/rfc822"))

    assert (part.content_type, part.encoding, part.octets) == ("message/rfc822", "7bit", NOTE)


@pytest.mark.parametrize("line", [b"\xc3\xa9", b"a\n", b"a\r", b"x" * 999, b"\0"])
def test_p47_a_message_that_is_not_fit_for_7bit_is_refused(line: bytes) -> None:
    """P47: it goes out raw, or in base64, which RFC 2046 forbids."""
    error = refusal(with_file, b"A: b\r\n\r\n" + line + b"\r\n", "note.eml", "message/rfc822")

    assert "content" in error.field


@pytest.mark.parametrize("content", [NOTE, b"Subject: x\r\n\r\n\xff\r\n", b"A: b\n\nc\n", b"x" * 2000])
def test_p47_a_file_that_is_named_eml_arrives_as_it_is_whatever_it_holds(content: bytes) -> None:
    """P47: a message in base64 is what RFC 2046 forbids: application/octet-stream is not."""
    part = attached(with_file(content, "note.eml"))

    assert sha256(part.octets).digest() == sha256(content).digest()
    assert part.filename == "note.eml"


def test_p47_a_message_of_the_package_is_attached_in_7bit_with_the_same_text() -> None:
    """P47: it is labelled 8bit even when it is ASCII, and is not encoded."""
    for text in ("plain\n", TEXTS["latin"]):
        part = attached(with_attachment(modern({"Subject": "inner \u00fc"}, text)))
        inner = split(part.octets)

        assert (part.content_type, part.encoding) == ("message/rfc822", "7bit")
        assert part.octets.isascii()
        assert inner.text("Subject") == "inner \u00fc"
        assert inner.parts()[0].text == text.replace("\n", "\r\n")


def test_p47_a_message_that_the_package_has_put_into_base64_comes_out_of_it() -> None:
    """P47: add_attachment(bytes, 'message', 'rfc822') is in base64."""
    part = attached(with_attachment(NOTE, maintype="message", subtype="rfc822"))

    assert (part.content_type, part.encoding, part.octets) == ("message/rfc822", "7bit", NOTE)


@pytest.mark.parametrize("how", [policy.default, policy.compat32])
def test_p47_a_message_within_a_parsed_message_stays_as_it_is(how: Any) -> None:
    """P47: what is signed within must not change."""
    outer = {"MIME-Version": "1.0", "Content-Type": "multipart/mixed; boundary=limit"}
    inner = NOTE.replace(b"X-Odd:", b"X-Odd: ").decode()
    body = f"--limit\r\n\r\nHi.\r\n--limit\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--limit--\r\n"

    part = attached(message_from_bytes(octets(outer, body), policy=how))

    assert part.octets == inner.encode()


CHANCE = Random(48)
FILES = [
    b"a\r1,2\nlast",
    b"",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"a\r\n",
    b"a\n\r\nb",
    b"x" * 2000,
    b"From x\n.\n",
]
FILES += [CHANCE.randbytes(size) for size in (1, 2, 3, 56, 57, 58, 100, 5000)]


@pytest.mark.parametrize("content_type", [None, "text/csv", "text/csv; charset=utf-8", "application/pdf"])
@pytest.mark.parametrize("name", ["a.csv", "a.bin", "a.txt", "a.html"])
def test_p48_an_attachment_arrives_octet_by_octet(name: str, content_type: str | None) -> None:
    """P48 (gh-121515): line ends are changed, and a last one is added."""
    for content in FILES:
        part = attached(with_file(content, name, content_type))

        assert sha256(part.octets).digest() == sha256(content).digest()


@pytest.mark.parametrize("cte", ["7bit", "8bit", "base64"])
def test_p48_an_attachment_of_a_message_of_the_package_arrives_octet_by_octet(cte: str) -> None:
    """P48 (gh-121515): octets are changed under cte='7bit' and '8bit'."""
    for content in (content for content in FILES if content.isascii() or cte != "7bit"):
        part = attached(with_attachment(content, maintype="application", subtype="x", cte=cte, filename="a"))

        assert sha256(part.octets).digest() == sha256(content).digest()


def test_p48_a_text_that_the_package_has_attached_arrives_as_the_package_holds_it() -> None:
    """P48 (gh-121515): it is altered as it is attached, before we see it, and not once more."""
    message = with_attachment("a\r1,2\nlast", filename="a.txt")
    [held] = message.iter_attachments()

    assert attached(message).octets.replace(b"\r\n", b"\n") == held.get_payload(decode=True)


@pytest.mark.parametrize("text", ["a\r1,2\nlast", "a\nb\n", "\u00e9\r\n"])
def test_p48_a_text_is_no_attachment_but_octets_are(text: str) -> None:
    """P48 (gh-121515): a str is given other line ends, and a last one: which octets are meant?"""
    error = refusal(with_file, text)

    assert "content" in error.field


@pytest.mark.parametrize("door", OBJECTS)
def test_p49_a_line_that_begins_with_from_is_not_mangled(door: Door) -> None:
    """P49: BytesGenerator writes ">From x" for the legacy class."""
    [part] = sent(door({}, "From x\nFrom y\n")).parts()

    assert part.octets == b"From x\r\nFrom y\r\n"


def test_p49_a_policy_that_mangles_has_no_say() -> None:
    """P49: BytesGenerator writes ">From x" for the legacy class."""
    message = modern({}, "From x\n", policy=policy.SMTP.clone(mangle_from_=True))

    assert content_of(message).endswith(b"\r\n\r\nFrom x\r\n")
    assert content_of(octets({}, "From x\r\n")).endswith(b"\r\n\r\nFrom x\r\n")
