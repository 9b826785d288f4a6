"""`message.standard`: header fields of the standard library's messages, written anew."""

from __future__ import annotations

from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from email.parser import BytesParser
from typing import Any

import pytest

from mailstrom.message import Email
from tests.unit.message.standard_messages import (
    a_message,
    content_of,
    fields_of,
    octets_of,
    prepared,
    refusal,
    sent,
)


def test_fields_are_written_by_our_writer() -> None:
    """P03, P12, P13, P26, P42, P46, P49."""
    message = EmailMessage()
    message["From"] = "J\u00fcrgen <a@example.org>"
    message["To"] = [Address("Sender, spoofed, with a very long display name", "to", "example.com")] + [
        Address("", "a" * 60, f"{n}.example.com") for n in range(3)
    ]
    message["Subject"] = "caf\u00e9 " * 20
    message["References"] = f"<{'r' * 90}@example.org> <2@example.org>"
    message["X-Token"] = "t" * 200
    message.set_content("From here\nw\u00f6rld\n")

    content = content_of(message)

    assert content.isascii()
    assert b">From" not in content
    assert fields_of(content)[:5] == [
        "From: =?utf-8?q?J=C3=BCrgen?= <a@example.org>",
        'To: "Sender, spoofed, with a very long display name" <to@example.com>, '
        + ", ".join(f"{'a' * 60}@{n}.example.com" for n in range(3)),
        fields_of(content)[2],
        f"References: <{'r' * 90}@example.org> <2@example.org>",
        f"X-Token: {'t' * 200}",
    ]
    read = sent(message)
    assert read["Subject"] == "caf\u00e9 " * 20
    assert octets_of(read).decode() == "From here\r\nw\u00f6rld\r\n"


def test_legacy_header_text_is_read_as_it_is_written() -> None:
    """P20: the whole value is never encoded, only the name."""
    message = a_message(
        None,
        Subject="=?utf-8?q?caf=C3=A9?=\n more",
        Cc=Header("J\u00f6rg", "utf-8").encode() + " <j@x.example>",
    )
    message["Comments"] = Header("gr\u00fcn", "utf-8")
    message["Keywords"] = "=?utf-8?q?gr=C3=BCn?=, red hot"

    content = content_of(message)

    assert {"Subject: =?utf-8?q?caf=C3=A9_more?=", "Cc: =?utf-8?b?SsO2cmc=?= <j@x.example>"} <= set(
        fields_of(content)
    )
    assert "Comments: =?utf-8?b?Z3LDvG4=?=" in fields_of(content)
    assert "Keywords: =?utf-8?b?Z3LDvG4=?= , red hot" in fields_of(content)


def test_internationalised_addresses_go_with_smtputf8_or_as_a_labels() -> None:
    """P16-P18."""
    found = prepared(a_message(To="j\u00f6rg@example.com, joe@b\u00fccher.example")).email

    assert found.recipients == ("j\u00f6rg@example.com", "joe@xn--bcher-kva.example")
    assert found.needs_smtputf8
    assert "To: j\u00f6rg@example.com, joe@xn--bcher-kva.example" in fields_of(found.content)


