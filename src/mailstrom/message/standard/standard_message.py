"""Messages of the standard library, written anew by our writer.

The `email` package folds headers in ways that break them (a blank line inside the header, lost
quotes, encoded commas between addresses), lets line breaks through, labels bodies 8bit and
makes lines too long, so only the values are taken from a message: its fields are read by our
parsers, its parts are decoded, and both are written as those of an `Email` are. What the parts
say stays the same. Changed are, as always, the line ends of texts; and beyond that

- texts come to be in UTF-8, whatever charset they were in (files keep charset and octets);
- text around the parts of a multipart, MIME-Version in parts, Content-Length are left out;
- boundaries are ours, so that the same message makes the same octets.

Parts whose octets must not change (signed, encrypted, other messages) pass as they are, or
are refused with the reason: see `standard_literal`. The caller's message is never changed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

from ...errors import MessageError
from ..email_checks import ONCE
from ..reading.trace import is_prepended, is_seal, resent_blocks
from ..text import as_ascii
from ..writing.compose import Composed, checked
from .fields import READING_FAULTS, fields_in, is_mime_field, text_of, written_field
from .parts import tree_of

if TYPE_CHECKING:
    from email.message import Message

    from ..writing.written import Written

__all__ = ["composed_standard", "is_standard_message", "serialised"]


def is_standard_message(given: object) -> TypeGuard[Message]:
    """`given` is an `email.message.Message` or `EmailMessage`."""
    module = sys.modules.get("email.message")  # whoever has a message has loaded it
    return module is not None and isinstance(given, module.Message)


def composed_standard(message: Message) -> Composed:
    """The message as we write it, Bcc included; `MessageError` for what cannot be written."""
    from email.errors import MessageError as PackageError

    try:
        made = checked(_fields(message), tree_of(message, serialised))
        resent_blocks(made.header)
        return made
    except MessageError:
        raise
    except (PackageError, *READING_FAULTS) as error:
        expected = "a message that the email package can read"
        raise MessageError("content", given=as_ascii(error), expected=expected) from error


def serialised(message: Message) -> bytes:
    """The octets of the message, Bcc included."""
    found = composed_standard(message)
    return b"".join([found.octets, b"\r\n", *found.body.pieces])


def _fields(message: Message) -> list[Written]:
    fields: list[Written] = []
    once: set[str] = set()
    for name, value in fields_in(message):
        if name.lower() in once:
            raise MessageError(f"headers[{name!r}]", given=str(value), expected="each header once")
        if name.lower().startswith(ONCE):
            once.add(name.lower())
        if is_seal(name):  # P29
            expected = "no signature: it would not hold, since the message is written anew "
            expected += "(remove the field, or give the signed octets as bytes: they are sent as they are)"
            raise MessageError(f"headers[{name!r}]", given=str(value), expected=expected)
        if name.lower() == "mime-version":
            _check_version(value)
        if not is_mime_field(name):
            fields.append(written_field(name, value))
    # RFC 5322 3.6.6, 3.6.7: on top, where the package cannot put them
    return sorted(fields, key=lambda field: not is_prepended(field.name))


def _check_version(value: object) -> None:
    """RFC 2045 section 4: there is one version, perhaps with a comment."""
    if text_of(value, "mime_version").partition("(")[0].strip(" \t") != "1.0":
        raise MessageError("mime_version", given=str(value), expected="1.0")
