"""One pass over a text of addresses, strict and in linear time.

The grammar is RFC 5322 section 3.4: `name <local@domain>` or `local@domain`, several with
commas between them, groups as `name: a, b;`. How it is read depends on who wrote it
(`Reading`):

- What a caller gives is read by the letter, without comments and without the obsolete syntax,
  save that a word of a name may end with a full stop ("J. Doe", section 4.1).
- What stands in octets that are sent as they are may also hold comments, encoded words and
  empty list members. Source routes and the obsolete forms of an address are refused: an
  address with two readings is nothing to send mail to.
- The strict reader of messages takes section 3 alone, and the one of obsolete messages
  section 4 as well: routes (dropped), CFWS between the parts of an address, and the rest.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ...errors import MessageError
from ..grammar import LABEL_LIMIT, LOCAL_PART_LIMIT
from ..mailbox import Group, Mailbox, checked_mailbox, checked_name, known_mailbox
from ..text import checked_text
from .cursor import ATEXT, Cursor, Reading, Word
from .encoded_text import has_encoded_word, read_words

__all__ = ["AddressReader", "is_read_as", "read_addresses"]

REMEMBERED = 1024  # short address fields that were read
REMEMBERED_LENGTH = 200  # characters

_DOT_STRING = re.compile(rf"[{ATEXT}]++(?:\.[{ATEXT}]++)*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_DOMAIN = re.compile(r"""[^ \t()<>\[\]:;@\\,"]++""")
_LITERAL = re.compile(r"\[[^()<>\[\]\\,\"]*+\]")
# what nearly every address looks like; anything else takes the long way to the same answer
_SIMPLE = re.compile(
    rf"""[ \t]*+(?:(?:([{ATEXT}]++(?: [{ATEXT}]++)*)|"([^\x00-\x1f"\\]*+)") ?+(<))?"""
    r"([A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]++(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]++)*)"
    # lower case, hyphens one at a time, no digit at the end: nothing here needs a second look
    r"@([a-z0-9]++(?:[.-][a-z0-9]++)*)(?<=[a-z])(?(3)>)[ \t]*+(?=,|\Z)"
)
_ONE_AT = "one '@' in an address; a local part that holds another needs quotes"


def read_addresses(
    text: str, field: str, reading: Reading, *, may_be_empty: bool = False
) -> tuple[Mailbox | Group, ...]:
    """All addresses that the text is; `MessageError` for anything else in it."""
    simple = None if reading is Reading.OBSOLETE else _simple_ones(text, field, reading)
    if simple is not None:
        return tuple([known_mailbox(*parts) for parts in simple])
    return AddressReader(text, field, reading).everything(may_be_empty)


def is_read_as(text: str, addresses: tuple[Mailbox | Group, ...], field: str) -> bool:
    """Whether a strict reader finds exactly these in the text; `MessageError` where it finds none."""
    simple = (_remembered if len(text) <= REMEMBERED_LENGTH else _strictly_simple)(text, field)
    if simple is None:
        return AddressReader(text, field, Reading.STRICT).everything() == addresses
    # part by part: no value is made of what was read, only to be compared
    return simple == [
        (one.name, one.local_part, one.domain) if isinstance(one, Mailbox) else None for one in addresses
    ]


def _strictly_simple(text: str, field: str) -> list[tuple[str | None, str, str]] | None:
    return _simple_ones(text, field, Reading.STRICT)


@lru_cache(maxsize=REMEMBERED)
def _remembered(text: str, field: str) -> list[tuple[str | None, str, str]] | None:
    """What we write is read back each time, and many emails have the same From."""
    return _strictly_simple(text, field)


