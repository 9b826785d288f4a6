"""Bodies and their parts (MIME: RFC 2045, 2046).

A body is a tree: a leaf is a `Part`, its header fields and its octets; a `Multipart` holds
parts under a boundary, a line that occurs in none of them. Here parts are written, `laid_out`
chooses the boundaries and makes one body of the tree.

Whatever the text, the octets are 7-bit, end lines with CRLF and stay within the line limits,
so that every server can take them and nobody needs to change them on the way. ASCII goes as
it is; other text becomes quoted-printable or base64, whichever is shorter. Files are base64,
written block by block when the body is iterated, so that a large one never stands in memory
twice.
"""

from __future__ import annotations

import binascii
import itertools
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ...errors import MessageError
from ...files import FileContent
from ..lines import long_line_at
from .parameter import parameter_field

__all__ = [
    "Multipart",
    "Part",
    "Tree",
    "checked_body",
    "file_part",
    "is_7bit",
    "laid_out",
    "multipart",
    "raw_part",
    "text_part",
]

ENCODED_LINE = 76  # RFC 2045 6.7, 6.8
_BLOCK = 57 * 128  # octets of 128 lines of base64
_LINE_OCTETS = ENCODED_LINE // 4 * 3
_LINES_OF_A_BLOCK = struct.Struct(f"{ENCODED_LINE}s" * (_BLOCK // _LINE_OCTETS))

_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])  # C0 but TAB, LF and CR; DEL
_CONTROL = re.compile(f"[{re.escape(_CONTROLS.decode())}]")
# what b2a_qp makes of a line with a blank at its end: at times it has 77 characters (P44)
_LONG_LAST_BLANK = re.compile(rb"^([^\r\n]{74})(=20|=09)\r$", re.MULTILINE)
_ASCII = bytes(range(128))
_NOT_BOUNDARY = re.compile(r"[^A-Za-z0-9-]+")  # what RFC 2046 5.1.1 does not take, of a token
_NUMBERED = re.compile(rb"=_([0-9]{1,9})")  # how our boundaries begin


class Part(NamedTuple):
    """A leaf of the tree, or a whole body: its own header fields, and its octets in pieces.

    `head` holds MIME fields as they are written, folded, without their last line end. `pieces`
    can be iterated again and again; `size` is how many octets they will be together (for a
    file: as far as is known). `is_literal` says that the octets stand as somebody wrote them,
    so that they may look like anything, a boundary too.
    """

    head: tuple[str, ...]
    pieces: Iterable[bytes]
    size: int
    is_literal: bool = False


class Multipart(NamedTuple):
    """Parts that belong together; `parameters` are those of its Content-Type but the boundary."""

    subtype: str
    parts: tuple[Tree, ...]
    parameters: tuple[tuple[str, str], ...] = ()
    head: tuple[str, ...] = ()  # MIME fields besides Content-Type


Tree: TypeAlias = "Part | Multipart"


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


def text_part(
    text: str, subtype: str, *, parameters: Sequence[tuple[str, str]] = (), head: Iterable[str] = ()
) -> Part:
    """A text part; CR, LF and CRLF become CRLF, and the last line is ended.

    `parameters` are those of its Content-Type but the charset, which is UTF-8; `head` holds
    further MIME fields.
    """
    octets = text.encode()
    if b"\r" in octets:
        octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    octets = octets.replace(b"\n", b"\r\n")
    if octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    content_type = f"Content-Type: text/{subtype}; charset=utf-8"
    if parameters:
        charset = (("charset", "utf-8"),)
        content_type = parameter_field("Content-Type", f"text/{subtype}", (*charset, *parameters))
    return _encoded(octets, content_type, head)


def file_part(
    content: bytes | FileContent,
    content_type: str,
    *,
    parameters: Iterable[tuple[str, str]] = (),
    head: Iterable[str] = (),
) -> Part:
    """Octets that arrive unchanged, in base64; `content_type` is type/subtype."""
    fields = (
        parameter_field("Content-Type", content_type, parameters),
        "Content-Transfer-Encoding: base64",
        *head,
    )
    size = content.size if isinstance(content, FileContent) else len(content)
    return Part(fields, _Base64(content), _base64_size(size))


def raw_part(octets: bytes, head: Iterable[str]) -> Part:
    """Octets that stand as they are; `head` holds all its MIME fields, the transfer encoding too."""
    # a file without octets is none that looks like anything; only a text goes without its empty line
    return Part(tuple(head), (octets,), len(octets), is_literal=bool(octets))


def multipart(
    subtype: str,
    parts: Iterable[Tree],
    *,
    parameters: Iterable[tuple[str, str]] = (),
    head: Iterable[str] = (),
) -> Multipart:
    """The parts under one boundary; `laid_out` chooses it."""
    return Multipart(subtype=subtype, parts=tuple(parts), parameters=tuple(parameters), head=tuple(head))


def laid_out(tree: Tree) -> Part:
    """The whole tree as one part: the MIME fields of the message, and its body."""
    if isinstance(tree, Part):
        return tree
    return _bounded(tree, _free_numbers(tree))


