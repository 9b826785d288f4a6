"""Parts whose octets must not change, as the `email` package writes them.

A signature covers octets (RFC 1847), an encrypted part is its octets, and a message that goes
along with another one, or tells of it, is evidence. Nothing here is decoded, encoded, folded
anew or mangled. That can only go well where the octets can stand in any message: ASCII, CRLF,
lines of at most 998 octets. Otherwise the part is refused, with the reason.

An attached message that was made and not parsed has no octets yet, where that can be seen: it
is written as every message is, by our writer.
"""

from __future__ import annotations

import copy
import hashlib
import io
import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import MessageError
from ..reading.mime import BOUNDARY
from ..writing.body import Part, is_7bit, raw_part
from ..writing.header import checked_name
from ..writing.parameter import parameter_field
from .content import decoded_octets, encoding_of
from .fields import Typed, children_of

if TYPE_CHECKING:
    from email.message import Message
    from email.policy import Policy

__all__ = ["is_literal", "literal_part"]

CRLF = "\r\n"

_SEALED = frozenset(["multipart/signed", "multipart/encrypted", "text/rfc822-headers"])
_BARE_CR = re.compile(r"\r(?!\n)")
_NEWLINE = re.compile(r"\r\n|\r|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DELIMITER = re.compile(rb"^--([^\r\n]*)", re.MULTILINE)


def is_literal(kind: Typed) -> bool:
    """The octets of such a part are not ours to change."""
    return kind.maintype == "message" or kind.value in _SEALED


def literal_part(
    part: Message, kind: Typed, head: list[str], within: str, attached: Callable[[Message], bytes]
) -> Part:
    """The part as it stands; `MessageError` where it cannot stand so. `attached` writes a message."""
    octets, parameters = _octets(part, kind, within, attached)
    if not is_7bit(octets):
        expected = "only ASCII without NUL, CRLF line ends and lines of at most 998 octets in a part that "
        expected += "must not be changed (encode what is in it, or attach it as application/octet-stream)"
        raise MessageError(f"{within}content", given=f"{_fault(octets)} in {kind.value}", expected=expected)
    content_type = parameter_field("Content-Type", kind.value, parameters)
    return raw_part(octets, (content_type, "Content-Transfer-Encoding: 7bit", *head))


def _octets(
    part: Message, kind: Typed, within: str, attached: Callable[[Message], bytes]
) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    if not part.is_multipart():
        return _decoded(part, kind, within), kind.parameters
    encoding_of(part, within, of_parts=True)
    if kind.maintype == "message" and kind.subtype != "delivery-status":
        child = children_of(part)[0]
        return attached(child) if _is_made(child) else _generated(child, within), kind.parameters
    if kind.maintype == "message":
        return _body_of(_generated(_shell(_twin(part), kind.value), within)), kind.parameters
    twin = _twin(part)
    _set_boundaries(twin)
    boundary = str(twin.get_boundary())
    shell = _shell(twin, f'{kind.value}; boundary="{boundary}"')
    return _body_of(_generated(shell, within)), (*kind.without("boundary"), ("boundary", boundary))


def _decoded(part: Message, kind: Typed, within: str) -> bytes:
    octets = decoded_octets(part, within)
    if isinstance(octets, str):
        raise MessageError(f"{within}content", given=f"characters in {kind.value}", expected="octets")
    return octets if b"\r" in octets else octets.replace(b"\n", b"\r\n")


def _is_made(message: Message) -> bool:
    """Somebody set a field of it, so that it is not, or no longer, what was parsed."""
    return any(_is_set(value) for _, value in message.raw_items())


def _is_set(value: object) -> bool:
    """What a parser leaves is a str, its octets beyond ASCII surrogates."""
    is_parsed = isinstance(value, str) and not hasattr(value, "defects")
    return not (is_parsed and (str(value).isascii() or _SURROGATE.search(str(value))))


def _twin(part: Message) -> Message:
    """A copy that can be changed, which shares the texts but no list."""
    twin = copy.copy(part)
    del twin["Bcc-"]  # a name that is nowhere: the list of fields is made anew
    if part.is_multipart():
        twin.set_payload([_twin(child) for child in children_of(part)])
    return twin


def _shell(twin: Message, content_type: str) -> Message:
    """The part with this field alone, so that it is known where its body begins."""
    for name in set(twin.keys()):
        del twin[name]
    twin["Content-Type"] = content_type
    return twin


def _body_of(octets: bytes) -> bytes:
    return octets[octets.index(b"\r\n\r\n") + 4 :]


def _set_boundaries(message: Message) -> None:
    """Those that are missing, made of the content, so that the same message makes the same octets."""
    multiparts = [part for part in message.walk() if part.get_content_maintype() == "multipart"]
    bare = [part for part in multiparts if part.get_boundary() is None]
    if not bare:
        return
    digest = hashlib.sha256()
    for part in message.walk():
        if not part.is_multipart():
            digest.update(str(part.get_payload()).encode("utf-8", "surrogatepass"))
    for number, part in enumerate(bare):
        part.set_boundary(f"=_{digest.hexdigest()[:32]}_{number}")


def _generated(message: Message, within: str) -> bytes:
    from email.generator import BytesGenerator

    twin = _twin(message)
    _set_boundaries(twin)
    policy = _policy()
    delimiters: Counter[bytes] = Counter()
    _check_parts(twin, policy, (), delimiters, within)
    out = io.BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=policy).flatten(twin)
    octets = out.getvalue()
    found = Counter(line.rstrip() for line in _DELIMITER.findall(octets))
    if any(found[delimiter] != number for delimiter, number in delimiters.items()):
        expected = "boundaries that stand in no part"
        raise MessageError(f"{within}content", given=sorted(delimiters), expected=expected)
    return octets


