"""`message.standard_literal`: what must not be changed passes as it is, or is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from email import policy
from email.generator import BytesGenerator
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.parser import BytesParser
from io import BytesIO
from typing import Any

import pytest

from tests.unit.message.standard_messages import (
    a_message,
    a_signed_part,
    addressed,
    as_file,
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


def wire_of(part: Message) -> bytes:
    """The octets that a program signs with the `email` package."""
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=part.policy.clone(linesep="\r\n")).flatten(part)
    return out.getvalue()


def test_what_is_signed_passes_as_the_package_writes_it() -> None:
    """RFC 1847 2.1."""
    signed = a_signed_part(boundary="b0undary")

    content = content_of(addressed(copy.copy(signed)))

    assert content.partition(b"\r\n\r\n")[2] == wire_of(signed).partition(b"\r\n\r\n")[2]
    read = sent(addressed(a_signed_part()))
    assert shape(read) == ("multipart/signed", ["text/plain", "application/pgp-signature"])
    assert (read.get_param("protocol"), read.get_param("micalg")) == (
        "application/pgp-signature",
        "pgp-sha256",
    )
    assert shape(sent(legacy(MIMEText("x"), a_signed_part()))) == (
        "multipart/mixed", ["text/plain", ("multipart/signed", ["text/plain", "application/pgp-signature"])]
    )  # fmt: skip


def test_what_was_signed_elsewhere_passes_octet_for_octet() -> None:
    inner = (
        b"Content-Type: multipart/mixed; boundary=inner\r\nX-Odd: folded\r\n\tso   and "
        + b"so " * 40
        + b"\r\n\r\n"
        b"preamble\r\n--inner\r\n\r\nFrom here  \r\n--inner\r\nContent-Type: image/png\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nAAA\r\nA\r\n--inner--\r\nepilogue\r\n"
    )
    raw = (
        b"From: a@example.org\r\nTo: b@example.net\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/signed; boundary="outer"; protocol="application/pkcs7-signature"\r\n\r\n'
        b"--outer\r\n"
        + inner
        + b"\r\n--outer\r\nContent-Type: application/pkcs7-signature\r\n\r\nAAAA\r\n--outer--\r\n"
    )

    for parser in (BytesParser(), BytesParser(policy=policy.default)):
        for octets in (raw, raw.replace(b"\r\n", b"\n")):
            assert b"--outer\r\n" + inner + b"\r\n--outer\r\n" in content_of(parser.parsebytes(octets))


def test_an_encrypted_part_passes_as_it_is() -> None:
    """RFC 3156 4."""
    version = leaf("application/pgp-encrypted", "Version: 1\n")
    octets = leaf("application/octet-stream", "-----BEGIN PGP MESSAGE-----\n\nabc=\n")
    message = legacy(version, octets, subtype="encrypted", protocol="application/pgp-encrypted")

    read = sent(message)

    assert shape(read) == ("multipart/encrypted", ["application/pgp-encrypted", "application/octet-stream"])
    assert [octets_of(part) for part in read.iter_parts()] == [
        b"Version: 1\r\n", b"-----BEGIN PGP MESSAGE-----\r\n\r\nabc=\r\n"
    ]  # fmt: skip


def test_an_attached_message_that_was_parsed_passes_as_it_is() -> None:
    """P29, P47."""
    raw = (
        b"Received: from x\r\n\tby y;  Mon, 02 Mar 2026 09:30:00 +0000\r\nDKIM-Signature: v=1; b="
        + b"a" * 100
        + b"\r\n"
        b"Subject: =?utf-8?q?=C3=A9?=   odd\r\nBcc: c@example.org\r\n\r\nFrom here  \r\n.\r\n"
    )
    for parser in (BytesParser(), BytesParser(policy=policy.default)):
        message = modern("See below.\n")
        message.make_mixed()
        message.attach(as_file(MIMEMessage(parser.parsebytes(raw)), "m.eml"))

        content = content_of(message)

        assert b"\r\n\r\n" + raw + b"\r\n--" in content
        assert prepared(message).email.recipients == ("b@example.net",)
        attached = list(sent(message).iter_parts())[1]
        assert (attached["Content-Transfer-Encoding"], attached.get_filename()) == ("7bit", "m.eml")


def test_an_attached_message_that_was_made_is_written_by_our_writer() -> None:
    """P03, P12, P47: it has no octets yet."""
    inner = modern("w\u00f6rld\n")
    inner["Cc"] = [Address("Sender, spoofed, with a very long display name over lines", "to", "example.com")]
    inner["Subject"] = "caf\u00e9 " * 20
    message = modern("See below.\n")
    message.add_attachment(inner)

    content = content_of(message)

    assert content.isascii()
    assert (
        b'Cc: "Sender, spoofed, with a very long display name over lines"\r\n <to@example.com>\r\n' in content
    )
    (attached,) = sent(message).iter_attachments()
    assert attached.get_content()["Subject"] == "caf\u00e9 " * 20
    assert octets_of(attached.get_content()).decode() == "w\u00f6rld\r\n"


def test_octets_of_a_message_pass_if_they_can_stand_as_they_are() -> None:
    """P47: RFC 2046 5.2.1 forbids base64 for them."""
    for raw in (b"Subject: x\r\n\r\nHi.\r\n", b"Subject: x\n\nHi.\n"):
        message = modern("See below.\n")
        message.add_attachment(raw, "message", "rfc822", filename="m.eml")

        assert (
            b'7bit\r\nContent-Disposition: attachment; filename="m.eml"\r\n\r\nSubject: x\r\n\r\nHi.\r\n'
            in (content_of(message))
        )


def test_the_parts_of_a_report_are_parts_or_pass_as_they_are() -> None:
    """RFC 6522, RFC 3464."""
    raw = (
        b"From: a@example.org\r\nTo: b@example.net\r\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n"
        b"--x\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\ncaf\xc3\xa9\r\n"
        b"--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        b"Final-Recipient: rfc822; b@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        b"--x\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\nX-Long: " + b"y " * 60 + b"\r\n"
        b"--x--\r\n"
    )
    for parser in (BytesParser(), BytesParser(policy=policy.default)):
        message = parser.parsebytes(raw)

        content = content_of(message)

        assert raw[raw.index(b"Reporting-MTA") : raw.index(b"\r\n--x\r\nContent-Type: text/rfc")] in content
        assert raw[raw.index(b"Subject: x") : raw.index(b"\r\n--x--")] in content
        assert shape(sent(message)) == shape(message)
        assert sent(message).get_param("report-type") == "delivery-status"
        assert octets_of(next(sent(message).iter_parts())).decode() == "caf\u00e9\r\n"


def attached_octets(raw: bytes, kind: Any = policy.default) -> Message:
    inner = BytesParser(policy=kind).parsebytes(raw)
    message = modern("See below.\n")
    message.make_mixed()
    message.attach(MIMEMessage(inner))
    return message


def with_boundary_inside() -> Message:
    part = a_signed_part("a\n--b\nc\n")
    part.set_boundary("b")
    return addressed(part)


def the_same_boundary_twice() -> Message:
    inner = legacy(MIMEText("x"))
    inner.set_boundary("b")
    part = MIMEMultipart("signed", boundary="b")
    part.attach(inner)
    part.attach(MIMEText("y"))
    return addressed(part)


def with_field(part: Message, name: str, value: Any) -> Message:
    part[name] = value
    return part


@pytest.mark.parametrize(
    ("make", "given"),
    (
        (lambda: addressed(a_signed_part("x" * 999)), "999"),
        (lambda: addressed(a_signed_part("a\rb")), "bare CR"),
        (lambda: addressed(a_signed_part("a\0b")), "NUL"),
        (lambda: attached_octets(b"Subject: x\r\n\r\ncaf\xc3\xa9\r\n"), "0xC3"),
        (lambda: attached_octets(b"Subject: x\r\n\r\n" + b"x" * 1200), "1200"),
        (lambda: attached_octets(b"Subject: caf\xc3\xa9\r\n\r\nx\r\n"), "0xC3"),
        (lambda: attached_octets(b"Subject: caf\xc3\xa9\r\n\r\nx\r\n", policy.compat32), ""),
        (lambda: attached_octets(b"Subject: x\r\n\r\na\0b\r\n"), "NUL"),
        (lambda: legacy(MIMEMessage(a_message(None, Subject="hi\n\nbody"))), "hi"),
        (lambda: legacy(MIMEMessage(a_message(None, Subject="hi\nBcc: x@y"))), "hi"),
        (lambda: legacy(MIMEMessage(a_message(None, **{"X Bad": "x"}))), "X Bad"),
        (lambda: legacy(MIMEMessage(a_message(None, Subject=None))), ""),
        (lambda: legacy(leaf("message/rfc822", b"Subject: caf\xe9\r\n\r\n")), "0xE9"),
        (lambda: legacy(leaf("message/rfc822", "Subject: caf\u00e9\r\n\r\n")), ""),
        (lambda: legacy(leaf("message/rfc822", "a\r\nb\n")), "line ends"),
        (with_boundary_inside, "b"),
        (the_same_boundary_twice, "b"),
        (
            lambda: addressed(with_field(a_signed_part(), "Content-Transfer-Encoding", "base64")),
            "base64",
        ),
    ),
)
def test_what_cannot_stand_as_it_is_is_refused_with_the_reason(
    make: Callable[[], Message], given: str
) -> None:
    """P04, P05, P31, P47."""
    assert given in str(refusal(make()))


def test_a_long_parameter_name_does_not_hang_the_writer() -> None:
    """P34."""
    part = modern("x\n")
    part.add_attachment("x", filename="a", params={"A" * 130: "v"})
    signed = MIMEMultipart("signed")
    signed.attach(part)
    signed.attach(MIMEText("x"))

    assert "a" * 130 in str(refusal(part))
    assert b"; " + b"A" * 130 in content_of(addressed(signed))
    short = EmailMessage(policy=policy.SMTP.clone(max_line_length=15))
    addressed(short)
    short["Subject"] = "\u00e9" * 30
    short.set_content("x\n")
    assert sent(short)["Subject"] == "\u00e9" * 30


def test_a_message_of_a_strict_policy_is_a_message_error_too() -> None:
    part = EmailMessage(policy=policy.strict)
    part["Content-Type"] = "application/pdf"
    part["Content-Transfer-Encoding"] = "base64"
    part.set_payload("YQ")

    assert refusal(legacy(part)).field == "content[1].content"


def test_the_same_message_makes_the_same_octets() -> None:
    for make in (
        lambda: legacy(MIMEText("x"), a_signed_part()),
        lambda: legacy(MIMEMessage(legacy(MIMEText("y")))),
    ):
        assert content_of(make()) == content_of(make())
