"""The parts of a message that was read which are its attachments, as `Attachment` values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from ...errors import MessageError
from ..attachment import UNKNOWN_TYPE, Attachment
from ..text import shown
from .content_type import ContentType
from .mime import Entity, walk

__all__ = ["attachments"]

FILENAME_LIMIT = 255
PARAMETER_LIMIT = 900

_PARAMETER_NAME = re.compile(r"[A-Za-z0-9!#$&+.^_`{|}~-]{1,60}")


def attachments(parts: Iterable[Entity], tree: Entity) -> tuple[Attachment, ...]:
    """The attachments that these parts of the tree are, in order."""
    related = {
        id(part) for entity in walk(tree) if entity.essence == "multipart/related" for part in entity.parts
    }
    content_ids: set[str] = set()
    return tuple([_attachment(part, id(part) in related, content_ids) for part in parts])


def _attachment(part: Entity, is_related: bool, content_ids: set[str]) -> Attachment:
    """The attachment that this part is; its content id is put to those that there are already."""
    octets, content_type = _content(part)
    filename, content_id = _filename(part.filename), _content_id(part, content_ids)
    disposition = _disposition(part, content_type, is_related)
    try:
        written = _written(content_type)
        return Attachment(filename, octets, written, content_id=content_id, disposition=disposition)
    except MessageError:
        # RFC 2046 5.2: a message that needs an encoding, a report, a part of a message
        return Attachment(filename, octets, UNKNOWN_TYPE, content_id=content_id, disposition=disposition)


def _content_id(part: Entity, known: set[str]) -> str | None:
    content_id = part.facts.content_id
    if content_id in known:
        if part.is_obsolete:
            return None
        expected = "each content id once"  # RFC 2045 7
        raise MessageError("content_id", given=content_id, expected=expected, at=part.start)
    if content_id is not None:
        known.add(content_id)
    return content_id


def _content(part: Entity) -> tuple[bytes, ContentType]:
    """What it holds; where its encoding is broken or unknown, the octets as they stand."""
    try:
        return part.octets(), part.facts.content_type
    except MessageError:
        if not part.is_obsolete:
            raise
    unknown = ContentType(maintype="application", subtype="octet-stream")
    return part.content[part.start : part.end], unknown


def _disposition(
    part: Entity, content_type: ContentType, is_related: bool
) -> Literal["attachment", "inline"]:
    disposition = part.facts.disposition
    if disposition is not None:
        return "inline" if disposition.kind == "inline" else "attachment"
    # what a message shows, where nothing is said of it
    is_text = content_type.maintype == "text" and part.filename is None
    return "inline" if is_related or is_text else "attachment"


def _filename(name: str | None) -> str | None:
    """The name as far as it can be one (RFC 2183 2.3: it is a suggestion)."""
    if name is None:
        return None
    return shown(name).replace("\t", " ").strip()[:FILENAME_LIMIT].strip() or None


def _written(content_type: ContentType) -> str:
    """The type with its parameters, but for the name, which the attachment has itself."""
    parameters = [
        _parameter(name, value)
        for name, value in content_type.parameters
        if name != "name" and _PARAMETER_NAME.fullmatch(name) and len(value) <= PARAMETER_LIMIT
    ]
    return "; ".join([content_type.essence, *parameters])


def _parameter(name: str, value: str) -> str:
    if value.isascii() and value.isprintable():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}="{escaped}"'
    from urllib.parse import quote  # here: few parameters need it

    return f"{name}*=utf-8''{quote(value, safe='')}"  # RFC 2231 4
