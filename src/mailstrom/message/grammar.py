"""What an address looks like, by the letter: recognisers made from the ABNF.

Two standards describe an address, and they differ. RFC 5322 section 3.4.1 `addr-spec` is for
header fields: comments and folding may stand around its parts, a domain is any dot-atom, and
an obsolete syntax (section 4.4) exists that readers take and writers must not use. RFC 5321
section 4.1.2 `Mailbox` is for the envelope: no comments, domains are host names, address
literals are IP addresses, and lengths are limited (section 4.5.3.1). RFC 6531 and 6532 let
UTF-8 into both. What mailstrom sends must be a `Mailbox`.

Every recogniser here runs in time linear in its input.
"""

from __future__ import annotations

import re
from enum import StrEnum, unique

__all__ = [
    "AddrSpec",
    "classify_addr_spec",
    "is_address_literal",
    "is_smtp_domain",
    "is_smtp_local_part",
    "is_smtp_mailbox",
    "wire_local_part",
]

LOCAL_PART_LIMIT = 64  # RFC 5321 4.5.3.1.1, octets
DOMAIN_LIMIT = 255  # RFC 5321 4.5.3.1.2, octets
PATH_LIMIT = 256  # RFC 5321 4.5.3.1.3, octets, with the angle brackets
LABEL_LIMIT = 63  # RFC 1035 2.3.4, octets

# CPython 3.11.0-3.11.4 match possessive groups wrongly: only classes are possessive in this package
_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]"
# RFC 6531 3.3: beyond ASCII everything; said by what is left out, which compiles at once
_ATEXT_UTF8 = r"""[^\x00-\x20()<>\[\]:;@\\,".\x7f]"""
_DOT_STRING = re.compile(rf"{_ATEXT}++(?:\.{_ATEXT}++)*")
_DOT_STRING_UTF8 = re.compile(rf"{_ATEXT_UTF8}++(?:\.{_ATEXT_UTF8}++)*")
# RFC 5321 4.1.2: qtextSMTP and quoted-pairSMTP; no control characters, not even escaped
_QUOTED_STRING_UTF8 = re.compile(r'"(?:[^\x00-\x1f"\\\x7f]|\\[ -~])*"')
_QUOTABLE = re.compile(r"[^\x00-\x1f\x7f]*+")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_LABEL_UTF8 = re.compile(r"[^\x00-/:-@\[-`{-\x7f](?:[^\x00-,./:-@\[-`{-\x7f]*[^\x00-/:-@\[-`{-\x7f])?")
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_IPV6_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_SURROGATE = re.compile("[\ud800-\udfff]")


@unique
class AddrSpec(StrEnum):
    """How a text stands to the `addr-spec` of RFC 5322."""

    VALID = "valid"
    OBSOLETE = "obsolete"  # section 4.4: to be read, never to be written
    INVALID = "invalid"


def classify_addr_spec(text: str, *, utf8: bool = True) -> AddrSpec:
    """Whether `text` is an `addr-spec` (RFC 5322 section 3.4.1), comments and folding included."""
    if not _has_octets(text, utf8):
        return AddrSpec.INVALID
    scanner = _Scanner(text)
    if not (scanner.local_part() and scanner.take("@") and scanner.domain() and scanner.at_end):
        return AddrSpec.INVALID
    return AddrSpec.OBSOLETE if scanner.obsolete else AddrSpec.VALID


def is_smtp_mailbox(text: str, *, utf8: bool = True) -> bool:
    """Whether `text` is a `Mailbox` (RFC 5321 section 4.1.2) within the limits of 4.5.3.1."""
    if not _has_octets(text, utf8) or len(text.encode()) > PATH_LIMIT - 2:
        return False
    local_part, at, domain = _halves(text)
    if not at or not is_smtp_local_part(local_part, utf8=utf8):
        return False
    return is_address_literal(domain) if domain.startswith("[") else is_smtp_domain(domain, utf8=utf8)


def is_smtp_local_part(text: str, *, utf8: bool = True) -> bool:
    """Whether `text` is a `Local-part` (RFC 5321 section 4.1.2) of at most 64 octets."""
    if not _has_octets(text, utf8) or len(text.encode()) > LOCAL_PART_LIMIT:
        return False
    return bool(_DOT_STRING_UTF8.fullmatch(text) or _QUOTED_STRING_UTF8.fullmatch(text))


def is_smtp_domain(text: str, *, utf8: bool = True) -> bool:
    """Whether `text` is a `Domain` (RFC 5321 section 4.1.2) of at most 255 octets, labels of 63.

    With `utf8` labels may hold any non-ASCII character: whether IDNA allows it is another
    question.
    """
    if not _has_octets(text, utf8) or len(text.encode()) > DOMAIN_LIMIT:
        return False
    return all(
        _LABEL_UTF8.fullmatch(label) and len(label.encode()) <= LABEL_LIMIT for label in text.split(".")
    )


def is_address_literal(text: str) -> bool:
    """Whether `text` is an `address-literal` (RFC 5321 section 4.1.3) of IPv4 or IPv6.

    "IPv6" is the only tag that is registered, and so the only `General-address-literal`.
    """
    if len(text) > 64 or not (text.startswith("[") and text.endswith("]")):
        return False
    inner = text[1:-1]
    return _is_ipv6(inner[5:]) if inner[:5].lower() == "ipv6:" else _is_ipv4(inner)


def wire_local_part(local_part: str) -> str | None:
    """The local part as the envelope writes it, quoted only where it must be.

    None where it cannot be written at all: RFC 5321 section 4.1.2 has no way to put a control
    character into a `Quoted-string`.
    """
    # RFC 5321 4.1.2: "the form that uses the minimum quoting possible" is the one to send
    if local_part.isalnum() or _DOT_STRING_UTF8.fullmatch(local_part):
        return local_part
    if not _QUOTABLE.fullmatch(local_part):
        return None
    escaped = local_part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _has_octets(text: str, utf8: bool) -> bool:
    return text.isascii() or (utf8 and not _SURROGATE.search(text))


