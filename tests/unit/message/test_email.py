"""`Email` and its bodies: what is checked when it is made, and what is written."""

from __future__ import annotations

import hashlib
import pickle
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.address import Group, Mailbox
from mailstrom.message.date import check_date_field, written_date
from mailstrom.message.email import Attachment, Email
from mailstrom.message.prepare import prepare
from mailstrom.message.prepared import DsnOptions

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def an_email(**changes: Any) -> Email:
    return Email(**{"from_": "a@example.org", "to": "b@example.net", "text": "Hi.\n"} | changes)


def written(**changes: Any) -> bytes:
    return prepare(an_email(**changes), now=NOW, random_id="x").email.content


def read(**changes: Any) -> EmailMessage:
    message = message_from_bytes(written(**changes), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(message: Any) -> str:
    octets = message.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.decode("utf-8")


def lines_of(text: str) -> str:
    """The text with CRLF line ends, the last line ended."""
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    return (unix if unix.endswith("\n") or not unix else unix + "\n").replace("\n", "\r\n")


# --- the value


def test_an_email_holds_what_it_was_given_typed_by_meaning() -> None:
    email = an_email(
        to=["Ann <ann@example.org>", "Friends: bob@example.net;"],
        references="<1@a.example> 2@a.example",
        in_reply_to=["<2@a.example>"],
        message_id="<3@a.example>",
        headers={"X-Tag": "v"},
    )

    assert email.to == (
        Mailbox(name="Ann", local_part="ann", domain="example.org"),
        Group(name="Friends", members=(Mailbox(local_part="bob", domain="example.net"),)),
    )
    assert (email.references, email.in_reply_to) == (("1@a.example", "2@a.example"), ("2@a.example",))
    assert (email.message_id, email.headers) == ("3@a.example", (("X-Tag", "v"),))
    assert pickle.loads(pickle.dumps(email)) == email


def test_keywords_are_given_in_a_list_or_with_commas_between_them() -> None:
    assert an_email(keywords="a b, c").keywords == ("a b", "c")
    assert an_email(keywords=["a, b", "c"]).keywords == ("a, b", "c")


def test_comments_are_one_text_or_several() -> None:
    assert an_email(comments="a, b").comments == ("a, b",)
    assert an_email(comments=["a", "b"]).comments == ("a", "b")


def test_an_email_may_come_from_groups_and_be_sent_by_one() -> None:
    """RFC 6854 4."""
    email = an_email(from_="Robots:;", sender="Desk: a@example.org, b@example.org;")

    found = prepare(email, now=NOW, random_id="x").email

    assert b"\r\nFrom: Robots:;\r\nSender: Desk: a@example.org, b@example.org;\r\n" in found.content
    assert (found.reverse_path, found.message_id) == ("a@example.org", "20260302093000.x@example.org")


def test_an_email_is_changed_by_making_another() -> None:
    email = an_email(subject="One")

    changed = email.replace(subject="Two", bcc="c@example.org")

    assert (email.subject, email.bcc, changed.subject) == ("One", (), "Two")
    assert changed.replace(subject="One", bcc=None) == email
    with pytest.raises(AttributeError):
        email.subject = "Three"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    (
        ({"subject": "a\nBcc: x@evil.example"}, "subject", "U+000A"),
        ({"subject": "a\r\n\r\nbody"}, "subject", "U+000D"),
        ({"subject": "a\x00b"}, "subject", "U+0000"),
        ({"subject": "a\x1bb"}, "subject", "U+001B"),
        ({"subject": "a\x7fb"}, "subject", "U+007F"),
        ({"subject": "a\u0085b"}, "subject", "U+0085"),
        ({"subject": "a\u2028b"}, "subject", "U+2028"),
        ({"subject": "a\ud800b"}, "subject", "U+D800"),
        ({"subject": b"a"}, "subject", "a str"),
        ({"to": "x\r\nBcc: y <a@example.org>"}, "to", "U+000D"),
        ({"cc": "nobody"}, "cc", "user@example.org"),
        ({"bcc": ["a@b", None]}, "bcc", "an address"),
        ({"from_": "a@example.org, b@example.org"}, "sender", "not a single mailbox"),
        ({"from_": "Robots:;"}, "sender", "not a single mailbox"),
        ({"sender": "a@example.org, b@example.org"}, "sender", "one address"),
        ({"text": "a\x00b"}, "text", "control characters"),
        ({"text": "a\x1bb"}, "text", "control characters"),
        ({"html": "<p>\x08</p>"}, "html", "control characters"),
        ({"text": "a\udc80"}, "text", "UTF-8"),
        ({"text": b"a"}, "text", "a str"),
        ({"date": datetime(2026, 3, 2)}, "date", "aware"),
        ({"date": "now"}, "date", "aware"),
        ({"date": datetime(1899, 12, 31, tzinfo=UTC)}, "date", "1900"),
        ({"message_id": "a@b@c"}, "message_id", "left@"),
        ({"message_id": "<a b@c>"}, "message_id", "left@"),
        ({"message_id": "<@c>"}, "message_id", "left@"),
        ({"message_id": "<a@[>"}, "message_id", "left@"),
        ({"message_id": "<\u00e4@b>"}, "message_id", "left@"),
        ({"message_id": ""}, "message_id", "left@"),
        ({"message_id": "a" * 1200 + "@b"}, "message_id", "900"),
        ({"message_id": "a@b>\r\nBcc: x"}, "message_id", "U+000D"),
        ({"references": "<a@b> nonsense"}, "references", "left@"),
        ({"in_reply_to": 3}, "in_reply_to", "iterable"),
        ({"headers": {"X-A": "a\nBcc: b"}}, "headers['X-A']", "U+000A"),
        ({"headers": {"X A": "a"}}, "headers['X A']", "field name"),
        ({"headers": {"X-A\r\nBcc": "a"}}, "headers['X-A\\r\\nBcc']", "field name"),
        ({"headers": {"": "a"}}, "headers['']", "field name"),
        ({"headers": {"Bcc": "a@b"}}, "headers['Bcc']", "bcc=..."),
        ({"headers": {"SUBJECT": "a"}}, "headers['SUBJECT']", "subject=..."),
        ({"headers": {"Reply-To": "a@b"}}, "headers['Reply-To']", "reply_to=..."),
        ({"headers": {"Content-Type": "text/html"}}, "headers['Content-Type']", "not the caller's"),
        ({"headers": {"Resent-Bcc": "a@b"}}, "headers['Resent-Bcc']", "not the caller's"),
        ({"headers": {"Return-Path": "<a@b>"}}, "headers['Return-Path']", "not the caller's"),
        ({"headers": {"Content-ID": "<a@b>"}}, "headers['Content-ID']", "not the caller's"),
        ({"headers": {"Keywords": "a"}}, "headers['Keywords']", "keywords=..."),
        ({"headers": {"Resent-To": "a@x.y;b@x.y"}}, "headers['Resent-To']", "semicolon"),
        ({"headers": {"Resent-To": "a@x.y"}}, "resent_date", "Resent-Date together with"),
        (
            {"headers": {"Resent-Date": "2 Mar 2026 09:30 +0000", "Resent-From": "a@x.y, b@x.y"}},
            "resent_sender",
            "one address",
        ),
        ({"headers": {"DKIM-Signature": "v=1"}}, "headers['DKIM-Signature']", "written anew"),
        ({"headers": {"ARC-Seal": "i=1"}}, "headers['ARC-Seal']", "written anew"),
        ({"to": "u\u0301" * 100_000 + "@b.example"}, "to", "64 octets"),
        ({"headers": {"Resent-Date": "yesterday"}}, "headers['Resent-Date']", "a date"),
        ({"headers": {"Resent-Message-ID": "1"}}, "headers['Resent-Message-ID']", "message id"),
        ({"headers": {"Received": "from a by b"}}, "headers['Received']", "a date"),
        ({"comments": "a\nBcc: b@c"}, "comments", "U+000A"),
        ({"comments": 3}, "comments", "a list of str"),
        ({"keywords": "a,,b"}, "keywords", "not empty"),
        ({"keywords": ["a", " "]}, "keywords", "not empty"),
        ({"keywords": ["a\r\nb"]}, "keywords", "U+000D"),
        ({"keywords": [None]}, "keywords", "a str"),
        ({"calendar": b"BEGIN:VCALENDAR"}, "calendar", "a str"),
        ({"calendar": "a\x00"}, "calendar", "control characters"),
        ({"attachments": 3}, "attachments", "Attachment("),
        ({"headers": [("List-ID", "<a.b>"), ("list-id", "<c.d>")]}, "headers['list-id']", "once"),
        ({"headers": {"List-ID": "Gr\u00f6\u00dfe <a.b>"}}, "headers['List-ID']", "ASCII"),
        ({"headers": {"X-A": "a" * 1000}}, "headers['X-A']", "998"),
        ({"headers": {"X-A": None}}, "headers['X-A']", "a str"),
        ({"headers": "X-A: b"}, "headers", "mapping"),
        ({"attachments": [b"x"]}, "attachments", "Attachment("),
        ({"dsn": "FULL"}, "dsn", "DsnOptions"),
    ),
)
def test_what_cannot_be_sent_is_refused_when_the_email_is_made(
    changes: dict[str, Any], field: str, expected: str
) -> None:
    """Threats S1, S2, S3, S4 and S9; P01-P06, P08, P10, P11, P24, P31, P36."""
    with pytest.raises(MessageError) as caught:
        an_email(**changes)

    assert caught.value.field == field
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    (
        ({"envid": "a\nb"}, "dsn.envid", "printable"),
        ({"envid": ""}, "dsn.envid", "100"),
        ({"envid": "a" * 101}, "dsn.envid", "100"),
        ({"envid": b"a"}, "dsn.envid", "printable"),
        ({"ret": "ALL"}, "dsn.ret", "'HDRS'"),
        ({"notify": ("NEVER", "DELAY")}, "dsn.notify", "alone"),
        ({"notify": ("DELAY", "DELAY")}, "dsn.notify", "each once"),
        ({"notify": ("delay",)}, "dsn.notify", "each once"),
        ({"notify": "DELAY"}, "dsn.notify", "a tuple of"),
    ),
)
def test_dsn_options_are_checked_when_they_are_made(
    options: dict[str, Any], field: str, expected: str
) -> None:
    """RFC 3461 4.1, 4.3, 4.4; threat S3."""
    with pytest.raises(MessageError) as caught:
        DsnOptions(**options)

    assert caught.value.field == field
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("filename", "content", "content_type", "field"),
    (
        ("a\r\nb.txt", b"", "text/plain", "attachments.filename"),
        ("", b"", "text/plain", "attachments.filename"),
        (" a.txt", b"", "text/plain", "attachments.filename"),
        ("a" * 256, b"", "text/plain", "attachments.filename"),
        ("a.txt", "text", "text/plain", "attachments.content"),
        ("a.txt", b"", "text", "attachments.content_type"),
        ("a.txt", b"", "text/plain; x", "attachments.content_type"),
        ("a.txt", b"", "text/plain\r\nBcc: x", "attachments.content_type"),
        ("a.txt", b"", "a" * 128 + "/b; c=d", "attachments.content_type"),
        ("a.txt", b"", "a/b; " + "c" * 61 + "=d", "attachments.content_type"),
        ("a.eml", b"", "message/partial", "attachments.content_type"),
        ("a.eml", b"Subject: a\n\n", "message/rfc822", "attachments.content"),
        ("a.eml", b"Subject: \xc3\xa4\r\n\r\n", "message/rfc822", "attachments.content"),
        ("a.eml", b"Subject: a\r\n\r\n" + b"x" * 999, "message/rfc822", "attachments.content"),
        ("a.eml", b"", "multipart/mixed", "attachments.content_type"),
    ),
)
def test_an_attachment_is_checked_when_it_is_made(
    filename: str, content: Any, content_type: str, field: str
) -> None:
    """P47, S3."""
    with pytest.raises(MessageError) as caught:
        Attachment(filename, content, content_type)

    assert caught.value.field == field


