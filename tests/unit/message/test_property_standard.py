"""Whatever message the standard library makes: what it says is what is sent, read by two other readers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import encoders, message_from_bytes, policy
from email.message import EmailMessage, Message
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.email import Email
from mailstrom.message.prepare import prepare

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
USUAL = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

_CONTROLS = "".join(map(chr, (*range(32), *range(0x7F, 0xA0)))) + "\u2028\u2029"
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=_CONTROLS), min_size=1, max_size=80
)
FILENAMES = st.one_of(
    st.sampled_from(
        ["a.txt", 'a"b.pdf', "a\\b;c.pdf", "100%.png", "\u00fcbersicht.pdf", "\U0001f642" * 60, "(c)'*.x"]
    ),
    NAMES.filter(lambda name: name == name.strip() and "=?" not in name),
)
LINES = st.sampled_from(
    ["", ".", "From here", "--", "--=_1_mixed", "--=_2_mixed--", "tail  ", "=3D", "w\u00f6rld",
     "\u65e5" * 40, "x" * 75, "x" * 999, "\ttab", "\u00e9" * 90, "\U0001f642", "Subject: x", "\u0085",
     "\u2028", "=", "\u20ac"]
)  # fmt: skip
TEXTS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r", "\n\n", ""])), max_size=6).map(
    lambda drawn: "".join([part for pair in drawn for part in pair])
)
OCTETS = st.one_of(
    st.binary(max_size=300), TEXTS.map(str.encode), st.sampled_from([b"x" * 57, b"\r", b"\0" * 999])
)
CONTENT_TYPES = st.sampled_from(
    ["application/pdf", "application/octet-stream", "image/png", "text/csv", "text/plain", "text/x-log"]
)


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    subtype: str
    charset: str
    encoding: str | None


@dataclass(frozen=True, slots=True)
class File:
    octets: bytes
    content_type: str
    filename: str
    encoding: str
    content_id: str | None


@dataclass(frozen=True, slots=True)
class Parts:
    subtype: str
    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Attached:
    subject: str
    tree: Any


def can_be(charset: str, text: str) -> bool:
    try:
        return text.encode(charset).decode(charset) == text
    except UnicodeError:
        return False


def texts() -> st.SearchStrategy[Text]:
    charsets = st.sampled_from(["utf-8", "us-ascii", "iso-8859-1", "iso-2022-jp", "windows-1252", "utf-8"])
    encodings = st.sampled_from([None, "base64", "quoted-printable", "8bit"])
    made = st.builds(
        Text, TEXTS, st.sampled_from(["plain", "html", "markdown", "calendar"]), charsets, encodings
    )
    return made.filter(lambda made: can_be(made.charset, made.text))


def files() -> st.SearchStrategy[File]:
    ids = st.none() | st.uuids().map("<{}@example.org>".format)
    return st.builds(
        File, OCTETS, CONTENT_TYPES, FILENAMES, st.sampled_from(["base64", "quoted-printable", "8bit"]), ids
    )


def trees() -> st.SearchStrategy[Any]:
    return st.recursive(
        texts() | files(),
        lambda inner: st.builds(
            Parts, st.sampled_from(["mixed", "alternative", "related", "x-other"]),
            st.lists(inner, min_size=1, max_size=3).map(tuple),
        ) | st.builds(Attached, NAMES, inner),
        max_leaves=5,
    )  # fmt: skip


def modern(tree: Any) -> EmailMessage:
    """The tree as the modern class makes it."""
    part = EmailMessage(policy=policy.default)
    match tree:
        case Text():
            part.set_content(tree.text, subtype=tree.subtype, charset=tree.charset, cte=tree.encoding)
        case File():
            part.set_content(
                tree.octets, *tree.content_type.split("/"), cte=tree.encoding, filename=tree.filename,
                disposition="attachment", cid=tree.content_id,
            )  # fmt: skip
        case Attached():
            part.set_content(addressed(modern(tree.tree), tree.subject))
        case Parts():
            part["Content-Type"] = f"multipart/{tree.subtype}"
            part.set_payload([modern(each) for each in tree.parts])
    return part


def legacy(tree: Any) -> Message:
    """The tree as the older classes make it."""
    match tree:
        case Text(encoding="8bit"):
            octets = tree.text.encode(tree.charset)
            part: Message = MIMEBase("text", tree.subtype, charset=tree.charset)
            part.set_payload(octets.decode("ascii", "surrogateescape"))
            part["Content-Transfer-Encoding"] = "8bit"
        case Text():
            part = MIMEText(tree.text, tree.subtype, tree.charset)
        case File():
            part = MIMEBase(*tree.content_type.split("/"))
            part.set_payload(tree.octets)
            encode = {"base64": encoders.encode_base64, "quoted-printable": encoders.encode_quopri}
            encode.get(tree.encoding, encoders.encode_noop)(part)
            part.add_header("Content-Disposition", "attachment", filename=tree.filename)
            if tree.content_id is not None:
                part["Content-ID"] = tree.content_id
        case Attached():
            part = MIMEMessage(addressed(legacy(in_base64(tree.tree)), tree.subject))
        case _:
            part = MIMEMultipart(tree.subtype, _subparts=[legacy(each) for each in tree.parts])
    return part


def in_base64(tree: Any) -> Any:
    """The tree with its files in base64: the package changes line ends where it writes others."""
    match tree:
        case File():
            return replace(tree, encoding="base64")
        case Parts():
            return replace(tree, parts=tuple(map(in_base64, tree.parts)))
    return tree


def holds_message(tree: Any) -> bool:
    return isinstance(tree, Attached) or (isinstance(tree, Parts) and any(map(holds_message, tree.parts)))


def addressed(message: Message, subject: str) -> Message:
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.net", subject
    return message


def facts(part: Message) -> Any:
    """What a message says, as the package reads it."""
    kind = part.get_content_type()
    payload = part.get_payload()
    if isinstance(payload, list):
        # the package drops the blanks around a value when it reads one
        subject = [str(child["Subject"] or "").strip() for child in payload if kind == "message/rfc822"]
        return kind, subject, [facts(child) for child in payload]
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    if part.get_content_maintype() == "text" and part.get_content_disposition() is None:
        return kind, crlf(octets.decode(str(part.get_param("charset", "us-ascii"))))
    digest = hashlib.sha256(octets).hexdigest()
    return kind, part.get_content_disposition(), part.get_filename(), part["Content-ID"], digest


def crlf(text: str) -> str:
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    return (unix if unix.endswith("\n") or not unix else unix + "\n").replace("\n", "\r\n")


def sent(message: Message) -> bytes:
    return prepare(message, now=NOW, random_id="x").email.content


def leaves(part: Message) -> Iterator[Message]:
    """The parts that hold none, and messages."""
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for child in part.iter_parts() if isinstance(part, EmailMessage) else ():
        yield from leaves(child)


def check_octets(content: bytes) -> None:
    assert content.isascii()
    assert content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 998


def check_strictly_read(content: bytes) -> None:
    """Our strict reader finds the same texts and files."""
    read = Email.parse(content)
    theirs = list(leaves(message_from_bytes(content, policy=policy.default)))
    ours = [text for text in (read.text, read.html, read.calendar) if text is not None]
    assert len(theirs) == len(ours) + len(read.attachments)
    digests = {part.get_payload(decode=True) for part in theirs if not part.is_multipart()}
    assert {text.replace("\n", "\r\n").encode() for text in ours} <= digests
    files = {each.content for each in read.attachments if not each.is_message}
    assert files <= digests


@given(trees(), NAMES)
@USUAL
def test_what_the_modern_class_says_is_sent(tree: Any, subject: str) -> None:
    message = addressed(modern(tree), subject)

    content = sent(message)

    read = message_from_bytes(content, policy=policy.default)
    assert facts(read) == facts(message)
    check_octets(content)
    check_strictly_read(content)


@given(trees())
@USUAL
def test_what_the_legacy_classes_say_is_sent(tree: Any) -> None:
    message = addressed(legacy(tree), "x")
    before = repr([(part.items(), part.defects) for part in message.walk()])

    try:
        content = sent(message)
    except MessageError:
        assert holds_message(tree)  # which might have been parsed, and passes as it is or not at all
        return

    assert facts(message_from_bytes(content, policy=policy.default)) == facts(message)
    assert repr([(part.items(), part.defects) for part in message.walk()]) == before
    check_octets(content)
    check_strictly_read(content)


@given(trees())
@USUAL
def test_what_was_sent_can_be_parsed_by_the_package_and_sent_again(tree: Any) -> None:
    content = sent(addressed(modern(tree), "x"))

    for kind in (policy.default, policy.compat32):
        again = sent(message_from_bytes(content, policy=kind))

        assert facts(message_from_bytes(again)) == facts(message_from_bytes(content))
        # the package adds a line end to an empty part of an attached message
        is_same = again.partition(b"\r\n\r\n")[2] == content.partition(b"\r\n\r\n")[2]
        assert is_same or holds_message(tree)


FIELDS = st.sampled_from(
    ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID", "Content-Description",
     "MIME-Version", "Keywords", "Comments", "To", "Subject", "Bcc", "Date", "X-Y",
     "Message-ID", "References", "Received", "Return-Path", "List-ID", "Resent-To", "Resent-From",
     "Resent-Date", "Resent-Reply-To"]
)  # fmt: skip
VALUES = st.sampled_from(
    ["", "text/plain", "multipart/mixed; boundary=x", "multipart/signed", "message/rfc822", "8bit", "base64",
     "message/delivery-status", "text/plain; charset=utf-16", "text/plain; charset=idna", "quoted-printable",
     "text/plain; charset*=utf-8''%00", "attachment; filename*0=a; filename*2=b", 'attachment; filename="',
     "=?utf-8?q?x?=", "=?utf-8?b?/w==?=", "<a@b>", "<a@[", "a@b.example, ", "\u00e9", "\udce9", "\0",
     "a\n\nb", "a\r\nBcc: x@y", "Mon, 02 Mar 2026 09:30:00 +0000", "1.0", None, 7]
)  # fmt: skip
PAYLOADS = st.sampled_from(
    [None, "", "text", "w\u00f6rld", "\udce9", "YQ==", "YQ=", "=", "=zz", b"\xff", b"YQ==", [], [None], 7]
)
PIECES = st.sampled_from(
    [b"Content-Type: ", b"multipart/mixed; boundary=x", b"message/rfc822", b"a@[1.2.3", b"\n", b"\n\n",
     b"--x\n", b"--x--\n", b"Content-Transfer-Encoding: base64\n", b"\xe9", b"\r", b"text/plain\n",
     b"To: b@example.net\n", b"Date: 1 Jan 99999999999 1:1:1 +1\n", b"=?utf-8?q?a?=", b"To: <a@b", b" ",
     b"Message-ID: <a@[\n"]
)  # fmt: skip
KINDS = st.sampled_from([EmailMessage, Message])


@given(st.lists(st.tuples(FIELDS, VALUES), max_size=3), PAYLOADS, KINDS, st.booleans())
@USUAL
def test_whatever_is_in_a_message_it_is_sent_or_refused(
    fields: list[tuple[str, Any]], payload: Any, kind: type[Message], is_part: bool
) -> None:
    part = kind()
    try:
        for name, value in fields:
            part[name] = value
        part.set_payload(payload)
    except Exception:  # the package refuses it
        return
    message = MIMEMultipart() if is_part else part
    if is_part:
        message.set_payload([part])
    message["From"] = "a@example.org"

    try:
        content = prepare(message, recipients="b@example.net", now=NOW, random_id="x").email.content
    except MessageError:
        return

    check_octets(content)
    Email.parse(content)


@given(st.lists(PIECES, max_size=12), st.sampled_from([policy.default, policy.compat32]))
@USUAL
def test_whatever_was_parsed_is_sent_or_refused(pieces: list[bytes], kind: Any) -> None:
    message = message_from_bytes(b"From: a@example.org\n" + b"".join(pieces), policy=kind)

    try:
        content = prepare(message, recipients="b@example.net", now=NOW, random_id="x").email.content
    except MessageError:
        return

    check_octets(content)
    Email.parse(content)

    try:
        content = prepare(message, recipients="b@example.net", now=NOW, random_id="x").email.content
    except MessageError:
        return

    check_octets(content)
    Email.parse(content)