def _halves(text: str) -> tuple[str, str, str]:
    """Local part, "@" and domain; a quoted local part may hold an "@" itself."""
    if not text.startswith('"'):
        return text.partition("@")
    quoted = _QUOTED_STRING_UTF8.match(text)
    if quoted is None:
        return text, "", ""
    domain = text[quoted.end() :]
    return quoted[0], domain[:1] if domain.startswith("@") else "", domain[1:]


def _is_ipv4(text: str) -> bool:
    return bool(_IPV4.fullmatch(text)) and all(int(number) <= 255 for number in text.split("."))


def _is_ipv6(text: str) -> bool:
    groups, double, rest = text.partition("::")
    before, after = _groups(groups), _groups(rest)
    if before is None or after is None:
        return False
    last = after if double else before
    has_ipv4 = bool(last) and "." in last[-1]
    if has_ipv4 and not _is_ipv4(last.pop()):
        return False
    if not all(_IPV6_GROUP.fullmatch(group) for group in before + after):
        return False
    # RFC 5321 4.1.3: "::" stands for at least two groups
    size = len(before) + len(after) + 2 * has_ipv4
    return size <= 6 if double else size == 8


def _groups(text: str) -> list[str] | None:
    """The parts between colons; None where a part is empty."""
    if not text:
        return []
    groups = text.split(":")
    return groups if all(groups) else None


# RFC 5322 3.2, with the obsolete forms of 4.1: each piece from "the position" on
_WSP = re.compile(r"[ \t]*+")
_ATOM = re.compile(rf"{_ATEXT_UTF8}++")
_CTEXT = re.compile(r"[^\x00-\x20()\\\x7f]++")
_QTEXT = re.compile(r'[^\x00-\x20"\\\x7f]++')
_DTEXT = re.compile(r"[^\x00-\x20\[\]\\\x7f]++")
_OBS_CTL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]++")  # RFC 5322 4.1: obs-NO-WS-CTL
_PAIR = re.compile(r"\\[^\x00-\x08\x0a-\x1f\x7f]")
_OBS_PAIR = re.compile(r"\\[\x00-\x1f\x7f]")  # RFC 5322 4.1: obs-qp


class _Scanner:
    """A cursor over one addr-spec. Methods return whether they found their piece and pass it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.obsolete = False

    @property
    def at_end(self) -> bool:
        return self._at == len(self._text)

    def take(self, character: str) -> bool:
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def local_part(self) -> bool:
        return self._words(quoted=True)

    def domain(self) -> bool:
        start, was_obsolete = self._at, self.obsolete
        if self._cfws() and self._enclosed("[", "]", _DTEXT):
            return self._cfws()
        self._at, self.obsolete = start, was_obsolete
        return self._words(quoted=False)

    def _words(self, *, quoted: bool) -> bool:
        """Words between dots: a dot-atom, a quoted-string, or their obsolete mixture."""
        count = strings = 0
        blank_inside = False
        while True:
            before = self._at
            if not self._cfws():
                return False
            blank_inside |= count > 0 and self._at > before
            if self._pass(_ATOM):
                pass
            elif quoted and self._enclosed('"', '"', _QTEXT):
                strings += 1
            else:
                return False
            count += 1
            after = self._at
            if not self._cfws():
                return False
            trailing = self._at > after
            if not self.take("."):
                break
            blank_inside |= trailing
        # RFC 5322 4.4: obs-local-part and obs-domain
        self.obsolete |= blank_inside or (strings > 0 and count > 1)
        return True

    def _pass(self, piece: re.Pattern[str]) -> bool:
        found = piece.match(self._text, self._at)
        if found is None:
            return False
        self._at = found.end()
        return True

    def _pass_obsolete(self, piece: re.Pattern[str]) -> bool:
        found = self._pass(piece)
        self.obsolete |= found
        return found

    def _cfws(self) -> bool:
        """Passes comments and folding white space, if any; False where a comment is broken."""
        while self._fws():
            if not self._text.startswith("(", self._at):
                return True
            if not self._comment():
                return False
        return False

    def _fws(self) -> bool:
        """Passes folding white space, if any; False where a line end is not followed by a blank."""
        self._pass(_WSP)
        folds = 0
        while self._text.startswith("\r\n", self._at):
            self._at += 2
            start = self._at
            self._pass(_WSP)
            if self._at == start:
                return False
            folds += 1
        self.obsolete |= folds > 1  # RFC 5322 4.2 with erratum 1908: obs-FWS
        return True

    def _comment(self) -> bool:
        depth = 0
        while True:
            if self.take("("):
                depth += 1
            elif self.take(")"):
                depth -= 1
                if depth == 0:
                    return True
            elif not self._content(_CTEXT):
                return False

    def _enclosed(self, opening: str, closing: str, content: re.Pattern[str]) -> bool:
        if not self.take(opening):
            return False
        while not self.take(closing):
            at = self._at
            if not self._content(content):
                return False
            # RFC 5322 4.4: a quoted-pair in a domain-literal is obs-dtext
            self.obsolete |= opening == "[" and self._text.startswith("\\", at)
        return True

    def _content(self, plain: re.Pattern[str]) -> bool:
        if self._pass(plain) or self._pass(_PAIR):
            return True
        if self._pass_obsolete(_OBS_CTL) or self._pass_obsolete(_OBS_PAIR):
            return True
        at = self._at
        return self._fws() and self._at > at
