"""`message.standard_parts`: how the parts of standard library messages hang together."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage, Message
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest

from mailstrom.message.prepare import fingerprint
from tests.unit.message.standard_messages import (
    LATER,
    a_signed_part,
    addressed,
    content_of,
    leaf,
    legacy,
    modern,
    octets_of,
    prepared,
    refusal,
    sent,
    shape,
)


def test_the_tree_of_parts_stays_and_its_boundaries_are_ours() -> None:
    message = modern("Hi.\n")
    message.add_alternative("<p>Hi.</p>", "html")
    html = message.get_payload(1)
    assert isinstance(html, EmailMessage)
    html.add_related(b"\x89PNG", "image", "png", cid="<logo@example.org>")
    message.add_attachment("a,b\n", "csv", filename="a.csv")
    message.preamble, message.epilogue = "You see this?", "And this?"
    message.set_boundary("x")

    content = content_of(message)

    assert shape(sent(message)) == shape(message)
    assert b"You see this" not in content
    assert b"And this" not in content
    assert b'boundary="x"' not in content
    assert content == content_of(message)


def test_a_boundary_stands_in_no_part() -> None:
    text = "\n".join([f"--=_{number}_mixed" for number in range(1, 5)])
    first = legacy(MIMEText(text), MIMEText("b"))

    assert [octets_of(part) for part in sent(first).iter_parts()] == [
        text.replace("\n", "\r\n").encode() + b"\r\n",
        b"b\r\n",
    ]


def test_a_part_without_a_type_is_a_text_and_in_a_digest_a_message() -> None:
    """RFC 2046 5.1.5."""
    raw = (
        "From: a@example.org\nTo: b@example.net\nContent-Type: multipart/digest; boundary=x\n\n"
        "--x\n\nSubject: one\n\n1\n--x\n\nSubject: two\n\n2\n--x--\n"
    )
    for read in (message_from_string(raw), message_from_string(raw, policy=policy.default)):
        assert shape(sent(read)) == (
            "multipart/digest", [("message/rfc822", ["text/plain"]), ("message/rfc822", ["text/plain"])]
        )  # fmt: skip
    bare = Message()
    bare.set_payload("x")
    assert shape(sent(legacy(bare))) == ("multipart/mixed", ["text/plain"])


def a_part_in_itself() -> Message:
    message = legacy(MIMEText("x"))
    message.attach(message)
    return message


def parts_in_parts(depth: int) -> Message:
    message: Message = MIMEText("x")
    for _ in range(depth):
        outer = MIMEMultipart()
        outer.attach(message)
        message = outer
    return addressed(message)


def parts_in_parts_twice(depth: int) -> Message:
    message: Message = MIMEText("x")
    for _ in range(depth):
        outer = MIMEMultipart()
        outer.set_payload([message, message])
        message = outer
    return addressed(message)


def a_multipart_of(payload: Any, subtype: str = "mixed") -> Message:
    message = addressed(MIMEMultipart(subtype))
    message.set_payload(payload)
    return message


def parsed(*lines: str) -> Message:
    return message_from_string("\n".join(["From: a@example.org", "To: b@example.net", *lines, ""]))


def modern_parsed(*lines: str) -> Message:
    return message_from_bytes("\n".join(["From: a@example.org", *lines, ""]).encode(), policy=policy.default)


ENCODED_MULTIPART = """Content-Type: multipart/mixed; boundary=x
Content-Transfer-Encoding: base64

--x

y
--x--"""


@pytest.mark.parametrize(
    ("make", "given"),
    (
        (a_part_in_itself, "multipart/mixed"),
        (lambda: parts_in_parts(5000), "multipart/mixed"),
        (lambda: parts_in_parts(60), "multipart/mixed"),
        (lambda: parts_in_parts_twice(40), ""),
        (lambda: a_multipart_of([]), "multipart/mixed"),
        (lambda: a_multipart_of(None), "multipart/mixed"),
        (lambda: a_multipart_of("text"), "multipart/mixed"),
        (lambda: a_multipart_of(["text"]), "text"),
        (lambda: a_multipart_of([], "signed"), "multipart/signed"),
        (lambda: a_multipart_of([None], "encrypted"), "None"),
        (lambda: addressed(leaf("text/plain", [MIMEText("x")])), "text/plain"),
        (lambda: addressed(leaf("message/rfc822", [MIMEText("x"), MIMEText("y")])), "message/rfc822"),
        (lambda: parsed("Content-Type: multipart/mixed", "", "x"), "NoBoundaryInMultipartDefect"),
        (lambda: parsed("Content-Type: multipart/mixed; boundary=x", "", "x"), "StartBoundaryNotFoundDefect"),
        (lambda: parsed("Content-Type: multipart/mixed; boundary=x", "", "--x", "", "y"), "CloseBoundaryNot"),
        (lambda: parsed(ENCODED_MULTIPART), "InvalidMultipartContentTransferEncodingDefect"),
        (lambda: modern_parsed("To: b@example.net", "Message-ID: <a@[", "", "x"), ""),
        (lambda: modern_parsed("To: a@[1.2.3", "", "x"), ""),
        (lambda: modern_parsed('To: "', "", "x"), ""),
        (lambda: modern_parsed("To: b@example.net", f"Date: 1 Jan {'9' * 30} 10:00:00 +0000", "", "x"), ""),
        (lambda: modern_parsed("To: b@example.net", f"Date: 1 Jan 2020 10:00:00 +{'9' * 30}", "", "x"), ""),
    ),
)  # fmt: skip
def test_what_is_no_tree_of_parts_is_refused(make: Callable[[], Message], given: str) -> None:
    """P25, P36: a `MessageError`, and no other exception."""
    assert given in str(refusal(make()).given)


def test_as_many_levels_as_anyone_needs_are_written() -> None:
    message = parts_in_parts(40)

    assert shape(sent(message)) == shape(message)


def test_the_callers_message_is_left_as_it_is() -> None:
    message = MIMEMultipart("alternative")
    message["From"], message["To"], message["Bcc"] = "a@example.org", "b@example.net", "c@example.org"
    message.attach(MIMEText("From x\nplain", "plain", "utf-8"))
    message.attach(MIMEText("<p>h\u00e9</p>", "html", "utf-8"))
    message.attach(MIMEMessage(legacy(MIMEText("inner"))))
    message.attach(a_signed_part())
    before = [(part.items(), part.defects) for part in message.walk()]

    first, second = prepared(message), prepared(message, now=LATER, random_id="other")

    assert [(part.items(), part.defects) for part in message.walk()] == before
    assert fingerprint(first) == fingerprint(second)
    assert first.email.recipients == ("b@example.net", "c@example.org")
    assert b"c@example.org" not in first.email.content
