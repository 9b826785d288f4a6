"""Files that go with an email, and images that its HTML shows (RFC 2183, RFC 2392).

An image in the HTML is named by its content id: `<img src="cid:logo@mail.example.org">` shows
the attachment whose `content_id` is "logo@mail.example.org".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from ..errors import MessageError
from ..files import FileContent
from .message_id import checked_message_id
from .text import checked_text
from .writing.body import is_7bit
from .writing.parameter import checked_filename, parameter_field

if TYPE_CHECKING:
    from mimetypes import MimeTypes

__all__ = [
    "Attachables",
    "Attachment",
    "AttachmentSource",
    "attachment_from",
    "checked_attachments",
    "checked_content_id",
    "checked_message",
]

TYPE_LIMIT = 127  # RFC 6838 4.2
UNKNOWN_TYPE = "application/octet-stream"

_PLAIN_TYPE = re.compile(r"[A-Za-z0-9!#$&.+^_-]{1,127}/[A-Za-z0-9!#$&.+^_-]{1,127}")  # RFC 6838 4.2


class BinaryFile(Protocol):
    """A file open for reading octets."""

    def read(self) -> bytes: ...


AttachmentSource: TypeAlias = "str | os.PathLike[str] | FileContent | bytes | BinaryFile"
Attachables: TypeAlias = "Attachment | str | os.PathLike[str] | Iterable[Attachment | str | os.PathLike[str]]"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with an email; its octets arrive unchanged.

    Where no `content_type` is given it is guessed from the file name. A `content_id` is given
    with or without `<>`. A message (message/rfc822) may go along if it can stand as it is:
    ASCII, lines that end with CRLF and have at most 998 octets.
    """

    filename: str | None
    content: bytes | FileContent
    content_type: str | None = None
    _: KW_ONLY
    content_id: str | None = None
    disposition: Literal["attachment", "inline"] = "attachment"

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.filename is not None:
            checked_filename(self.filename, field="attachments.filename")
        put(self, "content", _checked_content(self.content))
        given = _guessed_type(self.filename) if self.content_type is None else self.content_type
        put(self, "content_type", _checked_type(given))
        if self.content_id is not None:
            put(self, "content_id", checked_content_id(self.content_id))
        if self.disposition not in ("attachment", "inline"):
            raise MessageError(
                "attachments.disposition", given=self.disposition, expected="'attachment' or 'inline'"
            )
        if self.is_message and isinstance(self.content, bytes):
            checked_message(self.content)

    @property
    def parsed_type(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Its type/subtype, and the parameters of its content type."""
        return _parsed_type(str(self.content_type))

    @property
    def is_message(self) -> bool:
        """It is itself a message, and stands as it is."""
        return self.parsed_type[0].lower() == "message/rfc822"


def attachment_from(
    source: AttachmentSource,
    *,
    filename: str | None = None,
    content_type: str | None = None,
    content_id: str | None = None,
    disposition: Literal["attachment", "inline"] = "attachment",
) -> Attachment:
    """The attachment that a path, octets or a binary file make; a file is read at once."""
    content, own_name = _opened(source)
    name = own_name if filename is None else filename
    if name is None and disposition == "attachment":
        raise MessageError("attachments.filename", given=None, expected="a file name with these octets")
    return Attachment(name, content, content_type, content_id=content_id, disposition=disposition)


def checked_attachments(given: object) -> tuple[Attachment, ...]:
    """The attachments in one or several `Attachment` values and paths; content ids may not repeat."""
    items = (given,) if isinstance(given, (Attachment, str, os.PathLike)) else given
    if not isinstance(items, Iterable) or isinstance(items, (bytes, bytearray)):
        raise _not_attachments(given)
    found = tuple([_attachment(item) for item in items])
    known: set[str] = set()
    for content_id in [each.content_id for each in found if each.content_id is not None]:
        if content_id in known:
            raise MessageError("attachments.content_id", given=content_id, expected="each content id once")
        known.add(content_id)
    return found


def checked_content_id(given: object) -> str:
    """The content id without angle brackets; `MessageError` unless it is one by the grammar."""
    try:
        return checked_message_id(given, field="attachments.content_id")
    except MessageError as error:
        expected = 'an id such as "logo@mail.example.org", which src="cid:logo@mail.example.org" shows'
        raise MessageError("attachments.content_id", given=given, expected=expected) from error


def checked_message(content: bytes) -> bytes:
    """The content of a message/rfc822 attachment; `MessageError` unless it can stand as it is."""
    # RFC 2046 5.2.1: nothing but 7bit, 8bit and binary; P47
    if not is_7bit(content):
        expected = "a message in ASCII, with CRLF line ends and lines of at most 998 octets"
        raise MessageError(
            "attachments.content", given=content[:80], expected=f"{expected} (else {UNKNOWN_TYPE})"
        )
    return content


def _attachment(item: object) -> Attachment:
    if isinstance(item, Attachment):
        return item
    if isinstance(item, (str, os.PathLike)):
        return attachment_from(item)
    raise _not_attachments(item)


def _not_attachments(given: object) -> MessageError:
    expected = "paths, or Attachment(filename, content, content_type) values"
    return MessageError("attachments", given=given, expected=expected)


def _opened(source: object) -> tuple[bytes | FileContent, str | None]:
    if isinstance(source, (str, os.PathLike)):
        file = FileContent(os.fspath(source))
        return file, file.name
    if isinstance(source, FileContent):
        return source, source.name
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), None
    read = getattr(source, "read", None)
    if not callable(read):
        raise MessageError("attachments", given=source, expected="a path, bytes or a binary file object")
    try:
        content = read()
    except (OSError, ValueError) as error:  # ValueError: closed, or a text that is no UTF-8
        raise MessageError(
            "attachments", given=source, expected=f"a file that can be read ({error})"
        ) from error
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise MessageError("attachments", given=source, expected='a file open for octets (mode "rb")')
    name = getattr(source, "name", None)
    return bytes(content), os.path.basename(name) if isinstance(name, str) else None


def _checked_content(content: object) -> bytes | FileContent:
    if isinstance(content, (bytes, FileContent)):
        return content
    if not isinstance(content, (bytearray, memoryview)):
        raise MessageError("attachments.content", given=content, expected="bytes or FileContent(path)")
    return bytes(content)


def _guessed_type(filename: str | None) -> str:
    # as a path: what looks like a URL would be read as one
    guessed, encoding = _built_in_types().guess_type(f"./{filename or ''}")
    # a message need not be one that can stand as it is
    if guessed is None or encoding is not None or guessed.startswith(("message/", "multipart/")):
        return UNKNOWN_TYPE
    return guessed


@cache
def _built_in_types() -> MimeTypes:
    """Python's own table alone: what the files of a system say differs from host to host."""
    import mimetypes  # here: many programs send no files

    return mimetypes.MimeTypes(filenames=())


def _checked_type(given: object) -> str:
    text = checked_text(given, field="attachments.content_type")
    essence, parameters = _parsed_type(text)
    if max(map(len, essence.split("/"))) > TYPE_LIMIT:
        expected = f"a type and a subtype of at most {TYPE_LIMIT} characters"
        raise MessageError("attachments.content_type", given=given, expected=expected)
    try:  # written once here, so that what cannot be written is known now
        parameter_field("Content-Type", essence, parameters)
    except MessageError as error:
        raise MessageError("attachments.content_type", given=given, expected=error.expected) from None
    kind = essence.lower()
    # RFC 2046 5.1, 5.2: base64 is not allowed for these
    if kind.startswith(("multipart/", "message/")) and kind != "message/rfc822":
        expected = f"message/rfc822 or {UNKNOWN_TYPE} for what is itself a message"
        raise MessageError("attachments.content_type", given=given, expected=expected)
    return text


def _parsed_type(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    if _PLAIN_TYPE.fullmatch(text):
        return text, ()
    from .reading.content_type import read_content_type  # here: most types are plain ones

    found = read_content_type(text, field="attachments.content_type")
    return found.essence, found.parameters
