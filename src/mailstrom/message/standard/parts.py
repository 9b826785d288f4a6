"""The parts of a standard library message, decoded and written anew.

A leaf is a text, which is shown, or a file. A text is decoded by its charset and written as
the texts of an `Email` are; a file (what is not text, or is an attachment, or has a name)
keeps its octets and goes in base64. What is already base64 is only broken into other lines,
so that a large file never stands in memory decoded.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ...errors import MessageError
from ..reading.mime import DEPTH_LIMIT, PART_LIMIT
from ..writing.body import Multipart, Part, Tree, checked_body, file_part, multipart, text_part
from ..writing.parameter import parameter_field
from ..writing.written import mime, read_back
from .content import decoded_octets, encoding_of, recoded_base64, text_in
from .fields import Typed, children_of, disposition_of, fields_in, one_value, type_of, written_field
from .literal import is_literal, literal_part

if TYPE_CHECKING:
    from email.message import Message

__all__ = ["tree_of"]

_WRITTEN_ELSEWHERE = frozenset(
    ["content-type", "content-transfer-encoding", "content-disposition", "content-length", "mime-version"]
)


def tree_of(message: Message, attached: Callable[[Message], bytes]) -> Tree:
    """The parts of the message; `attached` writes a message that stands in one of them."""
    _check_shape(message, (), itertools.count(1))
    tree = _tree(message, "", attached)
    _check_ids(tree, set())
    return tree


def _check_shape(part: Message, above: tuple[int, ...], numbers: Iterator[int]) -> None:
    """Every part has the payload that its type calls for, and there is an end to them."""
    if id(part) in above:
        raise MessageError("content", given=part.get_content_type(), expected="no part that holds itself")
    if len(above) > DEPTH_LIMIT or next(numbers) > PART_LIMIT:
        expected = f"at most {PART_LIMIT} parts, and {DEPTH_LIMIT} within one another"
        raise MessageError("content", given=part.get_content_type(), expected=expected)
    for defect in part.defects:
        given = f"{type(defect).__name__}: {defect}"
        raise MessageError("content", given=given, expected="a message without defects")
    for child in _children(part):
        _check_shape(child, (*above, id(part)), numbers)


def _children(part: Message) -> list[Message]:
    kind = part.get_content_type()
    if not part.is_multipart():
        if kind.startswith("multipart/"):
            raise MessageError("content", given=f"{kind} without parts", expected="at least one part in it")
        return []
    given = children_of(part)
    may_have_many = kind.startswith("multipart/") or kind == "message/delivery-status"
    if not given or not (may_have_many or (kind.startswith("message/") and len(given) == 1)):
        expected = "parts in a multipart/..., one message in a message/rfc822"
        raise MessageError("content", given=f"{kind} with {len(given)} parts", expected=expected)
    for child in given:
        if not hasattr(child, "get_payload"):
            raise MessageError("content", given=child, expected="messages as the parts of a message")
    return given


def _tree(part: Message, place: str, attached: Callable[[Message], bytes]) -> Tree:
    within = f"content[{place}]." if place else ""
    kind, disposition = type_of(part, within), disposition_of(part, within)
    head = _head(part, disposition, within)
    if is_literal(kind):
        return literal_part(part, kind, head, within, attached)
    if kind.maintype != "multipart":
        is_shown = kind.maintype == "text" and not _is_file(kind, disposition)
        return (_text if is_shown else _file)(part, kind, head, within)
    encoding_of(part, within, of_parts=True)
    parts = [
        _tree(child, f"{place}.{number}" if place else str(number), attached)
        for number, child in enumerate(_children(part), 1)
    ]
    return multipart(kind.subtype, parts, parameters=kind.without("boundary"), head=head)


def _head(part: Message, disposition: Typed | None, within: str) -> list[str]:
    """The fields of a part but Content-Type and the transfer encoding; of the message, MIME's alone."""
    fields = [] if disposition is None else [mime(parameter_field("Content-Disposition", *disposition))]
    seen: set[str] = set()
    for name, value in fields_in(part, within):
        lower = name.lower()
        if lower in _WRITTEN_ELSEWHERE or not (within or lower.startswith("content-")):
            continue
        if lower in ("bcc", "resent-bcc"):
            expected = "no Bcc inside a part: everybody would see it"
            raise MessageError(f"{within}{lower}", given=str(value), expected=expected)
        if lower.startswith("content-") and lower in seen:
            one_value(part, name, f"{within}{lower}")  # tells what is wrong
        seen.add(lower)
        fields.append(written_field(name, value, within=within))
    if fields and within:  # those of the message are read back with its other fields
        read_back(fields)
    return [field.lines for field in fields]


def _check_ids(tree: Tree, seen: set[str]) -> None:
    """RFC 2392: a content id names one part."""
    for line in tree.head:
        if line.lower().startswith("content-id:"):
            if line in seen:
                raise MessageError("content_id", given=line, expected="each content id once")
            seen.add(line)
    for part in tree.parts if isinstance(tree, Multipart) else ():
        _check_ids(part, seen)


def _is_file(kind: Typed, disposition: Typed | None) -> bool:
    """It is an attachment, or has a name."""
    if disposition is None:
        return kind.parameter("name") is not None
    names = (disposition.parameter("filename"), kind.parameter("name"))
    return disposition.value == "attachment" or names != (None, None)


def _text(part: Message, kind: Typed, head: list[str], within: str) -> Part:
    text = text_in(part, kind.parameter("charset") or "us-ascii", within)
    checked = checked_body(text, field=f"{within}content")
    return text_part(checked, kind.subtype, parameters=kind.without("charset"), head=head)


def _file(part: Message, kind: Typed, head: list[str], within: str) -> Part:
    if encoding_of(part, within) == "base64":
        fields = (parameter_field("Content-Type", *kind), "Content-Transfer-Encoding: base64", *head)
        return recoded_base64(part, fields, within)
    octets = decoded_octets(part, within)
    if isinstance(octets, str):
        given = f"characters that are not ASCII in {kind.value}"
        raise MessageError(f"{within}content", given=given, expected="octets, or a charset with the text")
    return file_part(octets, kind.value, parameters=kind.parameters, head=head)