@pytest.mark.parametrize(
    ("message", "field"),
    (
        (a_message(None, Subject="hi\n\nbody"), "subject"),
        (a_message(None, Subject="hi\nBcc: x@y"), "subject"),
        (a_message(None, Subject="=?utf-8?q?hi=0D=0ABcc=3A_x=40evil=2Eexample?="), "subject"),
        (a_message(Subject="=?utf-8?q?hi=0D=0ABcc=3A_x=40evil=2Eexample?="), "subject"),
        (a_message(Subject="=?utf-8?q?hi=0A?="), "subject"),
        (a_message(None, Subject="a\x00b\x1bc"), "subject"),
        (a_message(To="a@x.y;b@x.y"), "to"),
        (a_message(None, To="a@x.y;b@x.y"), "to"),
        (a_message(To="alice@example.org)bob@example.com"), "to"),
        (a_message(To="foo"), "to"),
        (a_message(To="a@b..c"), "to"),
        (a_message(None, To=None), "to"),
        (a_message(None, Message_ID="<a@["), "message_id"),
        (a_message(None, Message_ID="<>"), "message_id"),
        (a_message(None, References="Your mail of today"), "references"),
        (a_message(None, In_Reply_To="<a b@c>"), "in_reply_to"),
        (a_message(None, Received="from somewhere"), "received"),
        (a_message(None, Return_Path="somewhere"), "return_path"),
        (a_message(None, Resent_To="c@example.org"), "resent_date"),
        (a_message(None, Date="yesterday"), "date"),
        (a_message(None, Date="Mon, 02 Mar 2026 09:30:00 +053015"), "date"),
        (a_message(None, List_ID="Gr\u00f6\u00dfe <a.example>"), "list_id"),
        (a_message(None, **{"X Bad": "1"}), "headers['X Bad']"),
        (a_message(None, **{"X-A: b\r\nBcc": "1"}), "headers['X-A: b\\r\\nBcc']"),
        (a_message(None, Content_Description="a\nBcc: c@example.org"), "content_description"),
        (a_message(None, Content_Location="\u00e4"), "content_location"),
        (a_message(MIME_Version="2.0"), "mime_version"),
        (a_message(None, Content_ID="<logo>"), "content_id"),
        (a_message(Content_Type="t\u00e9xt/plain"), "content_type"),
        (a_message(None, To="a@b.example, , c@d.example"), "to"),
        (a_message(To="a@b.example,"), "to"),
        (a_message(None, Keywords="a,,b"), "keywords"),
        (a_message(Keywords="a <b>"), "keywords"),
    ),
)
def test_what_the_package_lets_through_is_refused(message: Message, field: str) -> None:
    """P01, P02, P04-P06, P08, P22-P24, P28, P36."""
    assert refusal(message).field == field


def test_a_second_field_is_refused_where_there_may_be_one() -> None:
    """P10; RFC 2369 3.4."""
    message, mailing = a_message(None), a_message(List_ID="<a.example>")
    message["To"] = "c@example.org"
    mailing["List-ID"] = "<b.example>"

    assert refusal(message).field == "to"
    assert refusal(mailing).field == "headers['List-ID']"


@pytest.mark.parametrize("kind", (EmailMessage, None))
@pytest.mark.parametrize(
    "name", ("DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "arc-authentication-results")
)
def test_a_signature_that_would_not_hold_is_refused(kind: type[EmailMessage] | None, name: str) -> None:
    """P29: what was signed is written anew here."""
    found = refusal(a_message(kind, **{name: "v=1; a=rsa-sha256; d=example.org; s=x; h=from; bh=x; b=y"}))

    assert found.field == f"headers[{name!r}]"
    assert "as bytes" in str(found)


def test_resent_fields_stand_on_top() -> None:
    """RFC 5322 3.6.6: where the package cannot put them."""
    message = a_message(None, Message_ID="<1@example.org>", Date="Mon, 02 Mar 2026 09:30:00 +0100")
    message["Resent-From"], message["Resent-To"] = "c@example.org", "d@example.net"
    message["Resent-Date"] = "Tue, 03 Mar 2026 09:30:00 +0100"

    found = prepared(message).email

    assert fields_of(found.content)[:4] == [
        "Resent-From: c@example.org",
        "Resent-To: d@example.net",
        "Resent-Date: Tue, 03 Mar 2026 09:30:00 +0100",
        "From: a@example.org",
    ]
    assert found.recipients == ("d@example.net",)


@pytest.mark.parametrize("parser", (BytesParser(), BytesParser(policy=policy.default)))
def test_header_octets_that_the_package_no_longer_knows_are_refused(parser: Any) -> None:
    """P30."""
    for text in (b"caf\xc3\xa9", b"caf\xe9"):
        raw = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: " + text + b"\r\n\r\nHi.\r\n"

        assert refusal(parser.parsebytes(raw)).field == "subject"


def test_a_header_object_is_read_once() -> None:
    """P01, P41: its text is what it says; what looks like an encoded word in it is text."""
    message = MIMEText("Hi.\n")
    message["From"], message["To"] = "a@example.org", "b@example.net"
    message["Subject"] = Header("=?utf-8?q?a?=", "utf-8")

    assert Email.parse(content_of(message)).subject == "=?utf-8?q?a?="
