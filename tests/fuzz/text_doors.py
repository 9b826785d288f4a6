"""The doors of those who read one value: addresses, dates, ids, texts, MIME values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mailstrom.errors import MessageError
from mailstrom.message.address import expanded, parse_address_field, parse_mailbox, parse_mailboxes
from mailstrom.message.attachment import Attachment
from mailstrom.message.date import check_date_field, read_date, written_date
from mailstrom.message.message_id import message_id_in_field, read_message_id, read_message_ids
from mailstrom.message.prepare import prepare
from mailstrom.message.reading.charset import decoded
from mailstrom.message.reading.content_type import read_content_type, read_disposition
from mailstrom.message.reading.cursor import Reading
from mailstrom.message.reading.encoded_text import read_text
from mailstrom.message.reading.trace import check_received, check_return_path
from mailstrom.message.text import checked_text
from mailstrom.message.writing.encoded_word import decoded_text, encoded_words
from mailstrom.message.writing.header import checked_name
from tests.fuzz.checks import NOW, an_email, check_email
from tests.fuzz.doors import Door
from tests.fuzz.setter_doors import ADDRESSES, IDS

__all__ = ["DOORS"]

FIELD = "headers['X-Read']"
OBSOLETE_ADDRESSES = (
    *ADDRESSES,
    "<@a.example,@b.example:c@d.example> (comment (in it)), , e . f @ g . example",
    "=?utf-8?q?J=C3=BCri?= (=?utf-8?b?w7w=?=) <a@b.example>, (c) G : a@b.example , ;",
)
DATES = (
    "Mon, 02 Mar 2026 09:30:00 +0100",
    "2 Mar 26 9:30 EST",
    "Mon (x) , 02 (y) Mar 2026 09 : 30 : 60 Z (z)",
    "02 Mar 2026 09:30:00 -9959",
)
WORDS = ("=?utf-8?q?J=C3=BCri?= =?iso-8859-1?b?/A==?=", "=?utf-8*de?Q?a_b?= c", "=?x?q?y?=")


def refused_or(read: Callable[[str], object], text: str) -> object | None:
    """What was read, which is never None; None where it was refused."""
    try:
        found = read(text)
    except MessageError:
        return None
    return True if found is None else found


def enter_mailboxes(text: str) -> bool:
    """A list of addresses, read; written as text it is read as the same."""
    found: Any = refused_or(parse_mailboxes, text)
    if found is None:
        return False
    assert parse_mailboxes(", ".join(map(str, found))) == found
    for mailbox in expanded(found):
        assert parse_mailbox(mailbox.address).address == mailbox.address
    return True


def enter_mailbox(text: str) -> bool:
    """One address; several, and it is refused."""
    found = refused_or(parse_mailbox, text)
    if found is not None:
        assert parse_mailboxes(text) == (found,)
    return found is not None


def enter_recipients(text: str) -> bool:
    """An envelope: what comes out is what `parse_mailboxes` says."""
    found: Any = refused_or(partial(_prepared_for, "recipients"), text)
    if found is None:
        return False
    assert set(found.recipients) == {each.address for each in expanded(parse_mailboxes(text))}
    return True


def enter_return_path(text: str) -> bool:
    """A reverse-path: empty, or one address."""
    found: Any = refused_or(partial(_prepared_for, "return_path"), text)
    if found is None:
        return False
    assert found.reverse_path == ("" if text in ("", "<>") else parse_mailbox(text).address)
    return True


def _prepared_for(keyword: str, text: str) -> object:
    return prepare(an_email(), now=NOW, random_id="x", **{keyword: text}).email  # type: ignore[arg-type]


def enter_address_field(text: str, reading: Reading) -> bool:
    """Addresses of a header field: they can be written, and are read as the same."""
    found: Any = refused_or(
        partial(parse_address_field, field="to", may_be_empty=True, reading=reading), text
    )
    if found:
        check_email(an_email(to=found))
    return found is not None


def enter_date(text: str, *, obsolete: bool) -> bool:
    """A date: an email can have it."""
    at: Any = refused_or(partial(read_date, field=FIELD, obsolete=obsolete), text)
    if obsolete:
        assert (refused_or(partial(check_date_field, field=FIELD), text) is None) == (at is None)
    if at is None:
        return False
    again = read_date(written_date(at), field=FIELD)
    assert (again, again.utcoffset()) == (at, at.utcoffset())
    check_email(an_email(date=at))
    return True


def enter_ids(text: str, *, obsolete: bool) -> bool:
    """Message ids: an email can have them."""
    found: Any = refused_or(partial(read_message_ids, field=FIELD, obsolete=obsolete), text)
    if found:
        check_email(an_email(references=found))
    one: Any = refused_or(partial(read_message_id, field=FIELD, obsolete=obsolete), text)
    if isinstance(one, str):
        assert found == (one,)
        check_email(an_email(message_id=one))
    return found is not None


def enter_id_in_field(text: str) -> bool:
    """The id of a finished message: an email can have it."""
    found: Any = refused_or(partial(message_id_in_field, field=FIELD), text)
    if found is not None:
        check_email(an_email(message_id=found))
    return found is not None


def enter_encoded_text(text: str, *, obsolete: bool) -> bool:
    """A text with encoded words: what it says can be a subject."""
    if not obsolete and refused_or(partial(checked_text, field=FIELD), text) is None:
        return False
    found: Any = refused_or(partial(read_text, field=FIELD, obsolete=obsolete), text)
    if found is not None:
        check_email(an_email(subject=found))
    return found is not None


def enter_encoded_words(text: str) -> bool:
    """Encoded words, decoded as far as they can be; and what is made of any text is read as it."""
    decoded_text(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    words = encoded_words(text)
    assert all(len(word) <= 75 and word.isascii() for word in words)
    assert decoded_text(" ".join(words)) == text
    return True


def enter_charset(text: str) -> bool:
    """The name of a charset: octets in it are a text, or it is unknown, or they are not in it."""
    name, _, octets = text.partition(" ")
    try:
        found = decoded(octets.encode("utf-8", "surrogatepass"), name)
        decoded(octets.encode("utf-8", "surrogatepass"), name, replace=True)
    except (LookupError, UnicodeError):
        return False
    found.encode()
    return True


def enter_content_type(text: str, *, obsolete: bool) -> bool:
    """A Content-Type: a file can be of it, or of what cannot be told it is refused."""
    found: Any = refused_or(partial(read_content_type, field=FIELD, obsolete=obsolete), text)
    if found is None:
        return False
    file: Any = None if obsolete else refused_or(partial(Attachment, "a", b""), text)
    if file is not None:
        check_email(an_email(attachments=file))
    for name, value in found.parameters[:20]:  # each look-up passes all of them
        assert found.parameter(name.upper()) == value
    return True


def enter_disposition(text: str, *, obsolete: bool) -> bool:
    """A Content-Disposition."""
    found: Any = refused_or(partial(read_disposition, field=FIELD, obsolete=obsolete), text)
    return found is not None


def enter_check(text: str, check: Callable[..., object], **options: Any) -> bool:
    """What only says whether a text is right."""
    return refused_or(partial(check, field=FIELD, **options), text) is not None


TYPES = (
    "text/plain; charset=utf-8",
    'multipart/mixed; boundary="=_1_mixed"; type="text/html"',
    'text/plain (c); name*0*=utf-8\'de\'%C3%BC; name*1="b\\"c"; name*2*=%20',
    "TEXT / plain ; a = (x) b",
)
DISPOSITIONS = ("attachment; filename=a.txt", "inline; filename*=utf-8''%C3%BC.txt; filename=u.txt; size=1")

DOORS = (
    Door("parse_mailboxes", enter_mailboxes, ADDRESSES),
    Door("parse_mailbox", enter_mailbox, ADDRESSES),
    Door("recipients", enter_recipients, ADDRESSES),
    Door("return_path", enter_return_path, (*ADDRESSES, "<>", "")),
    *[
        Door(
            f"address field, {reading.value}",
            partial(enter_address_field, reading=reading),
            OBSOLETE_ADDRESSES,
        )
        for reading in Reading
    ],
    Door("date field", partial(enter_date, obsolete=False), DATES),
    Door("obsolete date field", partial(enter_date, obsolete=True), DATES),
    Door("id field", partial(enter_ids, obsolete=False), IDS),
    Door(
        "obsolete id field",
        partial(enter_ids, obsolete=True),
        (*IDS, 'Your < "a" . b @ c > of (x) <d@[e f]>'),
    ),
    Door("id of a finished message", enter_id_in_field, IDS),
    Door("encoded text", partial(enter_encoded_text, obsolete=False), WORDS),
    Door("obsolete encoded text", partial(enter_encoded_text, obsolete=True), WORDS),
    Door("encoded words", enter_encoded_words, WORDS),
    Door(
        "charset", enter_charset, ("utf-8 ü", "iso-2022-jp x", "utf-7 +2D0-", "utf-16 ab", "hex 00", "idna x")
    ),
    Door("Content-Type", partial(enter_content_type, obsolete=False), TYPES),
    Door("obsolete Content-Type", partial(enter_content_type, obsolete=True), TYPES),
    Door("Content-Disposition", partial(enter_disposition, obsolete=False), DISPOSITIONS),
    Door("obsolete Content-Disposition", partial(enter_disposition, obsolete=True), DISPOSITIONS),
    Door("field name", partial(enter_check, check=checked_name), ("X-Tag", "Subject", "a:b")),
    Door(
        "Received field",
        partial(enter_check, check=check_received),
        ("from a by b; Mon, 02 Mar 2026 09:30:00 +0000",),
    ),
    Door(
        "Return-Path field",
        partial(enter_check, check=check_return_path, reading=Reading.OBSOLETE),
        ("<>", "<@a.example:b@c.example>", " (x) <a@b.example> "),
    ),
)
