"""Reading a finished message: as far as its envelope and its identity need it.

A message is lines that end with CRLF: header fields, an empty line, a body (RFC 5322
section 2). What is sent is sent as it stands, octet for octet, so that its signatures hold;
this module finds out whether it can be, and where its fields are. Mended is one thing only:
octets in which every line ends with LF become lines that end with CRLF. Mixed line ends and
a bare CR are refused, since receivers disagree about them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ...errors import MessageError
from ..address import Group, Mailbox, parse_address_field
from ..date import check_date_field
from ..lines import LINE_LIMIT, long_line_at
from ..message_id import message_id_in_field
from ..text import checked_text
from ..writing.header import checked_name

__all__ = [
    "Field",
    "Header",
    "check_addresses",
    "crlf_content",
    "field_label",
    "plain_values",
    "read_fields",
    "read_header",
    "split_header",
]

COPIED_OCTETS = 1 << 16

# RFC 5322 3.6: at most once; and MIME's own, where a second one would be another reading
_SINGLE = frozenset(
    [
        "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject",
        "date", "mime-version", "content-type", "content-transfer-encoding", "content-disposition",
    ]
)  # fmt: skip
_ADDRESS_FIELDS = frozenset(["from", "sender", "reply-to", "to", "cc", "bcc"])
_ADDRESS_FIELDS |= {f"resent-{name}" for name in _ADDRESS_FIELDS}
# RFC 5322 4.5.3: several of these are read as one list
_JOINED_IF_OBSOLETE = frozenset(["to", "cc", "bcc"])

# the name, what stands before the colon, and the lines of the value
_FIELD = re.compile(rb"([!-9;-~]++)([ \t]*+):((?:[^\r]++|\r\n[ \t]|\r(?!\n))*)\r\n")
_BARE_CR = re.compile(rb"\r(?!\n)")
_BARE_LF = re.compile(rb"(?<!\r)\n")
# the same where nothing is out of the ordinary; "[^\r\n]" would take twice the time
_PLAIN_FIELD = re.compile(
    r"^([!-9;-~]{1,76}):([^\r]*+(?:\r\n[ \t]++[^\r \t][^\r]*+)*)\r\n(?![ \t])", re.MULTILINE
)
_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])  # C0 but TAB, LF and CR; DEL


class Field(NamedTuple):
    """One header field: its name, its value on one line, and its octets' place."""

    name: str
    value: str
    start: int
    end: int  # behind its last CRLF

    @property
    def label(self) -> str:
        """What errors call it."""
        return field_label(self.name)

    def octet(self, content: bytes, character: int) -> int:
        """Where in the content, counted from 0, this character of the value stands."""
        raw = content[self.start : self.end]
        places = [
            at
            for at in range(raw.index(b":") + 1, len(raw))
            if raw[at : at + 2] != b"\r\n" and raw[at - 1 : at + 1] != b"\r\n"
        ]
        blanks = 0
        while blanks < len(places) and raw[places[blanks]] in b" \t":
            blanks += 1
        place = blanks + len(self.value[:character].encode())
        return self.start + (places[place] if place < len(places) else len(raw) - 2)


class Header(NamedTuple):
    """The header fields of a message and where its header ends."""

    fields: tuple[Field, ...]
    by_name: Mapping[str, Sequence[Field]]  # the same, by their names in lower case
    end: int  # behind the last field: where the empty line begins
    is_ascii: bool

    @property
    def is_resent(self) -> bool:
        """It has Resent- fields (RFC 5322 section 3.6.6)."""
        return "\nresent-" in "\n".join(("", *self.by_name))

    def all(self, name: str) -> Sequence[Field]:
        """The fields of this name, in order."""
        return self.by_name.get(name.lower(), ())

    def one(self, name: str) -> Field | None:
        """The field of this name, None where there is none; `MessageError` for two."""
        found = self.by_name.get(name.lower())
        if found is None:
            return None
        if len(found) > 1:
            second = found[1]
            raise MessageError(
                second.label, given=second.value, expected=f"one {name} field", at=second.start
            )
        return found[0]

    def addresses(self, name: str, *, may_be_empty: bool = False) -> tuple[Mailbox | Group, ...]:
        """The addresses in the field of this name; () where there is none."""
        if name.lower() not in self.by_name or (field := self.one(name)) is None:
            return ()
        return parse_address_field(field.value, field=field_label(field.name), may_be_empty=may_be_empty)

    def message_id(self, name: str) -> str | None:
        """The message id in the field of this name."""
        field = self.one(name)
        return None if field is None else message_id_in_field(field.value, field=field.label)


