"""`message.standard_parts`: texts and files in messages of the standard library, written anew."""

from __future__ import annotations

import copy
import hashlib
import tracemalloc
from email import message_from_string, policy
from email.encoders import encode_7or8bit, encode_noop, encode_quopri
from email.message import EmailMessage, Message
from email.mime.application import MIMEApplication
from email.mime.image import MIMEImage
from email.mime.text import MIMEText
from email.parser import BytesParser

import pytest

from tests.unit.message.standard_messages import (
    OCTETS,
    addressed,
    as_file,
    content_of,
    fields_of,
    leaf,
    legacy,
    modern,
    octets_of,
    prepared,
    refusal,
    sent,
)

# --- texts


@pytest.mark.parametrize(
    ("message", "text"),
    (
        (modern("Hi.\n"), "Hi.\r\n"),
        (modern("w\u00f6rld\n"), "w\u00f6rld\r\n"),
        (modern("w\u00f6rld " * 300), "w\u00f6rld " * 300 + "\r\n"),
        (modern("w\u00f6rld\n", cte="8bit"), "w\u00f6rld\r\n"),
        (modern("w\u00f6rld\n", cte="base64"), "w\u00f6rld\r\n"),
        (modern("w\u00f6rld=\n", cte="quoted-printable"), "w\u00f6rld=\r\n"),
        (modern("w\u00f6rld \u20ac\n", charset="iso-8859-15"), "w\u00f6rld \u20ac\r\n"),
        (modern("\u65e5\u672c\n", charset="iso-2022-jp"), "\u65e5\u672c\r\n"),
        (modern("x" * 2000, cte="7bit"), "x" * 2000 + "\r\n"),
        (modern(None), ""),
        (addressed(MIMEText("Hi.")), "Hi.\r\n"),
        (addressed(MIMEText("w\u00f6rld\r\nx\ry\n", _charset="utf-8")), "w\u00f6rld\r\nx\r\ny\r\n"),
        (addressed(MIMEText("w\u00f6rld", _charset="iso-8859-1")), "w\u00f6rld\r\n"),
        (addressed(MIMEText("hello\nw\u00f6rld", _charset="utf-16")), "hello\r\nw\u00f6rld\r\n"),
        (addressed(MIMEText("x" * 2000, _charset="us-ascii")), "x" * 2000 + "\r\n"),
        (addressed(MIMEText("From x\n.\n..\n")), "From x\r\n.\r\n..\r\n"),
        (addressed(leaf("text/plain; charset=cp037", "w\u00f6rld".encode("cp037"))), "w\u00f6rld\r\n"),
        (message_from_string("From: a@x.example\nTo: b@x.example\n\n\u00e9\u20ac\n"), "\u00e9\u20ac\r\n"),
        (addressed(Message()), ""),
    ),
)
def test_a_text_arrives_as_it_was_in_utf_8(message: Message, text: str) -> None:
    """P31, P43-P46, P49, P51: with CRLF line ends, the last line ended."""
    content = content_of(message)
    read = sent(message)

    assert read.get_content_type() == "text/plain"
    assert read.get_param("charset") == "utf-8"
    assert octets_of(read).decode() == text
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")


def test_encoded_lines_are_within_76_and_base64_holds_crlf() -> None:
    """P43, P44."""
    for text in ("w\u00f6rld " * 300 + "\n", "\u65e5\u672c\n" * 100):
        body = content_of(modern(text)).partition(b"\r\n\r\n")[2]

        assert max(map(len, body.split(b"\r\n"))) <= 76
        assert octets_of(sent(modern(text))) == text.replace("\n", "\r\n").encode()


def test_parameters_of_a_text_stay() -> None:
    message = modern(None)
    message.set_content("a \nb\n", params={"format": "flowed", "delsp": "yes"})

    read = sent(message)

    assert dict(read["Content-Type"].params) == {"charset": "utf-8", "format": "flowed", "delsp": "yes"}
    assert octets_of(read) == b"a \r\nb\r\n"


