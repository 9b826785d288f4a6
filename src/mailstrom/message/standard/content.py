"""What a leaf of a standard library message holds: its transfer encoding taken off.

The package hands out a str, or octets: ASCII as it stands, octets beyond ASCII as surrogates,
and characters beyond ASCII where a caller put a text there without a charset. Its decoders
mend and drop what is malformed; here that is refused (RFC 2045 section 6).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import MessageError
from ..reading.charset import decoded
from ..text import as_ascii
from ..writing.body import Part
from .fields import one_value, text_of

if TYPE_CHECKING:
    from email.message import Message

__all__ = ["decoded_octets", "encoding_of", "recoded_base64", "text_in"]

LINE = 76  # RFC 2045 6.8
_BLOCK = 1 << 16

_IDENTITIES = ("", "7bit", "8bit", "binary")
_MALFORMED_QP = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n|\Z)|[\x80-\xff]")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def encoding_of(part: Message, within: str, *, of_parts: bool = False) -> str:
    """The transfer encoding of a part, "" for none at all; parts have none of their own."""
    label = f"{within}content_transfer_encoding"
    value = one_value(part, "Content-Transfer-Encoding", label)
    found = "" if value is None else text_of(value, label).strip(" \t").lower()
    if found in _IDENTITIES:
        return ""
    # RFC 2045 6.4: what holds parts is never encoded itself
    if of_parts or found not in ("base64", "quoted-printable"):
        expected = ", ".join(_IDENTITIES[1:]) + ("" if of_parts else ", quoted-printable or base64")
        raise MessageError(label, given=found, expected=expected)
    return found


def decoded_octets(part: Message, within: str) -> bytes | str:
    """The octets of a leaf; a str where it holds characters beyond ASCII and no octets."""
    encoding = encoding_of(part, within)
    given = _payload(part, within)
    if encoding:
        octets = _ascii(given, encoding, within)
        return _from_base64(octets, within) if encoding == "base64" else _from_qp(octets, within)
    if given is None:
        return b""
    if isinstance(given, (bytes, bytearray)):
        return bytes(given)
    if not isinstance(given, str):
        raise MessageError(f"{within}content", given=given, expected="a str or bytes")
    if given.isascii():
        return given.encode("ascii")
    found = _payload(part, within, decode=True)
    # the package makes octets of characters in this way, and of surrogates in another
    if not isinstance(found, bytes) or given.encode("raw-unicode-escape") == found:
        return given
    return found


def _payload(part: Message, within: str, *, decode: bool = False) -> object:
    try:
        return part.get_payload(decode=True) if decode else part.get_payload()
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # P51
        raise MessageError(f"{within}content", given=as_ascii(error), expected="a text or octets") from error


def text_in(part: Message, charset: str, within: str) -> str:
    """The text of a leaf."""
    octets = decoded_octets(part, within)
    if isinstance(octets, str):
        return octets
    try:
        return decoded(octets, charset)
    except LookupError as error:
        expected = "a known charset in a text (as an attachment it may have any: files keep their octets)"
        raise MessageError(f"{within}content_type", given=charset, expected=expected) from error
    except ValueError as error:
        given = f"{_place(error)} in a text in {charset}"
        expected = "octets of the charset that its Content-Type names (UTF-8 is the best)"
        raise MessageError(f"{within}content", given=given, expected=expected) from error


def _place(error: ValueError) -> str:
    """Where the octet stands that could not be decoded."""
    if isinstance(error, UnicodeDecodeError):
        return f"octet 0x{error.object[error.start]:02X} at {error.start}"
    return "malformed octets"


def recoded_base64(part: Message, fields: tuple[str, ...], within: str) -> Part:
    """The base64 of a leaf on lines of 76, never decoded as a whole."""
    text = _payload(part, within)
    if not isinstance(text, str):
        text = _ascii(text, "base64", within).decode("ascii")
    if not text.isascii():
        raise _malformed("base64", within)
    try:
        size = sum(map(_lines_size, _letters(text)))
    except ValueError as error:
        raise _malformed("base64", within) from error
    return Part(head=fields, pieces=_Lines(text), size=size)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a text in base64, block by block."""

    text: str

    def __iter__(self) -> Iterator[bytes]:
        for letters in _letters(self.text):
            yield b"".join([letters[at : at + LINE] + b"\r\n" for at in range(0, len(letters), LINE)])


def _lines_size(letters: bytes) -> int:
    return len(letters) + 2 * -(-len(letters) // LINE)


def _letters(text: str) -> Iterator[bytes]:
    """What base64 says, without line ends, in blocks of whole lines; `ValueError` where it is malformed."""
    rest = b""
    for at in range(0, len(text), _BLOCK):
        rest += text[at : at + _BLOCK].encode("ascii").translate(None, b" \t\r\n")
        whole = max(len(rest) - 1, 0) // LINE * LINE  # the last line may end with "="
        if rest[:whole].translate(None, _BASE64):
            raise ValueError("no base64")
        yield rest[:whole]
        rest = rest[whole:]
    yield binascii.b2a_base64(_strict(rest), newline=False) if rest else b""


def _strict(octets: bytes) -> bytes:
    if len(octets) % 4 or octets.endswith(b"==="):  # which not every Python sees
        raise ValueError("no base64")
    return binascii.a2b_base64(octets, strict_mode=True)


def _ascii(given: object, encoding: str, within: str) -> bytes:
    if given is None:
        return b""
    if isinstance(given, (bytes, bytearray)) and given.isascii():
        return bytes(given)
    if isinstance(given, str) and given.isascii():
        return given.encode("ascii")
    raise _malformed(encoding, within)


def _from_base64(octets: bytes, within: str) -> bytes:
    try:
        return _strict(octets.translate(None, b" \t\r\n"))
    except ValueError as error:
        raise _malformed("base64", within) from error


def _from_qp(octets: bytes, within: str) -> bytes:
    found = _MALFORMED_QP.search(octets)
    if found is not None:
        raise _malformed(f"quoted-printable (octet {found.start()})", within)
    return binascii.a2b_qp(octets)


def _malformed(encoding: str, within: str) -> MessageError:
    given = f"malformed {encoding}"
    return MessageError(f"{within}content", given=given, expected="what its Content-Transfer-Encoding says")