def _policy() -> Policy:
    """Fields as they were parsed, or set; nothing is folded: half of the package's faults come of that."""
    from email.policy import Compat32, EmailPolicy

    modern = EmailPolicy(linesep=CRLF, cte_type="8bit", utf8=False, max_line_length=0)

    class Verbatim(Compat32):
        def fold_binary(self, name: str, value: Any) -> bytes:
            if hasattr(value, "fold"):  # a header object; P03, P12, P34
                return modern.fold_binary(name, value)
            if not isinstance(value, str):
                return super().fold_binary(name, value)
            text = f"{name}: {_NEWLINE.sub(CRLF, value)}{CRLF}"
            return text.encode("ascii", "surrogateescape")

    return Verbatim(linesep=CRLF, cte_type="8bit", max_line_length=0)


def _check_parts(
    part: Message, policy: Policy, above: tuple[str, ...], delimiters: Counter[bytes], within: str
) -> None:
    """Nothing in it is changed by writing it, and its boundaries differ from those around it."""
    for name, value in part.raw_items():
        _check_field(name, value, policy, within)
    if not part.is_multipart():
        given = part.get_payload()
        if isinstance(given, str) and _BARE_CR.search(given):
            raise MessageError(f"{within}content", given="a bare CR", expected="CRLF or LF")
        return
    children = children_of(part)
    if part.get_content_maintype() == "multipart":
        boundary = str(part.get_boundary())
        if boundary in above or not BOUNDARY.fullmatch(boundary):
            expected = "a boundary of its own in each part, of 1 to 70 letters, digits and '()+_,-./:=?"
            raise MessageError(f"{within}content", given=boundary, expected=expected)
        above = (*above, boundary)
        delimiters[boundary.encode()] += len(children)
        delimiters[f"{boundary}--".encode()] += 1
    for child in children:
        _check_parts(child, policy, above, delimiters, within)


def _check_field(name: str, value: Any, policy: Policy, within: str) -> None:
    """S1: the field is written as one field, whatever it holds (P03-P05)."""
    label = f"{within}headers[{name!a}]"
    checked_name(name, field=f"{within}headers")
    if not isinstance(value, str) and type(value).__module__ != "email.header":
        raise MessageError(label, given=value, expected="a str")  # P24
    lines = policy.fold_binary(name, value).split(b"\r\n")
    if lines.pop() or not _is_one_field(lines):
        raise MessageError(label, given=str(value), expected="a field of one line, or folded before blanks")


def _is_one_field(lines: list[bytes]) -> bool:
    is_clean = all(line.strip() and b"\n" not in line and b"\r" not in line for line in lines)
    return is_clean and all(line.startswith((b" ", b"\t")) for line in lines[1:])


def _fault(octets: bytes) -> str:
    """What stands in the way of 7bit."""
    if not octets.isascii():
        at = next(at for at, octet in enumerate(octets) if octet > 127)
        return f"octet 0x{octets[at]:02X} at {at}"
    if b"\0" in octets:
        return f"NUL at octet {octets.index(0)}"
    if octets.count(b"\r\n") != octets.count(b"\n") or octets.count(b"\r\n") != octets.count(b"\r"):
        return "mixed line ends"
    longest = max(map(len, octets.split(b"\r\n")))
    return f"a line of {longest} octets"