@pytest.mark.parametrize(
    ("part", "field", "given"),
    (
        (leaf("text/plain", b"caf\xe9"), "content", "octet 0xE9 at 3 in a text in us-ascii"),
        (leaf("text/plain; charset=utf-8", b"caf\xe9"), "content", "octet 0xE9 at 3 in a text in utf-8"),
        (leaf("text/plain; charset=utf-8", b"a\0b"), "content", "U+0000"),
        (leaf("text/plain; charset=utf-8", "a\x1bb"), "content", "U+001B"),
        (leaf("text/plain", "a\ud800b\u00e9"), "content", ""),
        (modern("hello\nw\u00f6rld", charset="utf-16"), "content", "utf-16"),
        (leaf("text/plain", "YQ=", Content_Transfer_Encoding="base64"), "content", "malformed base64"),
        (leaf("text/plain", "YQ=\u00e9", Content_Transfer_Encoding="base64"), "content", "malformed base64"),
        (
            leaf("text/plain", "=", Content_Transfer_Encoding="x-uuencode"),
            "content_transfer_encoding",
            "x-uu",
        ),
        (leaf("text/plain", "a=zb", Content_Transfer_Encoding="quoted-printable"), "content", "octet 1"),
        (leaf("text/plain", b"\xe9", Content_Transfer_Encoding="quoted-printable"), "content", "quoted"),
        (leaf("text/plain; charset=utf-8; charset=utf-16", "a"), "content_type", "charset"),
        (leaf("text/plain; charset=x-klingon", "a"), "content_type", "x-klingon"),
        (leaf("text/plain; charset=idna", "a"), "content_type", "idna"),
        (leaf("text", "a"), "content_type", "text"),
        (leaf("text/plain", 7), "content", "7"),
    ),
)
def test_what_is_no_text_is_refused_with_its_place(part: Message, field: str, given: str) -> None:
    """P08, P45; nothing is replaced by question marks."""
    for message, label in (
        (part if part["To"] else addressed(copy.copy(part)), field),
        (legacy(MIMEText("x"), part), f"content[2].{field}"),
    ):
        found = refusal(message)

        assert found.field == label
        assert given in str(found)


def test_a_parsed_message_with_eight_bit_text_becomes_seven_bit() -> None:
    """P46, P51."""
    raw = (
        "From: a@example.org\r\nTo: b@example.net\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\u00e9\r\n"
    ).encode()

    for parser in (BytesParser(policy=policy.default), BytesParser()):
        found = prepared(parser.parsebytes(raw)).email

        assert found.content.isascii()
        assert not found.needs_8bitmime
        assert octets_of(sent(parser.parsebytes(raw))).decode() == "caf\u00e9\r\n"


# --- files


def files() -> dict[str, Message]:
    made = modern("Hi.\n")
    made.add_attachment(OCTETS, "application", "octet-stream", filename="a.bin")
    quoted = modern("Hi.\n")
    quoted.add_attachment(OCTETS, "application", "octet-stream", filename="a.bin", cte="quoted-printable")
    binary = modern("Hi.\n")
    binary.add_attachment(OCTETS, "application", "octet-stream", filename="a.bin", cte="8bit")
    encoders = (None, encode_quopri, encode_7or8bit, encode_noop)
    by_hand = [
        MIMEApplication(OCTETS, **({} if encoder is None else {"_encoder": encoder})) for encoder in encoders
    ]
    return {
        "modern base64": made,
        "modern quoted-printable": quoted,
        "modern 8bit": binary,
        **{
            f"legacy {place}": legacy(MIMEText("Hi."), as_file(part, "a.bin"))
            for place, part in enumerate(by_hand)
        },
    }


