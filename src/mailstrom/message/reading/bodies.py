"""Which parts of a message are its text, its HTML, and its attachments (RFC 8621 section 4.1.4).

The rule is that of JMAP: what is inline and can be shown belongs to the body, in both of its
forms unless a multipart/alternative offers one for each; all else is an attachment. One thing is
added: a part whose transfer encoding is broken cannot be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import MessageError
from .mime import Entity

__all__ = ["Bodies", "bodies", "is_broken"]

_INLINE_MEDIA = ("image", "audio", "video")


@dataclass(frozen=True, slots=True)
class Bodies:
    """The parts to show as text and as HTML, in order, and those to list as attachments."""

    text: list[Entity] = field(default_factory=list)
    html: list[Entity] = field(default_factory=list)
    attachments: list[Entity] = field(default_factory=list)


def bodies(root: Entity) -> Bodies:
    """The three lists for this message."""
    found = Bodies()
    _sort([root], "mixed", False, found.text, found.html, found.attachments)
    return found


def _sort(
    parts: list[Entity] | tuple[Entity, ...],
    around: str,
    in_alternative: bool,
    text: list[Entity] | None,
    html: list[Entity] | None,
    attachments: list[Entity],
) -> None:
    """Puts each part into its lists; a list is None where its form has been found elsewhere."""
    texts, htmls = len(text or ()), len(html or ())
    for place, part in enumerate(parts):
        if part.is_multipart:
            subtype = part.facts.content_type.subtype
            _sort(part.parts, subtype, in_alternative or subtype == "alternative", text, html, attachments)
        elif not _is_inline(part, place, around):
            attachments.append(part)
        elif around == "alternative":
            chosen = {"text/plain": text, "text/html": html}.get(part.essence, attachments)
            (attachments if chosen is None else chosen).append(part)
        else:
            if in_alternative and part.essence == "text/plain":
                html = None
            if in_alternative and part.essence == "text/html":
                text = None
            _put(part, text, html, attachments)
    if around == "alternative" and text is not None and html is not None:
        _share(text, texts, html, htmls)


def _put(
    part: Entity, text: list[Entity] | None, html: list[Entity] | None, attachments: list[Entity]
) -> None:
    if text is not None:
        text.append(part)
    if html is not None:
        html.append(part)
    if (text is None or html is None) and part.facts.content_type.maintype in _INLINE_MEDIA:
        attachments.append(part)


def _share(text: list[Entity], texts: int, html: list[Entity], htmls: int) -> None:
    """Where an alternative offered one form only, it stands for the other as well."""
    if len(text) == texts and len(html) != htmls:
        text += html[htmls:]
    elif len(html) == htmls and len(text) != texts:
        html += text[texts:]


def _is_inline(part: Entity, place: int, around: str) -> bool:
    disposition = part.facts.disposition
    is_media = part.facts.content_type.maintype in _INLINE_MEDIA
    if disposition is not None and disposition.kind == "attachment":
        return False
    if not (is_media or part.essence in ("text/plain", "text/html")):
        return False
    is_shown = place == 0 or (around != "related" and (is_media or not part.filename))
    return is_shown and not is_broken(part)


def is_broken(part: Entity) -> bool:
    """Its transfer encoding is not what it says, so that nobody knows what it holds."""
    if not part.is_obsolete:
        return False  # the strict reader refuses the whole message
    try:
        part.octets()
    except MessageError:
        return True
    return False
