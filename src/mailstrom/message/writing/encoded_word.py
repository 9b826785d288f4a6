"""Encoded words (RFC 2047): text beyond ASCII inside header fields.

`=?utf-8?q?J=C3=BCri?=` stands for "Jüri". A word is at most 75 characters long and holds
whole characters; white space between two of them is not part of the text, so a space that is
meant stands inside. They may replace text and the words of a display name, never an address,
a message id or a token of any other structured field (section 5).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable

from ..reading.charset import decoded

__all__ = ["decoded_text", "decoded_words", "encoded_words", "looks_encoded"]

WORD_LIMIT = 75  # RFC 2047 2: characters of one encoded word
_FRAME = len("=?utf-8?q??=")
_ROOM = WORD_LIMIT - _FRAME
_FEWEST = 16  # characters of encoded text that the first word gets even after a long field name

# RFC 2047 5 (3): what may stand for itself in a phrase, and so anywhere
_Q_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
_Q = tuple(
    "_" if octet == 32 else chr(octet) if octet in _Q_SAFE else f"={octet:02X}" for octet in range(256)
)
_WORD = re.compile(r"=\?([A-Za-z0-9!#$%&'+\-^_`{|}~]+)(?:\*[A-Za-z0-9-]*)?\?([BbQq])\?([!->@-~]*)\?=")
_SPLIT = re.compile(r"([ \t]+)")


def looks_encoded(text: str) -> bool:
    """A reader might take a part of `text` for an encoded word."""
    return "=?" in text


def encoded_words(text: str, *, taken: int = 0) -> list[str]:
    """`text` as encoded words in UTF-8, B or Q, whichever is shorter.

    `taken` is how much of the first line is used before the first of them.
    """
    octets = text.encode()
    q_length = len(octets) + 2 * len(octets.translate(None, _Q_SAFE + b" "))
    first = max(min(_ROOM, WORD_LIMIT + 1 - _FRAME - taken), _FEWEST)
    if q_length <= (len(octets) + 2) // 3 * 4:
        return _q_words(octets, first)
    return _b_words(octets, first)


def decoded_words(words: Iterable[tuple[str, bool, bool]]) -> str:
    """The text of words; what cannot be decoded stays.

    Each comes with "white space stood before it" and "it stood in quotes", where nothing is
    encoded. Between two encoded words white space does not count (RFC 2047 section 6.2).
    """
    pieces: list[str] = []
    after_encoded = False
    for word, is_spaced, is_quoted in words:
        text = None if is_quoted else _decoded(word)
        if is_spaced and pieces and not (after_encoded and text is not None):
            pieces.append(" ")
        pieces.append(word if text is None else text)
        after_encoded = text is not None
    return "".join(pieces)


def decoded_text(value: str) -> str:
    """An unstructured header value (one line) with its encoded words read."""
    if not looks_encoded(value):
        return value
    parts = _SPLIT.split(value)
    pieces: list[str] = []
    after_encoded = False
    for blank, word in zip(["", *parts[1::2]], parts[::2], strict=True):
        text = _decoded(word)
        if not (after_encoded and text is not None):
            pieces.append(blank)
        pieces.append(word if text is None else text)
        after_encoded = text is not None
    return "".join(pieces)


def _q_words(octets: bytes, room: int) -> list[str]:
    encoded = "".join([_Q[octet] for octet in octets])
    words: list[str] = []
    start = 0
    while len(encoded) - start > room:
        end = _end_of_character(encoded, start + room)
        words.append(f"=?utf-8?q?{encoded[start:end]}?=")
        start, room = end, _ROOM
    words.append(f"=?utf-8?q?{encoded[start:]}?=")
    return words


def _end_of_character(encoded: str, end: int) -> int:
    """The last place up to `end` where Q-encoded text can be cut: before "=XX", never inside a character."""
    end -= 1 if encoded[end - 1] == "=" else 2 if encoded[end - 2] == "=" else 0
    # UTF-8: the octets of a character but its first one are 80 to BF
    while encoded[end] == "=" and encoded[end + 1] in "89AB":
        end -= 3
    return end


def _b_words(octets: bytes, room: int) -> list[str]:
    words: list[str] = []
    start = 0
    while start < len(octets):
        end = min(start + room // 4 * 3, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # never inside a character
            end -= 1
        encoded = binascii.b2a_base64(octets[start:end], newline=False).decode("ascii")
        words.append(f"=?utf-8?b?{encoded}?=")
        start, room = end, _ROOM
    return words


def _decoded(word: str) -> str | None:
    """The text of one encoded word, None where it is none or cannot be read."""
    found = _WORD.fullmatch(word)
    if found is None:
        return None
    charset, encoding, text = found.groups()
    try:
        if encoding in "Bb":
            octets = binascii.a2b_base64(text + "=" * (-len(text) % 4))
        else:
            octets = binascii.a2b_qp(text, header=True)
        return decoded(octets, charset)
    except (LookupError, ValueError):
        return None
