"""Reading a finished message: as far as its envelope and its identity need it.

A message is lines that end with CRLF: header fields, an empty line, a body (RFC 5322
section 2). What is sent is sent as it stands, octet for octet, so that its signatures hold;
this module finds out whether it can be, and where its fields are. Mended is one thing only:
octets in which every line ends with LF become lines that end with CRLF. Mixed line ends and
a bare CR are refused, since receivers disagree about them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import MessageError
from .address import Group, Mailbox, parse_address_field
from .date import check_date_field
from .header import checked_name
from .message_id import message_id_in_field
from .text import checked_text

__all__ = ["Field", "Header", "crlf_content", "field_label", "read_header"]

LINE_LIMIT = 998  # RFC 5322 2.1.1, octets without CRLF

# RFC 5322 3.6: at most once; and MIME's own, where a second one would be another reading
_SINGLE = frozenset(
    [
        "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject",
        "date", "mime-version", "content-type", "content-transfer-encoding", "content-disposition",
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One header field: its name, its value on one line, and its octets' place."""

    name: str
    value: str
    start: int
    end: int  # behind its last CRLF

    @property
    def label(self) -> str:
        """What errors call it."""
        return field_label(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The header fields of a message and where its header ends."""

    fields: tuple[Field, ...]
    end: int  # behind the last field: where the empty line begins
    is_ascii: bool

    def all(self, name: str) -> list[Field]:
        """The fields of this name, in order."""
        return [field for field in self.fields if field.name.lower() == name.lower()]

    def one(self, name: str) -> Field | None:
        """The field of this name, None where there is none; `MessageError` for two."""
        found = self.all(name)
        if len(found) > 1:
            raise MessageError(found[0].label, given=found[1].value, expected=f"one {name} field")
        return found[0] if found else None

    def addresses(self, name: str, *, may_be_empty: bool = False) -> tuple[Mailbox | Group, ...]:
        """The addresses in the field of this name; () where there is none."""
        field = self.one(name)
        if field is None:
            return ()
        return parse_address_field(field.value, field=field.label, may_be_empty=may_be_empty)

    def message_id(self, name: str) -> str | None:
        """The message id in the field of this name."""
        field = self.one(name)
        return None if field is None else message_id_in_field(field.value, field=field.label)


def field_label(name: str) -> str:
    """What errors call a header field: the keyword of `Email` where there is one."""
    label = name.lower().replace("-", "_")
    return "from_" if label == "from" else label


def crlf_content(content: bytes) -> bytes:
    """The content with CRLF line ends; `MessageError` where it cannot go on a wire as it is."""
    pairs, crs, lfs = content.count(b"\r\n"), content.count(b"\r"), content.count(b"\n")
    if crs != pairs or (pairs and lfs != pairs):
        expected = "every line end CRLF, or every line end LF, and no CR elsewhere"
        raise MessageError("content", given=_described(content, pairs, crs, lfs), expected=expected)
    if b"\0" in content:
        raise MessageError("content", given=f"NUL at octet {content.index(0)}", expected="no NUL")
    if lfs and not pairs:
        content = content.replace(b"\n", b"\r\n")
    _check_line_lengths(content)
    return content


def read_header(content: bytes) -> Header:
    """The header of a message with CRLF line ends; `MessageError` names what is wrong in it."""
    end = _header_end(content)
    block = content[:end]
    is_ascii = block.isascii()
    fields = tuple(_fields(block))
    single = [name for field in fields if (name := field.name.lower()) in _SINGLE]
    header = Header(fields=fields, end=end, is_ascii=is_ascii)
    for name in {name for name in single if single.count(name) > 1}:
        header.one(name)
    _check_dates(header)
    return header


def _check_dates(header: Header) -> None:
    for name in ("Date", "Resent-Date"):
        for field in header.all(name):
            check_date_field(field.value, field=field.label)


def _header_end(content: bytes) -> int:
    if content.startswith(b"\r\n"):
        return 0
    blank = content.find(b"\r\n\r\n")
    if blank >= 0:
        return blank + 2
    if not content.endswith(b"\r\n"):
        raise MessageError(
            "content", given=content[-40:], expected="header fields, each line ended, and an empty line"
        )
    return len(content)


def _fields(block: bytes) -> Iterator[Field]:
    """The fields of a header block; each line ends with CRLF."""
    lines: list[bytes] = []
    start = at = 0
    while at < len(block):
        end = block.index(b"\r\n", at) + 2
        if lines and block[at] not in b" \t":
            yield _field(lines, start, at)
            start, lines = at, []
        lines.append(block[at : end - 2])
        at = end
    if lines:
        yield _field(lines, start, at)


def _field(lines: list[bytes], start: int, end: int) -> Field:
    first, colon, _ = lines[0].partition(b":")
    if not colon:
        raise MessageError("content", given=lines[0], expected="a header field: name, colon, value")
    # RFC 5322 4.5: a blank before the colon is obsolete, and no name has one (P06)
    name = checked_name(first.decode("ascii", "replace"), field="content")
    try:
        text = b"".join(lines).decode()[len(name) + 1 :]
    except UnicodeDecodeError as error:  # P30
        raise MessageError(field_label(name), given=lines[0], expected="ASCII or UTF-8") from error
    if not all(line.strip(b" \t") for line in lines[1:]):  # RFC 5322 4.2: obsolete, and read in two ways
        raise MessageError(field_label(name), given=text, expected="no blank line inside the field")
    value = checked_text(text, field=field_label(name)).strip(" \t")
    return Field(name=name, value=value, start=start, end=end)


def _check_line_lengths(content: bytes) -> None:
    start = 0
    while len(content) - start > LINE_LIMIT:
        end = content.rfind(b"\n", start, start + LINE_LIMIT + 2)
        if end < 0:
            given = f"a longer line at octet {start}: {content[start : start + 30]!r}..."
            raise MessageError("content", given=given, expected=f"lines of at most {LINE_LIMIT} octets")
        start = end + 1


def _described(content: bytes, pairs: int, crs: int, lfs: int) -> str:
    where = ""
    if crs != pairs:
        at = next(at for at, octet in enumerate(content) if octet == 13 and content[at + 1 : at + 2] != b"\n")
        where = f", the first bare CR at octet {at}"
    return f"{pairs} CRLF, {lfs - pairs} bare LF, {crs - pairs} bare CR{where}"
