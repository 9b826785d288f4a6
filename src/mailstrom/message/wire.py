"""From a message's content to the octets that follow the 354 (RFC 5321 section 4.5.2), or BDAT.

The data ends at CRLF . CRLF, so a dot that begins a line is doubled, and the receiver takes
one away. Content that does not end with CRLF gets one, then the lone dot comes. A chunk (RFC 3030) is
counted instead: its octets are the content's.

Where a receiver takes a bare LF or CR for a line end, `LF . LF` in a message would end it
there, and what follows would be read as commands (SMTP smuggling). Nothing here ever passes
on a bare CR or LF: it raises, since changing the octets now would break their signature.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import MessageError

__all__ = [
    "CHUNK_OCTETS",
    "DotStuffer",
    "check_line_ends",
    "dot_stuffed",
    "dot_stuffed_chunks",
    "whole_chunk",
]

CHUNK_OCTETS = 64 * 1024


def dot_stuffed(content: bytes) -> bytes:
    """The whole of DATA, final dot included; `MessageError` for a bare CR or LF."""
    stuffer = DotStuffer()
    return stuffer.stuffed(content) + stuffer.end()


def dot_stuffed_chunks(
    content: bytes, chunk_octets: int = CHUNK_OCTETS, *, checked: bool = False
) -> Iterator[bytes]:
    """The same in chunks, so that a large message is never doubled in memory.

    The last chunk holds the final dot. All of the content is checked before the first chunk; `checked`:
    `check_line_ends` has seen it.
    """
    if not checked:
        check_line_ends(content)
    return iter((_in_one(content),)) if len(content) <= chunk_octets else _in_chunks(content, chunk_octets)


def whole_chunk(content: bytes, *, checked: bool = False) -> bytes:
    """The content as one chunk, CRLF at its end; `MessageError` for a bare CR or LF.

    `checked`: `check_line_ends` has seen it.
    """
    if not checked:
        check_line_ends(content)
    return content if not content or content.endswith(b"\r\n") else content + b"\r\n"


def check_line_ends(content: bytes) -> None:
    """Raises `MessageError` unless CR and LF come only together, as CRLF (RFC 5321 section 2.3.8)."""
    if len(content) <= CHUNK_OCTETS:  # a copy of the same length is quicker to look through than to count
        rest = content.replace(b"\r\n", b"  ")
        is_clean = b"\r" not in rest and b"\n" not in rest
    else:
        is_clean = content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    if not is_clean:
        raise MessageError(
            "content", given=_bare_line_end(content), expected="CR and LF only together, as CRLF"
        )


class DotStuffer:
    """Stuffs successive pieces of one content; line ends and dots may lie across their borders."""

    def __init__(self) -> None:
        self._last = b"\r\n"  # the last two octets; the data begins like a line
        self._is_empty = True

    def stuffed(self, piece: bytes) -> bytes:
        """The octets for this piece; `MessageError` for a bare CR or LF."""
        if not piece:
            return piece
        self._check(piece)
        out = piece.replace(b"\r\n.", b"\r\n..")
        if piece.startswith(b".") and self._last == b"\r\n":
            out = b"." + out
        elif self._last.endswith(b"\r") and piece.startswith(b"\n."):
            out = b"\n." + out[1:]
        self._last = (self._last + piece[-2:])[-2:]
        self._is_empty = False
        return out

    def end(self) -> bytes:
        """The end of the data: CRLF where the content lacks it, then the lone dot."""
        if self._last.endswith(b"\r"):
            raise MessageError("content", given="CR at the end", expected="CR and LF only together, as CRLF")
        # RFC 5321 4.1.1.4: no empty line is added where the content ends with CRLF
        return b".\r\n" if self._is_empty or self._last == b"\r\n" else b"\r\n.\r\n"

    def _check(self, piece: bytes) -> None:
        after_cr = self._last.endswith(b"\r")
        whole = b"\r" + piece if after_cr and not self._is_empty else piece
        check_line_ends(whole.removesuffix(b"\r"))


def _in_one(content: bytes) -> bytes:
    stuffed = content.replace(b"\r\n.", b"\r\n..")  # the same octets, not a copy, where there are none
    if content.startswith(b"."):
        stuffed = b"." + stuffed
    # RFC 5321 4.1.1.4: no empty line is added where the content ends with CRLF
    return stuffed + (b".\r\n" if not content or content.endswith(b"\r\n") else b"\r\n.\r\n")


def _in_chunks(content: bytes, chunk_octets: int) -> Iterator[bytes]:
    stuffer = DotStuffer()
    end = len(content) - chunk_octets
    for start in range(0, end, chunk_octets):
        yield stuffer.stuffed(content[start : start + chunk_octets])
    last = -(-end // chunk_octets) * chunk_octets
    yield stuffer.stuffed(content[last:]) + stuffer.end()


def _bare_line_end(content: bytes) -> str:
    """Where the first CR or LF stands alone."""
    at = 0
    while True:
        lf, cr = content.find(b"\n", at), content.find(b"\r", at)
        if cr >= 0 and cr + 1 == lf:
            at = lf + 1
        elif cr >= 0 and (lf < 0 or cr < lf):
            return f"CR at octet {cr}"
        else:
            return f"LF at octet {lf}"
