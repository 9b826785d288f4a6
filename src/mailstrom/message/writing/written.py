"""Header fields as they are written, and what they must be read back as.

Whatever the values held, a reader has to find these fields, in this order, with these values,
and no others: so every header is read again by the reader of finished messages before it
leaves, and what is not read as it was meant is an error (threat S1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...errors import MessageError
from ..address import Group, Mailbox, parse_address_field
from ..date import read_date
from ..message_id import read_message_id
from ..reading.address_reader import is_read_as
from ..reading.finished import Header, crlf_content, plain_values, read_fields
from ..reading.trace import check_received
from ..text import without_folds
from .encoded_word import decoded_text
from .header import address_field, is_structured, phrase_field, structured_field, text_field, token_field

__all__ = [
    "Written",
    "address",
    "checked_octets",
    "further_field",
    "ids",
    "mime",
    "phrases",
    "read_back",
    "structured",
    "text",
]

_RESENT_ADDRESSES = frozenset(["resent-from", "resent-sender", "resent-to", "resent-cc"])


class Written(NamedTuple):
    """A field as it is written, without its last line end, and the value in it."""

    name: str
    lines: str
    label: str  # what errors call it
    value: tuple[Mailbox | Group, ...] | str | None  # None: only that there is such a field
    is_text: bool = False  # encoded words in it are read as what they stand for

    @property
    def octets(self) -> bytes:
        """The field with its last line end."""
        return f"{self.lines}\r\n".encode()


def text(name: str, value: str, *, label: str, long_words: bool = False) -> Written:
    """An unstructured field."""
    lines = text_field(name, value, field=label, long_words=long_words)
    return Written(name, lines, label, value, is_text=True)


def structured(name: str, value: str, *, label: str) -> Written:
    """A field of tokens, written as it stands."""
    return Written(name, structured_field(name, value, field=label), label, value)


def address(name: str, addresses: tuple[Mailbox | Group, ...], *, label: str) -> Written:
    """A field of mailboxes and groups."""
    return Written(name, address_field(name, addresses, field=label), label, addresses)


def ids(name: str, message_ids: Iterable[str], *, label: str) -> Written:
    """A field of message ids."""
    tokens = [f"<{one}>" for one in message_ids]
    return Written(name, token_field(name, tokens, field=label), label, " ".join(tokens))


def phrases(name: str, given: Iterable[str], *, label: str) -> Written:
    """A field of phrases."""
    lines = phrase_field(name, given, field=label)
    return Written(name, lines, label, without_folds(lines).removeprefix(f"{name}: "))


def mime(lines: str) -> Written:
    """A field that is already written, as those of MIME."""
    return Written(lines.partition(":")[0], lines, "content", None)


def further_field(name: str, value: str) -> Written:
    """A field that has no keyword of its own in `Email`."""
    label, lower = f"headers[{name!r}]", name.lower()
    if lower in _RESENT_ADDRESSES:
        return address(name, parse_address_field(value, field=label), label=label)
    if lower == "resent-date":
        read_date(value, field=label)
    elif lower == "resent-message-id":
        read_message_id(value, field=label)
    elif lower == "received":
        check_received(value, field=label)
    return (structured if is_structured(lower) else text)(name, value, label=label)


def read_back(fields: Sequence[Written]) -> tuple[bytes, Header]:
    """The header's octets, each field with its line end; `MessageError` where it reads otherwise."""
    octets = _octets(fields)
    header = read_fields(crlf_content(octets), 0, len(octets))
    _check(fields, [(field.name, field.value) for field in header.fields], octets)
    return octets, header


def checked_octets(fields: Sequence[Written]) -> bytes:
    """The octets alone, read back as well."""
    octets = _octets(fields)
    found = plain_values(octets)
    if not found:
        return read_back(fields)[0]
    _check(fields, [(name, value.strip(" \t")) for name, value in found], octets)
    return octets


def _octets(fields: Sequence[Written]) -> bytes:
    return "\r\n".join([*[field.lines for field in fields], ""]).encode()


def _check(fields: Sequence[Written], read: Sequence[tuple[str, str]], octets: bytes) -> None:
    """`MessageError` unless these names and values are those of the fields."""
    if len(read) != len(fields):
        raise _not_as_written(octets)
    for written, (name, found) in zip(fields, read, strict=True):
        if name != written.name:
            raise _not_as_written(octets)
        if written.value is not None and not _is_same(written.value, written, found):
            expected = "a value that is read back the same"
            raise MessageError(written.label, given=written.value, expected=expected)


def _not_as_written(octets: bytes) -> MessageError:
    expected = "fields that are read back as they were written"
    return MessageError("headers", given=octets.decode(), expected=expected)


def _is_same(value: tuple[Mailbox | Group, ...] | str, written: Written, found: str) -> bool:
    if isinstance(value, str):
        return value == (decoded_text(found) if written.is_text else found)
    return is_read_as(found, value, written.label)
