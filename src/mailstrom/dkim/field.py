"""The DKIM-Signature field as we write it.

    DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;
     s=mail2026;
     t=1772440200;
     h=From:From:To:To:Subject:Subject:Date:Date;
     bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
     b=...

What depends on the signer alone is made once. b= stands last and its length is known before
there is a signature, and so is that of the whole field.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING

from .tags import quoted_printable

if TYPE_CHECKING:
    from .signer import DkimSigner

__all__ = ["header_list", "instants", "signature_lines", "signature_octets", "static_tags"]

LINE = 76
BODY_HASH_CHARACTERS = 44

_FIRST_LINE_OF_B = LINE - len(" b=")
_NEXT_LINES_OF_B = LINE - len(" ")


def static_tags(signer: DkimSigner) -> bytes:
    """The field up to the tags that differ from message to message: whole lines."""
    tags = [
        "v=1;",
        f"a={signer.algorithm};",
        f"c={signer.canonicalization};",
        f"d={signer.domain};",
        f"s={signer.selector};",
    ]
    if signer.identity is not None:
        tags.append(f"i={quoted_printable(signer.identity)};")
    return _folded("DKIM-Signature:", [f" {tag}" for tag in tags])


def instants(signer: DkimSigner, signed_at: int) -> bytes:
    """The tags t= and x=."""
    lifetime = signer.expires_after_secs
    return b" t=%d;" % signed_at if lifetime is None else b" t=%d; x=%d;" % (signed_at, signed_at + lifetime)


def signature_octets(signature_length: int) -> int:
    """How many octets `signature_lines` has for a signature of so many."""
    characters = (signature_length + 2) // 3 * 4
    lines = 1 + max(0, -(-(characters - _FIRST_LINE_OF_B) // _NEXT_LINES_OF_B))
    return characters + (lines - 1) * len("\r\n ") + len("\r\n")


def signature_lines(signature: bytes) -> bytes:
    """The value of b= in lines, and the end of the field."""
    text = b2a_base64(signature, newline=False)
    if len(text) <= _FIRST_LINE_OF_B:
        return text + b"\r\n"
    lines = [text[:_FIRST_LINE_OF_B]]
    lines += [text[at : at + _NEXT_LINES_OF_B] for at in range(_FIRST_LINE_OF_B, len(text), _NEXT_LINES_OF_B)]
    return b"\r\n ".join(lines) + b"\r\n"


def header_list(names: bytes) -> bytes:
    """The lines of h=, broken after colons; `names` is its value, unfolded."""
    lines = []
    start, width = 0, LINE - len(" h=")
    while len(names) - start >= width:
        end = names.rfind(b":", start, start + width) + 1 or start  # a name may need a line for itself
        lines.append(names[start:end])
        start, width = end, LINE - len(" ")
    return b" h=%b%b;\r\n" % (b"".join([line + b"\r\n " for line in lines]), names[start:])


def _folded(start: str, tokens: list[str]) -> bytes:
    lines = []
    line = start
    for token in tokens:
        if len(line) + len(token) > LINE and line != start:
            lines.append(line)
            line = ""
        line += token
    return "\r\n".join([*lines, line, ""]).encode()
