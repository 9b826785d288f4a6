"""Fields of the standard library's messages: their values read, and written by our writer.

Its legacy classes hold the text of a field as it is written, encoded words included; the
modern one holds it as it is read, in header objects that tell defects, addresses, parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from ...errors import MessageError
from ..address import Group, Mailbox, expanded, parse_address_field
from ..date import read_date
from ..message_id import read_message_ids
from ..reading.content_type import read_content_type, read_disposition
from ..reading.cursor import Cursor, Reading
from ..reading.encoded_text import has_encoded_word, read_text
from ..reading.finished import field_label
from ..reading.trace import check_received, check_return_path
from ..text import checked_text, without_folds
from ..writing import written
from ..writing.header import checked_name, is_structured
from ..writing.parameter import checked_filename
from ..writing.written import Written

if TYPE_CHECKING:
    from email.headerregistry import BaseHeader
    from email.message import Message

__all__ = [
    "READING_FAULTS",
    "Typed",
    "children_of",
    "disposition_of",
    "fields_in",
    "is_mime_field",
    "one_value",
    "text_of",
    "type_of",
    "written_field",
]

# P25, P36, P51: the package breaks in many ways, and always late
READING_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RecursionError,
    TypeError,
    ValueError,
)

_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]{1,127}")  # RFC 2045 5.1
_TYPE = re.compile(rf"{_TOKEN.pattern}/{_TOKEN.pattern}")
_ADDRESS_FIELDS = frozenset(["from", "sender", "reply-to", "to", "cc", "bcc"])
_EMPTY_MEMBER = re.compile(r"^[ \t]*,|,[ \t]*(?:,|$)")
_ID_FIELDS = frozenset(["message-id", "in-reply-to", "references", "content-id"])
_CHECKS: dict[str, Callable[..., object]] = {
    "date": read_date,
    "received": check_received,
    "return-path": partial(check_return_path, reading=Reading.STRICT),
}
# what the strict parser judges itself, or better
_HARMLESS_DEFECTS = frozenset(["ObsoleteHeaderDefect", "NonASCIILocalPartDefect"])


class Typed(NamedTuple):
    """A Content-Type or a Content-Disposition: its value, in lower case, and its parameters."""

    value: str
    parameters: tuple[tuple[str, str], ...]

    @property
    def maintype(self) -> str:
        return self.value.partition("/")[0]

    @property
    def subtype(self) -> str:
        return self.value.partition("/")[2]

    def parameter(self, name: str) -> str | None:
        return dict(self.parameters).get(name)

    def without(self, name: str) -> tuple[tuple[str, str], ...]:
        """The parameters but this one."""
        return tuple([pair for pair in self.parameters if pair[0] != name])


def fields_in(part: Message, within: str = "") -> Iterator[tuple[str, object]]:
    """The fields of a part, in order, as its class reads them."""
    for name, raw in part.raw_items():
        if _is_raw(raw):  # P30: the package replaces what it cannot read
            expected = "ASCII with encoded words, no octets beyond (or give the message as bytes)"
            raise MessageError(within + field_label(name), given=raw, expected=expected)
        yield name, _as_read(part, name, raw)


def _as_read(part: Message, name: str, raw: str) -> object:
    try:
        read = part.policy.header_fetch_parse(name, raw)
    except READING_FAULTS:  # P25, P36: our parsers say what is wrong with it
        return raw
    # what was parsed is shown as it stood: the package writes "<>" for "<"
    is_address = name.lower().removeprefix("resent-") in _ADDRESS_FIELDS
    is_broken = is_address and type(raw) is str and _defects(read) - _HARMLESS_DEFECTS
    return raw if is_broken else read


def _is_raw(value: object) -> bool:
    """It holds octets beyond ASCII, as surrogates."""
    return isinstance(value, str) and _SURROGATE.search(value) is not None


def is_mime_field(name: str) -> bool:
    """It belongs to the body, and is written with it."""
    return name.lower().startswith("content-") or name.lower() == "mime-version"


def written_field(name: str, value: object, *, within: str = "") -> Written:
    """The field as we write it; `within` is put before its name in errors."""
    label = within + field_label(checked_name(name, field=f"{within}headers"))
    lower = name.lower()
    base = lower.removeprefix("resent-")
    text = text_of(value, label)
    if base in _ADDRESS_FIELDS:
        return _addresses(name, value, text, label)
    if base in _ID_FIELDS:
        return written.ids(name, _ids(base, text, label), label=label)
    if lower == "keywords":
        return written.phrases(name, _phrases(text, value, label), label=label)
    if is_structured(base) or is_structured(lower):
        tokens = text.strip(" \t")
        _CHECKS.get(base, _unchecked)(tokens, field=label)
        return written.structured(name, tokens, label=label)
    is_read = _is_modern(value) or _is_header(value)
    plain = text if is_read else read_text(text, field=label)
    return written.text(name, plain, label=label, long_words=base in ("subject", "comments"))


def _ids(name: str, text: str, label: str) -> tuple[str, ...]:
    ids = read_message_ids(text, field=label)
    if len(ids) > 1 and name not in ("in-reply-to", "references"):
        raise MessageError(label, given=text, expected="one id, such as make_msgid() makes")
    return ids


def _unchecked(text: str, *, field: str) -> None:
    """Any tokens will do."""


def text_of(value: object, label: str) -> str:
    """The text of a field on one line."""
    if not isinstance(value, str) and not _is_header(value):
        raise MessageError(label, given=value, expected="a str")  # P24: None, bytes, numbers
    try:
        text = str(value)
    except UnicodeError as error:  # P51
        raise MessageError(label, given=value, expected="text in a known charset") from error
    return checked_text(text if _is_header(value) else without_folds(text), field=label)


def _is_header(value: object) -> bool:
    """An `email.header.Header`: its text is what it says, not how that is written."""
    return type(value).__module__ == "email.header"


def children_of(part: Message) -> list[Message]:
    """The parts of a part that holds parts."""
    return cast("list[Message]", part.get_payload())


def one_value(part: Message, name: str, label: str) -> object:
    """The value of a field that a part has at most once, as it was parsed or set; None for no such field."""
    values = [value for key, value in part.raw_items() if key.lower() == name.lower()]
    if len(values) > 1:
        raise MessageError(label, given=[str(value) for value in values], expected=f"one {name} field")
    return values[0] if values else None


def type_of(part: Message, within: str) -> Typed:
    """The Content-Type of a part, or what it is where there is none."""
    label = f"{within}content_type"
    value = one_value(part, "Content-Type", label)
    if value is None:
        return Typed(part.get_default_type(), ())
    found = _modern(value, getattr(value, "content_type", None), label)
    if found is None:
        read = read_content_type(_unended(value, label), field=label)
        found = Typed(read.essence, read.parameters)
    if not _TYPE.fullmatch(found.value):
        raise MessageError(label, given=found.value, expected="type/subtype, such as text/plain")
    return _checked(found, label)


def disposition_of(part: Message, within: str) -> Typed | None:
    """The Content-Disposition of a part."""
    label = f"{within}content_disposition"
    value = one_value(part, "Content-Disposition", label)
    if value is None:
        return None
    found = _modern(value, getattr(value, "content_disposition", None), label)
    if found is None:
        read = read_disposition(_unended(value, label), field=label)
        found = Typed(read.kind, read.parameters)
    if not _TOKEN.fullmatch(found.value):
        raise MessageError(label, given=found.value, expected="a disposition such as attachment")
    return _checked(found, label)


def _unended(value: object, label: str) -> str:
    """The text of the field but a ";" at its end, which the modern class, too, reads over."""
    return text_of(value, label).rstrip("; \t")


def _modern(value: object, kind: object, label: str) -> Typed | None:
    """What the modern class has read when it was set; None for a text."""
    parameters = getattr(value, "params", None)
    if parameters is None:
        return None
    text_of(value, label)
    if _defects(value) or not isinstance(kind, str):
        expected = f"{label.rpartition('.')[2]} as RFC 2045 and RFC 2231 have it"
        found = "; ".join(map(str, getattr(value, "defects", ())))
        raise MessageError(label, given=str(value), expected=f"{expected} (the package finds: {found})")
    return Typed(kind, tuple([(str(name), str(given)) for name, given in parameters.items()]))


def _checked(found: Typed, label: str) -> Typed:
    for name, value in found.parameters:
        if has_encoded_word(value):  # RFC 2047 5: it has no place there, but many write and read it
            expected = "no encoded word in a parameter: give the name itself, RFC 2231 is applied to it"
            raise MessageError(label, given=value, expected=expected)
        if name in ("name", "filename"):
            checked_filename(value, field=label)
    lowered = tuple([(name.lower(), value) for name, value in found.parameters])
    return Typed(found.value.lower(), lowered)


def _phrases(text: str, value: object, label: str) -> list[str]:
    """What stands between the commas (RFC 5322 section 3.6.5)."""
    cursor = Cursor(text, label, Reading.GIVEN if _is_modern(value) else Reading.FINISHED)
    phrases: list[str] = []
    while True:
        words = cursor.phrase()
        if not words:
            raise cursor.error("a keyword: words, or a text in quotes")
        phrases.append(checked_text(cursor.name(words), field=label))
        if cursor.is_at_end:
            return phrases
        cursor.demand(",", "',' between keywords")


def _is_modern(value: object) -> bool:
    return hasattr(value, "defects")


def _defects(value: object) -> set[str]:
    return {type(defect).__name__ for defect in getattr(value, "defects", ())}


def _addresses(name: str, value: object, text: str, label: str) -> Written:
    defects = _defects(value) - _HARMLESS_DEFECTS
    if defects:
        found = ", ".join(sorted(defects))
        expected = f"addresses with commas between them, not semicolons (the package finds {found})"
        raise MessageError(label, given=text, expected=expected)
    typed = _typed(value, text)
    if _EMPTY_MEMBER.search(typed) and '"' not in typed and "(" not in typed:  # P24
        raise MessageError(label, given=text, expected="an address before and behind each comma")
    addresses = parse_address_field(text, field=label, may_be_empty=label.endswith("bcc"))
    _check_same_addresses(value, addresses, label)
    if not addresses:
        return Written(name, f"{name}:", label, None)
    return written.address(name, addresses, label=label)


def _typed(value: object, text: str) -> str:
    """The text as it was set: the modern class reads over an empty place in a list."""
    if not _is_modern(value):
        return text
    from email.policy import SMTP

    folded = cast("BaseHeader", value).fold(policy=SMTP.clone(max_line_length=0))
    return folded.partition(":")[2].strip()


def _check_same_addresses(value: object, found: tuple[Mailbox | Group, ...], label: str) -> None:
    """S6: the modern class parses, too; where it finds other addresses, one of them is not meant."""
    theirs = getattr(value, "addresses", None)
    if theirs is None:
        return
    ours = [mailbox.local_part for mailbox in expanded(found)]
    if ours != [address.username for address in theirs]:
        raise MessageError(label, given=str(value), expected="addresses that can be read in one way only")
