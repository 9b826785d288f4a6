"""Content-Type and Content-Disposition as they are read (RFC 2045 section 5.1, RFC 2183, RFC 2231).

`text/plain; charset=utf-8 (a comment)`: tokens, and parameters whose values are tokens or
quoted strings. A value that holds one of `()<>@,;:\\"/[]?=` or a blank needs quotes. RFC 2231
adds values in other charsets, percent-encoded behind a star (`filename*=utf-8''Pl%C3%A4ne`),
and values in numbered pieces (`filename*0=`, `filename*1*=`), which are put together here.
Where a parameter comes plain and extended, the extended one counts (RFC 6266 section 4.3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ...errors import MessageError
from ..text import as_ascii, checked_text, shown
from ..writing.encoded_word import decoded_text
from .charset import decoded
from .cursor import Cursor, Reading
from .encoded_text import has_encoded_word

__all__ = ["ContentType", "Disposition", "read_content_type", "read_disposition"]

_TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]++")  # RFC 2045 5.1
_NAME = re.compile(r"([^*'%]++)(?:\*(0|[1-9][0-9]{0,5}))?(\*)?")  # RFC 2231 7
_EXTENDED = re.compile(r"(?:[!#$&+\-.0-9A-Z^_`a-z{|}~]++|%[0-9A-Fa-f]{2})*")
_SECTION_LIMIT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentType:
    """A media type: maintype and subtype in lower case, parameters with their names in lower case."""

    maintype: str
    subtype: str
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def essence(self) -> str:
        """maintype/subtype, such as text/plain."""
        return f"{self.maintype}/{self.subtype}"

    def parameter(self, name: str) -> str | None:
        """The value of this parameter, None where there is none."""
        return dict(self.parameters).get(name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition:
    """How a part is to be shown: "inline", "attachment" or another kind; in lower case."""

    kind: str
    parameters: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str | None:
        """The value of this parameter, None where there is none."""
        return dict(self.parameters).get(name.lower())


def read_content_type(value: str, *, field: str, obsolete: bool = False) -> ContentType:
    """The type in the value of a Content-Type field, on one line; `MessageError` for anything else.

    With `obsolete`, also what old programs write: empty parameters, extended values in quotes,
    encoded words in quotes.
    """
    reader = _Reader(value, field, obsolete)
    maintype = reader.token("a media type such as text/plain")
    reader.demand("/", "'/' after the media type")
    reader.skip()
    subtype = reader.token("a media subtype after '/'")
    return ContentType(maintype=maintype.lower(), subtype=subtype.lower(), parameters=reader.parameters())


def read_disposition(value: str, *, field: str, obsolete: bool = False) -> Disposition:
    """The disposition in the value of a Content-Disposition field; `MessageError` for anything else."""
    reader = _Reader(value, field, obsolete)
    kind = reader.token("a disposition such as attachment")
    return Disposition(kind=kind.lower(), parameters=reader.parameters())


class _Piece(NamedTuple):
    """One parameter as it stands, or one section of it."""

    at: int
    text: str
    is_extended: bool
    is_quoted: bool


_Key = TypeVar("_Key", str, int)


class _Reader(Cursor):
    __slots__ = ("is_obsolete",)

    def __init__(self, value: str, field: str, obsolete: bool) -> None:
        super().__init__(value, field, Reading.OBSOLETE if obsolete else Reading.STRICT)
        self.is_obsolete = obsolete
        self.skip()

    def token(self, expected: str) -> str:
        """The token here; the white space behind it is passed."""
        found = self.match(_TOKEN)
        if found is None:
            raise self.error(expected)
        self.skip()
        return found

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """The parameters up to the end, each once."""
        plain: dict[str, _Piece] = {}
        sections: dict[str, dict[int, _Piece]] = {}
        while not self.is_at_end:
            self.demand(";", "';' before a parameter, or the end")
            self.skip()
            if self.is_obsolete and self.next() in (";", ""):
                continue
            self._parameter(plain, sections)
        values = {name: self._plain_value(piece) for name, piece in plain.items()}
        values |= {name: self._joined(name, pieces) for name, pieces in sections.items()}
        return tuple(values.items())

    def _parameter(self, plain: dict[str, _Piece], sections: dict[str, dict[int, _Piece]]) -> None:
        start = self.at
        attribute = self.token("the name of a parameter")
        self.demand("=", "'=' after the name of a parameter")
        self.skip()
        at, quoted = self.at, self._quoted()
        text = self.token('a value: a token or, with one of ()<>@,;:\\"/[]?= in it, a quoted string') \
            if quoted is None else quoted  # fmt: skip
        self.skip()
        found = _NAME.fullmatch(attribute)
        if found is None or (found[2] and int(found[2]) >= _SECTION_LIMIT):
            self.at = start
            raise self.error("the name of a parameter, with * only as RFC 2231 has it")
        name, number, star = found[1].lower(), found[2], found[3]
        piece = _Piece(at, text, star is not None, quoted is not None)
        if number is None and star is None:
            self._put(plain, name, piece, start)
        else:
            self._put(sections.setdefault(name, {}), int(number or 0), piece, start)

    def _put(self, pieces: dict[_Key, _Piece], key: _Key, piece: _Piece, start: int) -> None:
        if key not in pieces:
            pieces[key] = piece
        elif not self.is_obsolete:
            self.at = start
            raise self.error("each parameter once")

    def _quoted(self) -> str | None:
        if self.next() != '"':
            return None
        found = self.quoted_string(may_be_encoded=self.is_obsolete)
        if found is None:
            raise self.error("'\"' at the end of the quoted string")
        return found

    def _plain_value(self, piece: _Piece) -> str:
        # RFC 2047 5 forbids it, and so many did it that readers know it
        is_encoded = self.is_obsolete and piece.is_quoted and has_encoded_word(piece.text)
        text = decoded_text(piece.text) if is_encoded else piece.text
        return shown(text) if self.is_obsolete else text

    def _joined(self, name: str, pieces: dict[int, _Piece]) -> str:
        """RFC 2231 sections 3, 4: the pieces in the order of their numbers."""
        if set(pieces) != set(range(len(pieces))):
            raise self._error_in(
                min(pieces.values()), f"the pieces of {name!a} numbered 0, 1, 2, ... without a gap"
            )
        charset, _, rest = pieces[0].text.partition("'") if pieces[0].is_extended else ("", "", "")
        texts: list[str] = []
        octets = bytearray()
        for number in range(len(pieces)):
            piece = pieces[number]
            if piece.is_extended:  # a character may begin in one of them and end in the next
                octets += self._octets(piece, rest if number == 0 else None)
            else:
                texts += [self._decoded(octets, charset, pieces[0]), piece.text]
                octets = bytearray()
        text = "".join([*texts, self._decoded(octets, charset, pieces[0])])
        return shown(text) if self.is_obsolete else checked_text(text, field=self.field)

    def _octets(self, piece: _Piece, initial: str | None) -> bytes:
        from urllib.parse import unquote_to_bytes

        _, quote, text = ("", "'", piece.text) if initial is None else initial.partition("'")
        if not quote:
            raise self._error_in(piece, "charset'language'text as an extended value")
        if not self.is_obsolete and (piece.is_quoted or not _EXTENDED.fullmatch(text)):
            raise self._error_in(piece, "an extended value: percent-encoded, without quotes")
        return unquote_to_bytes(text)

    def _decoded(self, octets: bytearray, charset: str, first: _Piece) -> str:
        # RFC 2231 4: where no charset is named, it is that of the message, which is ASCII
        charset = charset or ("utf-8" if self.is_obsolete else "us-ascii")
        try:
            return decoded(octets, charset, replace=self.is_obsolete)
        except (LookupError, UnicodeError) as error:
            raise self._error_in(first, f"a value in a known charset ({as_ascii(error)})") from error

    def _error_in(self, piece: _Piece, expected: str) -> MessageError:
        self.at = piece.at
        return self.error(expected)
