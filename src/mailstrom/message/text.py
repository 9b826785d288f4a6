"""Characters that have no place in a header field, an address or a name."""

from __future__ import annotations

import re
import unicodedata

from ..errors import MessageError

__all__ = [
    "after_blanks",
    "as_ascii",
    "checked_line",
    "checked_text",
    "find_forbidden",
    "shown",
    "shown_body",
    "without_folds",
]

# C0 but TAB, DEL, C1 (with U+0085), the Unicode line separators, and what UTF-8 cannot carry
_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NO_LINE = re.compile("[\x00\r\n\x80-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")  # what no text of several lines holds
_BLANKS = re.compile(r"[ \t]*+")
_IN_COMMENT = re.compile(r"[()]|\\.", re.DOTALL)
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
    if text.isprintable():  # as nearly every text is: this takes half the time, and forbids more
        return text
    found = _FORBIDDEN.search(text)
    if found is not None:
        # S1: what would end the line would begin another header field
        expected = f"no control character or line break (there is {find_forbidden(text)})"
        raise MessageError(field, given=text, expected=expected, at=found.start())
    return text


def checked_line(text: str, *, field: str) -> str:
    """`text` itself; `MessageError` for what not even the obsolete syntax has among tokens."""
    # RFC 5322 4.1: obs-NO-WS-CTL is every control character of ASCII but CR, LF and NUL
    found = _NO_LINE.search(text)
    if found is not None:
        expected = "no CR, LF, NUL or line break between tokens"
        raise MessageError(field, given=text, expected=expected, at=found.start())
    return text


def shown(text: str) -> str:
    """The text with U+FFFD in the place of each character that has no place in a field."""
    return text if text.isprintable() else _FORBIDDEN.sub("\ufffd", text)


def shown_body(text: str) -> str:
    """The text with LF as its only line end, and U+FFFD in the place of control characters."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


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
    while True:
        found = _BLANKS.match(text, at)
        at = at if found is None else found.end()
        if not text.startswith("(", at):
            return at
        end = _after_comment(text, at)
        if end is None:
            return None
        at = end


def _after_comment(text: str, at: int) -> int | None:
    depth = 0
    for found in _IN_COMMENT.finditer(text, at):
        if found[0] == "(":
            depth += 1
        elif found[0] == ")":
            depth -= 1
            if depth == 0:
                return found.end()
    return None
