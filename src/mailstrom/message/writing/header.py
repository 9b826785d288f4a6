"""Header fields as they are written (RFC 5322 section 2.2, folding in 2.2.3).

A field is a name, a colon and a value; a long one goes on in lines that begin with a blank.
Lines should have 78 characters and must not pass 998 octets (section 2.1.1). Here a field is
cut into tokens first and lines are broken only between them, so that no address, message id
or quoted name is ever torn. The first line always carries a token, and no line is blank: some
readers take either for the end of the header.

A value is text, where RFC 2047 applies, or it is structured, where it never does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ...errors import MessageError
from ..lines import LINE_LIMIT
from ..mailbox import Group, Mailbox, quoted_phrase
from .encoded_word import encoded_words, looks_encoded

__all__ = [
    "address_field",
    "checked_name",
    "is_structured",
    "phrase_field",
    "structured_field",
    "text_field",
    "token_field",
]

LINE = 76  # RFC 2047 2: a line with an encoded word has at most 76 characters

_FTEXT = re.compile(r"[!-9;-~]++")  # RFC 5322 3.6.8
_UNIT = re.compile(r"[ \t]*+[^ \t]++")
_STRUCTURED = frozenset(
    [
        "archived-at", "authentication-results", "auto-submitted", "autocrypt", "date", "delivered-to",
        "disposition-notification-to", "dkim-signature", "errors-to", "feedback-id", "in-reply-to",
        "message-id", "mime-version", "precedence", "received", "references", "return-path", "x-original-to",
    ]
)  # fmt: skip
_STRUCTURED_FAMILIES = ("list-", "content-", "arc-", "received-", "resent-")


def checked_name(name: object, *, field: str = "headers") -> str:
    """The field name; `MessageError` unless it is printable ASCII without a colon."""
    # S2: RFC 5322 3.6.8
    if not isinstance(name, str) or not _FTEXT.fullmatch(name) or len(name) > LINE:
        expected = f"a field name of 1 to {LINE} printable ASCII characters without ':'"
        raise MessageError(f"{field}[{name!a}]", given=name, expected=expected)
    return name


def is_structured(name: str) -> bool:
    """A field whose tokens have a meaning of their own, so that none may be an encoded word."""
    lower = name.lower()
    if lower == "content-description":  # RFC 2045 8: text
        return False
    return lower in _STRUCTURED or lower.startswith(_STRUCTURED_FAMILIES)


def text_field(name: str, text: str, *, field: str, long_words: bool = False) -> str:
    """An unstructured field that is read back as `text`, whatever it looks like.

    ASCII stays as it is. Everything else, and what a reader might take for an encoded word or
    trim away, is encoded; with `long_words` also what does not fit on a line.
    """
    line = f"{name}: {text}"
    if text.isascii() and not looks_encoded(text) and "\t" not in text and text.strip(" ") == text:
        if len(line) <= LINE:
            return line if text else f"{name}:"
        folded = _fold_units(name, text)
        if folded is not None and (not long_words or _fits(folded)):
            return _checked_lines(folded, field)
    return token_field(name, encoded_words(text, taken=len(name) + 2), field=field)


def structured_field(name: str, value: str, *, field: str) -> str:
    """A field written as it stands, in ASCII, broken only at spaces."""
    if not value.isascii():
        expected = "ASCII: this field is structured and cannot be encoded (use A-labels, percent-encoding)"
        raise MessageError(field, given=value, expected=expected)
    if not value or value.strip(" \t") != value:
        raise MessageError(field, given=value, expected="a value without blanks at its ends")
    line = f"{name}: {value}"
    return line if len(line) <= LINE else _checked_lines(_lines(f"{name}: ", _UNIT.findall(value)), field)


def address_field(name: str, addresses: Sequence[Mailbox | Group], *, field: str) -> str:
    """A field of mailboxes and groups; names encoded or quoted where they must be."""
    line = _short_address_line(name, addresses)
    if line is not None:
        return line
    tokens: list[str] = []
    for address in addresses:
        if tokens:
            tokens[-1] += ","
        if isinstance(address, Mailbox):
            tokens += _mailbox_tokens(address, 0 if tokens else len(name) + 2)
        else:
            tokens += _group_tokens(address)
    return token_field(name, tokens, field=field)


def _short_address_line(name: str, addresses: Sequence[Mailbox | Group]) -> str | None:
    """Mailboxes that fit on one line, their names as they are or in quotes; None for anything else."""
    written: list[str] = []
    for mailbox in addresses:
        if not isinstance(mailbox, Mailbox):
            return None
        if mailbox.name is None:
            written += _mailbox_tokens(mailbox, 0)
        elif mailbox.name.isascii() and "=?" not in mailbox.name:
            written.append(f"{quoted_phrase(mailbox.name)} <{mailbox.address}>")
        else:
            return None
    line = f"{name}: {', '.join(written)}"
    return line if len(line) <= LINE else None


def phrase_field(name: str, phrases: Iterable[str], *, field: str) -> str:
    """A field of phrases with commas between, as Keywords is (RFC 5322 section 3.6.5)."""
    tokens: list[str] = []
    for phrase in phrases:
        # RFC 2047 5 (3): an encoded word is set apart by white space
        if tokens and looks_encoded(tokens[-1]):
            tokens.append(",")
        elif tokens:
            tokens[-1] += ","
        tokens += _phrase(phrase, 0 if tokens else len(name) + 2)
    return token_field(name, tokens, field=field)


def token_field(name: str, tokens: Iterable[str], *, field: str) -> str:
    """A field of tokens with single spaces between; a line is broken only between two of them."""
    line = f"{name}: {' '.join(tokens)}" if isinstance(tokens, list) else ""
    if line and len(line) <= LINE:
        return line
    units = [token if place == 0 else f" {token}" for place, token in enumerate(tokens)]
    return _checked_lines(_lines(f"{name}: ", units), field)


def _fold_units(name: str, text: str) -> str | None:
    """`text` folded at single spaces; None where that cannot be, or would make long lines."""
    units = _UNIT.findall(text)
    if any(len(unit) > LINE and unit.startswith("  ") for unit in units):
        return None
    folded = _lines(f"{name}: ", units)
    # many readers make one space of a line end and all the blanks behind it
    return None if "\r\n  " in folded else folded


def _lines(start: str, units: list[str]) -> str:
    """The units, each with its own blanks in front, on lines of 76 where they allow it."""
    lines: list[str] = []
    line = start
    for place, unit in enumerate(units):
        if place and len(line) + len(unit) > LINE:
            lines.append(line)
            line = unit
        else:
            line += unit
    lines.append(line)
    return "\r\n".join(lines)


def _fits(folded: str) -> bool:
    return all(len(line.encode()) <= LINE_LIMIT for line in folded.split("\r\n"))


def _checked_lines(folded: str, field: str) -> str:
    if not _fits(folded):
        given = max(folded.split("\r\n"), key=len)
        expected = f"words that fit on a line of {LINE_LIMIT} octets"
        raise MessageError(field, given=given, expected=expected)
    return folded


def _mailbox_tokens(mailbox: Mailbox, taken: int, *, in_group: bool = False) -> list[str]:
    address = mailbox.address
    if mailbox.name is None:
        # some readers see only in brackets where quotes and literals end
        return [f"<{address}>" if '"' in address or "[" in address else address]
    return [*_phrase(mailbox.name, taken, in_group=in_group), f"<{address}>"]


def _group_tokens(group: Group) -> list[str]:
    name = _phrase(group.name, 0)
    # RFC 2047 5 (3): an encoded word is set apart by white space
    tokens = [*name, ":"] if looks_encoded(name[-1]) else [*name[:-1], f"{name[-1]}:"]
    for place, member in enumerate(group.members):
        if place:
            tokens[-1] += ","
        tokens += _mailbox_tokens(member, 0, in_group=True)
    tokens[-1] += ";"
    return tokens


def _phrase(name: str, taken: int, *, in_group: bool = False) -> list[str]:
    """The words of a display name: atoms, one quoted string, or encoded words."""
    # some readers take every ";" for the end of the group
    if name.isascii() and not looks_encoded(name) and not (in_group and ";" in name):
        phrase = quoted_phrase(name)
        if phrase.startswith('"'):
            if len(phrase) <= LINE - 4:  # never folded: quotes that end on another line get lost
                return [phrase]
        else:
            words = phrase.split(" ")
            if len(phrase) < LINE or max(map(len, words)) < LINE:
                return words
    return encoded_words(name, taken=taken)
