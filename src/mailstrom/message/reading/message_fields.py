"""The header fields of RFC 5322 section 3.6 as the values of an `Email`.

Date and From are required. The fields that have a grammar are read by it, all others are text.
What nothing in `Email` stands for goes into `headers`, in order: texts with their encoded words
read, fields of tokens as they stand. Return-Path and Resent-Bcc are checked and left out: they
are of one delivery only. Of obsolete fields that nothing may write again (RFC 5322 section 4)
those are left out that cannot be said in another way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from ...errors import MessageError
from ..address import Group, Mailbox, parse_address_field
from ..date import read_date, written_date
from ..email_checks import check_authors
from ..message_id import read_message_id, read_message_ids
from ..text import shown, without_folds
from ..writing.header import address_field, is_structured
from .cursor import Cursor, Reading
from .encoded_text import read_text
from .finished import Field, Header
from .located import located
from .trace import check_order, check_received, check_return_path, is_prepended, is_seal, resent_blocks

__all__ = ["FieldReader"]

_Value = TypeVar("_Value")
_DIGITS = re.compile(r"[0-9]++")
_MIME = frozenset(["content-type", "content-transfer-encoding", "content-disposition", "content-id"])
# fields with a place of their own, and those of one delivery
_KNOWN = _MIME | frozenset(
    [
        "mime-version", "return-path", "date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id",
        "in-reply-to", "references", "subject", "comments", "keywords",
    ]
)  # fmt: skip


class FieldReader:
    """Reads the fields of one header; `at` of every refusal is the octet of the content."""

    def __init__(self, content: bytes, header: Header, *, obsolete: bool) -> None:
        reading = Reading.OBSOLETE if obsolete else Reading.STRICT
        self._content = content
        self._header = header
        self._obsolete = obsolete
        # each takes a value and `field=`
        self._addresses = partial(parse_address_field, reading=reading)
        self._perhaps_addresses = partial(parse_address_field, reading=reading, may_be_empty=True)
        self._address = partial(_read_sender, reading=reading)
        self._path = partial(check_return_path, reading=reading)
        self._phrases = partial(_read_phrases, reading=reading)
        self._date = partial(read_date, obsolete=obsolete)
        self._message_id = partial(read_message_id, obsolete=obsolete)
        self._message_ids = partial(read_message_ids, obsolete=obsolete)
        self._text = partial(read_text, obsolete=obsolete)

    def keywords(self) -> dict[str, Any]:
        """The keywords of `Email`, as far as the header has values for them."""
        self._check_whole()
        return {
            "from_": self._joined("From", self._addresses),
            "sender": self._only("Sender", self._address),
            "reply_to": self._joined("Reply-To", self._addresses),
            "to": self._joined("To", self._addresses),
            "cc": self._joined("Cc", self._addresses),
            "bcc": self._joined("Bcc", self._perhaps_addresses),
            "date": self._only("Date", self._date),
            "message_id": self._only("Message-ID", self._message_id),
            "in_reply_to": self._joined("In-Reply-To", self._message_ids),
            "references": self._joined("References", self._message_ids),
            "subject": self._only("Subject", self._text),
            "comments": tuple([self._read(field, self._text) for field in self._header.all("Comments")]),
            "keywords": self._joined("Keywords", self._phrases),
            "headers": self._headers(),
        }

    def _check_whole(self) -> None:
        """What is not about one field alone, and what `Email` has no value for."""
        if not self._obsolete:
            for name, label in (("From", "from_"), ("Date", "date")):
                if self._header.one(name) is None:
                    raise MessageError(label, given=None, expected=f"a {name} field (RFC 5322 3.6)", at=0)
            check_order(self._header)
            self._check_mime()
        for field in self._header.all("Return-Path"):
            self._read(field, self._path)

    def _check_mime(self) -> None:
        """RFC 2045 section 4: a message with MIME fields says that it has them, and of which MIME."""
        field = self._header.one("MIME-Version")
        if field is not None:
            self._read(field, _check_version)
            return
        for other in self._header.fields:
            if other.name.lower() in _MIME:
                expected = f"MIME-Version: 1.0 together with {other.name}"
                raise MessageError("mime_version", given=None, expected=expected, at=other.start)

    def _read(self, field: Field, reader: Callable[..., _Value]) -> _Value:
        lower = field.name.lower()
        has_label = lower in _KNOWN or lower == "received" or lower.startswith("resent-")
        return located(self._content, field, reader, label=None if has_label else f"headers[{field.name!r}]")

    def _only(self, name: str, reader: Callable[..., _Value]) -> _Value | None:
        field = self._header.one(name)
        return None if field is None else self._read(field, reader)

    def _joined(self, name: str, reader: Callable[..., Iterable[_Value]]) -> tuple[_Value, ...]:
        """All of the fields of this name in one: some may be repeated (RFC 5322 3.6, 4.5.3)."""
        return tuple([one for field in self._header.all(name) for one in self._read(field, reader)])

    # what goes into `headers`

    def _headers(self) -> tuple[tuple[str, str], ...]:
        blocks = self._resent_fields()
        found: list[tuple[str, str]] = []
        for field in self._header.fields:
            lower = field.name.lower()
            value: str | None
            if lower in _KNOWN or is_seal(lower):
                continue
            if lower.startswith("resent-"):
                value = self._resent(field) if field in blocks else None
            elif lower == "received":
                value = self._received(field)
            elif is_structured(lower):
                value = self._structured(field)
            else:
                value = self._read(field, self._text)
            if value is not None:
                found.append((field.name, value))
        # obsolete messages have them anywhere (RFC 5322 4.5); above the others is where they are written
        return tuple(sorted(found, key=lambda pair: not is_prepended(pair[0])))

    def _resent_fields(self) -> frozenset[Field]:
        """The fields of resent blocks that could be written again."""
        try:
            blocks = resent_blocks(self._header)
            for block in blocks:
                self._check_resent_authors({field.name.lower(): field for field in block})
        except MessageError:
            if self._obsolete:
                return frozenset()
            raise
        return frozenset(field for block in blocks for field in block)

    def _check_resent_authors(self, block: dict[str, Field]) -> None:
        sender = block.get("resent-sender")
        check_authors(
            self._read(block["resent-from"], self._addresses),
            None if sender is None else self._read(sender, self._address),
        )

    def _resent(self, field: Field) -> str | None:
        """The value as it is written today; None for what is left out."""
        match field.name.lower():
            case "resent-date":
                return written_date(self._read(field, self._date))
            case "resent-message-id":
                found = self._read(field, self._message_id)
                return None if found is None else f"<{found}>"
            case "resent-bcc":
                self._read(field, self._perhaps_addresses)
                return None
            case _:
                addresses = self._read(field, self._addresses)
                line = address_field(field.name, addresses, field=field.label)
                return without_folds(line).partition(":")[2].strip(" ")

    def _received(self, field: Field) -> str | None:
        try:
            self._read(field, check_received)
        except MessageError:
            if self._obsolete:  # RFC 5322 4.5.7: without a date, or with an obsolete one
                return None
            raise
        return field.value

    def _structured(self, field: Field) -> str | None:
        if field.value and field.value.isascii() and shown(field.value) == field.value:
            return field.value
        if self._obsolete:
            return None
        label = f"headers[{field.name!r}]"
        raise MessageError(label, given=field.value, expected="a value of tokens, in ASCII", at=field.start)


def _read_sender(value: str, *, field: str, reading: Reading) -> Mailbox | Group:
    found = parse_address_field(value, field=field, reading=reading)
    if len(found) != 1:
        raise MessageError(field, given=value, expected="one address, or one group")
    return found[0]


def _read_phrases(value: str, *, field: str, reading: Reading) -> list[str]:
    """RFC 5322 section 3.6.5: phrases with commas between."""
    cursor = Cursor(value, field, reading)
    found: list[str] = []
    while True:
        words = cursor.phrase()
        name = cursor.name(words).strip(" ") if words else ""
        if name:
            found.append(name)
        elif reading is not Reading.OBSOLETE:  # RFC 5322 4.5.5: obs-phrase-list
            raise cursor.error("a keyword: words, with quotes where there are specials")
        if cursor.is_at_end:
            return found
        cursor.demand(",", "a comma between keywords")


def _check_version(value: str, *, field: str) -> None:
    """RFC 2045 section 4: 1.0, with comments anywhere."""
    cursor = Cursor(value, field, Reading.STRICT)
    cursor.skip()
    major = cursor.match(_DIGITS)
    cursor.skip()
    cursor.demand(".", "1.0")
    cursor.skip()
    minor = cursor.match(_DIGITS)
    cursor.skip()
    if (major, minor) != ("1", "0") or not cursor.is_at_end:
        raise MessageError(field, given=value, expected="1.0")
