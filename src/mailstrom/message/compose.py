"""From an `Email` to the octets of a message."""

from __future__ import annotations

from datetime import datetime

from ..errors import MessageError
from .address import Group, Mailbox
from .body import Part, attachment_part, multipart, text_part
from .date import written_date
from .email import Email
from .header import address_field, is_structured, structured_field, text_field, token_field

__all__ = ["composed", "joined"]


def composed(
    email: Email, *, from_: tuple[Mailbox | Group, ...], message_id: str, date: datetime
) -> list[bytes]:
    """The content of the message in pieces; Bcc is not in it."""
    part = _body(email)
    fields = _header(email, from_, message_id, date)
    return joined([*fields, "MIME-Version: 1.0", *part.head], part.pieces)


def joined(fields: list[str], pieces: tuple[bytes, ...]) -> list[bytes]:
    """A header and a body in pieces; fails where the header would not be read back field by field."""
    header = "\r\n".join(fields)
    _check_read_back(header, fields)
    return [header.encode(), b"\r\n\r\n", *pieces]


def _check_read_back(header: str, fields: list[str]) -> None:
    """S1: whatever the parts held, there are these fields, in this order, and no others."""
    lines = header.split("\r\n")
    names = [line.partition(":")[0] for line in lines if not line.startswith((" ", "\t"))]
    if names != [field.partition(":")[0] for field in fields] or not all(map(str.strip, lines)):
        raise MessageError("headers", given=header, expected="fields that are read back as they were written")
    rest = "".join(lines)
    if "\r" in rest or "\n" in rest:
        raise MessageError("headers", given=header, expected="no line breaks inside the fields")


def _header(email: Email, from_: tuple[Mailbox | Group, ...], message_id: str, date: datetime) -> list[str]:
    fields = [f"Date: {written_date(date)}", f"Message-ID: <{message_id}>"]
    fields.append(address_field("From", from_, field="from_"))
    if email.sender is not None and from_ != (email.sender,):  # RFC 5322 3.6.2: not when it says the same
        fields.append(address_field("Sender", (email.sender,), field="sender"))
    for name, addresses in (("Reply-To", email.reply_to), ("To", email.to), ("Cc", email.cc)):
        if addresses:
            fields.append(address_field(name, addresses, field=name.lower().replace("-", "_")))
    if email.subject is not None:
        fields.append(text_field("Subject", email.subject, field="subject", long_words=True))
    for name, ids in (("In-Reply-To", email.in_reply_to), ("References", email.references)):
        if ids:
            fields.append(
                token_field(name, [f"<{one}>" for one in ids], field=name.lower().replace("-", "_"))
            )
    return fields + [_extra_field(name, value) for name, value in email.headers]


def _extra_field(name: str, value: str) -> str:
    write = structured_field if is_structured(name) else text_field
    return write(name, value, field=f"headers[{name!r}]")


def _body(email: Email) -> Part:
    parts: list[Part] = []
    if email.text is not None or email.html is None:
        parts.append(text_part(email.text or "", "plain"))
    if email.html is not None:
        parts.append(text_part(email.html, "html"))
    body = parts[0] if len(parts) == 1 else multipart("alternative", parts)
    if not email.attachments:
        return body
    files = [attachment_part(each.filename, each.content, each.content_type) for each in email.attachments]
    return multipart("mixed", [body, *files])