@pytest.mark.parametrize(("name", "message"), files().items())
def test_a_file_arrives_octet_for_octet_in_base64(name: str, message: Message) -> None:
    """P48."""
    text, file = sent(message).iter_parts()

    assert octets_of(text) == b"Hi.\r\n"
    assert (file.get_filename(), file["Content-Transfer-Encoding"]) == ("a.bin", "base64")
    assert hashlib.sha256(octets_of(file)).digest() == hashlib.sha256(OCTETS).digest()


@pytest.mark.parametrize(
    "part",
    (
        as_file(MIMEText("a\r1,2\nlast", "csv", "utf-8")),
        as_file(MIMEText("a\r1,2\nlast", "csv", "us-ascii")),
        as_file(MIMEText("gr\u00fcn\n\rlast", "plain", "iso-8859-1"), None),
        leaf('text/x-log; charset=utf-16; name="a.txt"', "a\r1,2\nl\u00e4st".encode("utf-16")),
        leaf("text/plain", b"\0\xff\n", Content_Disposition='inline; filename="a.txt"'),
        leaf("text/plain; charset=x-klingon", b"\xf8\xd0\n\x01", Content_Disposition="attachment"),
    ),
)
def test_a_text_that_is_a_file_keeps_its_octets_and_its_charset(part: Message) -> None:
    """P48."""
    _, found = sent(legacy(MIMEText("x"), part)).iter_parts()

    assert octets_of(found) == octets_of(part)
    assert found.get_content_charset() == part.get_content_charset()
    assert found.get_content_disposition() == part.get_content_disposition()


@pytest.mark.parametrize(
    "filename",
    (
        "a b.pdf", 'a"b\\c.pdf', "a;b.pdf", "100%25.pdf", "it's.pdf", "\u00fcbersicht.pdf", "\U0001f642.pdf",
        "x" * 250, "\u65e5" * 200, "(c).pdf", "a,b=c?.pdf",
    ),
)  # fmt: skip
def test_a_file_name_arrives_whatever_is_in_it(filename: str) -> None:
    message = modern("Hi.\n")
    message.add_attachment(b"x", "application", "pdf", filename=filename)

    for given in (message, legacy(MIMEText("Hi."), as_file(MIMEApplication(b"x"), filename))):
        assert [part.get_filename() for part in sent(given).iter_attachments()] == [filename]


@pytest.mark.parametrize(
    ("disposition", "field"),
    (
        ('attachment; filename=" a"', "content[2].content_disposition"),
        ('attachment; filename=""', "content[2].content_disposition"),
        ('attachment; filename="=?utf-8?q?x?="', "content[2].content_disposition"),
        ("attachment; filename=a b.pdf", "content[2].content_disposition"),
        ('attachment; filename="a"; filename="b"', "content[2].content_disposition"),
        ("attachment; filename*=utf-8''%00", "content[2].content_disposition"),
        ("=", "content[2].content_disposition"),
        ("\u00e9", "content[2].content_disposition"),
    ),
)
def test_a_file_name_that_is_read_in_two_ways_is_refused(disposition: str, field: str) -> None:
    for part in (MIMEApplication(b"x"), EmailMessage()):
        if isinstance(part, EmailMessage):
            part.set_content(b"x", "application", "octet-stream")
        part["Content-Disposition"] = disposition

        assert refusal(legacy(MIMEText("x"), part)).field == field


def test_what_we_wrote_can_be_parsed_by_the_package_and_written_again() -> None:
    """Both forms of a file name stand there, which the modern class takes for a fault."""
    message = modern("w\u00f6rld\n")
    message.add_attachment(OCTETS, "application", "pdf", filename="\u00fcbersicht.pdf")
    content = content_of(message)

    for parser in (BytesParser(), BytesParser(policy=policy.default)):
        again = content_of(parser.parsebytes(content))

        assert sorted(fields_of(again)) == sorted(fields_of(content))
        assert again.partition(b"\r\n\r\n")[2] == content.partition(b"\r\n\r\n")[2]