def is_7bit(octets: bytes) -> bool:
    """May stand as it is: ASCII without NUL, only CRLF as line ends, lines within 998 octets."""
    pairs = octets.count(b"\r\n")
    return (
        octets.isascii()
        and b"\0" not in octets
        and octets.count(b"\r") == pairs == octets.count(b"\n")
        and long_line_at(octets) is None
    )


def _bounded(tree: Multipart, numbers: Iterator[int]) -> Part:
    # RFC 2046 5.1.1. "=_" stands in neither quoted-printable nor base64 (RFC 2045 6.7), and no
    # two numbers with "_" behind them are the beginning of one another
    boundary = f"=_{next(numbers)}_{_NOT_BOUNDARY.sub('', tree.subtype)[:40]}"
    pieces: list[Iterable[bytes]] = []
    size = 0
    close = ""
    for part in tree.parts:
        inner = part if isinstance(part, Part) else _bounded(part, numbers)
        start = "\r\n".join((f"{close}--{boundary}", *inner.head, "", "")).encode("ascii")
        # RFC 2046 5.1.1: an empty text is its fields alone; some readers would show a line end
        close = "" if inner.is_literal and not inner.size else "\r\n"
        pieces += ((start,), inner.pieces)
        size += len(start) + inner.size
    end = f"{close}--{boundary}--\r\n".encode("ascii")
    pieces.append((end,))
    content_type = parameter_field("Content-Type", f"multipart/{tree.subtype}", tree.parameters)
    head = (_with_boundary(content_type, boundary), *tree.head)
    return Part(head, _Chain(pieces), size + len(end))


def _with_boundary(content_type: str, boundary: str) -> str:
    # the boundary is made here: of what a quoted string may hold as it is, never long
    parameter = f'boundary="{boundary}"'
    line = len(content_type) - content_type.rfind("\n") - 1
    between = "; " if line + len(parameter) + 2 <= ENCODED_LINE else ";\r\n "
    return f"{content_type}{between}{parameter}"


def _free_numbers(tree: Tree) -> Iterator[int]:
    """Numbers that no boundary of ours could be taken for, in whatever stands literally in the tree.

    They depend on nothing else, so that the same email makes the same octets.
    """
    taken: set[int] = set()
    for part in _leaves(tree):
        for piece in part.pieces if part.is_literal else ():
            if b"=" in piece:  # one octet alone is found in a tenth of the time
                taken.update(map(int, _NUMBERED.findall(piece)))
    return itertools.filterfalse(taken.__contains__, itertools.count(1))


def _leaves(tree: Tree) -> list[Part]:
    return [tree] if isinstance(tree, Part) else [leaf for part in tree.parts for leaf in _leaves(part)]


@dataclass(frozen=True, slots=True)
class _Chain:
    """Pieces after pieces, to be iterated again and again."""

    links: Sequence[Iterable[bytes]]

    def __iter__(self) -> Iterator[bytes]:
        return itertools.chain.from_iterable(self.links)


@dataclass(frozen=True, slots=True)
class _Base64:
    """The lines of octets in base64, block by block."""

    content: bytes | FileContent

    def __iter__(self) -> Iterator[bytes]:
        content = self.content
        if isinstance(content, FileContent):
            return map(_base64_lines, content.blocks(_BLOCK))
        view = memoryview(content)
        return (_base64_lines(view[at : at + _BLOCK]) for at in range(0, len(content), _BLOCK))


def _base64_lines(octets: bytes | memoryview) -> bytes:
    line = binascii.b2a_base64(octets, newline=False)
    if len(octets) == _BLOCK:  # takes a quarter of the time of cutting line by line
        return b"\r\n".join((*_LINES_OF_A_BLOCK.unpack(line), b""))
    lines = [line[at : at + ENCODED_LINE] for at in range(0, len(line), ENCODED_LINE)]
    return b"\r\n".join([*lines, b""])


def _base64_size(octets: int) -> int:
    lines, rest = divmod(octets, _LINE_OCTETS)
    return lines * (ENCODED_LINE + 2) + ((rest + 2) // 3 * 4 + 2 if rest else 0)


def _encoded(octets: bytes, content_type: str, head: Iterable[str]) -> Part:
    is_literal = octets.isascii() and long_line_at(octets) is None
    encoding = "7bit" if is_literal else _shorter_encoding(octets)
    pieces: Iterable[bytes] = (octets,)
    size = len(octets)
    if encoding == "quoted-printable":
        # b2a_qp breaks lines as the first line ends: there is always one, and it is CRLF
        encoded = binascii.b2a_qp(octets)
        if b"=20\r" in encoded or b"=09\r" in encoded:
            encoded = _LONG_LAST_BLANK.sub(rb"\1=\r\n\2\r", encoded)
        pieces, size = (encoded,), len(encoded)
    elif encoding == "base64":
        pieces, size = _Base64(octets), _base64_size(size)
    fields = (content_type, f"Content-Transfer-Encoding: {encoding}", *head)
    return Part(fields, pieces, size, is_literal)


def _shorter_encoding(octets: bytes) -> str:
    special = len(octets.translate(None, _ASCII)) + octets.count(b"=")
    return "quoted-printable" if len(octets) + 2 * special <= len(octets) * 4 // 3 else "base64"
