"""A cursor over the value of one structured field: what all their grammars are made of.

RFC 5322 section 3.2 builds structured fields of atoms, quoted strings and comments, with white
space between (CFWS). A phrase is a row of words, each an atom, a quoted string or an encoded
word (RFC 2047 section 5). How much of it is taken depends on who wrote the text, which is what
`Reading` says. The text is one line: a fold is taken out before (section 2.2.3).

Every method passes what it finds, and looks at each character a fixed number of times.
"""

from __future__ import annotations

import re
from enum import Enum, unique
from typing import NamedTuple

from ...errors import MessageError
from ..text import after_blanks, checked_line, checked_text, shown
from ..writing.encoded_word import decoded_words
from .encoded_text import has_encoded_word, read_words

__all__ = ["ATEXT", "Cursor", "Reading", "Word"]

# atext and everything from U+00A0 on, said by what is left out, which compiles at once
ATEXT = r"""^\x00-\x20()<>\[\]:;@\\,".\x7f-\x9f"""
_BLANKS = re.compile(r"[ \t]*+")
_BEGIN_CFWS = frozenset([" ", "\t", "("])
_ATOM = re.compile(rf"[{ATEXT}]++")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NOT_IN_COMMENT = re.compile(r"[()\s]+")


@unique
class Reading(Enum):
    """How a text is read, by who wrote it."""

    GIVEN = "given"  # by a caller: no comments, nothing obsolete but a full stop after a word
    FINISHED = "finished"  # in octets that are sent as they are: what can be read in one way only
    STRICT = "strict"  # RFC 5322 section 3, by the letter
    OBSOLETE = "obsolete"  # section 4 as well


class Word(NamedTuple):
    """One word of a phrase, or the "." that an obsolete phrase may hold."""

    text: str
    is_spaced: bool  # white space or a comment stood before it
    is_quoted: bool = False


class Cursor:
    """A place in the text of one field."""

    __slots__ = ("at", "field", "has_comments", "is_loose", "reading", "text")

    def __init__(self, text: str, field: str, reading: Reading) -> None:
        self.text = (checked_line if reading is Reading.OBSOLETE else checked_text)(text, field=field)
        self.field = field
        self.at = 0
        self.reading = reading
        self.has_comments = reading is not Reading.GIVEN
        self.is_loose = reading in (Reading.FINISHED, Reading.OBSOLETE)  # takes obs-phrase and empty members

    @property
    def is_at_end(self) -> bool:
        """Nothing is left."""
        return self.at >= len(self.text)

    def next(self) -> str:
        """The next character, "" at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, character: str) -> bool:
        """Passes this character if it is the next one."""
        found = self.text.startswith(character, self.at)
        self.at += found * len(character)
        return found

    def demand(self, character: str, expected: str) -> None:
        """Passes this character; `MessageError` for any other."""
        if not self.take(character):
            raise self.error(expected)

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Passes what the pattern finds here; None where it finds nothing."""
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def skip(self) -> None:
        """Passes white space, and comments where they are allowed."""
        if self.text[self.at : self.at + 1] not in _BEGIN_CFWS:
            return
        if not self.has_comments:
            self.match(_BLANKS)
            return
        start = self.at
        self.at = self.after_blanks(start)
        if self.reading is Reading.STRICT and "=?" in self.text[start : self.at]:
            self._check_comments(start)

    def after_blanks(self, at: int) -> int:
        """Where white space and comments end that begin at `at`."""
        end = after_blanks(self.text, at)
        if end is None:
            self.at = self.text.find("(", at)
            raise self.error("')' at the end of the comment")
        return end

    def quoted_string(self, *, may_be_encoded: bool = False) -> str | None:
        """What a quoted string says; None where there is none."""
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            return None
        is_sent_on = self.reading in (Reading.GIVEN, Reading.FINISHED)
        if not (is_sent_on or may_be_encoded) and has_encoded_word(found[1]):
            raise self.error("no encoded word inside quotes")  # RFC 2047 5 (3)
        self.at = found.end()
        return _ESCAPED.sub(r"\1", found[1]) if "\\" in found[1] else found[1]

    def phrase(self) -> list[Word]:
        """The words here, perhaps none; the white space behind them is passed as well."""
        words: list[Word] = []
        while True:
            before = self.at
            self.skip()
            is_spaced = self.at > before
            quoted = self.quoted_string()
            if quoted is not None:
                words.append(Word(quoted, is_spaced, is_quoted=True))
            elif atom := self.match(_ATOM):
                words.append(Word(atom + self._full_stop(), is_spaced))
            elif self.is_loose and words and self.take("."):  # RFC 5322 4.1: obs-phrase
                words.append(Word(".", is_spaced))
            else:
                return words

    def dotted_words(self, expected: str) -> str:
        """Words with single dots between and CFWS anywhere (RFC 5322 4.4: obs-local-part)."""
        start = self.at
        words = self.phrase()
        dots = [not word.is_quoted and word.text == "." for word in words]
        if len(words) % 2 == 0 or any(is_dot == (place % 2 == 0) for place, is_dot in enumerate(dots)):
            self.at = start
            raise self.error(f"{expected}: words with single dots between")
        return "".join([word.text for word in words])

    def name(self, words: list[Word]) -> str:
        """What a phrase says to people."""
        if self.reading is Reading.GIVEN:
            return "".join([f" {word.text}" if word.is_spaced and place else word.text
                            for place, word in enumerate(words)])  # fmt: skip
        if self.reading is Reading.FINISHED:
            name = decoded_words(words)
            # for people only: shown as it stands
            return " ".join([word.text for word in words]) if shown(name) != name else name
        return read_words(words, field=self.field, obsolete=self.reading is Reading.OBSOLETE)

    def error(self, expected: str) -> MessageError:
        """The refusal of what stands here."""
        where = "at the end" if self.is_at_end else f"at character {self.at + 1}"
        return MessageError(self.field, given=self.text, expected=f"{expected}, {where}", at=self.at)

    def _full_stop(self) -> str:
        """A "." that ends the word just read, else nothing (RFC 5322 4.1: obs-phrase)."""
        is_given = self.reading is Reading.GIVEN
        if is_given and self.next() == "." and self.text[self.at + 1 : self.at + 2] in " \t<":
            self.at += 1
            return "."
        return ""

    def _check_comments(self, start: int) -> None:
        # RFC 2047 7: what begins and ends like an encoded word in a comment must be one
        words = [Word(text, True) for text in _NOT_IN_COMMENT.split(self.text[start : self.at]) if text]
        read_words(words, field=self.field, obsolete=False, in_comment=True)
