"""What a stranger sees of a mail: its octets, and what Python's own email package makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from mailstrom import Config, Email, Mailstrom, PreparedEmail

LEAST: dict[str, Any] = {"from_": "ann@a.example", "to": "bob@b.example", "subject": "Hi", "text": "Hi.\n"}


def least(**changes: Any) -> Email:
    """A small email that can be sent, with these keywords changed."""
    return Email(**{**LEAST, **changes})


def sent(email: Any, *, config: Config | None = None, **options: Any) -> PreparedEmail:
    """What went out, envelope and octets, in a world where nothing really does."""
    with Mailstrom(config or Config(mode="capture")) as m:
        m.start()
        m.wait(m.send_email(email, **options), timeout=30)
        [prepared] = m.outbox
        return prepared


def octets(**changes: Any) -> bytes:
    """The least email with these changes, as it goes out."""
    return sent(least(**changes)).content


def fields(content: bytes) -> list[tuple[str, str]]:
    """The header fields in their order, unfolded by removing CRLF, nothing decoded."""
    head = content.split(b"\r\n\r\n", 1)[0].decode("utf-8")
    unfolded = head.replace("\r\n ", " ").replace("\r\n\t", "\t").split("\r\n")
    return [(name, value.strip(" ")) for name, value in (line.split(":", 1) for line in unfolded)]


def field(content: bytes, name: str) -> str:
    """The one field of this name."""
    [value] = [value for known, value in fields(content) if known.lower() == name.lower()]
    return value


def names(content: bytes) -> list[str]:
    """The names of the header fields in lower case."""
    return [name.lower() for name, _ in fields(content)]


def body(content: bytes) -> bytes:
    """What is behind the first empty line."""
    return content.split(b"\r\n\r\n", 1)[1]


def read(content: bytes) -> EmailMessage:
    """The message as Python reads it."""
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def tree(part: EmailMessage) -> object:
    """The content types: a text for a leaf, (type, ...) for a multipart."""
    if not part.is_multipart():
        return part.get_content_type()
    members: Sequence[Any] = list(part.iter_parts())
    return (part.get_content_type(), *(tree(member) for member in members))


def files(content: bytes) -> dict[str | None, bytes]:
    """The octets of each file, by its name."""
    found = (part for part in read(content).walk() if part.get_content_disposition() is not None)
    return {part.get_filename(): part.get_payload(decode=True) for part in found}
