"""Parameters of MIME fields as they are written (RFC 2045 section 5.1, RFC 2231).

`Content-Disposition: attachment; filename="plan.pdf"`: a name, "=", and a token or a quoted
string, in ASCII. What goes beyond, RFC 2231 writes as percent-encoded UTF-8 with a star behind
the name (`filename*=utf-8''Pl%C3%A4ne.pdf`), and in numbered pieces where it is long
(`filename*0*=`, `filename*1*=`). Old readers do not know that, so a file name has a plain
form beside it. Lines are broken between parameters, never inside one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...errors import MessageError
from ..text import checked_text

__all__ = ["checked_filename", "parameter_field"]

LINE = 76
LITERAL_LIMIT = 900  # octets of a value in quotes: with its name it must fit on one line of 998
FILENAME_LIMIT = 255

_NAME = re.compile(r"[A-Za-z0-9!#$&+.^_`{|}~-]{1,60}")  # RFC 2231 7: a token without * ' %
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")  # RFC 2045 5.1
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 !#$&+,\-.@^_~()]")  # what a file name is better off without
_ATTRIBUTE_CHAR = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`{|}~")


def parameter_field(name: str, value: str, parameters: Iterable[tuple[str, str]]) -> str:
    """The field with its parameters; long ones on lines of their own."""
    field = line = f"{name}: {value}"
    for parameter, given in parameters:
        for written in _written(parameter, given, f"{name}[{parameter!r}]"):
            if len(line) + len(written) + 2 <= LINE:
                field, line = f"{field}; {written}", f"{line}; {written}"
            else:
                field, line = f"{field};\r\n {written}", f" {written};"
    return field


def checked_filename(given: object, *, field: str) -> str:
    """A file name for an attachment: 1 to 255 characters, no controls, no blanks at its ends."""
    text = checked_text(given, field=field)
    if not 1 <= len(text) <= FILENAME_LIMIT or "\t" in text or text.strip() != text:
        expected = f"a file name of 1 to {FILENAME_LIMIT} characters, without blanks at its ends"
        raise MessageError(field, given=given, expected=expected)
    return text


def _written(name: str, value: str, field: str) -> list[str]:
    if not _NAME.fullmatch(name):  # P34
        raise MessageError(field, given=name, expected="a parameter name of 1 to 60 letters, digits and -")
    checked_text(value, field=field)
    if name.lower() in ("filename", "name"):
        return _filename(name, value)
    written = value if _TOKEN.fullmatch(value) else _quoted(value)
    if not value.isascii() or len(written) > LITERAL_LIMIT:
        return _extended(name, value)
    return [f"{name}={written}"]


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _filename(name: str, value: str) -> list[str]:
    """`filename` for everyone, and `filename*` where that is not the whole name."""
    plain = _NOT_PLAIN.sub("_", value)
    if plain == value and len(value) <= LINE:
        return [f'{name}="{value}"']
    # the whole name first: there are readers that keep the first of the two, whatever it is
    return [*_extended(name, value), f'{name}="{_shortened(plain)}"']


def _shortened(plain: str) -> str:
    if len(plain) <= 60:
        return plain
    stem, dot, ending = plain.rpartition(".")
    return f"{stem[:48]}{dot}{ending[:11]}" if stem else plain[:48]


def _extended(name: str, value: str) -> list[str]:
    # RFC 2231 3, 4: percent-encoded UTF-8, in numbered pieces where it is long
    encoded = [chr(octet) if octet in _ATTRIBUTE_CHAR else f"%{octet:02X}" for octet in value.encode()]
    whole = "".join(encoded)
    if len(name) + len(whole) <= 63:
        return [f"{name}*=utf-8''{whole}"]
    pieces = ["".join(encoded[at : at + 18]) for at in range(0, len(encoded), 18)]
    pieces[0] = f"utf-8''{pieces[0]}"
    return [f"{name}*{number}*={piece}" for number, piece in enumerate(pieces)]
