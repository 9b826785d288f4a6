"""Message ids (RFC 5322 section 3.6.4): `<left@right>`, unique for ever.

mailstrom keeps and returns them without the angle brackets, and takes them either way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import MessageError
from .text import after_blanks, checked_text

__all__ = ["checked_message_id", "checked_message_ids", "message_id_in_field"]

MESSAGE_ID_LIMIT = 900  # octets: with its field name it must fit on one line of 998

_ATEXT = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"
_DOT_ATOM = rf"[{_ATEXT}]++(?:\.[{_ATEXT}]++)*"
_MESSAGE_ID = re.compile(rf"{_DOT_ATOM}@(?:{_DOT_ATOM}|\[[!-Z^-~]*+\])")


def checked_message_id(given: object, *, field: str) -> str:
    """The id without angle brackets; `MessageError` unless it is left@right by the grammar."""
    text = checked_text(given, field=field)
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if len(text) > MESSAGE_ID_LIMIT or not _MESSAGE_ID.fullmatch(text):
        expected = f"a message id such as left@mail.example.org, of at most {MESSAGE_ID_LIMIT} characters"
        raise MessageError(field, given=given, expected=expected)
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
    start = after_blanks(value, 0)
    end = value.find(">", start or 0) + 1
    if start is None or not value.startswith("<", start) or after_blanks(value, end) != len(value):
        raise MessageError(field, given=value, expected="one message id in angle brackets")
    return checked_message_id(value[start:end], field=field)
