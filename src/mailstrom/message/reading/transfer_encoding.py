"""Content-Transfer-Encoding (RFC 2045 section 6): from the octets on the wire to those that are meant.

`7bit`, `8bit` and `binary` change nothing. `quoted-printable` writes most of ASCII as it is and
the rest as `=XX`; a `=` at the end of a line takes the line end out. `base64` writes three octets
as four letters. Lines of both have at most 76 characters.
"""

from __future__ import annotations

import binascii
import re

from ...errors import MessageError

__all__ = ["IDENTITY", "decoded_body"]

IDENTITY = frozenset(["7bit", "8bit", "binary"])
ENCODED_LINE = 76  # RFC 2045 6.7 (5), 6.8

# RFC 2045 6.7 (1)-(3), (5): blanks do not end a line, and digits are in upper case
_QUOTED = re.compile(rb"(?:[!-<>-~]++|[\t ]++(?![\r\t ]|\Z)|=[0-9A-F]{2}|=\r\n|\r\n)*")
_FOREIGN = re.compile(rb"[^A-Za-z0-9+/=\r\n]")


def decoded_body(
    octets: bytes, encoding: str, *, field: str, start: int = 0, obsolete: bool = False
) -> bytes:
    """The octets that are meant; `MessageError` for what the encoding does not have.

    `start` is where they stand in the content, for what errors say. With `obsolete`, lines may be
    long and end in blanks, digits may be small, and padding may lack.
    """
    if encoding in IDENTITY:
        return octets
    if encoding == "quoted-printable":
        return _from_quoted(octets, field, start, obsolete)
    if encoding == "base64":
        return _from_base64(octets, field, start, obsolete)
    expected = "7bit, 8bit, binary, quoted-printable or base64"
    raise MessageError(field, given=encoding, expected=expected, at=start)


def _from_quoted(octets: bytes, field: str, start: int, obsolete: bool) -> bytes:
    if obsolete:
        lines = octets.split(b"\r\n")
        return binascii.a2b_qp(b"\r\n".join([line.rstrip(b" \t") for line in lines]))
    _check_lines(octets, field, start)
    found = _QUOTED.match(octets)
    end = 0 if found is None else found.end()
    if end != len(octets):
        raise _error(
            octets, end, field, start, "quoted-printable: printable ASCII, =XX, and '=' at line ends"
        )
    return binascii.a2b_qp(octets)


def _from_base64(octets: bytes, field: str, start: int, obsolete: bool) -> bytes:
    letters = octets
    if obsolete:
        letters = letters.translate(None, b" \t")
    else:
        _check_lines(octets, field, start)
    foreign = _FOREIGN.search(letters)
    if foreign is not None:
        raise _error(letters, foreign.start(), field, start, "base64: letters, digits, '+', '/' and '='")
    letters = letters.translate(None, b"\r\n")
    if obsolete:
        letters = letters.rstrip(b"=")
        letters += b"=" * (-len(letters) % 4)
    try:
        return binascii.a2b_base64(letters, strict_mode=True) if letters else b""
    except binascii.Error as error:
        raise _error(octets, 0, field, start, f"base64 ({error})") from error


def _check_lines(octets: bytes, field: str, start: int) -> None:
    at = 0
    for line in octets.split(b"\r\n"):
        if len(line) > ENCODED_LINE:
            raise _error(octets, at, field, start, f"encoded lines of at most {ENCODED_LINE} characters")
        at += len(line) + 2


def _error(octets: bytes, at: int, field: str, start: int, expected: str) -> MessageError:
    return MessageError(field, given=octets[at : at + 40], expected=expected, at=start + at)
