"""Trace fields and resent blocks (RFC 5322 sections 3.6.6, 3.6.7; RFC 6854).

Who passes a message on puts fields on top of it: servers `Return-Path` and `Received`, people
who send it again a block of `Resent-` fields that stand together, with `Resent-From` and
`Resent-Date` in each block and each field at most once. So all of these stand above the
fields of the message itself; the obsolete syntax (section 4.5) lets them stand anywhere.
"""

from __future__ import annotations

import re

from ...errors import MessageError
from ..date import read_date
from .address_reader import AddressReader
from .cursor import Cursor, Reading
from .finished import Field, Header

__all__ = [
    "check_order",
    "check_received",
    "check_return_path",
    "is_prepended",
    "is_seal",
    "resent_blocks",
]

# words, domains and addresses run together, a domain literal, a path or an id
_TOKENS = re.compile(r"""[^\x00-\x20()<>\[\]:;\\,"\x7f-\x9f]++|\[[^\[\]\\]*+\]|<[^<>]*+>""")
_ORIGINAL = frozenset(
    [
        "date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references",
        "subject", "comments", "keywords",
    ]
)  # fmt: skip
_ONCE_IN_A_BLOCK = frozenset(
    [
        "resent-date",
        "resent-from",
        "resent-sender",
        "resent-to",
        "resent-cc",
        "resent-bcc",
        "resent-message-id",
    ]
)


def is_prepended(name: str) -> bool:
    """A field that is put on top of a message by who passes it on."""
    lower = name.lower()
    return lower in ("received", "return-path") or lower.startswith("resent-")


def is_seal(name: str) -> bool:
    """A field that vouches for the octets of one message, and for no other that is made of it."""
    lower = name.lower()
    return lower == "dkim-signature" or lower.startswith("arc-")


def check_order(header: Header) -> None:
    """Raises `MessageError` unless what was put on top stands above the message's own fields."""
    original: str | None = None
    before: str | None = None
    for field in header.fields:
        lower = field.name.lower()
        if lower in _ORIGINAL:
            original = field.name
        elif original is not None and is_prepended(lower):
            expected = f"{field.name} above {original}"
            raise MessageError(field.label, given=field.value, expected=expected, at=field.start)
        if lower == before == "return-path":
            expected = "one Return-Path above each row of Received fields"
            raise MessageError(field.label, given=field.value, expected=expected, at=field.start)
        before = lower


def resent_blocks(header: Header) -> list[list[Field]]:
    """The blocks of Resent- fields; `MessageError` for one without its author or its date."""
    blocks: list[list[Field]] = []
    names: set[str] = set()
    for field in header.fields:
        lower = field.name.lower()
        if not lower.startswith("resent-"):
            names = set()
            continue
        if not names or lower in names:
            blocks.append([])
            names = set()
        blocks[-1].append(field)
        names.add(lower)
    for block in blocks:
        _check_block(block)
    return blocks


def _check_block(block: list[Field]) -> None:
    names = [field.name.lower() for field in block]
    for name, written in (("resent-date", "Resent-Date"), ("resent-from", "Resent-From")):
        if name not in names:
            expected = f"{written} together with {block[0].name}"
            given = ", ".join([field.name for field in block])
            raise MessageError(name.replace("-", "_"), given=given, expected=expected, at=block[0].start)
    for field in block:
        if field.name.lower() not in _ONCE_IN_A_BLOCK:  # RFC 5322 4.5.6: Resent-Reply-To
            expected = "no Resent- field but those of RFC 5322 3.6.6"
            raise MessageError(field.label, given=field.value, expected=expected, at=field.start)


def check_return_path(value: str, *, field: str, reading: Reading) -> None:
    """Raises `MessageError` unless the value is one path in angle brackets, or `<>`."""
    AddressReader(value, field, reading).path()


def check_received(value: str, *, field: str) -> None:
    """Raises `MessageError` unless the value is words and addresses, ";" and a date."""
    cursor = Cursor(value, field, Reading.STRICT)
    cursor.skip()
    while not cursor.take(";"):
        if cursor.quoted_string() is None and cursor.match(_TOKENS) is None:
            raise cursor.error("words, domains and addresses, then ';' and a date")
        cursor.skip()
    read_date(value[cursor.at :], field=field)
