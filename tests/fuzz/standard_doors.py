"""The doors for messages of the standard library: parsed, and made, with its old classes and its new ones."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from email.header import Header
from email.message import EmailMessage, Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import Policy
from functools import partial
from typing import Any

from mailstrom.errors import MessageError
from mailstrom.message.email import Email
from tests.fuzz import messages
from tests.fuzz.checks import FROM, TO, check_octets, lines_of, prepared
from tests.fuzz.doors import Door
from tests.fuzz.setter_doors import ADDRESSES, BODIES, SEPARATOR, TEXTS

__all__ = ["DOORS"]


def made_or_none(make: Callable[[Any], Message], given: str | bytes) -> Any:
    """The message; None where the package itself fails, as it does in many ways."""
    try:
        return make(given)
    except Exception:
        return None


def read_again(message: Message) -> Email | None:
    """What the strict reader finds in the message that we write; None where it is refused."""
    try:
        found = prepared(message).email
    except MessageError:
        return None
    check_octets(found.content)
    assert not found.needs_8bitmime
    assert prepared(found.content).email.content == found.content
    return Email.parse(found.content, smtputf8=found.needs_smtputf8)


def enter_parsed(content: bytes, policy: Policy[Any]) -> bool:
    """A message that the package has parsed."""
    message = made_or_none(partial(email.message_from_bytes, policy=policy), content)
    return message is not None and read_again(message) is not None


def enter_answered(content: bytes) -> bool:
    """A message of the package that is answered, whatever its fields are."""
    message = made_or_none(email.message_from_bytes, content)
    if message is None:
        return False
    try:
        Email(to=TO).reply_to(message)
    except MessageError:
        return False
    return True


def enter_subject(text: str) -> bool:
    """A subject, set in the modern class."""
    message = made_or_none(lambda text: _with_field(_modern(), "Subject", text), text)
    again = message and read_again(message)
    assert not again or again.subject == str(message["Subject"])
    return bool(again)


def enter_encoded_subject(text: str) -> bool:
    """A subject, encoded by the old classes."""
    message = made_or_none(lambda text: _with_field(_legacy(), "Subject", Header(text, "utf-8")), text)
    again = message and read_again(message)
    assert not again or str(again.subject) == text
    return bool(again)


def enter_field(text: str, base: Callable[[], Message]) -> bool:
    """Any field: a name, a colon and its value."""
    name, _, value = text.partition(":")
    message = made_or_none(lambda value: _with_field(base(), name, value.removeprefix(" ")), value)
    return message is not None and read_again(message) is not None


def enter_addresses(text: str, base: Callable[[], Message]) -> bool:
    """Addresses: the ones that the package shows, where it parses them."""
    message = made_or_none(lambda text: _with_field(base(), "To", text), text)
    again = message and read_again(message)
    if again and hasattr(message["To"], "addresses"):
        ours = [each.local_part for one in again.to for each in getattr(one, "members", [one])]
        assert ours == [address.username for address in message["To"].addresses]
    return bool(again)


def enter_text(text: str, make: Callable[[str], Message]) -> bool:
    """The text of a message."""
    message = made_or_none(make, text)
    again = message and read_again(message)
    assert not again or again.text == lines_of(text) or _is_sent_otherwise(message, text)
    return bool(again)


def _is_sent_otherwise(message: Message, text: str) -> bool:
    """The package itself changes this text: it holds other line ends than it knows, or none at all."""
    return lines_of("\n".join(text.splitlines())) == lines_of(
        "\n".join(message.get_payload(decode=True).decode("utf-8", "replace").splitlines())  # type: ignore[union-attr]
    )


def enter_filename(text: str) -> bool:
    """The name of a file."""

    def made(name: str) -> Any:
        message = _modern()
        message.add_attachment(b"x", maintype="application", subtype="pdf", filename=name)
        return message

    message = made_or_none(made, text)
    again = message and read_again(message)
    assert not again or [each.filename for each in again.attachments] == [text]
    return bool(again)


def enter_file(content: bytes) -> bool:
    """The octets of a file."""

    def made(content: bytes) -> Any:
        message = _fields_of(MIMEMultipart())
        message.attach(MIMEText("x"))
        message.attach(MIMEApplication(content, name="a"))
        return message

    again = read_again(made(content))
    assert again is not None
    assert [each.content for each in again.attachments] == [content]
    return True


def enter_boundary(text: str) -> bool:
    """A boundary, and text around the parts."""

    def made(text: str) -> Any:
        message = _fields_of(MIMEMultipart("alternative", boundary=text))
        message.preamble = message.epilogue = text
        message.attach(MIMEText(text))
        message.attach(MIMEText(text, "html"))
        return message

    message = made_or_none(made, text)
    return message is not None and read_again(message) is not None


def enter_types(text: str) -> bool:
    """A type, a disposition, an encoding, and a payload: set, not parsed."""
    pieces = [*text.split(SEPARATOR), "", "", "", ""]

    def made(text: str) -> Any:
        message = Message()
        names = ("Content-Type", "Content-Disposition", "Content-Transfer-Encoding")
        for name, value in zip(names, pieces, strict=False):
            if value:
                message[name] = value
        message.set_payload(pieces[3])
        return _fields_of(message)

    message = made_or_none(made, text)
    return message is not None and read_again(message) is not None


def _modern() -> Any:
    return _fields_of(EmailMessage(policy=email.policy.default))


def _strict() -> Any:
    return _fields_of(EmailMessage(policy=email.policy.strict))


def _legacy() -> Any:
    return _fields_of(MIMEText("Hi.\n"))


def _fields_of(message: Any) -> Any:
    message["From"], message["To"] = FROM, TO
    return message


def _with_field(message: Message, name: str, value: object) -> Message:
    del message[name]
    message[name] = value  # type: ignore[assignment]
    return message


def _with_content(text: str) -> Any:
    message = _modern()
    message.set_content(text)
    return message


FIELDS = tuple([f"X-Note: {text}" for text in TEXTS]) + tuple([f"Reply-To: {text}" for text in ADDRESSES]) + (
    "Date: Mon, 02 Mar 2026 09:30:00 +0000", "Message-ID: <a@b>", "Resent-To: a@b.example", "Keywords: a, b",
    "Content-Type: text/plain; charset=utf-8", "Received: x", "List-ID: <a.b>",
)  # fmt: skip
_PARTS = (
    "text/plain; charset=utf-8|inline; filename=a.txt|base64|SGk=",
    "text/html||quoted-printable|a=C3=BC",
)

DOORS = (
    Door(
        "stdlib parsed", partial(enter_parsed, policy=email.policy.default), messages.MESSAGES, is_ours=False
    ),
    Door(
        "stdlib parsed, SMTP",
        partial(enter_parsed, policy=email.policy.SMTP),
        messages.MESSAGES,
        is_ours=False,
    ),
    Door(
        "stdlib parsed, compat32",
        partial(enter_parsed, policy=email.policy.compat32),
        messages.MESSAGES,
        is_ours=False,
    ),
    Door("stdlib answered", enter_answered, messages.MESSAGES, is_ours=False),
    Door("stdlib subject", enter_subject, TEXTS, is_ours=False),
    Door("stdlib encoded subject", enter_encoded_subject, TEXTS, is_ours=False),
    Door("stdlib field", partial(enter_field, base=_modern), FIELDS, is_ours=False),
    Door("stdlib field, strict", partial(enter_field, base=_strict), FIELDS, is_ours=False),
    Door("stdlib field, MIMEText", partial(enter_field, base=_legacy), FIELDS, is_ours=False),
    Door("stdlib addresses", partial(enter_addresses, base=_modern), ADDRESSES, is_ours=False),
    Door("stdlib addresses, MIMEText", partial(enter_addresses, base=_legacy), ADDRESSES, is_ours=False),
    Door("stdlib set_content", partial(enter_text, make=_with_content), BODIES, is_ours=False),
    Door(
        "stdlib MIMEText",
        partial(enter_text, make=lambda text: _fields_of(MIMEText(text))),
        BODIES,
        is_ours=False,
    ),
    Door("stdlib filename", enter_filename, ("plan.pdf", "Größe 100%.txt", 'a"b.txt'), is_ours=False),
    Door("stdlib file", enter_file, messages.MESSAGES, is_ours=False),
    Door("stdlib boundary", enter_boundary, ("=_1_mixed", "a b", "'()+_,-./:=?"), is_ours=False),
    Door("stdlib set fields", enter_types, _PARTS, is_ours=False),
)
