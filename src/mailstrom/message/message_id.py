"""Message ids (RFC 5322 section 3.6.4): `<left@right>`, unique for ever.

Both sides are dot-atoms; the right one may be in brackets. Inside the angle brackets neither
white space nor comments may stand, around them both may. The obsolete syntax (section 4.5.4)
takes quoted strings and white space inside, and phrases between the ids of a list.

mailstrom keeps and returns them without the angle brackets, and takes them either way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import MessageError
from .reading.cursor import Cursor, Reading
from .text import after_blanks, checked_text

__all__ = [
    "checked_message_id",
    "checked_message_ids",
    "message_id_in_field",
    "read_message_id",
    "read_message_ids",
]

MESSAGE_ID_LIMIT = 900  # octets: with its field name it must fit on one line of 998

_ATEXT = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"
_DOT_ATOM = rf"[{_ATEXT}]++(?:\.[{_ATEXT}]++)*"
_MESSAGE_ID = re.compile(rf"{_DOT_ATOM}@(?:{_DOT_ATOM}|\[[!-Z^-~]*+\])")
_BRACKETED = re.compile(rf"<{_MESSAGE_ID.pattern}>")
_EXPECTED = f"a message id such as left@mail.example.org, of at most {MESSAGE_ID_LIMIT} characters"
_LITERAL = re.compile(r"\[[^\[\]\\]*+\]")


def checked_message_id(given: object, *, field: str) -> str:
    """The id without angle brackets; `MessageError` unless it is left@right by the grammar."""
    text = checked_text(given, field=field)
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if len(text) > MESSAGE_ID_LIMIT or not _MESSAGE_ID.fullmatch(text):
        raise MessageError(field, given=given, expected=_EXPECTED)
    return text


def checked_message_ids(given: object, *, field: str) -> tuple[str, ...]:
    """The ids in a str with blanks between them, or in an iterable."""
    if given is None:
        return ()
    ids = checked_text(given, field=field).split() if isinstance(given, str) else given
    if not isinstance(ids, Iterable) or isinstance(ids, (bytes, bytearray)):
        raise MessageError(field, given=given, expected="message ids as a str or an iterable of str")
    return tuple(checked_message_id(one, field=field) for one in ids)


def message_id_in_field(value: str, *, field: str) -> str:
    """The id in a header field of a finished message, where comments may stand around it."""
    if len(value) <= MESSAGE_ID_LIMIT and _BRACKETED.fullmatch(value):  # as nearly every one is
        return value[1:-1]
    start = after_blanks(value, 0)
    end = value.find(">", start or 0) + 1
    if start is None or not value.startswith("<", start) or after_blanks(value, end) != len(value):
        raise MessageError(field, given=value, expected="one message id in angle brackets")
    return checked_message_id(value[start:end], field=field)


def read_message_ids(value: str, *, field: str, obsolete: bool = False) -> tuple[str, ...]:
    """The ids in the value of a header field; `MessageError` unless these are all it holds.

    With `obsolete`, phrases between them are passed over, white space and needless quotes inside
    them are taken out, and an id that cannot be written even so is left out.
    """
    if not obsolete:
        return tuple(_Reader(value, field, Reading.STRICT).ids())
    return tuple([one for one in _Reader(value, field, Reading.OBSOLETE).obsolete_ids() if _is_writable(one)])


def read_message_id(value: str, *, field: str, obsolete: bool = False) -> str | None:
    """The one id in the value of a header field; None for an obsolete one that cannot be written."""
    if not obsolete:
        found = _Reader(value, field, Reading.STRICT).ids()
    else:
        found = [_Reader(value, field, Reading.OBSOLETE).obsolete_id()]
    if len(found) != 1:
        raise MessageError(field, given=value, expected="one message id")
    return found[0] if _is_writable(found[0]) else None


def _is_writable(message_id: str) -> bool:
    return len(message_id) <= MESSAGE_ID_LIMIT and _MESSAGE_ID.fullmatch(message_id) is not None


class _Reader(Cursor):
    __slots__ = ()

    def ids(self) -> list[str]:
        """One id or several, by RFC 5322 section 3.6.4."""
        found: list[str] = []
        self.skip()
        while not self.is_at_end or not found:
            if self.next() != "<":
                raise self.error("message ids in angle brackets")
            start = self.at
            one = self.match(_BRACKETED)
            if one is None or len(one) > MESSAGE_ID_LIMIT + 2:
                self.at = start
                raise self.error(_EXPECTED)
            found.append(one[1:-1])
            self.skip()
        return found

    def obsolete_ids(self) -> list[str]:
        """Ids, perhaps none, with phrases between (section 4.5.4)."""
        found: list[str] = []
        while True:
            self.phrase()
            if self.is_at_end:
                return found
            found.append(self._obsolete_id())

    def obsolete_id(self) -> str:
        """One id and nothing else."""
        self.skip()
        found = self._obsolete_id()
        self.skip()
        if not self.is_at_end:
            raise self.error("one message id and nothing after it")
        return found

    def _obsolete_id(self) -> str:
        self.demand("<", "a message id in angle brackets")
        left = self.dotted_words("the left side of a message id")
        self.demand("@", "'@' in a message id")
        self.skip()
        right = self.match(_LITERAL) or self.dotted_words("the right side of a message id")
        self.skip()
        self.demand(">", "'>' after a message id")
        return f"{left}@{right}"