def _simple_ones(text: str, field: str, reading: Reading) -> list[tuple[str | None, str, str]] | None:
    """The parts of the mailboxes that the text is, where all of them are simple.

    No way of reading differs there, but about encoded words: with them it is simple only to be strict.
    """
    has_encoded = "=?" in text
    if has_encoded and reading is not Reading.STRICT:
        return None
    checked_text(text, field=field)
    found: list[tuple[str | None, str, str]] = []
    at = 0
    while simple := _SIMPLE.match(text, at):
        name, quoted, _, local_part, domain = simple.groups()
        if not _is_short(local_part, domain):
            return None
        if has_encoded and "=?" in simple[0]:
            if name is None or "=?" in local_part:
                return None
            words = [(word, place > 0, False) for place, word in enumerate(name.split(" "))]
            name = checked_name(read_words(words, field=field), field=field)
        elif quoted is not None:
            name = quoted.strip(" ") or None
        found.append((name, local_part, domain))
        at = simple.end()
        if at == len(text):
            return found
        at += 1  # the comma
    return None


class AddressReader(Cursor):
    """A cursor over one text of addresses."""

    __slots__ = ()

    def everything(self, may_be_empty: bool = False) -> tuple[Mailbox | Group, ...]:
        """All addresses; fails on anything left over."""
        found: list[Mailbox | Group] = []
        while True:
            if simple := self._simple():
                found.append(simple)
            else:
                self.skip()
                is_empty = self.is_loose or (may_be_empty and not found and self.is_at_end)
                if not (is_empty and self.next() in (",", "")):  # RFC 5322 4.4: obs-addr-list
                    found.append(self._address())
            if self.is_at_end:
                break
            self._separator()
        if not found and not may_be_empty:
            raise self.error("an address")
        return tuple(found)

    def bare_address(self) -> Mailbox:
        """The one addr-spec that the text is, without a name."""
        self.skip()
        found = self._addr_spec(None)
        if not self.is_at_end:
            raise self.error("one address and nothing after it")
        return found

    def path(self) -> Mailbox | None:
        """The path that the text is (RFC 5322 section 3.6.7); None for `<>`."""
        self.skip()
        if self.next() != "<":
            raise self.error("a path in angle brackets")
        start = self.at
        self.at += 1
        self.skip()
        found = None
        if not self.take(">"):
            self.at = start
            found = self._angle_address("")
        self.skip()
        if not self.is_at_end:
            raise self.error("one path and nothing after it")
        return found

    def _simple(self) -> Mailbox | None:
        found = _SIMPLE.match(self.text, self.at)
        if found is None or (self.has_comments and "=?" in found[0]):
            return None
        name, quoted, _, local_part, domain = found.groups()
        if not _is_short(local_part, domain) or "=?" in local_part:
            return None
        if quoted is not None:
            name = quoted.strip(" ") or None
        self.at = found.end()
        return known_mailbox(name, local_part, domain)

    def _separator(self) -> None:
        if self.take(","):
            return
        character = self.next()
        if character == ";":
            raise self.error("a comma between addresses, not a semicolon (';')")
        if character == "@":
            raise self.error(_ONE_AT)
        raise self.error("a comma between addresses")

    def _address(self) -> Mailbox | Group:
        mailbox_or_words = self._mailbox_or_words()
        if isinstance(mailbox_or_words, Mailbox):
            return mailbox_or_words
        if self.next() == ":" and mailbox_or_words:
            return self._group(self.name(mailbox_or_words))
        raise self._error_in_phrase(bool(mailbox_or_words))

    def _mailbox_or_words(self) -> Mailbox | list[Word]:
        """A mailbox, or the words before something that belongs to none."""
        if self._is_at_addr_spec():
            return self._addr_spec(None)
        start = self.at
        words = self.phrase()
        if self.next() == "<":
            return self._angle_address(self.name(words))
        if self.next() == "@" and words and self.reading is Reading.OBSOLETE:
            self.at = start
            return self._addr_spec(None)
        return words

    def _is_at_addr_spec(self) -> bool:
        found = _DOT_STRING.match(self.text, self.at) or _QUOTED.match(self.text, self.at)
        if found is None:
            return False
        end = self.after_blanks(found.end()) if self.has_comments else found.end()
        return self.text.startswith("@", end)

    def _angle_address(self, name: str) -> Mailbox:
        self.at += 1
        self.skip()
        if self.next() in ("@", ",") and self.reading is Reading.OBSOLETE:
            self._route()
        if self.next() == "@":
            raise self.error("an address without a source route")  # S7; RFC 5321 F.2
        found = self._addr_spec(name)
        self.demand(">", "'>' after the address")
        self.skip()
        return found

    def _route(self) -> None:
        """Passes what RFC 5322 section 4.4 says to ignore: `@a.example,@b.example:`."""
        while not self.take(":"):
            if self.take("@"):
                self.skip()
                self._domain()
            elif not self.take(","):
                raise self.error("'@' or ':' in a source route")
            self.skip()
        self.skip()

    def _group(self, name: str) -> Group:
        checked = checked_name(name, field=self.field)
        if checked is None:
            raise self.error("a name before ':'")
        self.at += 1
        members: list[Mailbox] = []
        self.skip()
        while self.next() != ";":
            if self.is_loose and self.next() == ",":
                self.at += 1
            else:
                members.append(self._member())
            self.skip()
        self.at += 1
        self.skip()
        return Group(name=checked, members=tuple(members))

    def _member(self) -> Mailbox:
        member = self._simple() or self._mailbox_or_words()
        if not isinstance(member, Mailbox):
            if self.next() == ":":
                raise self.error("mailboxes in a group, not another group")
            raise self._error_in_phrase(bool(member))
        if self.is_at_end:
            raise self.error("';' at the end of the group")
        if self.take(","):
            self.skip()
            if self.next() == ";" and not self.is_loose:
                raise self.error("an address after the comma")
        elif self.next() != ";":
            raise self.error("a comma between addresses")
        return member

    def _addr_spec(self, name: str | None) -> Mailbox:
        start = self.at
        local_part = self._local_part()
        self._skip_inside()
        self.demand("@", "'@' after the local part")
        self._skip_inside()
        domain = self._domain()
        given = self.text[start : self.at]
        if self.has_comments and has_encoded_word(given):
            self.at = start
            raise self.error("no encoded word in an address")  # RFC 2047 5; P16
        self.skip()
        if self.next() == "@":
            raise self.error(_ONE_AT)
        return checked_mailbox(name, local_part, domain, field=self.field, given=given)

    def _local_part(self) -> str:
        if self.reading is Reading.OBSOLETE:
            return self.dotted_words("a local part before '@'")
        quoted = self.quoted_string()
        found = self.match(_DOT_STRING) if quoted is None else quoted
        if found is None:
            raise self.error("a local part before '@'")
        return found

    def _domain(self) -> str:
        literal = self.match(_LITERAL)
        if literal is not None:
            # RFC 5322 3.4.1: folding white space may stand inside the brackets
            inner = literal[1:-1].strip(" \t") if self.has_comments else literal[1:-1]
            return f"[{inner}]"
        found = self.match(_DOMAIN)
        if found is None:
            raise self.error("a domain after '@'")
        while self.reading is Reading.OBSOLETE:  # RFC 5322 4.4: obs-domain
            end = self.after_blanks(self.at)
            if end == self.at or not (found.endswith(".") or self.text.startswith(".", end)):
                break
            self.at = end
            found += "." if self.take(".") else ""
            self.skip()
            found += self.match(_DOMAIN) or ""
        return found

    def _skip_inside(self) -> None:
        """Passes comments and white space around "@", where they are allowed at all."""
        if self.has_comments:
            self.skip()

    def _error_in_phrase(self, has_words: bool) -> MessageError:
        match self.next():
            case "(":
                return self.error("an address without comments (parentheses in a name need quotes)")
            case "@" if not has_words:
                return self.error("a local part before '@', and no source route")
            case ";":
                return self.error("a comma between addresses, not a semicolon (';')")
            case ".":
                return self.error("quotes around a name that holds dots, or single dots inside a local part")
            case "":
                return self.error("an address such as user@example.org")
            case _:
                return self.error(
                    "user@example.org, or name <user@example.org> with quotes where there are specials"
                )

    def error(self, expected: str) -> MessageError:
        """The refusal of what stands here."""
        if self.next() == "(" and not self.has_comments:
            expected = "an address without comments"
        return Cursor.error(self, expected)


def _is_short(local_part: str, domain: str) -> bool:
    # whatever the dots in the domain, each of its labels is short enough then
    return len(local_part) <= LOCAL_PART_LIMIT and len(domain) <= LABEL_LIMIT