@lru_cache(maxsize=256)  # most headers have the same few names
def field_label(name: str) -> str:
    """What errors call a header field: the keyword of `Email` where there is one."""
    label = name.lower().replace("-", "_")
    return "from_" if label == "from" else label


def crlf_content(content: bytes, *, obsolete: bool = False) -> bytes:
    """The content with CRLF line ends; `MessageError` where it cannot go on a wire as it is.

    With `obsolete`, a lone CR or LF and NUL stay (RFC 5322 section 4.1): they are no line ends.
    """
    ends_with_lf = not _has_only_crlf(content) and _has_only_lf(content, obsolete)
    if not obsolete and b"\0" in content:
        at = content.index(0)
        raise MessageError("content", given=f"NUL at octet {at}", expected="no NUL", at=at)
    if ends_with_lf:
        content = content.replace(b"\n", b"\r\n")
    _check_line_lengths(content)
    return content


def _has_only_crlf(content: bytes) -> bool:
    """Every line end of this short content is CRLF; False for a long one, which is not copied."""
    # a quarter of the time of counting them
    return len(content) <= COPIED_OCTETS and content.replace(b"\r", b"").replace(b"\n", b"\r\n") == content


def _has_only_lf(content: bytes, obsolete: bool) -> bool:
    """Every line ends with LF; `MessageError` for line ends of several kinds."""
    pairs, crs, lfs = content.count(b"\r\n"), content.count(b"\r"), content.count(b"\n")
    if not obsolete and (crs != pairs or (pairs and lfs != pairs)):
        expected = "every line end CRLF, or every line end LF, and no CR elsewhere"
        given, at = _described(content, pairs, crs, lfs)
        raise MessageError("content", given=given, expected=expected, at=at)
    return lfs > 0 and not pairs


def read_header(content: bytes) -> Header:
    """The header of a message with CRLF line ends; `MessageError` names what is wrong in it."""
    header = split_header(content)
    for name in ("date", "resent-date"):
        for field in header.by_name.get(name, ()):
            check_date_field(field.value, field=field.label)
    return header


def check_addresses(header: Header) -> None:
    """Raises `MessageError` unless each address field can be read, also one that no envelope is made of.

    Who receives the message reads it, and must find what its writer meant (S6).
    """
    for name, fields in header.by_name.items():
        if name not in _ADDRESS_FIELDS:
            continue
        label, is_bcc, is_sender = field_label(name), name.endswith("bcc"), name.endswith("sender")
        for field in fields:
            found = parse_address_field(field.value, field=label, may_be_empty=is_bcc)
            if is_sender and len(found) != 1:  # RFC 5322 3.6.2, RFC 6854 2.1
                raise MessageError(field.label, given=field.value, expected="one address, or one group")


def split_header(content: bytes, *, obsolete: bool = False) -> Header:
    """The header of a message with CRLF line ends, what is in its fields not yet read.

    With `obsolete` the forms of RFC 5322 sections 4.1, 4.2 and 4.5 are taken as well.
    """
    return read_fields(content, 0, _header_end(content), obsolete=obsolete)


def read_fields(content: bytes, start: int, end: int, *, obsolete: bool = False) -> Header:
    """The header fields that stand between two places of the content, each line ended."""
    block = content[start:end]
    is_ascii = block.isascii()
    is_plain = is_ascii and _has_no_controls(block)
    fields = _plain_fields(block.decode(), start) if is_plain else []
    start = fields[-1].end if fields else start
    while start < end:
        found = _FIELD.match(content, start, end)
        if found is None or (found[2] and not obsolete):
            raise _no_field(content, start, end)
        fields.append(_field(content, found, is_plain, obsolete))
        start = found.end()
    by_name = {field.name.lower(): [field] for field in fields}
    if len(by_name) == len(fields):
        return Header(tuple(fields), by_name, end, is_ascii)
    by_name = {name: [] for name in by_name}
    for field in fields:
        by_name[field.name.lower()].append(field)
    header = Header(tuple(fields), by_name, end, is_ascii)
    _check_single(header, obsolete)
    return header


