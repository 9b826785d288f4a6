"""The final octets of a message, put together once in one buffer: room for a seal, header, body.

A seal (DKIM) is made from what stands in the buffer and put into the room above it. That is the
last thing done: nothing changes the octets afterwards, and none of them is copied, so that a
message with a large file stands in memory once, beside the file.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Protocol

from ...errors import MessageError
from .body import Part

__all__ = ["Seal", "assembled"]

SMALL_OCTETS = 1 << 16  # of a body whose pieces may stand in memory beside it

# nothing but header fields in printable ASCII; each line but a field's first begins with blanks
_WHOLE_FIELDS = re.compile(rb"(?:[!-9;-~]++:[\t -~]*+\r\n(?:[ \t]++[!-~][\t -~]*+\r\n)*)*")


class Seal(Protocol):
    """What is put on top of a message, made from its final octets: signatures."""

    def room(self, header: bytes) -> int:
        """How many octets its fields will take above this header."""

    def fields(self, header: bytes, body: memoryview) -> bytes:
        """Exactly so many octets: whole header fields, each with its line end.

        `header` is the fields of the message, each with its CRLF, without the empty line that
        ends it; `body` is what follows the empty line. It must not be kept.
        """


def assembled(header: bytes, gap: bytes, body: Part, seal: Seal | None) -> tuple[bytes, int]:
    """The content, and how many octets on top of it are the seal's; `gap` parts header and body."""
    if body.size <= SMALL_OCTETS:
        return _assembled_small(header, gap, body, seal)
    room = 0 if seal is None else seal.room(header)
    start = room + len(header) + len(gap)
    out = BytesIO(bytes(start + body.size))  # made as large as it will be: growing would copy
    out.seek(room)
    out.write(header)
    out.write(gap)
    out.writelines(body.pieces)
    out.truncate()
    if seal is not None:
        _put_seal(out, header, start, room, seal)
    return out.getvalue(), room  # the buffer itself, not a copy


def _assembled_small(header: bytes, gap: bytes, body: Part, seal: Seal | None) -> tuple[bytes, int]:
    if seal is None:
        return b"".join((header, gap, *body.pieces)), 0
    octets = b"".join(body.pieces)
    fields = _checked_fields(seal, header, memoryview(octets), seal.room(header))
    return b"".join((fields, header, gap, octets)), len(fields)


def _put_seal(out: BytesIO, header: bytes, start: int, room: int, seal: Seal) -> None:
    with out.getbuffer() as whole, whole[start:] as body:
        fields = _checked_fields(seal, header, body, room)
    out.seek(0)
    out.write(fields)


def _checked_fields(seal: Seal, header: bytes, body: memoryview, room: int) -> bytes:
    fields = seal.fields(header, body)
    # what they say is for those who made them to know
    if len(fields) != room or not _WHOLE_FIELDS.fullmatch(fields):
        raise MessageError("seal", given=fields, expected=f"{room} octets of whole header fields in ASCII")
    return fields
