"""The MIME tree, its parts and their octets: texts, files, pictures, invitations, encodings, file names."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import re
import time
import tracemalloc
from email.header import decode_header, make_header
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import pytest

from mailstrom import Attachment, Config, Email, Mailstrom, MessageError
from tests.blackbox.wire import body, field, files, least, octets, read, sent, tree

EVENT = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
PNG = b"\x89PNG\r\n\x1a\n"


def wanted(*, text: bool, html: bool, picture: bool, event: bool, file: bool) -> object:
    """The tree that docs/emails.md draws, each level left out where it would have one member."""
    pictured = level("multipart/related", ["text/html"] * html + ["image/png"] * picture)
    forms = ["text/plain"] * text + ([pictured] if pictured else []) + ["text/calendar"] * event
    spoken = level("multipart/alternative", forms)
    return level("multipart/mixed", ([spoken] if spoken else []) + ["application/pdf"] * file)


def level(kind: str, members: list[Any]) -> Any:
    if len(members) < 2:
        return members[0] if members else None
    return (kind, *members)


@pytest.mark.parametrize("has", list(itertools.product([False, True], repeat=5)))
def test_the_tree_is_the_one_that_mail_clients_expect(has: tuple[bool, ...]) -> None:
    text, html, picture, event, file = has
    email = least(text="Hi.\n" if text else None, html="<p>Hi.\n" if html else None)
    email = email.replace(calendar=EVENT if event else None)
    if picture and html:
        email = email.inline(PNG, "logo@a.example", filename="logo.png")
    if file:
        email = email.attach(b"%PDF", filename="a.pdf")

    message = read(sent(email).content)

    said = text or not (html or event)  # an email that says nothing has an empty text
    parts = {"text": said, "html": html, "picture": picture and html, "event": event, "file": file}
    assert tree(message) == wanted(**parts)
    assert all(not part.defects for part in message.walk())


def test_a_calendar_part_says_its_method() -> None:
    part = next(p for p in read(octets(calendar=EVENT)).walk() if p.get_content_type() == "text/calendar")

    assert part["content-type"].params["method"].upper() == "REQUEST"
    assert part.get_payload(decode=True) == EVENT.encode()


def test_an_inline_picture_is_found_by_its_content_id() -> None:
    email = least(html='<img src="cid:logo@a.example">').inline(PNG, "<logo@a.example>", filename="logo.png")

    part = next(p for p in read(sent(email).content).walk() if p.get_content_maintype() == "image")

    assert (part["Content-ID"], part.get_content_disposition()) == ("<logo@a.example>", "inline")
    assert part.get_payload(decode=True) == PNG


def test_related_names_the_type_of_its_root() -> None:
    email = least(text=None, html="<p>").inline(PNG, "logo@a.example", filename="logo.png")

    assert read(sent(email).content)["content-type"].params["type"] == "text/html"  # RFC 2387 3.1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\r\n.\r\n",
        bytes(range(256)) * 9,
        b"x" * 76 + b"\r" * 3,
        b"From a\n.\n..\n",
        b"\xff" * 57,
    ],
    ids=repr,
)
def test_the_octets_of_a_file_arrive_unchanged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.bin").write_bytes(content)
    email = (
        least()
        .attach(content, filename="a.bin")
        .attach(io.BytesIO(content), filename="b.txt")
        .attach(tmp_path / "c.bin")
        .attach(str(tmp_path / "c.bin"), filename="d.csv", content_type="text/csv; charset=utf-8")
    )

    assert files(sent(email).content) == dict.fromkeys(["a.bin", "b.txt", "c.bin", "d.csv"], content)


def test_an_open_file_brings_its_name(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(b"%PDF")

    with (tmp_path / "report.pdf").open("rb") as source:
        email = least().attach(source)

    assert files(sent(email).content) == {"report.pdf": b"%PDF"}


def test_the_keyword_takes_paths_and_attachments(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")

    email = least(attachments=[tmp_path / "a.txt", Attachment("b.bin", b"b", "application/x-b; v=1")])

    content = sent(email).content
    assert files(content) == {"a.txt": b"a", "b.bin": b"b"}
    assert [part.get_content_type() for part in read(content).iter_attachments()] == [
        "text/plain",
        "application/x-b",
    ]


def test_fifty_megabytes_from_a_path_stay_within_bounds(tmp_path: Path) -> None:
    size, digest = 50_000_000, hashlib.sha256()
    block = hashlib.shake_128(b"seed").digest(1_000_000)
    with (tmp_path / "big.bin").open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
            digest.update(block)
    email = least().attach(tmp_path / "big.bin")

    with Mailstrom(Config(mode="capture")) as m:
        m.start()
        tracemalloc.start()
        began = time.perf_counter()
        m.wait(m.send_email(email), timeout=30)
        took, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        content = m.outbox[0].content

    encoded = (
        bytes(content)[content.rindex(b'filename="big.bin"') :].split(b"\r\n\r\n", 1)[1].split(b"\r\n--")[0]
    )
    assert hashlib.sha256(base64.b64decode(encoded)).digest() == digest.digest()
    assert took < 10
    assert peak < 2 * size  # the base64 text, and no copy of the file beside it


def test_a_file_that_is_gone_when_the_email_is_sent_is_a_message_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    email = least().attach(tmp_path / "a.txt")
    (tmp_path / "a.txt").unlink()

    with pytest.raises(MessageError) as refused:
        sent(email)

    assert refused.value.field == "attachments.content"


@pytest.mark.parametrize(
    "text", ["x" * 998, "x" * 999, "word " * 1000, "\u00fc" * 600, "=" * 700, " \n\t\n" * 9]
)
@pytest.mark.parametrize("kind", ["text", "html"])
def test_long_and_strange_lines_arrive(kind: str, text: str) -> None:
    content = sent(least(text=None).replace(**{kind: text + "\n"})).content

    lines = content.split(b"\r\n")
    encoding = field(content, "Content-Transfer-Encoding")
    assert max(map(len, lines)) <= (998 if encoding == "7bit" else 78)
    assert encoding == "7bit" or max(map(len, body(content).split(b"\r\n"))) <= 76
    assert content.isascii()
    assert read(content).get_payload(decode=True) == text.replace("\n", "\r\n").encode() + b"\r\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Good day.\n", "7bit"),
        ("Sch\u00f6ner Tag, und noch ein Satz dazu, der ganz gew\u00f6hnlich ist.\n", "quoted-printable"),
        ("\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3067\u3059\u3002\n", "base64"),
        ("x" * 999 + "\n", "quoted-printable"),
    ],
)
def test_each_part_gets_the_encoding_that_suits_it(text: str, encoding: str) -> None:
    assert field(octets(text=text), "Content-Transfer-Encoding") == encoding


def test_no_line_of_a_large_header_is_too_long_and_encoded_ones_keep_to_76() -> None:
    people = [(f"J\u00f6rg von {'X' * (n % 90 + 1)} {n}", f"j{n}@b.example") for n in range(200)]

    content = octets(to=people, subject="\U0001f600 gr\u00fc\u00df " * 60, comments=["w" * 40 + " "] * 2)

    head = content.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    assert max(map(len, head)) <= 998
    assert [line for line in head if b"=?" in line and len(line) > 76] == []
    words = re.findall(rb"=\?[^?]+\?[^?]\?[^?]*\?=", b"\n".join(head))
    assert [word for word in words if len(word) > 75] == []
    assert str(read(content)["subject"]) == "\U0001f600 gr\u00fc\u00df " * 60
    # Python 3.11's new reader puts a blank between two encoded words of one name: its old one does not
    found = [(str(make_header(decode_header(name))), at) for name, at in getaddresses([field(content, "To")])]
    assert found == people


@pytest.mark.parametrize(
    "name",
    [
        "plain.txt",
        "with blank.txt",
        "\u00dcbersicht 2026.csv",
        "\u65e5\u672c\u8a9e\u306e\u8cc7\u6599.pdf",
        "semi;colon.txt",
        'quo"te\\s.txt',
        "per%20cent.txt",
        "it's.txt",
        "=?utf-8?q?x?=.txt",
        "\u00e9" * 120 + ".txt",
        "a" * 200 + ".txt",
        "\U0001f600.png",
        "comma, and (brackets).txt",
    ],
)  # fmt: skip
def test_a_file_name_arrives_with_an_ascii_one_beside_it(name: str) -> None:
    content = sent(least().attach(b"x", filename=name)).content

    assert files(content) == {name: b"x"}
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 78
    disposition = re.search(rb"Content-Disposition:([^\r\n]*(?:\r\n [^\r\n]*)*)", content)[1].decode()  # type: ignore[index]
    plain = re.search(r'filename=("(?:[^"\\]|\\.)*"|[^;\s]+)', disposition)
    assert name.isascii() or (plain is not None and "filename*" in disposition)
    assert "=?" not in disposition or name.startswith("=?")


def test_a_message_goes_along_unchanged_and_its_boundaries_do_not_clash() -> None:
    inner = sent(least(html="<p>").attach(b"x", filename="x.bin")).content
    middle = sent(least(html="<p>").attach(inner, filename="i.eml", content_type="message/rfc822")).content
    outer = sent(least(html="<p>").attach(middle, filename="m.eml", content_type="message/rfc822")).content

    assert inner in middle
    assert middle in outer
    boundaries = re.findall(rb'boundary="([^"]+)"', outer)
    assert len(boundaries) == len(set(boundaries)) == 6


def test_a_text_that_looks_like_a_boundary_divides_nothing() -> None:
    first = octets(html="<p>")
    text = "".join(f"--{found}\n--{found}--\n" for found in re.findall(r'boundary="([^"]+)"', first.decode()))

    message = read(octets(html="<p>", text=text))

    assert tree(message) == ("multipart/alternative", "text/plain", "text/html")
    assert message.get_body(("plain",)).get_content().replace("\r\n", "\n") == text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "kind", ["multipart/mixed", "message/partial", "message/external-body", "message/delivery-status"]
)
def test_other_containers_than_rfc822_are_refused(kind: str) -> None:
    with pytest.raises(MessageError) as refused:
        Attachment("a", b"x\r\n", kind)

    assert refused.value.field == "attachments.content_type"


@pytest.mark.parametrize(
    "content", [b"S: \xc3\xbc\r\n\r\n", b"S: x\n\nx\n", b"S: x\r\n\r\n" + b"x" * 999, b"S: a\rb\r\n\r\n"]
)
def test_a_message_that_cannot_stand_as_it_is_is_refused(content: bytes) -> None:
    with pytest.raises(MessageError) as refused:
        Attachment("a.eml", content, "message/rfc822")

    assert refused.value.field == "attachments.content"


@pytest.mark.parametrize(
    "source",
    [5, None, io.StringIO("text"), "/nowhere/at/all", Path("/")],
    ids=["number", "None", "text file", "no such path", "folder"],
)
def test_what_is_no_file_is_refused(source: Any) -> None:
    with pytest.raises(MessageError) as refused:
        least().attach(source, filename="a.txt")

    assert refused.value.field.startswith("attachments")


def test_octets_need_a_file_name() -> None:
    with pytest.raises(MessageError) as refused:
        least().attach(b"x")

    assert refused.value.field == "attachments.filename"


def test_attach_and_inline_leave_the_email_as_it_was() -> None:
    email = least(html="<p>")

    more = email.attach(b"x", filename="x").inline(PNG, "a@a.example", filename="a.png")

    assert (email.attachments, len(more.attachments)) == ((), 2)
    assert isinstance(more, Email)


def test_a_content_id_is_used_once() -> None:
    email = least(html="<p>").inline(PNG, "a@a.example", filename="a.png")

    with pytest.raises(MessageError) as refused:
        email.inline(PNG, "a@a.example", filename="b.png")

    assert refused.value.field == "attachments.content_id"
