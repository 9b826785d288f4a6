"""From the octets of a message to an `Email`: the strict reader.

Read is what RFC 5322 section 3 and the MIME standards say, by the letter; everything else is
refused, and the error names the field, the octet and what was expected there. Changed is only
what an `Email` cannot hold: lines end with LF, and U+FFFD stands for control characters in
texts. Left out are Return-Path, Resent-Bcc, and signatures over the message as it was. A
message in which every line ends with LF is read as if it had CRLF.

With `obsolete` the syntax of section 4 is read as well. Nothing may write it, and what comes out
can be written: routes and comments are dropped, dates and ids are in their modern form, U+FFFD
stands for what cannot be shown. Date and From may lack, To, Cc and Bcc be repeated (section
4.5.3), and charsets be unknown.

The text, the HTML and the calendar of the email are the first such parts of its body (RFC 8621
section 4.1.4), and only the first of the two where they stand side by side, not as
alternatives. Every other part is an attachment.
"""

from __future__ import annotations

from typing import Any

from ...errors import MessageError
from ..email import Email
from ..text import shown_body
from .attached import attachments
from .bodies import bodies, is_broken
from .charset import decoded
from .finished import Field, Header, crlf_content, split_header
from .message_fields import FieldReader
from .mime import Entity, read_tree, walk

__all__ = ["parsed_email"]


def parsed_email(content: bytes, *, obsolete: bool = False, smtputf8: bool = False) -> Email:
    """The email that the octets of a message say; `MessageError` where they say none.

    `smtputf8` takes UTF-8 in header fields (RFC 6532), as in mail that was sent with SMTPUTF8.
    """
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise MessageError("content", given=content, expected="bytes")
    octets = bytes(content)
    try:
        return _read(octets, obsolete, smtputf8)
    except MessageError as error:
        raise _placed(error, octets) from None


def _read(octets: bytes, obsolete: bool, smtputf8: bool) -> Email:
    content = crlf_content(octets, obsolete=obsolete)
    header = split_header(content, obsolete=obsolete)
    if not (header.is_ascii or smtputf8):
        raise _not_ascii(content, header)
    keywords = FieldReader(content, header, obsolete=obsolete).keywords()
    tree = read_tree(content, header, obsolete=obsolete, smtputf8=smtputf8)
    try:
        return Email(**keywords, **_body(tree))
    except MessageError as error:
        if error.at is None:
            error.at = _place_of(error.field, header)
        raise


def _place_of(label: str, header: Header) -> int:
    """Where the field begins that a refusal names; a Sender that lacks is missed beside From."""
    wanted = "from_" if label == "sender" and header.one("Sender") is None else label
    return next((field.start for field in header.fields if wanted in (field.label, _label_of(field))), 0)


def _label_of(field: Field) -> str:
    return f"headers[{field.name!r}]"


def _placed(error: MessageError, octets: bytes) -> MessageError:
    """The same refusal, saying at which octet of the message; `at` counts from 0, people from 1."""
    if error.at is None:
        return error
    at = error.at
    if b"\r" not in octets:  # each line end was made longer
        at = len(octets.replace(b"\n", b"\r\n")[:at].replace(b"\r\n", b"\n"))
    error.at = at
    error.expected = f"{error.expected} (octet {at + 1} of the content)"
    error.args = (f"{error.field}: expected {error.expected}, got {error.given}",)
    return error


def _body(tree: Entity) -> dict[str, Any]:
    """The texts and attachments of the message."""
    found = bodies(tree)
    text = next((part for part in found.text if part.essence == "text/plain" and _is_shown(part)), None)
    html = next((part for part in found.html if part.essence == "text/html" and _is_shown(part)), None)
    if text is not None and html is not None and text in found.html and html in found.text:
        # side by side: as alternatives one of them would hide the other
        text, html = (text, None) if text.start < html.start else (None, html)
    calendar = next((part for part in walk(tree) if _is_calendar(part)), None)
    shown = [part for part in (text, html, calendar) if part is not None]
    others = [part for part in walk(tree) if not part.is_multipart and part not in shown]
    return {
        "text": None if text is None else _text(text),
        "html": None if html is None else _text(html),
        "calendar": None if calendar is None else _text(calendar),
        "attachments": attachments(others, tree),
    }


def _is_shown(part: Entity) -> bool:
    """A file with a name is text only where its octets are."""
    if part.filename is None:
        return True
    try:
        _text(part)
    except MessageError:
        return False
    return True


def _is_calendar(part: Entity) -> bool:
    disposition = part.facts.disposition
    is_file = part.filename is not None or (disposition is not None and disposition.kind == "attachment")
    return part.essence == "text/calendar" and not is_file and not is_broken(part)


def _text(part: Entity) -> str:
    octets = part.octets()
    charset = part.facts.content_type.parameter("charset") or ("utf-8" if part.is_obsolete else "us-ascii")
    try:
        text = decoded(octets, charset, replace=part.is_obsolete)
    except LookupError as error:
        if not part.is_obsolete:
            raise MessageError("content", given=charset, expected="a known charset", at=part.start) from error
        text = decoded(octets, "us-ascii", replace=True)
    except UnicodeError as error:
        expected = f"octets that {charset} has"
        raise MessageError("content", given=octets[:40], expected=expected, at=part.start) from error
    return shown_body(text)


def _not_ascii(content: bytes, header: Header) -> MessageError:
    field = next(each for each in header.fields if not content[each.start : each.end].isascii())
    at = next(place for place in range(field.start, field.end) if content[place] > 127)
    expected = "ASCII in a header field: UTF-8 is for mail that was sent with SMTPUTF8 (RFC 6532)"
    return MessageError(field.label, given=field.value, expected=expected, at=at)
