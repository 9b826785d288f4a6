"""Messages that others made: the standard library's, and finished octets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from email import policy
from email.message import EmailMessage, Message
from email.mime.application import MIMEApplication
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest

from mailstrom import MessageError
from tests.blackbox.wire import body, field, fields, files, names, read, sent, tree

HEAD = b"From: a@a.example\r\nTo: b@b.example\r\n"
DATED = HEAD + b"Date: Mon, 02 Mar 2026 09:30:00 +0100\r\nMessage-ID: <1@a.example>\r\n"


def addressed(message: Any) -> Any:
    message["From"] = "J\u00f6rg <joerg@a.example>"
    message["To"] = "Team: b@b.example, C <c@c.example>;, d@b\u00fccher.example"
    message["Bcc"] = "secret@d.example"
    message["Subject"] = "Gr\u00fc\u00dfe, \u4eca\u65e5 " * 9
    message["X-Tag"] = "1"
    return message


def modern(chosen: policy.Policy = policy.default) -> EmailMessage:
    message = addressed(EmailMessage(policy=chosen))
    message.set_content("Sch\u00f6n!\n")
    message.add_alternative('<p>Sch\u00f6n! <img src="cid:l@a.example">\n', subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG", "image", "png", cid="<l@a.example>", filename="l.png")
    message.add_attachment(bytes(range(256)), "application", "pdf", filename="\u00dcber.pdf")
    return message


def legacy() -> MIMEMultipart:
    spoken, whole = MIMEMultipart("alternative"), addressed(MIMEMultipart())
    spoken.attach(MIMEText("Sch\u00f6n!\n", "plain", "utf-8"))
    spoken.attach(MIMEText("<p>Sch\u00f6n!\n", "html", "iso-8859-1"))
    picture = MIMEImage(b"\x89PNG", "png")
    picture.add_header("Content-Disposition", "attachment", filename="l.png")
    file = MIMEApplication(bytes(range(256)), "pdf")
    file.add_header("Content-Disposition", "attachment", filename=("utf-8", "", "\u00dcber.pdf"))
    for part in (spoken, picture, file):
        whole.attach(part)
    return whole


MADE: dict[str, Callable[[], Message]] = {
    "EmailMessage": modern,
    "EmailMessage, SMTP": lambda: modern(policy.SMTP),
    "EmailMessage, SMTPUTF8": lambda: modern(policy.SMTPUTF8),
    "EmailMessage, long lines": lambda: modern(policy.default.clone(max_line_length=500)),
    "MIMEMultipart": legacy,
}


@pytest.mark.parametrize("kind", MADE)
def test_a_message_of_the_standard_library_says_the_same_on_the_wire(kind: str) -> None:
    given = MADE[kind]()

    out = sent(given)

    message = read(out.content)
    assert out.recipients == ("b@b.example", "c@c.example", "d@xn--bcher-kva.example", "secret@d.example")
    assert not out.needs_smtputf8
    assert str(message["subject"]).rstrip() == ("Gr\u00fc\u00dfe, \u4eca\u65e5 " * 9).rstrip()
    assert [g.display_name for g in message["to"].groups] == ["Team", None]
    assert (message["x-tag"], message["bcc"], message["mime-version"]) == ("1", None, "1.0")
    assert message.get_body(("plain",)).get_content().splitlines() == ["Sch\u00f6n!"]
    assert "<p>Sch\u00f6n!" in message.get_body(("html",)).get_content()
    assert files(out.content)["\u00dcber.pdf"] == bytes(range(256))
    assert files(out.content)["l.png"] == b"\x89PNG"
    assert out.content.isascii()
    assert max(map(len, out.content.split(b"\r\n"))) <= 998


def test_the_caller_keeps_the_message_as_it_was() -> None:
    given = modern()
    before = given.as_bytes()

    sent(given)

    assert given.as_bytes() == before
    assert given["Bcc"] == "secret@d.example"


def signed(parts: list[Message], kind: str = "signed") -> MIMEMultipart:
    whole = addressed(MIMEMultipart(kind, protocol="application/pgp-" + kind, boundary="outer=_boundary"))
    for part in parts:
        whole.attach(part)
    return whole


def armour(kind: str, text: bytes) -> Message:
    part = MIMEBase("application", kind)
    part.set_payload(text.decode())
    return part


@pytest.mark.parametrize("kind", ["signed", "encrypted"])
def test_what_is_signed_or_encrypted_passes_to_the_octet(kind: str) -> None:
    text = MIMEText("trailing blanks  \nFrom here\n.dot\n\n", "plain", "us-ascii")
    given = signed([text, armour(f"pgp-{kind}", b"-----BEGIN PGP MESSAGE-----\n\nabc=\n")], kind)
    wanted = given.as_bytes(policy=policy.compat32.clone(linesep="\r\n")).split(b"\r\n\r\n", 1)[1]

    content = sent(given).content

    assert hashlib.sha256(body(content).strip()).digest() == hashlib.sha256(wanted.strip()).digest()
    assert read(content).get_boundary() == "outer=_boundary"
    assert read(content)["content-type"].params["protocol"] == f"application/pgp-{kind}"


def test_an_attached_message_passes_to_the_octet() -> None:
    inner = MIMEText("inner  \n", "plain", "us-ascii")
    inner["From"], inner["Subject"] = "x@x.example", "odd   blanks\tkept"
    outer = addressed(MIMEMultipart())
    outer.attach(MIMEText("see below\n"))
    outer.attach(MIMEMessage(inner))

    content = sent(outer).content

    assert inner.as_bytes().replace(b"\n", b"\r\n").strip() in content
    assert tree(read(content)) == ("multipart/mixed", "text/plain", ("message/rfc822", "text/plain"))


@pytest.mark.parametrize("bad", ["\u00fc", "x" * 999], ids=["not ASCII", "too long"])
def test_a_signed_part_that_cannot_pass_is_refused_with_the_reason(bad: str) -> None:
    text = Message()
    text["Content-Type"] = "text/plain; charset=utf-8"
    text["Content-Transfer-Encoding"] = "8bit"
    text.set_payload((bad + "\n").encode().decode("ascii", "surrogateescape"))

    with pytest.raises(MessageError) as refused:
        sent(signed([text, armour("pgp-signature", b"abc\n")]))

    assert "signed" in str(refused.value)


def test_finished_octets_pass_but_for_bcc_message_id_and_date() -> None:
    odd = b"Subject: =?x  odd\r\n\tfolded  \r\nX-Empty:\r\nto-do: (x\r\n"
    text = b"\r\n--not a boundary  \r\n.\r\nFrom x\r\nno end"

    out = sent(HEAD + b"BCC: c@c.example,\r\n d@d.example\r\n" + odd + text)

    head, rest = out.content.split(b"\r\n\r\n", 1)
    assert rest == text[2:]
    added = [
        line for line in (head + b"\r\n").splitlines(True) if line.startswith((b"Message-ID:", b"Date:"))
    ]
    assert len(added) == 2
    assert b"".join(line for line in (head + b"\r\n").splitlines(True) if line not in added) == HEAD + odd
    assert out.recipients == ("b@b.example", "c@c.example", "d@d.example")


def test_finished_octets_that_lack_nothing_are_the_same_octets() -> None:
    given = DATED + b"Subject: x\r\n\r\n" + bytes(range(128, 256)) + b"\r\n"

    out = sent(given)

    assert out.content == given
    assert (out.message_id, out.needs_8bitmime) == ("1@a.example", True)


def test_octets_whose_every_line_ends_with_lf_get_crlf() -> None:
    given = DATED + b"Subject: x\r\n\r\none\r\n\r\ntwo\r\n"

    assert sent(given.replace(b"\r\n", b"\n")).content == given


@pytest.mark.parametrize(
    ("given", "at_fault"),
    [
        (DATED + b"\r\none\ntwo\r\n", "content"),
        (DATED + b"\r\none\rtwo\r\n", "content"),
        (DATED.replace(b"\r\n", b"\n") + b"\none\r\ntwo\n", "content"),
        (DATED + b"\r\none\0\r\n", "content"),
        (DATED + b"\r\n" + b"x" * 999 + b"\r\n", "content"),
        (DATED + b"From: x@x.example\r\n\r\nx\r\n", "from_"),
        (DATED + b"Date: Mon, 02 Mar 2026 09:30:00 +0100\r\n\r\nx\r\n", "date"),
        (HEAD + b"Date: Mon, 31 Feb 2026 09:30:00 +0100\r\n\r\nx\r\n", "date"),
        (HEAD + b"Message-ID: none\r\n\r\nx\r\n", "message_id"),
        (b"From: a@a.example\r\n\r\nx\r\n", "recipients"),
        (b"To: a@a.example\r\n\r\nx\r\n", "from_"),
        (b"From: a@a.example, b@b.example\r\nTo: a@a.example\r\n\r\nx\r\n", "sender"),
        (DATED + b"X Y: z\r\n\r\nx\r\n", "content['X Y']"),
        (DATED + b"no colon\r\n\r\nx\r\n", "content"),
        (DATED + b"Cc: a@a.example b@b.example\r\n\r\nx\r\n", "cc"),
        (b"", "content"),
    ],
)
def test_finished_octets_that_cannot_go_out_are_refused(given: bytes, at_fault: str) -> None:
    with pytest.raises(MessageError) as refused:
        sent(given)

    assert refused.value.field == at_fault


def test_the_envelope_of_finished_octets_may_be_given() -> None:
    given = DATED + b"Bcc: c@c.example\r\n\r\nx\r\n"

    out = sent(given, recipients=["X <x@x.example>"], return_path="")

    assert (out.recipients, out.reverse_path) == (("x@x.example",), "")
    assert "bcc" not in names(out.content)


@pytest.mark.parametrize("given", ["From: a@a.example", None, 5, ["x"]], ids=repr)
def test_what_is_no_email_is_refused(given: object) -> None:
    with pytest.raises(MessageError) as refused:
        sent(given)

    assert refused.value.field == "email"


def test_raw_utf8_in_the_header_of_finished_octets_needs_smtputf8() -> None:
    given = DATED + "Subject: Gr\u00fc\u00dfe\r\n\r\nx\r\n".encode()

    out = sent(given)

    assert out.content == given
    assert out.needs_smtputf8


def test_a_missing_date_and_message_id_are_added_to_any_kind() -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@a.example", "b@b.example"

    content = sent(message).content

    assert sorted(names(content)).count("date") == sorted(names(content)).count("message-id") == 1
    assert field(content, "Message-ID").endswith("@a.example>")
    assert len(fields(content)) >= 4
