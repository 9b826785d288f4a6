"""The two forms in which a message is hashed (RFC 6376 section 3.4).

"simple" takes the octets as they are; of the body only the empty lines at the end do not count.
"relaxed" forgives what relays do to blanks: a run of blanks counts as one space, blanks at line
ends do not count, a header field is unfolded and its name is in lower case. An empty body is one
CRLF in "simple" and nothing in "relaxed". Only CRLF ends a line here: a CR or LF alone is an octet
like any other.

The body is read in blocks from where it lies, and everything takes time in proportion to its input.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "body_digest",
    "body_pieces",
    "canonical_fields",
    "covered_fields",
    "fields_by_name",
    "hash_input",
    "relaxed_field",
]

BLOCK_OCTETS = 1 << 16  # even: see _end_of_lines

_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_RUNS = (b" " * 8, b" " * 3, b" " * 2)  # an indented line is short after a turn or two
_BLANKS = b" \t\r\n"  # around a colon: the line ends are folds


def canonical_fields(header: bytes, form: str) -> tuple[tuple[bytes, ...], list[bytes]]:
    """The names in lower case and the fields of a header block as they are hashed, from the top.

    They are without their last line end. What has no colon has the name "".
    """
    is_simple = form == "simple"
    fields = _FIELD_END.split(header) if is_simple else _unfolded(header).split(b"\r\n")
    if not fields[-1]:
        fields.pop()
    names: list[bytes] = []
    for place, field in enumerate(fields):
        name, colon, value = field.partition(b":")
        name = name.rstrip(_BLANKS).lower() if colon else b""
        names.append(name)
        if not is_simple:
            fields[place] = name + b":" + value.strip(b" ")
    return tuple(names), fields


def fields_by_name(header: bytes, form: str) -> dict[bytes, list[bytes]]:
    """The same, by their names."""
    named: dict[bytes, list[bytes]] = {}
    for name, field in zip(*canonical_fields(header, form), strict=True):
        named.setdefault(name, []).append(field)
    return named


def _unfolded(header: bytes) -> bytes:
    return _with_single_spaces(header.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" "))


def covered_fields(names: Iterable[str], fields: Mapping[bytes, Sequence[bytes]]) -> Iterator[bytes]:
    """The fields that h= means: of each name from the bottom up, and nothing once there are no more."""
    used: dict[bytes, int] = {}
    for name in names:
        key = name.lower().encode()
        present = fields.get(key, ())
        place = used[key] = used.get(key, 0) + 1
        if place <= len(present):  # RFC 6376 5.4.2
            yield present[-place]


def hash_input(covered: Iterable[bytes], unsigned: bytes, form: str) -> bytes:
    """The octets that a signature is made over (RFC 6376 section 3.7).

    `covered` are the canonical header fields in the order of h=, `unsigned` is the signature field
    with nothing for b= and without its last line end; there is none at the end of the octets either.
    """
    if form == "relaxed":
        unsigned = relaxed_field(unsigned)
    return b"\r\n".join([*covered, unsigned])


def relaxed_field(field: bytes) -> bytes:
    """One header field, without its last line end, in the relaxed form."""
    name, _, value = _unfolded(field).partition(b":")
    return name.rstrip(b" ").lower() + b":" + value.strip(b" ")


def body_digest(body: memoryview, form: str, length: int | None = None) -> bytes | None:
    """The SHA-256 of the body as it is hashed, or of its first `length` octets; None where it has fewer."""
    if length is None and len(body) <= BLOCK_OCTETS:
        return hashlib.sha256(_whole(bytes(body), form)).digest()
    digest = hashlib.sha256()
    left = length
    for piece in body_pieces(body, form):
        if left is not None:
            piece = piece[:left]
            left -= len(piece)
        digest.update(piece)
    return None if left else digest.digest()


def body_pieces(body: memoryview, form: str) -> Iterator[bytes | memoryview]:
    """The body as it is hashed, in pieces (RFC 6376 section 3.4.3 and 3.4.4)."""
    return _simple(body) if form == "simple" else _relaxed(body)


def _whole(body: bytes, form: str) -> bytes:
    """A short body as it is hashed: what `body_pieces` are together."""
    if form == "relaxed":
        body = _without_blanks(body)
    kept = _without_line_ends(body)
    return body[:kept] + b"\r\n" if kept or form == "simple" else b""


def _simple(body: memoryview) -> Iterator[bytes | memoryview]:
    yield body[: _end_of_lines(body)]
    yield b"\r\n"


def _end_of_lines(body: memoryview) -> int:
    """Where the last line that is not empty ends; its own CRLF comes after."""
    end = len(body)
    while end:
        # in even steps from the end, so that no CRLF is torn
        block = bytes(body[max(0, end - BLOCK_OCTETS) : end])
        kept = _without_line_ends(block)
        end -= len(block) - kept
        if kept:
            break
    return end


def _relaxed(body: memoryview) -> Iterator[bytes]:
    is_empty = True
    line_ends = 0  # seen, and hashed only if more follows
    for block in _blocks(body):
        text = _without_blanks(block)
        kept = _without_line_ends(text)
        if kept:
            if line_ends:
                yield b"\r\n" * line_ends
            yield text[:kept]
            is_empty, line_ends = False, 0
        line_ends += (len(text) - kept) // 2
    if not is_empty:
        yield b"\r\n"


def _blocks(body: memoryview) -> Iterator[bytes]:
    """The body in blocks, none of which ends inside a run of blanks or a CRLF."""
    carried = b""
    for at in range(0, len(body), BLOCK_OCTETS):
        block = carried + bytes(body[at : at + BLOCK_OCTETS])
        if at + BLOCK_OCTETS < len(body):
            kept = len(block.removesuffix(b"\r").rstrip(b" \t"))
            carried = _with_single_spaces(block[kept:])  # two octets at most
            block = block[:kept]
        yield block


def _without_blanks(text: bytes) -> bytes:
    """The lines without the blanks that do not count."""
    # one search for both, blanks in a row and at line ends: nearly every text has neither
    if b"\t" not in text and text.replace(b"\r", b" ").rfind(b"  ") < 0:
        return text.rstrip(b" ")
    text = _with_single_spaces(text)
    if text.rfind(b" \r\n") >= 0:
        text = text.replace(b" \r\n", b"\r\n")
    return text.rstrip(b" ")


def _with_single_spaces(text: bytes) -> bytes:
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    # CPython searches from the end in half the time, and splits and joins in half the time of `replace`
    if text.rfind(b"  ") < 0:
        return text
    for run in _RUNS:
        while text.rfind(run) >= 0:  # each turn leaves a part of every run, so there are few
            text = b" ".join(text.split(run))
    return text


def _without_line_ends(text: bytes) -> int:
    """How many octets stand before the CRLFs at the end."""
    start = len(text.rstrip(b"\r\n"))
    # a CR or LF alone is no line end, and stays
    return start + len(text[start:].replace(b"\r\n", b"\0\0").rstrip(b"\0"))
