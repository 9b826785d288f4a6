"""The doors through which a caller's mail comes in, the same header fields through each."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.message.email import Email
from mailstrom.message.prepare import Prepared, prepare
from tests.unit.message.wire_reader import Wire, read

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
USUAL = {"From": "me@sender.example", "To": "you@dest.example", "Subject": "Hello"}
DATED = {**USUAL, "Date": "Mon, 02 Mar 2026 10:30:00 +0100", "Message-ID": "<given@sender.example>"}

Door = Callable[..., "Email | Message | bytes"]

_KEYWORDS = {
    "From": "from_", "To": "to", "Cc": "cc", "Bcc": "bcc", "Reply-To": "reply_to", "Sender": "sender",
    "Subject": "subject", "Message-ID": "message_id", "In-Reply-To": "in_reply_to", "Date": "date",
    "References": "references",
}  # fmt: skip


def our_email(fields: dict[str, Any], text: str = "Hi.\n") -> Email:
    """An `Email`: its keywords where the field has one, `headers` for the others."""
    given = {_KEYWORDS.get(name, name): value for name, value in {**USUAL, **fields}.items()}
    headers = {name: given.pop(name) for name in fields if name not in _KEYWORDS}
    return Email(**given, headers=headers, text=text)


def modern(fields: dict[str, Any], text: str = "Hi.\n", **options: Any) -> EmailMessage:
    message = EmailMessage(**options)
    message.set_content(text)
    for name, value in {**USUAL, **fields}.items():
        message[name] = value
    return message


def legacy(fields: dict[str, Any], text: str = "Hi.\n") -> MIMEText:
    message = MIMEText(text)
    for name, value in {**USUAL, **fields}.items():
        message[name] = value
    return message


def octets(fields: dict[str, str], body: str = "Hi.\r\n") -> bytes:
    lines = [f"{name}: {value}" for name, value in {**DATED, **fields}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def prepared(email: Email | Message | bytes) -> Prepared:
    return prepare(email, now=NOW, random_id="r4nd0m")


def content_of(email: Email | Message | bytes) -> bytes:
    return prepared(email).email.content


def sent(email: Email | Message | bytes) -> Wire:
    """What goes on the wire, read by the strict reader."""
    found = prepared(email).email
    return read(found.content, utf8=found.needs_smtputf8)


def named(error: MessageError, name: str) -> bool:
    """The error names this header field, as a keyword or as a field."""
    return re.sub(r"\W", "_", name.lower()) in re.sub(r"\W", "_", error.field.lower())


def refusal(make: Any, *given: Any) -> MessageError:
    """Why what `make` makes of `given` is not sent; it may be refused as it is made."""
    with pytest.raises(MessageError) as caught:
        prepared(make(*given))
    return caught.value
