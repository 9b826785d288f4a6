"""Messages of the standard library: their fields by our writer, their bodies by its generator.

The `email` package folds headers in ways that break them (a blank line inside the header, lost
quotes, encoded commas between addresses) and lets line breaks through, so only the values are
taken from the message, read by our parsers and written anew. Legacy classes hold header text
as it is written, encoded words included; the modern one holds it as it is read.

Bodies are generated with CRLF, with 7-bit transfer encodings where that can be done, and
without ">" in front of "From ". Parts that have no boundary yet get one that depends on their
content alone, so that the same message makes the same octets.
"""

from __future__ import annotations

import copy
import hashlib
import io
import sys
from typing import TYPE_CHECKING, TypeGuard

from ..errors import MessageError
from .address import Group, Mailbox, expanded, parse_address_field
from .compose import joined
from .encoded_word import decoded_text
from .finished import field_label
from .header import address_field, checked_name, is_structured, structured_field, text_field
from .text import as_ascii, checked_text, without_folds

if TYPE_CHECKING:
    from email.message import Message

__all__ = ["is_standard_message", "serialised"]

_ADDRESS_FIELDS = frozenset(["from", "sender", "reply-to", "to", "cc", "bcc"])
# what the strict parser judges itself, or better
_HARMLESS_DEFECTS = frozenset(["ObsoleteHeaderDefect", "NonASCIILocalPartDefect"])


def is_standard_message(given: object) -> TypeGuard[Message]:
    """`given` is an `email.message.Message` or `EmailMessage`."""
    module = sys.modules.get("email.message")  # whoever has a message has loaded it
    return module is not None and isinstance(given, module.Message)


def serialised(message: Message) -> bytes:
    """The message as octets, Bcc included; `MessageError` for what cannot be written."""
    fields = [_written(name, value) for name, value in message.items() if not _is_mime(name)]
    head, body = _mime(message)
    return b"".join(joined([*fields, *head], (body,)))


def _is_mime(name: str) -> bool:
    return name.lower().startswith("content-") or name.lower() == "mime-version"


def _written(name: str, value: object) -> str:
    label = field_label(checked_name(name))
    text = checked_text(without_folds(_text_of(value, label)), field=label)
    lower = name.lower().removeprefix("resent-")
    if lower in _ADDRESS_FIELDS:
        return _written_addresses(name, value, text, label)
    if is_structured(lower) or is_structured(name):
        return structured_field(name, text.strip(" \t"), field=label)
    plain = text if _is_modern(value) else checked_text(decoded_text(text), field=label)
    return text_field(name, plain, field=label, long_words=lower == "subject")


def _text_of(value: object, label: str) -> str:
    if isinstance(value, str):
        return value
    if type(value).__module__ == "email.header":
        try:
            return str(value)
        except UnicodeError as error:  # P51
            raise MessageError(label, given=as_ascii(error), expected="text in a known charset") from error
    raise MessageError(label, given=value, expected="a str")  # P24: None, bytes, numbers


def _is_modern(value: object) -> bool:
    return hasattr(value, "defects")


def _written_addresses(name: str, value: object, text: str, label: str) -> str:
    defects = {type(defect).__name__ for defect in getattr(value, "defects", ())}
    if not defects <= _HARMLESS_DEFECTS:
        found = ", ".join(sorted(defects - _HARMLESS_DEFECTS))
        expected = f"addresses with commas between them, not semicolons (the package finds {found})"
        raise MessageError(label, given=text, expected=expected)
    addresses = parse_address_field(text, field=label, may_be_empty=label.endswith("bcc"))
    _check_same_addresses(value, addresses, label)
    return address_field(name, addresses, field=label) if addresses else f"{name}:"


def _check_same_addresses(value: object, found: tuple[Mailbox | Group, ...], label: str) -> None:
    """S6: the modern class parses, too; where it finds other addresses, one of them is not meant."""
    theirs = getattr(value, "addresses", None)
    if theirs is None:
        return
    ours = [mailbox.local_part for mailbox in expanded(found)]
    if ours != [address.username for address in theirs]:
        raise MessageError(label, given=str(value), expected="addresses that can be read in one way only")


def _mime(message: Message) -> tuple[list[str], bytes]:
    """The MIME fields of the message, and its body."""
    shell = copy.copy(message)  # deleting fields from it leaves the caller's message as it is
    for name in {name for name in shell if not _is_mime(name)}:
        del shell[name]
    try:
        _set_boundaries(shell)
        octets = _generated(shell)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # P25, P36, P51: the package breaks in many ways, and always late
        raise MessageError(
            "content", given=as_ascii(error), expected="a message that can be serialised"
        ) from error
    head, _, body = (
        octets.partition(b"\r\n\r\n") if not octets.startswith(b"\r\n") else (b"", b"", octets[2:])
    )
    fields: list[str] = []
    for line in head.decode("ascii", "replace").split("\r\n") if head else []:
        if line[:1] in (" ", "\t") and fields:
            fields[-1] += f"\r\n{line}"
        else:
            fields.append(line)
    return fields, body


def _generated(message: Message) -> bytes:
    from email.generator import BytesGenerator
    from email.policy import EmailPolicy

    policy = message.policy.clone(linesep="\r\n", cte_type="7bit")
    if isinstance(policy, EmailPolicy):
        policy = policy.clone(refold_source="none", utf8=False)
    out = io.BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=policy).flatten(message)
    return out.getvalue()


def _set_boundaries(message: Message) -> None:
    digest = hashlib.sha256()
    bare = []
    for part in message.walk():
        if not part.is_multipart():
            digest.update(repr(part.get_payload()).encode("utf-8", "surrogateescape"))
        elif part.get_content_maintype() == "multipart" and part.get_boundary() is None:
            bare.append(part)
    for number, part in enumerate(bare):
        part.set_boundary(f"=_{digest.hexdigest()[:32]}_{number}")
