"""Octets of a server in, replies out: strict, without I/O, in linear time.

RFC 5321 section 4.2: a reply is one or more lines. Each begins with the same three digits;
a hyphen after them says that more follow, a space (or the line's end) that this is the last:

    250-mx.example.net greets you
    250-SIZE 10485760
    250 PIPELINING

RFC 2034: the text may begin with an enhanced status code, `550 5.1.1 No such user`, on each
line. What does not fit is refused rather than guessed at: a reply taken for another one would
mark mail as delivered that is lost. A line feed alone is taken as a line end (servers do that,
and nothing hangs on it here); a carriage return alone is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from mailstrom.status import EnhancedCode, Reply

LINE_LIMIT = 4096  # octets with the line end; RFC 5321 4.5.3.1.5 asks servers to stay within 512
LINES_LIMIT = 128  # a reply
REPLY_LIMIT = 32 * 1024  # octets a reply
REMEMBERED = 256  # replies of one short line
REMEMBERED_OF_A_HOST = 16  # of them
REMEMBERED_LENGTH = 80  # octets

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# RFC 3463 2: class 2, 4 or 5; subject and detail of 1 to 3 digits, without leading zeros
_ENHANCED = re.compile(r"([245]\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2}))(?:[ \t]|$)", re.ASCII)
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*", re.ASCII)


class ReplyError(Exception):
    """What the server sent is no reply; the dialogue cannot go on."""


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """One reply as it was sent: text lines raw, without the enhanced code."""

    code: int
    enhanced: EnhancedCode | None
    lines: tuple[str, ...]
    reply: Reply = field(init=False, compare=False)  # the same, cleaned for statuses and logs

    def __post_init__(self) -> None:
        reply = Reply(code=self.code, enhanced=self.enhanced, text=" ".join(self.lines))
        object.__setattr__(self, "reply", reply)


class ReplyParser:
    """Collects octets with `feed`, hands out replies with `next`; what is left stays buffered."""

    __slots__ = ("_at", "_buffer", "_code", "_error", "_known", "_lines", "_scanned", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0  # where in it the next line begins
        self._scanned = 0  # so far there is no line end in it
        self._known: dict[bytes, ParsedReply] = {}  # what this host says over and over
        self._code: int | None = None  # of the reply that is being read
        self._lines: list[str] = []
        self._size = 0
        self._error: str | None = None

    @property
    def pending(self) -> bool:
        """Octets were fed that no reply has used up."""
        return self._at < len(self._buffer) or self._code is not None or self._error is not None

    @property
    def rest(self) -> bytes:
        """The octets behind the last complete line."""
        return self._buffer[self._at :]

    def feed(self, octets: bytes) -> None:
        """Adds what was received; nothing is kept after an error."""
        if self._error is None:
            # what is copied is no more than one line: a longer one is an error
            self._buffer = self._buffer[self._at :] + octets
            self._scanned -= self._at
            self._at = 0

    def next(self) -> ParsedReply | None:
        """The next complete reply, or None until more is fed. Raises `ReplyError`, then always."""
        if self._error is not None:
            raise ReplyError(self._error)
        try:
            while (line := self._line()) is not None:
                reply = self._known.get(line) if self._code is None else None
                if reply is not None or (reply := self._ended_by(line)) is not None:
                    return reply
            return None
        except ReplyError as error:
            self._error = str(error)
            self._buffer, self._at = b"", 0
            raise

    def end(self) -> None:
        """The connection has ended: raises `ReplyError` if that was inside a reply."""
        if self.pending:
            raise ReplyError(self._error or "the connection ended inside a reply")

    def _ended_by(self, line: bytes) -> ParsedReply | None:
        """The reply, where this line is its last one."""
        if self._code is None and (reply := self._remembered(line)) is not None:
            return reply
        code, is_last, text = parse_line(line)
        if self._code not in (None, code):
            raise ReplyError(f"a reply with two codes, {self._code} and {code}")
        self._code = code
        self._add(text, len(line))
        return self._finished(code) if is_last else None

    def _line(self) -> bytes | None:
        """The next one, without its line end."""
        found = self._buffer.find(b"\n", self._scanned)
        end = len(self._buffer) if found < 0 else found + 1
        if end - self._at > LINE_LIMIT:
            raise ReplyError(f"a reply line of more than {LINE_LIMIT} octets")
        self._scanned = end
        if found < 0:
            return None
        line = self._buffer[self._at : found]
        self._at = end
        return line.removesuffix(b"\r")

    def _remembered(self, line: bytes) -> ParsedReply | None:
        if not _is_said_often(line):
            return None
        reply = _whole_reply(line)
        if len(self._known) < REMEMBERED_OF_A_HOST:
            self._known[line] = reply
        return reply

    def _add(self, text: str, size: int) -> None:
        self._lines.append(text)
        self._size += size
        if len(self._lines) > LINES_LIMIT or self._size > REPLY_LIMIT:
            raise ReplyError(f"a reply of more than {LINES_LIMIT} lines or {REPLY_LIMIT} octets")

    def _finished(self, code: int) -> ParsedReply:
        parsed = _parsed(code, self._lines)
        self._code, self._lines, self._size = None, [], 0
        return parsed


def _is_said_often(line: bytes) -> bool:
    """One short line, and no number in it but the codes: what names a message or a client comes once."""
    if len(line) > REMEMBERED_LENGTH or line[3:4] != b" ":
        return False
    text = line[9:]
    return text.translate(None, b"0123456789") == text


@lru_cache(maxsize=REMEMBERED)
def _whole_reply(line: bytes) -> ParsedReply:
    """A reply of one line: hosts say few different ones, over and over."""
    code, _, text = parse_line(line)
    return _parsed(code, [text])


def parse_line(line: bytes) -> tuple[int, bool, str]:
    """Code, whether it is the last line, and text of a reply line without its line end."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise ReplyError(f"no reply line: {line[:60]!r}")
    text = found[3] or b""
    # RFC 5321 2.3.8: CR and LF stand for a line end only together
    if b"\r" in text:
        raise ReplyError("a carriage return inside a reply line")
    return int(found[1]), found[2] != b"-", text.decode("utf-8", "backslashreplace")


