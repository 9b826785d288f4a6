"""Octets in a named charset, as text.

The names are those of the IANA registry, which Python knows nearly all of. It knows others
besides: codecs that are no charset of mail (`idna`, `unicode_escape`), some of which take time
that grows with the square of their input. Those are unknown here.
"""

from __future__ import annotations

import codecs
import re

__all__ = ["decoded"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$%&'+^_`{}~.:()-]{0,39}")  # RFC 2978 2.3
_NO_CHARSETS = frozenset(
    ["idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "charmap"]
)
_SURROGATE = re.compile("[\ud800-\udfff]")  # UTF-7 can make them; no text has them


def decoded(octets: bytes | bytearray, charset: str, *, replace: bool = False) -> str:
    """The text; with `replace`, U+FFFD for what cannot be read.

    `LookupError` for an unknown charset, `UnicodeError` for octets that it does not have.
    """
    if charset == "utf-8" and not replace:  # the usual case: it has no lone surrogates
        return octets.decode()
    # by the codec's own name: a look-up takes any punctuation for any other
    if not _NAME.fullmatch(charset) or codecs.lookup(charset).name.replace("-", "_") in _NO_CHARSETS:
        raise LookupError(f"unknown charset: {charset!a}")
    text = octets.decode(charset, "replace" if replace else "strict")
    if not text.isascii() and _SURROGATE.search(text):
        if not replace:
            raise UnicodeError("a lone surrogate")
        text = _SURROGATE.sub("\ufffd", text)
    return text