def plain_values(header: bytes) -> list[tuple[str, str]]:
    """Names and values of a header in which nothing is out of the ordinary; none of any other.

    Its fields have one line each, and each a name of its own. A value may have blanks at its ends.
    """
    if not header.isascii() or not _has_no_controls(header) or long_line_at(header) is not None:
        return []
    found = _PLAIN_FIELD.findall(header.decode())
    # each has a line end, and begins behind one: where there are no others, nothing was passed over
    is_plain = header.endswith(b"\r\n") and header.count(b"\n") == len(found)
    return found if is_plain and len({name.lower() for name, _ in found}) == len(found) else []


def _has_no_controls(octets: bytes) -> bool:
    return len(octets.translate(None, _CONTROLS)) == len(octets)


def _plain_fields(text: str, start: int) -> list[Field]:
    """The fields of a header in which nothing is out of the ordinary; none of any other."""
    fields: list[Field] = []
    end = start + len(text)
    for name, value in _PLAIN_FIELD.findall(text):
        behind = start + len(name) + len(value) + 3  # the colon and the line end
        if "\n" in value:
            value = value.replace("\r\n", "")
            if "\n" in value:
                return []
        fields.append(Field(name, value.strip(" \t"), start, behind))
        start = behind
    return fields if start == end else []  # what is not a field was passed over


def _check_single(header: Header, obsolete: bool) -> None:
    single = _SINGLE - _JOINED_IF_OBSOLETE if obsolete else _SINGLE
    for name in sorted(single.intersection(header.by_name)):
        header.one(name)


def _header_end(content: bytes) -> int:
    if content.startswith(b"\r\n"):
        return 0
    blank = content.find(b"\r\n\r\n")
    if blank >= 0:
        return blank + 2
    if not content.endswith(b"\r\n"):
        raise MessageError(
            "content",
            given=content[-40:],
            expected="header fields, each line ended, and an empty line",
            at=len(content),
        )
    return len(content)


def _field(content: bytes, found: re.Match[bytes], is_plain: bool, obsolete: bool) -> Field:
    name, raw = checked_name(found[1].decode("ascii"), field="content"), found[3]
    if b"\r\n" in raw:
        # RFC 5322 4.2: a line of blanks inside a field is obsolete, and read in two ways
        if not obsolete and not all(line.strip(b" \t") for line in raw.split(b"\r\n")[1:]):
            raise MessageError(
                field_label(name), given=raw, expected="no blank line inside the field", at=found.start()
            )
        raw = raw.replace(b"\r\n", b"")
    try:
        text = raw.decode().strip(" \t")
    except UnicodeDecodeError as error:  # P30
        raise MessageError(
            field_label(name), given=raw, expected="ASCII or UTF-8", at=found.start()
        ) from error
    field = Field(name, text, found.start(), found.end())
    if not is_plain and not obsolete:
        _check_text(content, field)
    return field


def _check_text(content: bytes, field: Field) -> None:
    try:
        checked_text(field.value, field=field.label)
    except MessageError as error:
        error.at = field.octet(content, error.at or 0)
        raise


def _no_field(content: bytes, start: int, end: int) -> MessageError:
    line = content[start : content.find(b"\r\n", start, end)]
    name, colon, _ = line.partition(b":")
    if not colon:
        expected = "a header field: name, colon, value"
        return MessageError("content", given=line, expected=expected, at=start)
    try:
        # RFC 5322 4.5: a blank before the colon is obsolete, and no name has one (P06)
        checked_name(name.decode("ascii", "replace"), field="content")
    except MessageError as error:
        error.at = start
        return error
    return MessageError("content", given=line, expected="a header field: name, colon, value", at=start)


def _check_line_lengths(content: bytes) -> None:
    start = long_line_at(content)
    if start is not None:
        given = f"a longer line at octet {start}: {content[start : start + 30]!r}..."
        raise MessageError("content", given=given, expected=f"lines of at most {LINE_LIMIT} octets", at=start)


def _described(content: bytes, pairs: int, crs: int, lfs: int) -> tuple[str, int]:
    """What line ends there are, and where the first wrong one is."""
    wrong = _BARE_CR.search(content) if crs != pairs else _BARE_LF.search(content)
    at = 0 if wrong is None else wrong.start()
    where = f", the first bare {'CR' if crs != pairs else 'LF'} at octet {at}"
    return f"{pairs} CRLF, {lfs - pairs} bare LF, {crs - pairs} bare CR{where}", at
