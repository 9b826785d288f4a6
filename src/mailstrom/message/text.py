"""Characters that have no place in a header field, an address or a name."""

from __future__ import annotations

import re
import unicodedata

from ..errors import MessageError

__all__ = ["after_blanks", "as_ascii", "checked_text", "find_forbidden", "without_folds"]

# C0 but TAB, DEL, C1 (with U+0085), the Unicode line separators, and what UTF-8 cannot carry
_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FOLD = re.compile(r"\r?\n(?=[ \t])")


def find_forbidden(text: str) -> str | None:
    """The name and place of the first control character or line break, or None."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return None
    character = found[0]
    name = unicodedata.name(character, "") or {"\r": "CR", "\n": "LF", "\0": "NUL"}.get(character, "")
    described = f"U+{ord(character):04X}{' ' if name else ''}{name}"
    return f"{described} at character {found.start() + 1}"


def checked_text(text: object, *, field: str) -> str:
    """`text` itself; `MessageError` unless it is a str without control characters and line breaks."""
    if not isinstance(text, str):
        raise MessageError(field, given=text, expected="a str")
    if _FORBIDDEN.search(text):
        # S1: what would end the line would begin another header field
        found = find_forbidden(text)
        raise MessageError(
            field, given=text, expected=f"no control character or line break (there is {found})"
        )
    return text


def without_folds(value: str) -> str:
    """A header value on one line: each line end before a blank is taken out (RFC 5322 2.2.3)."""
    return _FOLD.sub("", value) if "\n" in value else value


def as_ascii(error: Exception) -> str:
    """The text of an exception of another library, fit for our own messages."""
    return str(error).encode("ascii", "backslashreplace").decode("ascii")


def after_blanks(text: str, at: int) -> int | None:
    """Where white space and comments end that begin at `at`; None for a comment left open.

    RFC 5322 section 3.2.2.
    """
    depth = 0
    while at < len(text):
        character = text[at]
        if character == "(":
            depth += 1
        elif depth and character == ")":
            depth -= 1
        elif depth and character == "\\":
            at += 1
        elif not depth and character not in " \t":
            return at
        at += 1
    return None if depth else min(at, len(text))
