"""Bodies and their parts (MIME: RFC 2045, 2046, 2047, 2183, 2231).

Whatever the text, the octets are 7-bit, end lines with CRLF and stay within the line limits,
so that every server can take them and nobody needs to change them on the way. ASCII goes as
it is; other text becomes quoted-printable or base64, whichever is shorter. A message is

    multipart/mixed            where there are attachments
    ├── multipart/alternative  where there is text and HTML
    │   ├── text/plain
    │   └── text/html
    └── attachments, in base64

and each level is left out where it would hold one part only.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import MessageError
from .text import checked_text

__all__ = [
    "Part",
    "attachment_part",
    "checked_body",
    "checked_content_type",
    "checked_filename",
    "multipart",
    "text_part",
]

ENCODED_LINE = 76  # RFC 2045 6.7, 6.8
LINE_LIMIT = 998  # RFC 5322 2.1.1
FILENAME_LIMIT = 255
_BLOCK = 57 * 4096  # octets of 4096 lines of base64

_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])  # C0 but TAB, LF and CR; DEL
_CONTROL = re.compile(f"[{re.escape(_CONTROLS.decode())}]")
_ASCII = bytes(range(128))
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,127}"  # noqa: S105 - RFC 2045 5.1, no password
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 !#$&+,\-.@^_~()]")  # what a file name is better off without
_ATTRIBUTE_CHAR = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`{|}~")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One body part: its own header lines, and its body in pieces."""

    head: tuple[str, ...]
    pieces: tuple[bytes, ...]


def checked_body(text: object, *, field: str) -> str:
    """The text of a body; `MessageError` for control characters but TAB and line ends."""
    if not isinstance(text, str):
        raise MessageError(field, given=text, expected="a str")
    try:
        octets = text.encode()
    except UnicodeEncodeError as error:
        place = f"a lone surrogate at character {error.start + 1}"
        raise MessageError(field, given=place, expected="text that UTF-8 can carry") from error
    if len(octets.translate(None, _CONTROLS)) != len(octets):
        found = _CONTROL.search(text)
        given = "" if found is None else f"U+{ord(found[0]):04X} at character {found.start() + 1}"
        raise MessageError(field, given=given, expected="text without control characters")
    return text


def text_part(text: str, subtype: Literal["plain", "html"]) -> Part:
    """A text/plain or text/html part; CR, LF and CRLF become CRLF, and the last line is ended."""
    octets = text.encode()
    if b"\r" in octets:
        octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    octets = octets.replace(b"\n", b"\r\n")
    if octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    encoding, pieces = _encoded(octets)
    head = (f"Content-Type: text/{subtype}; charset=utf-8", f"Content-Transfer-Encoding: {encoding}")
    return Part(head=head, pieces=pieces)


def attachment_part(filename: str, content: bytes, content_type: str) -> Part:
    """A file, in base64; its octets arrive unchanged."""
    head = (
        f"Content-Type: {content_type}",
        "Content-Transfer-Encoding: base64",
        "Content-Disposition: attachment;"
        + ";".join(f"\r\n {each}" for each in _filename_parameters(filename)),
    )
    return Part(head=head, pieces=_base64(content))


def multipart(subtype: Literal["alternative", "mixed"], parts: Sequence[Part]) -> Part:
    """The parts under one boundary, which occurs in none of them."""
    boundary = _boundary(subtype, parts)
    pieces: list[bytes] = []
    for part in parts:
        head = "\r\n".join(part.head)
        pieces.append(f"--{boundary}\r\n{head}\r\n\r\n".encode("ascii"))
        pieces.extend(part.pieces)
        pieces.append(b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    return Part(head=(f'Content-Type: multipart/{subtype}; boundary="{boundary}"',), pieces=tuple(pieces))


def checked_content_type(given: object, *, field: str) -> str:
    """A type/subtype for an attachment."""
    text = checked_text(given, field=field)
    if not _CONTENT_TYPE.fullmatch(text):
        raise MessageError(field, given=given, expected="type/subtype, such as application/pdf")
    # RFC 2046 5.1, 5.2: base64 is not allowed for these
    if text.lower().startswith(("multipart/", "message/")):
        raise MessageError(
            field, given=given, expected="application/octet-stream for what is itself a message"
        )
    return text


def checked_filename(given: object, *, field: str) -> str:
    """A file name for an attachment: 1 to 255 characters, no controls, no blanks at its ends."""
    text = checked_text(given, field=field)
    if not 1 <= len(text) <= FILENAME_LIMIT or "\t" in text or text.strip() != text:
        expected = f"a file name of 1 to {FILENAME_LIMIT} characters, without blanks at its ends"
        raise MessageError(field, given=given, expected=expected)
    return text


def _encoded(octets: bytes) -> tuple[str, tuple[bytes, ...]]:
    if octets.isascii() and not _has_long_line(octets):
        return "7bit", (octets,)
    special = len(octets.translate(None, _ASCII)) + octets.count(b"=")
    if len(octets) + 2 * special <= len(octets) * 4 // 3:
        # b2a_qp breaks lines as the first line ends: there is always one, and it is CRLF
        return "quoted-printable", (binascii.b2a_qp(octets),)
    return "base64", _base64(octets)


def _has_long_line(octets: bytes) -> bool:
    start = 0
    while len(octets) - start > LINE_LIMIT + 2:
        end = octets.rfind(b"\n", start, start + LINE_LIMIT + 2)
        if end < 0:
            return True
        start = end + 1
    return False


def _base64(octets: bytes) -> tuple[bytes, ...]:
    return tuple(_base64_lines(octets[start : start + _BLOCK]) for start in range(0, len(octets), _BLOCK))


def _base64_lines(octets: bytes) -> bytes:
    line = binascii.b2a_base64(octets, newline=False)
    lines = [line[at : at + ENCODED_LINE] for at in range(0, len(line), ENCODED_LINE)]
    return b"\r\n".join([*lines, b""])


def _boundary(subtype: str, parts: Sequence[Part]) -> str:
    """The same for the same parts, so that the same email makes the same octets."""
    number = len(parts)
    # "=_" stands in neither quoted-printable nor base64 (RFC 2045 6.7)
    while any(f"=_{subtype}_{number}".encode("ascii") in piece for part in parts for piece in part.pieces):
        number += 1
    return f"=_{subtype}_{number}"


def _filename_parameters(filename: str) -> list[str]:
    """`filename` for everyone, and `filename*` (RFC 2231) where that is not the whole name."""
    plain = _NOT_PLAIN.sub("_", filename)
    if plain == filename and len(filename) <= ENCODED_LINE:
        return [f'filename="{filename}"']
    stem, dot, ending = plain.rpartition(".")
    short = (
        plain
        if len(plain) <= 60
        else f"{(stem or plain)[:48]}{dot if stem else ''}{ending[:11] if stem else ''}"
    )
    # the whole name first: there are readers that keep the first of the two, whatever it is
    return [*_extended_parameter(filename), f'filename="{short}"']


def _extended_parameter(filename: str) -> list[str]:
    # RFC 2231 3, 4: percent-encoded UTF-8, in numbered pieces where it is long
    encoded = [chr(o) if o in _ATTRIBUTE_CHAR else f"%{o:02X}" for o in filename.encode()]
    whole = "".join(encoded)
    if len(whole) <= 55:
        return [f"filename*=utf-8''{whole}"]
    pieces = ["".join(encoded[at : at + 18]) for at in range(0, len(encoded), 18)]
    pieces[0] = f"utf-8''{pieces[0]}"
    return [f"filename*{number}*={piece}" for number, piece in enumerate(pieces)]
