"""The doors for octets: messages to be read, finished ones to be sent, files."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from mailstrom.errors import MessageError
from mailstrom.message.attachment import Attachment
from mailstrom.message.email import Email
from mailstrom.message.reading.finished import crlf_content, read_header
from mailstrom.message.wire import DotStuffer, dot_stuffed, dot_stuffed_chunks
from tests.fuzz import messages
from tests.fuzz.checks import an_email, check_email, check_octets, prepared, unstuffed
from tests.fuzz.doors import Door

__all__ = ["DOORS", "check_untouched"]

MAY_BE_ADDED = (b"from", b"date", b"message-id")
SIGNATURES = ("dkim-signature", "arc-")

_FIELD_END = re.compile(rb"\r\n(?![ \t])")


def enter_parser(content: bytes, **options: bool) -> bool:
    """A message, read; what was read is written, and read as the same."""
    try:
        found = Email.parse(content, **options)
    except MessageError:
        return False
    check_email(_without_signatures(found))
    return True


def _without_signatures(email: Email) -> Email:
    """The email that can be sent on: a signature of other octets holds no longer, and is refused."""
    kept = [pair for pair in email.headers if not pair[0].lower().startswith(SIGNATURES)]
    return email.replace(headers=kept)


def enter_finished(content: bytes) -> bool:
    """A finished message: it passes untouched but for what is added, and Bcc."""
    try:
        found = prepared(content).email
    except MessageError:
        return False
    check_octets(found.content)
    check_untouched(content, found.content)
    assert prepared(found.content).email.content == found.content
    return True


def check_untouched(given: bytes, found: bytes) -> None:
    """Every octet is where it was; added are only fields at the end of the header, taken away is Bcc."""
    fields, rest = _parted(given if b"\r" in given else given.replace(b"\n", b"\r\n"))
    kept = [field for field in fields if _name(field) not in (b"bcc", b"resent-bcc")]
    found_fields, found_rest = _parted(found)
    added = [_name(field) for field in found_fields[len(kept) :]]
    assert found_fields[: len(kept)] == kept
    assert found_rest == rest
    assert set(added) <= set(MAY_BE_ADDED) - set(map(_name, kept))
    assert len(set(added)) == len(added)


def _parted(content: bytes) -> tuple[list[bytes], bytes]:
    """The header fields, and what follows them."""
    end = 0 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n") + 2
    end = len(content) if end == 1 else end
    fields = _FIELD_END.split(content[:end])
    assert fields.pop() == b""
    return fields, content[end:]


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].lower()


def enter_envelope(content: bytes) -> bool:
    """A finished message to whom its header names: the same people that the strict reader finds."""
    try:
        found = prepared(content, recipients=None, return_path=None).email
        read = _without_signatures(Email.parse(content, smtputf8=True))
    except MessageError:
        return False
    if not any(name.lower().startswith("resent-") for name, _ in read.headers):
        assert found.recipients == prepared(read, recipients=None, return_path=None).email.recipients
    return True


def enter_original(content: bytes) -> bool:
    """A message to be answered."""
    try:
        found = an_email().reply_to(content)
    except MessageError:
        return False
    check_email(found)
    return True


def enter_header(content: bytes) -> bool:
    """The header of a finished message: its fields are all of its octets."""
    try:
        ended = crlf_content(content)
        header = read_header(ended)
    except MessageError:
        return False
    ends = [0, *[field.end for field in header.fields]]
    assert [field.start for field in header.fields] == ends[:-1]
    assert ends[-1] == header.end
    return True


def enter_file(content: bytes, content_type: str | None, **fields: Any) -> bool:
    """The octets of a file: they arrive unchanged."""
    try:
        made = Attachment("a.bin", content, content_type)
    except MessageError:
        return False
    check_email(an_email(attachments=made, **fields))
    return True


def enter_dots(content: bytes) -> bool:
    """Content on its way to the wire, whole and in pieces."""
    size = 3 + len(content) // 1000
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    stuffer = DotStuffer()
    try:
        found = dot_stuffed(content)
    except MessageError:
        try:
            list(map(stuffer.stuffed, pieces))
            stuffer.end()
        except MessageError:
            return False
        raise AssertionError("refused as a whole, and taken in pieces") from None
    assert b"".join([*map(stuffer.stuffed, pieces), stuffer.end()]) == found
    assert b"".join(dot_stuffed_chunks(content, size + 2)) == found
    assert unstuffed(found) == (content if content.endswith(b"\r\n") else content + b"\r\n")
    return True


DOORS = (
    Door("Email.parse", enter_parser, messages.MESSAGES),
    Door("Email.parse smtputf8", partial(enter_parser, smtputf8=True), messages.MESSAGES),
    Door("Email.parse obsolete", partial(enter_parser, obsolete=True), messages.MESSAGES),
    Door("Email.parse both", partial(enter_parser, obsolete=True, smtputf8=True), messages.MESSAGES),
    Door("finished octets", enter_finished, messages.MESSAGES),
    Door("envelope of finished octets", enter_envelope, messages.MESSAGES),
    Door("header of finished octets", enter_header, messages.MESSAGES),
    Door("answer to octets", enter_original, messages.MESSAGES),
    Door("file", partial(enter_file, content_type=None), messages.MESSAGES),
    Door("message as a file", partial(enter_file, content_type="message/rfc822"), messages.MESSAGES),
    Door("text as a file", partial(enter_file, content_type="text/plain", html="x"), messages.MESSAGES),
    Door("dot stuffing", enter_dots, (b".\r\n..\r\nx\r\n.", b"", b"\r\n.\r\n", *messages.MESSAGES[:2])),
)