def test_what_a_part_says_of_itself_stays() -> None:
    image = MIMEImage(b"\x89PNG", "png", name="logo.png")
    image["Content-ID"] = "<logo@example.org>"
    image["Content-Description"] = "=?utf-8?q?Gr=C3=BCn?="
    image["Content-Language"] = "de, en"
    image["Content-Location"] = "https://example.org/logo.png"
    image["Content-Duration"] = "7"
    image["Content-Length"] = "99"
    image["X-Attachment-Id"] = "f_1"
    image.add_header("Content-Disposition", "inline", filename="logo.png", **{"creation-date": "now"})
    message = legacy(MIMEText("<img>", "html"), image, subtype="related", type="text/html", start="<1@x>")

    read = sent(message)

    found = list(read.iter_parts())[1]
    assert dict(read["Content-Type"].params) | {"boundary": ""} == {
        "type": "text/html", "start": "<1@x>", "boundary": ""
    }  # fmt: skip
    assert {name: str(value) for name, value in found.items()} == {
        "Content-Type": 'image/png; name="logo.png"',
        "Content-Transfer-Encoding": "base64",
        "Content-Disposition": 'inline; filename="logo.png"; creation-date="now"',
        "Content-ID": "<logo@example.org>",
        "Content-Description": "Gr\u00fcn",
        "Content-Language": "de, en",
        "Content-Location": "https://example.org/logo.png",
        "Content-Duration": "7",
        "X-Attachment-Id": "f_1",
    }


def test_a_bcc_inside_a_part_and_a_field_twice_are_refused() -> None:
    hidden, twice = MIMEText("x"), MIMEText("x")
    hidden["Bcc"] = "c@example.org"
    twice["Subject"] = "x"
    twice["Subject"] = "y"

    assert refusal(legacy(hidden)).field == "content[1].bcc"
    assert refusal(legacy(twice)).field == "subject"


def test_a_content_id_names_one_part() -> None:
    """RFC 2392."""
    images = [MIMEImage(b"x", "png"), MIMEImage(b"y", "png")]
    for image in images:
        image["Content-ID"] = "<logo@example.org>"

    assert refusal(legacy(MIMEText("x"), *images)).field == "content_id"


def test_malformed_base64_of_a_file_is_refused() -> None:
    for payload in ("YQ=", "YQ", "Y", "YQ==YQ==", "Y*Q=", "YQ==\n\nYQ==", "=", "YWJj====", "YWJj" * 40 + "="):
        part = leaf("application/pdf", payload, Content_Transfer_Encoding="base64")

        assert (payload, refusal(legacy(part)).field) == (payload, "content[1].content")


def test_base64_on_lines_of_any_length_is_broken_into_lines_of_76() -> None:
    for octets, step in ((OCTETS, 4), (OCTETS, 99_999), (b"x" * 57, 60), (b"x" * 58, 76), (b"", 1)):
        text = MIMEApplication(octets).get_payload().replace("\n", "")
        payload = " \r\n".join(text[at : at + step] for at in range(0, len(text), step))
        part = leaf("application/pdf", payload, Content_Transfer_Encoding="Base64 ")

        message = legacy(part)

        body = content_of(message).partition(b"base64\r\n\r\n")[2].partition(b"\r\n--")[0]
        assert octets_of(next(sent(message).iter_parts())) == octets
        assert {len(line) for line in body.split(b"\r\n")[:-2]} <= {76}


def test_a_large_file_stands_in_memory_once_as_it_came_and_once_as_it_goes() -> None:
    """P52."""
    size = 4 << 20
    message = modern("Hi.\n")
    message.add_attachment(bytes(size), "application", "octet-stream", filename="a.bin")
    tracemalloc.start()

    email = prepared(message).email

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(email.content) > size * 4 // 3
    assert peak < 2 * size * 4 // 3 * 1.05
