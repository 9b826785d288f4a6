"""The tree of parts in a message that was read (MIME: RFC 2045, 2046, 2049).

A multipart body is parts between lines that begin with `--` and its boundary; the last such
line ends with `--`. What stands before the first and behind the last is for nobody. A part is
header fields, an empty line, a body; of its fields only those that begin with `Content-` mean
anything. Where nothing is said a part is `text/plain` in US-ASCII, and `message/rfc822` inside
of a `multipart/digest`. An outer delimiter ends every part inside of it.

The content is gone through once, whatever its nesting: the next line that is a delimiter of any
open multipart ends the part at hand. Bodies are decoded when they are asked for, and a message
inside of a message stays octets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from ...errors import MessageError
from ..message_id import read_message_id
from ..text import shown
from .content_type import ContentType, Disposition, read_content_type, read_disposition
from .cursor import Cursor, Reading
from .finished import Header, read_fields
from .located import located
from .transfer_encoding import IDENTITY, decoded_body

__all__ = ["Entity", "Facts", "read_tree", "walk"]

_Value = TypeVar("_Value")

DEPTH_LIMIT = 50
PART_LIMIT = 10_000

BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")  # RFC 2046 5.1.1
_ENCODING = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]++")
# RFC 2046 5.2.1-5.2.3: what may not be encoded
_MESSAGES = frozenset(["message/rfc822", "message/partial", "message/external-body"])
_PLAIN_TEXT = ContentType(maintype="text", subtype="plain")
_MESSAGE = ContentType(maintype="message", subtype="rfc822")


class Facts(NamedTuple):
    """What the header of a part says of its body."""

    content_type: ContentType
    has_type: bool  # there is a Content-Type field
    encoding: str
    disposition: Disposition | None
    content_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entity:
    """A message or a part of one: its header, and where in the content its body stands."""

    content: bytes
    header: Header
    facts: Facts
    start: int
    end: int
    parts: tuple[Entity, ...] = ()
    is_obsolete: bool = False

    @property
    def essence(self) -> str:
        """Its type, such as text/plain."""
        return self.facts.content_type.essence

    @property
    def is_multipart(self) -> bool:
        """It holds parts instead of a body."""
        return self.facts.content_type.maintype == "multipart"

    @property
    def filename(self) -> str | None:
        """The name that it is to be saved under (RFC 2183 2.3), or the older `name` of its type."""
        disposition = self.facts.disposition
        name = None if disposition is None else disposition.parameter("filename")
        return self.facts.content_type.parameter("name") if name is None else name

    def octets(self) -> bytes:
        """The body, its transfer encoding undone; `MessageError` where that cannot be done."""
        octets = self.content[self.start : self.end]
        return decoded_body(
            octets, self.facts.encoding, field="content", start=self.start, obsolete=self.is_obsolete
        )


def read_tree(content: bytes, header: Header, *, obsolete: bool = False, smtputf8: bool = False) -> Entity:
    """The tree of a message with CRLF line ends, whose header has been read.

    `MessageError` for what MIME does not have. With `obsolete`, what old programs get wrong in
    ways that do no harm is read: encoded messages, a last delimiter that lacks.
    """
    body = header.end + 2 if content.startswith(b"\r\n", header.end) else header.end
    return _Scanner(content, obsolete, smtputf8).entity(header, body, _PLAIN_TEXT)


def walk(entity: Entity) -> Iterator[Entity]:
    """The entity and all that is inside of it, in the order of their places."""
    yield entity
    for part in entity.parts:
        yield from walk(part)


class _Delimiter(NamedTuple):
    level: int
    is_last: bool
    start: int  # where the line end before it begins
    end: int  # behind the line end after it


class _Scanner:
    """Goes once through the content; `levels` are the boundaries of the multiparts around the place."""

    def __init__(self, content: bytes, obsolete: bool, smtputf8: bool) -> None:
        self._content = content
        self._obsolete = obsolete
        self._smtputf8 = smtputf8
        self._is_ascii = content.isascii()
        self._levels: dict[bytes, int] = {}
        self._delimiter: _Delimiter | None = None
        self._count = 0

    def entity(self, header: Header, body: int, default: ContentType) -> Entity:
        """The entity whose body begins at `body`; the delimiter behind it is found as well."""
        facts = _facts(self._content, header, default, self._obsolete)
        kind = facts.content_type
        # RFC 2045 6.4, RFC 2046 5.2: what holds other parts is never encoded itself
        is_message = kind.essence in _MESSAGES and not self._obsolete
        if facts.encoding not in IDENTITY and (kind.maintype == "multipart" or is_message):
            expected = f"7bit, 8bit or binary for {kind.essence}"
            raise MessageError("content_transfer_encoding", given=facts.encoding, expected=expected, at=body)
        self._count += 1
        if self._count > PART_LIMIT:
            raise MessageError("content", given="more", expected=f"at most {PART_LIMIT} parts", at=body)
        parts: tuple[Entity, ...] = ()
        if facts.content_type.maintype == "multipart":
            parts = self._parts(facts, body)
        elif not self._levels:
            self._delimiter = None
        else:
            self._advance(body)
        end = len(self._content) if self._delimiter is None else max(self._delimiter.start, body)
        if not self._obsolete:
            self._check_encoding(facts, body, end)
        return Entity(
            content=self._content,
            header=header,
            facts=facts,
            start=body,
            end=end,
            parts=parts,
            is_obsolete=self._obsolete,
        )

    def _parts(self, facts: Facts, body: int) -> tuple[Entity, ...]:
        boundary = _boundary(facts.content_type, body)
        level = len(self._levels) + 1
        if boundary in self._levels or level > DEPTH_LIMIT:
            expected = f"a boundary of its own in each multipart, and at most {DEPTH_LIMIT} of them nested"
            raise MessageError("content_type", given=boundary, expected=expected, at=body)
        self._levels[boundary] = level
        self._advance(body)
        default = _MESSAGE if facts.content_type.subtype == "digest" else _PLAIN_TEXT
        found: list[Entity] = []
        while (at := self._delimiter) is not None and at.level == level and not at.is_last:
            found.append(self._part(at.end, default))
        del self._levels[boundary]
        is_closed = at is not None and at.level == level
        if not self._obsolete and not (found and is_closed):
            expected = f"parts, and --{boundary.decode()}-- behind the last"
            place = len(self._content) if at is None else at.start
            raise MessageError("content", given=f"{len(found)} parts", expected=expected, at=place)
        if at is not None and is_closed:
            self._advance(at.end)
        return tuple(found)

    def _part(self, start: int, default: ContentType) -> Entity:
        end, body = self._header_of_part(start)
        header = read_fields(self._content, start, end, obsolete=self._obsolete)
        if not header.is_ascii and not self._smtputf8:
            raise MessageError("content", given="8-bit octets", expected="ASCII in a header", at=start)
        return self.entity(header, body, default)

    def _header_of_part(self, start: int) -> tuple[int, int]:
        """Where the header of the part ends that begins at `start`, and where its body begins."""
        content, at = self._content, start
        if content.startswith(b"\r\n", start):
            return start, start + 2
        while True:
            # never beyond the next delimiter: parts without a body must not make it look twice
            line = content.find(b"\n--", max(at - 1, 0))
            limit = len(content) if line < 0 else line + 1
            blank = content.find(b"\r\n\r\n", at, limit)
            if blank >= 0:
                return blank + 2, blank + 4
            if line < 0 or self._delimiter_at(line) is not None:
                if not self._obsolete:
                    expected = "an empty line behind the header of a part"
                    raise MessageError(
                        "content", given=content[start : start + 40], expected=expected, at=limit
                    )
                return limit, limit
            at = line + 2

    def _advance(self, start: int) -> None:
        """Finds the next delimiter of an open multipart from `start` on, where a line begins."""
        line = start - 1
        self._delimiter = None
        while self._levels and (line := self._content.find(b"\n--", max(line, 0))) >= 0:
            self._delimiter = self._delimiter_at(line)
            if self._delimiter is not None:
                return
            line += 3

    def _delimiter_at(self, line: int) -> _Delimiter | None:
        """The delimiter on the line behind the line end at `line`, if it is one."""
        content = self._content
        if content[line - 1 : line] != b"\r":
            return None
        end = content.find(b"\r\n", line + 3)
        end = len(content) if end < 0 else end
        text = content[line + 3 : end].rstrip(b" \t")  # RFC 2046 5.1.1: transport-padding
        level, is_last = self._levels.get(text), False
        if level is None and text.endswith(b"--"):
            level, is_last = self._levels.get(text[:-2]), True
        if level is None:
            return None
        return _Delimiter(level, is_last, line - 1, min(end + 2, len(content)))

    def _check_encoding(self, facts: Facts, start: int, end: int) -> None:
        encoding = facts.encoding
        if encoding in ("8bit", "binary") or self._is_ascii:
            return
        body = self._content[start:end]
        if not body.isascii():
            at = start + next(place for place, octet in enumerate(body) if octet > 127)
            expected = f"ASCII in a body whose encoding is {encoding}"
            raise MessageError("content", given=self._content[at : at + 10], expected=expected, at=at)


def _facts(content: bytes, header: Header, default: ContentType, obsolete: bool) -> Facts:
    found = {field.name.lower(): field for field in reversed(header.fields)}

    def read(name: str, reader: Callable[..., _Value]) -> _Value | None:
        field = found.get(name)
        return None if field is None else located(content, field, partial(reader, obsolete=obsolete))

    content_type = read("content-type", read_content_type)
    return Facts(
        content_type=content_type or default,
        has_type=content_type is not None,
        encoding=read("content-transfer-encoding", _read_encoding) or "7bit",
        disposition=read("content-disposition", read_disposition),
        content_id=read("content-id", _read_content_id),
    )


def _read_encoding(value: str, *, field: str, obsolete: bool) -> str:
    """The mechanism in lower case."""
    cursor = Cursor(value, field, Reading.OBSOLETE if obsolete else Reading.STRICT)
    cursor.skip()
    found = cursor.match(_ENCODING)
    if found is None:
        raise cursor.error("an encoding such as 7bit, quoted-printable or base64")
    cursor.skip()
    if not cursor.is_at_end:
        raise cursor.error("one encoding and nothing after it")
    return found.lower()


def _read_content_id(value: str, *, field: str, obsolete: bool) -> str | None:
    try:
        return read_message_id(value, field=field, obsolete=obsolete)
    except MessageError:
        if obsolete:  # many are no message ids, and nothing hangs on them
            return None
        raise


def _boundary(kind: ContentType, at: int) -> bytes:
    boundary = kind.parameter("boundary")
    if boundary is None or not BOUNDARY.fullmatch(boundary):
        expected = "a boundary of 1 to 70 of the characters that RFC 2046 5.1.1 names, no blank at its end"
        given = None if boundary is None else shown(boundary)
        raise MessageError("content_type", given=given, expected=expected, at=at)
    return boundary.encode("ascii")