def split_enhanced_code(text: str) -> tuple[EnhancedCode | None, str]:
    """The enhanced status code a text begins with, if it does, and the text behind it."""
    found = _ENHANCED.match(text)
    if found is None:
        return None, text
    return _enhanced_code(found[1]), text[found.end() :]


@lru_cache(maxsize=64)  # hosts use few of them
def _enhanced_code(text: str) -> EnhancedCode | None:
    return EnhancedCode.parse(text)


def ehlo_extensions(reply: ParsedReply) -> Mapping[str, str]:
    """What an EHLO reply offers: keyword in upper case -> its parameters, "" for none.

    RFC 5321 4.1.1.1: the first line names the host. `AUTH=PLAIN`, as old servers write it,
    counts as `AUTH PLAIN`.
    """
    offered: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword = _KEYWORD.match(line)
        if keyword is None:
            continue
        name, rest = keyword[0].upper(), line[keyword.end() :]
        if name == "AUTH":
            offered[name] = f"{offered.get(name, '')} {rest.lstrip('=').strip()}".strip()
        elif rest[:1] in ("", " "):
            offered.setdefault(name, rest.strip())
    return offered


def _parsed(code: int, lines: Sequence[str]) -> ParsedReply:
    # RFC 2034 4: enhanced codes go with 2yz, 4yz and 5yz only, the same on each line
    if code // 100 == 3:
        return ParsedReply(code, None, tuple(lines))
    enhanced, rest = split_enhanced_code(lines[0])
    if len(lines) == 1:
        return ParsedReply(code, enhanced, (rest,))
    if enhanced is not None:
        parts = [split_enhanced_code(line) for line in lines]
        lines = [rest if own == enhanced else line for (own, rest), line in zip(parts, lines, strict=True)]
    return ParsedReply(code, enhanced, tuple(lines))
