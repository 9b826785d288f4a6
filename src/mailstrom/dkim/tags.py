"""Tag lists: the notation of signature fields and key records (RFC 6376 section 3.2).

    tag-list  =  tag-spec *( ";" tag-spec ) [ ";" ]
    tag-spec  =  [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS]

Names are case-sensitive and stand once. A value is of printable characters other than ";" with
blanks between them; what it means is its tag's own affair. Blanks after the last ";" are let
through, since published records have them; an empty tag elsewhere is not.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re

__all__ = [
    "DkimSyntaxError",
    "base64_value",
    "colon_list",
    "number_value",
    "quoted_printable",
    "tag_list",
    "unquoted_printable",
    "without_value",
]

_BLANKS = " \t"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HEX_OCTET = re.compile(r"=[0-9A-Fa-f]{2}")
_NOT_SAFE = re.compile(r"[^!-:<>-~]")  # RFC 6376 2.11: dkim-safe-char


class DkimSyntaxError(ValueError):
    """A signature field or key record that is not written as RFC 6376 demands; the text says why."""


def tag_list(octets: bytes, *, utf8: bool = False) -> dict[str, str]:
    """The values by tag; `utf8` lets characters beyond ASCII through (RFC 8616)."""
    try:
        text = octets.decode("utf-8" if utf8 else "ascii")
    except UnicodeDecodeError as error:
        raise DkimSyntaxError(f"octet {error.start} is not {'UTF-8' if utf8 else 'ASCII'}") from error
    text = text.replace("\r\n", "")  # a line end inside a field is a fold
    if found := _FORBIDDEN.search(text):
        raise DkimSyntaxError(f"a control character at {found.start()}: {found[0]!a}")
    specs = text.split(";")
    if len(specs) > 1 and not specs[-1].strip(_BLANKS):
        specs.pop()
    tags: dict[str, str] = {}
    for spec in specs:
        name, value = _tag(spec)
        if name in tags:
            raise DkimSyntaxError(f"the tag {name}= stands twice")
        tags[name] = value
    return tags


def _tag(spec: str) -> tuple[str, str]:
    name, equals, value = spec.partition("=")
    name = name.strip(_BLANKS)
    if not equals or not _NAME.fullmatch(name):
        raise DkimSyntaxError(f"no tag=value: {spec[:40]!a}")
    return name, value.strip(_BLANKS)


def without_value(octets: bytes, tag: bytes) -> bytes:
    """The tag list with the value of this tag deleted, and the blanks around it (RFC 6376 section 3.7)."""
    specs = octets.split(b";")
    for place, spec in enumerate(specs):
        name, equals, _ = spec.partition(b"=")
        if name.strip(b" \t\r\n") == tag:
            specs[place] = name + equals
    return b";".join(specs)


def base64_value(tag: str, value: str) -> bytes:
    """The octets of a base64 value with blanks anywhere in it."""
    text = value.replace(" ", "").replace("\t", "")
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DkimSyntaxError(f"{tag}= is not base64") from error
    if base64.b64encode(octets).decode("ascii").rstrip("=") != text.rstrip("="):
        raise DkimSyntaxError(f"{tag}= has bits behind its end")  # RFC 4648 3.5
    return octets


def number_value(tag: str, value: str, digits: int) -> int:
    """The number, of at most so many digits."""
    if not re.fullmatch("[0-9]+", value) or len(value) > digits:
        raise DkimSyntaxError(f"{tag}= is not a number of at most {digits} digits: {value[:20]!a}")
    return int(value)


def colon_list(value: str) -> tuple[str, ...]:
    """The words between colons, without the blanks around them."""
    return tuple([word.strip(_BLANKS) for word in value.split(":")])


def quoted_printable(text: str) -> str:
    """Text as a tag value may hold it (RFC 6376 section 2.11)."""
    return _NOT_SAFE.sub(lambda found: "".join(f"={octet:02X}" for octet in found[0].encode()), text)


def unquoted_printable(tag: str, value: str) -> str:
    """What `quoted_printable` was given; blanks do not count, and UTF-8 may stand for itself."""
    plain = value.replace(" ", "").replace("\t", "")
    if "=" not in plain:
        return plain
    if plain.count("=") != len(_HEX_OCTET.findall(plain)):
        raise DkimSyntaxError(f"{tag}= has a '=' that is not followed by two hexadecimal digits")
    octets = quopri.decodestring(plain.encode())
    return octets.decode("utf-8", "replace")
