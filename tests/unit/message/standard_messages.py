"""Messages of the standard library as programs make them, and what is read of what was sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.message.prepare import Prepared, prepare

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
OCTETS = bytes(range(256)) * 5


def a_message(kind: type[EmailMessage] | None = EmailMessage, **fields: Any) -> Message:
    message: Message = MIMEText("Hi.") if kind is None else kind()
    for name, value in ({"From": "a@example.org", "To": "b@example.net"} | fields).items():
        message[name.replace("_", "-")] = value
    return message


def addressed(message: Message) -> Message:
    """The message, from and to somebody."""
    message["From"], message["To"] = "a@example.org", "b@example.net"
    return message


def modern(text: str | None = "Hi.\n", **options: Any) -> EmailMessage:
    message = EmailMessage()
    addressed(message)
    if text is not None:
        message.set_content(text, **options)
    return message


def legacy(*parts: Message, subtype: str = "mixed", **parameters: str) -> MIMEMultipart:
    message = MIMEMultipart(subtype, **parameters)
    addressed(message)
    for part in parts:
        message.attach(part)
    return message


def leaf(content_type: str, payload: Any, **fields: str) -> Message:
    """A part as somebody made it by hand."""
    part = Message()
    part["Content-Type"] = content_type
    for name, value in fields.items():
        part[name.replace("_", "-")] = value
    part.set_payload(payload)
    return part


def as_file(part: Message, filename: str | None = "a.txt") -> Message:
    if filename is None:
        part.add_header("Content-Disposition", "attachment")
    else:
        part.add_header("Content-Disposition", "attachment", filename=filename)
    return part


def prepared(message: Message, **options: Any) -> Prepared:
    return prepare(message, **{"now": NOW, "random_id": "r4nd0m"} | options)


def content_of(message: Message) -> bytes:
    return prepared(message).email.content


def sent(message: Message) -> EmailMessage:
    """What the standard library's modern parser reads of it."""
    read = message_from_bytes(content_of(message), policy=policy.default)
    assert isinstance(read, EmailMessage)
    assert [part.defects for part in read.walk() if part.defects] == []
    return read


def octets_of(part: Message) -> bytes:
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets


def shape(part: Message) -> Any:
    """Types all the way down."""
    payload = part.get_payload()
    inner = [shape(child) for child in payload] if isinstance(payload, list) else None
    return (part.get_content_type(), inner) if inner else part.get_content_type()


def refusal(message: Message) -> MessageError:
    with pytest.raises(MessageError) as caught:
        prepared(message)
    return caught.value


def fields_of(content: bytes) -> list[str]:
    return content.partition(b"\r\n\r\n")[0].decode().replace("\r\n ", " ").split("\r\n")


def a_signed_part(text: str = "From here\nSigned.\n", **options: str) -> Message:
    part = MIMEMultipart("signed", protocol="application/pgp-signature", micalg="pgp-sha256", **options)
    inner = MIMEText(text, _charset="us-ascii")
    inner["X-Long"] = "word " * 30 + "end"
    part.attach(inner)
    part.attach(leaf("application/pgp-signature; name=signature.asc", "-----BEGIN PGP SIGNATURE-----\n\nx\n"))
    return part
