"""One pass over a text of addresses, strict and in linear time.

The grammar is RFC 5322 section 3.4: `name <local@domain>` or `local@domain`, several with
commas between them, groups as `name: a, b;`. There are two ways of reading. What a caller
gives is read by the letter, without comments and without the obsolete syntax, save that a
word of a name may end with a full stop ("J. Doe", RFC 5322 section 4.1). What stands in the
header of a finished message may also hold comments, encoded words and empty list members,
since it is sent as it is. Source routes and the obsolete forms of an address are refused both
ways: an address with two readings is nothing to send mail to.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from ..errors import MessageError
from .encoded_word import decoded_words
from .mailbox import Group, Mailbox, checked_mailbox, checked_name
from .text import after_blanks, find_forbidden

__all__ = ["AddressReader"]

_Words: TypeAlias = list[tuple[str, bool]]  # text, "white space before it"

# atext and everything from U+00A0 on, said by what is left out, which compiles at once
_ATEXT = r"""^\x00-\x20()<>\[\]:;@\\,".\x7f-\x9f"""
_BLANKS = re.compile(r"[ \t]*+")
_WORD = re.compile(rf"[{_ATEXT}]++")
_DOT_STRING = re.compile(rf"[{_ATEXT}]++(?:\.[{_ATEXT}]++)*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_DOMAIN = re.compile(r"""[^ \t()<>\[\]:;@\\,"]++""")
_LITERAL = re.compile(r"\[[^ \t()<>\[\]\\,\"]*+\]")
# what nearly every address looks like; anything else takes the long way to the same answer
_SIMPLE = re.compile(
    rf"(?:([{_ATEXT}]++(?: [{_ATEXT}]++)*) ?+(<))?"
    r"([A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]++(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]++)*)"
    r"@([A-Za-z0-9.-]++)(?(2)>)[ \t]*+(?=,|\Z)"
)


class AddressReader:
    """A cursor over one text of addresses; `finished` reads what stands in a finished message."""

    def __init__(self, text: str, field: str, *, finished: bool = False) -> None:
        self._text = text
        self._field = field
        self._finished = finished
        self._at = 0

    def everything(self, may_be_empty: bool = False) -> tuple[Mailbox | Group, ...]:
        """All addresses; fails on anything left over."""
        found: list[Mailbox | Group] = []
        while True:
            self._skip()
            if self._finished and self._next() in (",", ""):  # RFC 5322 4.4: obs-addr-list
                pass
            else:
                found.append(self._simple() or self._address())
            if self._at == len(self._text):
                break
            self._separator()
        if not found and not may_be_empty:
            raise self._error("an address")
        return tuple(found)

    def bare_address(self) -> Mailbox:
        """The one addr-spec that the text is, without a name."""
        self._skip()
        found = self._addr_spec(None)
        if self._at != len(self._text):
            raise self._error("one address and nothing after it")
        return found

    def _simple(self) -> Mailbox | None:
        found = _SIMPLE.match(self._text, self._at)
        if found is None or (self._finished and "=?" in (found[1] or "")):
            return None
        self._at = found.end()
        return checked_mailbox(found[1], found[3], found[4], field=self._field, given=found[0])

    def _separator(self) -> None:
        character = self._next()
        if character == ";":
            raise self._error("a comma between addresses, not a semicolon (';')")
        if character == "@":
            raise self._error("one '@' in an address; a local part that holds another needs quotes")
        if character != ",":
            raise self._error("a comma between addresses")
        self._at += 1

    def _address(self) -> Mailbox | Group:
        mailbox_or_words = self._mailbox_or_words()
        if isinstance(mailbox_or_words, Mailbox):
            return mailbox_or_words
        if self._next() == ":" and mailbox_or_words:
            return self._group(self._name(mailbox_or_words))
        raise self._error_in_phrase(bool(mailbox_or_words))

    def _mailbox_or_words(self) -> Mailbox | _Words:
        """A mailbox, or the words before something that belongs to none."""
        if self._is_at_addr_spec():
            return self._addr_spec(None)
        words = self._phrase()
        return self._angle_address(self._name(words)) if self._next() == "<" else words

    def _is_at_addr_spec(self) -> bool:
        found = _DOT_STRING.match(self._text, self._at) or _QUOTED.match(self._text, self._at)
        if found is None:
            return False
        end = self._after_blanks(found.end()) if self._finished else found.end()
        return self._text.startswith("@", end)

    def _phrase(self) -> _Words:
        words: _Words = []
        while True:
            before = self._at
            self._skip()
            spaced = self._at > before
            if quoted := _QUOTED.match(self._text, self._at):
                words.append((_ESCAPED.sub(r"\1", quoted[1]), spaced))
                self._at = quoted.end()
            elif word := _WORD.match(self._text, self._at):
                self._at = word.end()
                words.append((word[0] + self._full_stop(), spaced))
            elif self._finished and words and self._next() == ".":  # RFC 5322 4.1: obs-phrase
                words.append((".", spaced))
                self._at += 1
            else:
                return words

    def _full_stop(self) -> str:
        """A "." that ends the word just read, else nothing (RFC 5322 4.1: obs-phrase)."""
        if not self._finished and self._next() == "." and self._text[self._at + 1 : self._at + 2] in " \t<":
            self._at += 1
            return "."
        return ""

    def _name(self, words: _Words) -> str:
        if not self._finished:
            return "".join(
                [f" {text}" if spaced and place else text for place, (text, spaced) in enumerate(words)]
            )
        name = decoded_words(words)
        if find_forbidden(name) or "\t" in name:  # for people only: shown as it stands
            return " ".join(text.replace("\t", " ") for text, _ in words)
        return name

    def _angle_address(self, name: str) -> Mailbox:
        self._at += 1
        self._skip()
        if self._next() == "@":
            raise self._error("an address without a source route")  # S7; RFC 5321 F.2
        found = self._addr_spec(name)
        if self._next() != ">":
            raise self._error("'>' after the address")
        self._at += 1
        self._skip()
        return found

    def _group(self, name: str) -> Group:
        checked = checked_name(name, field=self._field)
        if checked is None:
            raise self._error("a name before ':'")
        self._at += 1
        members: list[Mailbox] = []
        self._skip()
        while self._next() != ";":
            if self._finished and self._next() == ",":
                self._at += 1
            else:
                members.append(self._member())
            self._skip()
        self._at += 1
        self._skip()
        return Group(name=checked, members=tuple(members))

    def _member(self) -> Mailbox:
        member = self._simple() or self._mailbox_or_words()
        if not isinstance(member, Mailbox):
            if self._next() == ":":
                raise self._error("mailboxes in a group, not another group")
            raise self._error_in_phrase(bool(member))
        character = self._next()
        if character == "":
            raise self._error("';' at the end of the group")
        if character == ",":
            self._at += 1
            self._skip()
            if self._next() == ";" and not self._finished:
                raise self._error("an address after the comma")
        elif character != ";":
            raise self._error("a comma between addresses")
        return member

    def _addr_spec(self, name: str | None) -> Mailbox:
        start = self._at
        local_part = self._local_part()
        self._skip(inside=True)
        if self._next() != "@":
            raise self._error("'@' after the local part")
        self._at += 1
        self._skip(inside=True)
        domain = _DOMAIN.match(self._text, self._at) or _LITERAL.match(self._text, self._at)
        if domain is None:
            raise self._error("a domain after '@'")
        self._at = domain.end()
        given = self._text[start : self._at]
        self._skip()
        if self._next() == "@":
            raise self._error("one '@' in an address; a local part that holds another needs quotes")
        return checked_mailbox(name, local_part, domain[0], field=self._field, given=given)

    def _local_part(self) -> str:
        if quoted := _QUOTED.match(self._text, self._at):
            self._at = quoted.end()
            return _ESCAPED.sub(r"\1", quoted[1])
        if plain := _DOT_STRING.match(self._text, self._at):
            self._at = plain.end()
            return plain[0]
        raise self._error("a local part before '@'")

    def _skip(self, *, inside: bool = False) -> None:
        """Passes white space, and comments where they are allowed; `inside` an address neither."""
        if self._finished:
            self._at = self._after_blanks(self._at)
        elif not inside:
            found = _BLANKS.match(self._text, self._at)
            self._at = self._at if found is None else found.end()

    def _after_blanks(self, at: int) -> int:
        end = after_blanks(self._text, at)
        if end is None:
            raise self._error("')' at the end of the comment")
        return end

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _error_in_phrase(self, has_words: bool) -> MessageError:
        match self._next():
            case "(":
                return self._error("an address without comments (parentheses in a name need quotes)")
            case "@" if not has_words:
                return self._error("a local part before '@', and no source route")
            case ";":
                return self._error("a comma between addresses, not a semicolon (';')")
            case ".":
                return self._error(
                    "single dots inside a local part, and quotes around a name that holds dots"
                )
            case "":
                return self._error("an address such as user@example.org")
            case _:
                return self._error(
                    "user@example.org, or name <user@example.org> with quotes where there are specials"
                )

    def _error(self, expected: str) -> MessageError:
        where = "at the end" if self._at >= len(self._text) else f"at character {self._at + 1}"
        if self._next() == "(" and not self._finished:
            expected = "an address without comments"
        return MessageError(self._field, given=self._text, expected=f"{expected}, {where}")