# --- what is written


def test_a_plain_email_is_written_like_this() -> None:
    email = an_email(
        from_="My Mailer <no-reply@mydomain.example>",
        sender="robot@mydomain.example",
        to="You <you@yourdomain.example>, AndYou <andyou@yourdomain.example>",
        cc="J\u00fcrgen M\u00fcller <friend@frienddomain.example>",
        bcc="myself@mydomain.example",
        reply_to="Desk: a@mydomain.example, b@mydomain.example;",
        subject="Hello Friend",
        text="Good to hear from you.",
        in_reply_to="<1@frienddomain.example>",
        references="<0@frienddomain.example> <1@frienddomain.example>",
        headers=[("X-Tag", "one"), ("X-Tag", "two")],
    )

    content = prepare(email, now=NOW, random_id="r4nd0m").email.content

    assert content.decode("ascii").split("\r\n") == [
        "Date: Mon, 02 Mar 2026 09:30:00 +0000",
        "Message-ID: <20260302093000.r4nd0m@mydomain.example>",
        "From: My Mailer <no-reply@mydomain.example>",
        "Sender: robot@mydomain.example",
        "Reply-To: Desk: a@mydomain.example, b@mydomain.example;",
        "To: You <you@yourdomain.example>, AndYou <andyou@yourdomain.example>",
        "Cc: =?utf-8?b?SsO8cmdlbiBNw7xsbGVy?= <friend@frienddomain.example>",
        "Subject: Hello Friend",
        "In-Reply-To: <1@frienddomain.example>",
        "References: <0@frienddomain.example> <1@frienddomain.example>",
        "X-Tag: one",
        "X-Tag: two",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "Good to hear from you.",
        "",
    ]


TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from(list("\r\n\t .=\u00e9\u4e2d")),
    max_size=300,
)


@given(text=TEXTS, html=st.none() | TEXTS)
def test_texts_arrive_with_their_lines_ended(text: str, html: str | None) -> None:
    """P42-P45, P48, P49; RFC 2045 6.7, 6.8."""
    content = written(text=text, html=html)
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)

    assert text_of(message.get_body(("plain",))) == lines_of(text)
    if html is not None:
        assert text_of(message.get_body(("html",))) == lines_of(html)
    assert content.isascii()
    assert content.count(b"\r\n") == content.count(b"\r") == content.count(b"\n")
    assert max(map(len, content.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("text", "encoding"),
    (
        ("plain\nFrom here\n.\n", "7bit"),
        ("x" * 998 + "\n", "7bit"),
        ("x" * 999 + "\n", "quoted-printable"),
        ("Gr\u00fc\u00dfe aus K\u00f6ln, wie immer mit viel Text dazwischen\n", "quoted-printable"),
        ("\u4e2d\u6587\n" * 10, "base64"),
    ),
)
def test_the_shortest_encoding_that_every_server_takes_is_chosen(text: str, encoding: str) -> None:
    """P31, P46."""
    message = read(text=text)

    assert message["Content-Transfer-Encoding"] == encoding
    assert text_of(message) == lines_of(text)


def test_encoded_lines_have_76_characters_at_most() -> None:
    """P44; RFC 2045 6.7, 6.8."""
    for text in ("\u00e9" + "x" * 2000, "\u4e2d" * 500):
        _, _, body = written(text=text).partition(b"\r\n\r\n")
        assert max(map(len, body.split(b"\r\n"))) == 76


def test_no_boundary_occurs_in_what_it_bounds() -> None:
    text = "--=_alternative_2\n=_mixed_2\n--=_alternative_2--\n=_alternative_3\n"

    message = read(text=text, html="<p>=_mixed_3</p>", attachments=[Attachment("a", b"x")])

    assert text_of(message.get_body(("plain",))) == lines_of(text)
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/octet-stream",
    ]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=253).map("x{}.y".format))
