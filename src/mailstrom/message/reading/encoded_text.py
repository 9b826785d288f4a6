"""Reading encoded words (RFC 2047) by the letter.

A reader looks for them between blanks only, in text, in comments and among the words of a
phrase. Whatever begins with `=?` and ends with `?=` there must be one (section 7): charset,
B or Q, and text without blanks, at most 75 characters, each word decodable for itself. White
space between two of them is no part of the text (section 6.2). Refused is also what readers
differ about: a word with blanks inside, or with something else beside it.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable

from ...errors import MessageError
from ..text import shown
from .charset import decoded

__all__ = ["has_encoded_word", "read_text", "read_words"]

WORD_LIMIT = 75  # RFC 2047 2
_WHOLE = "a whole encoded word with blanks around it, such as =?utf-8?Q?J=C3=BCri?="

_BLANKS = re.compile(r"([ \t]++)")
_INSIDE = re.compile(r"=\?[^?\s]++\?[BbQq]\?[^?]++\?=")
_ANYWHERE = re.compile(r"=\?[^?\s]*+\?[BbQq]\?[^?]*+\?=")
# RFC 2047 2: charset and language (RFC 2231 5), encoding, encoded text
_WORD = re.compile(
    r"=\?([!#$%&'+\-0-9A-Z^_`a-z{|}~]+)(?:\*[A-Za-z0-9-]+)?\?(?:([Bb])\?([A-Za-z0-9+/=]+)|[Qq]\?([!->@-~]+))\?="
)
_HEX = re.compile(r"=(?![0-9A-Fa-f]{2})")
_NEVER = re.compile(r"(?!)")
_NOT_IN_PHRASE = re.compile(r"[^A-Za-z0-9!*+\-/=_]")  # RFC 2047 5 (3)


def has_encoded_word(text: str) -> bool:
    """An encoded word stands somewhere in the text, with blanks around it or without."""
    return "=?" in text and _INSIDE.search(text) is not None


def read_text(value: str, *, field: str, obsolete: bool = False) -> str:
    """What an unstructured value says; `MessageError` for an encoded word that is broken.

    With `obsolete`, words in an unknown charset stay as they are, and U+FFFD stands for octets
    that cannot be decoded and for control characters.
    """
    if "=?" not in value:
        return shown(value) if obsolete else value
    parts = _BLANKS.split(value)
    words = zip(["", *parts[1::2]], parts[::2], strict=True)
    return _joined([(word, blank, False) for blank, word in words], field, obsolete, _NEVER)


def read_words(
    words: Iterable[tuple[str, bool, bool]], *, field: str, obsolete: bool = False, in_comment: bool = False
) -> str:
    """What the words of a phrase say: text, "white space before it", "in quotes"."""
    spaced = [(text, " " if is_spaced else "", is_quoted) for text, is_spaced, is_quoted in words]
    text = _joined(spaced, field, obsolete, _NEVER if in_comment else _NOT_IN_PHRASE)
    return text.replace("\t", " ").strip(" ")


def _joined(
    words: Iterable[tuple[str, str, bool]], field: str, obsolete: bool, forbidden: re.Pattern[str]
) -> str:
    pieces: list[str] = []
    unread: list[str] = []
    after_encoded = False
    for word, blank, is_quoted in words:
        text = None if is_quoted else _read(word, field, obsolete, forbidden)
        is_encoded = text not in (None, word)
        if not (after_encoded and is_encoded):
            pieces.append(blank)
        pieces.append(word if text is None else text)
        after_encoded = is_encoded
        if text is None and not is_quoted:
            unread += (blank, word)
    _check_unread("".join(unread), field)
    joined = "".join(pieces)
    return shown(joined) if obsolete else joined


def _check_unread(text: str, field: str) -> None:
    """Raises `MessageError` where readers might find an encoded word that is none."""
    found = _ANYWHERE.search(text) if "=?" in text else None
    if found is not None:
        raise _error(field, found[0], _WHOLE)


def _read(word: str, field: str, obsolete: bool, forbidden: re.Pattern[str]) -> str | None:
    """The text of an encoded word, itself where it cannot be read; None for a word that is none."""
    if "=?" not in word:
        return None
    if not (word.startswith("=?") and word.endswith("?=") and len(word) > 3):
        return None
    found = _WORD.fullmatch(word)
    if found is None:
        raise _error(field, word, _WHOLE)
    if len(word) > WORD_LIMIT:
        raise _error(field, word, f"encoded words of at most {WORD_LIMIT} characters")
    charset, is_base64, base64, quoted = found.groups()
    if quoted is not None and forbidden.search(quoted):
        raise _error(field, word, "letters, digits and !*+-/=_ in an encoded word of a phrase")
    octets = _from_base64(base64, field, word) if is_base64 else _from_quoted(quoted, field, word)
    return _text(octets, charset, field, word, obsolete)


def _from_base64(text: str, field: str, word: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise _error(field, word, f"base64 ({error})") from error


def _from_quoted(text: str, field: str, word: str) -> bytes:
    if _HEX.search(text):
        raise _error(field, word, "two hexadecimal digits after each '='")
    return binascii.a2b_qp(text, header=True)


def _text(octets: bytes, charset: str, field: str, word: str, obsolete: bool) -> str:
    try:
        text = decoded(octets, charset, replace=obsolete)
    except LookupError as error:
        if obsolete:
            return word  # RFC 2047 6.2: shown as it stands
        raise _error(field, word, f"a known charset, not {charset!a}") from error
    except UnicodeError as error:
        raise _error(field, word, f"octets that {charset} has") from error
    if not obsolete and shown(text) != text:
        raise _error(field, word, "no control characters or line breaks in an encoded word")
    return text


def _error(field: str, word: str, expected: str) -> MessageError:
    return MessageError(field, given=word, expected=expected)