def test_a_file_arrives_under_its_name(filename: str) -> None:
    """S3; RFC 2183, RFC 2231."""
    content = written(attachments=[Attachment(filename, b"x")])
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)

    (part,) = message.iter_attachments()

    assert part.get_filename() == filename
    assert b'filename="' in content
    assert max(map(len, content.split(b"\r\n"))) <= 998


def test_a_file_arrives_octet_for_octet() -> None:
    """P48, P50."""
    content = bytes(range(256)) * 5000 + b"a\r1,2\nlast"

    (part,) = read(attachments=[Attachment("a.bin", content, "application/pdf")]).iter_attachments()

    arrived = part.get_payload(decode=True)
    assert isinstance(arrived, bytes)
    assert hashlib.sha256(arrived).digest() == hashlib.sha256(content).digest()
    assert part.get_content_type() == "application/pdf"


# --- dates


@pytest.mark.parametrize(
    ("at", "value"),
    (
        (datetime(2026, 3, 2, 9, 30, tzinfo=UTC), "Mon, 02 Mar 2026 09:30:00 +0000"),
        (
            datetime(2026, 3, 2, 9, 30, tzinfo=timezone(timedelta(hours=-3.5))),
            "Mon, 02 Mar 2026 09:30:00 -0330",
        ),
        (
            datetime(2026, 3, 2, 9, 30, 5, 999, tzinfo=timezone(timedelta(hours=14))),
            "Mon, 02 Mar 2026 09:30:05 +1400",
        ),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=19_815))), "Wed, 31 Dec 2025 18:29:45 +0000"),
    ),
)
def test_a_date_is_written_by_rfc_5322(at: datetime, value: str) -> None:
    """P35; RFC 5322 3.3."""
    assert written_date(at) == value
    check_date_field(value, field="date")


@pytest.mark.parametrize(
    "value",
    (
        "2 Mar 2026 09:30 +0100",
        "MON, 02 mar 2026 09:30:00 +0100",
        "Sat, 30 Jun 2012 23:59:60 +0000",
        "Mon, 02 Mar 26 09:30:00 GMT",
        "Mon, 02 Mar 2026 09 : 30 : 00 +0100 (CET)",
    ),
)
def test_a_date_of_a_finished_message_may_be_as_old_as_its_syntax(value: str) -> None:
    """RFC 5322 3.3, 4.3."""
    check_date_field(value, field="date")


@pytest.mark.parametrize(
    "value",
    (
        "Tue, 02 Mar 2026 09:30:00 +0100",
        "Mon, 02 Mar 2026 24:00:00 +0100",
        "Mon, 02 Mar 2026 09:30:00",
        "2026-03-02T09:30:00Z",
        "Mon, 30 Feb 2026 09:30:00 +0100",
        "",
    ),
)
def test_an_impossible_date_is_refused(value: str) -> None:
    """RFC 5322 3.3."""
    with pytest.raises(MessageError, match="a date such as"):
        check_date_field(value, field="date")
