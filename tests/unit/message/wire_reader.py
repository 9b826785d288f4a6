"""A strict reader of mail as it stands on the wire, to judge what the writer wrote.

It shares nothing with mailstrom nor with the `email` package: written from RFC 5322 section 3,
RFC 2045 to 2047 and RFC 2231 alone, and without mercy. What a lenient reader would take in one
way and a strict one in another is `Malformed`, since one of the two readers gets it wrong.
"""

from __future__ import annotations

import binascii
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

ONCE = ("from", "date", "message-id")
AT_MOST_ONCE = (*ONCE, "sender", "reply-to", "to", "cc", "in-reply-to", "references", "subject")
AT_MOST_ONCE += ("mime-version", "content-type", "content-transfer-encoding")

_FIELD = re.compile(r"([!-9;-~]+):[ \t]*([^ \t].*)", re.DOTALL)
_WORD = re.compile(r"=\?([^?\s]*)\?([^?\s]*)\?([^?\s]*)\?=")
_TOKEN = re.compile(
    r"""(?P<blank>[ \t]+)
    | "(?P<quoted>(?:[^"\\]|\\.)*)"
    | (?P<literal>\[[^\[\]\\]*\])
    | (?P<atom>[^\x00-\x20\x7f()<>\[\]:;@\\,."]+)
    | (?P<special>[<>:;@,.])""",
    re.VERBOSE,
)
_PARAMETER = re.compile(r';[ \t]*([^\s=;"]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"()<>@,:\\/\[\]?=]+))[ \t]*')


class Malformed(AssertionError):
    """The octets are not what the RFCs ask for."""


def demand(fact: object, what: str, given: object = "") -> None:
    if not fact:
        raise Malformed(f"{what}: {given!r}")


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of the MIME tree, its transfer encoding taken off."""

    content_type: str
    parameters: dict[str, str]
    encoding: str
    disposition: str
    filename: str | None
    content_id: str | None
    octets: bytes

    @property
    def text(self) -> str:
        charset = self.parameters.get("charset", "us-ascii").lower()
        demand(charset in ("utf-8", "us-ascii"), "a text in UTF-8", charset)
        return self.octets.decode(charset)


@dataclass(frozen=True, slots=True)
class Wire:
    """One message: its header fields (name, value as it is folded), and the octets after them."""

    fields: tuple[tuple[str, str], ...]
    body: bytes
    content: bytes

    def names(self) -> list[str]:
        return [name.lower() for name, _ in self.fields]

    def all(self, name: str) -> list[str]:
        """The unfolded values of the fields of this name."""
        return [unfolded(value) for known, value in self.fields if known.lower() == name.lower()]

    def one(self, name: str) -> str:
        [value] = self.all(name)
        return value

    def lines(self, name: str) -> list[str]:
        """The field as it stands on the wire, line by line."""
        [found] = [f"{known}: {value}" for known, value in self.fields if known.lower() == name.lower()]
        return found.split("\r\n")

    def text(self, name: str) -> str:
        return decoded(self.one(name))

    def mailboxes(self, name: str) -> list[tuple[str, str]]:
        return mailboxes(self.one(name))

    def parts(self) -> list[Part]:
        return list(_leaves(self.fields, self.body))


def read(content: bytes, *, utf8: bool = False) -> Wire:
    """The message that was written; `Malformed` where any rule for writers is broken.

    Its header may hold raw UTF-8 where `utf8` says so (RFC 6532). Its body is 7-bit always.
    """
    wire = split(content)
    head = content[: len(content) - len(wire.body)]
    demand(utf8 or head.isascii(), "a header of ASCII", head)
    demand(wire.body.isascii(), "a body of 7-bit octets", wire.body[:200])
    _check_names(wire.names())
    for line in head.decode().split("\r\n"):
        _check_words(line)
    wire.parts()
    return wire


def split(content: bytes) -> Wire:
    """The same of octets that others wrote: the header's form alone (RFC 5322 sections 2.1, 2.2)."""
    demand(not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", content), "CR and LF as CRLF only, and no NUL")
    demand(max(map(len, content.split(b"\r\n"))) <= 998, "no line over 998 octets")
    head, gap, body = content.partition(b"\r\n\r\n")
    demand(gap, "an empty line after the header", content[:200])
    return Wire(tuple(_fields(head.decode("utf-8"))), body, content)


def unfolded(value: str) -> str:
    return value.replace("\r\n", "")


def _fields(head: str) -> Iterator[tuple[str, str]]:
    for lines in re.split(r"\r\n(?![ \t])", head) if head else ():
        found = _FIELD.fullmatch(lines)
        demand(found, "a name, a colon and a value", lines)
        assert found
        for line in found[2].split("\r\n"):
            demand(line.strip(" \t"), "no blank line in a header", lines)
            demand(not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]", line), "no controls", line)
        yield found[1], found[2]


def _check_names(names: list[str]) -> None:
    count = Counter(names)
    demand(all(count[name] == 1 for name in ONCE), "From, Date and Message-ID", names)
    demand(all(count[name] <= 1 for name in AT_MOST_ONCE), "no field twice", names)
    demand(not count["bcc"] and not count["resent-bcc"], "no Bcc", names)


def _check_words(line: str) -> None:
    """RFC 2047 section 2: words within 75, their lines within 76; section 5: blanks around them."""
    for found in _WORD.finditer(line):
        demand(len(found[0]) <= 75, "an encoded-word within 75", found[0])
        demand(len(line) <= 76, "a line of encoded-words within 76", line)
        _decoded_word(found)
        before, after = line[: found.start()][-1:], line[found.end() :][:1]
        demand(before in " \t(" and after in ("", " ", "\t", ")", ","), "blanks around a word", line)
    demand("?==?" not in line, "no words glued together", line)


def _decoded_word(found: re.Match[str]) -> str:
    charset, encoding, text = found.groups()
    demand(charset.lower() == "utf-8", "encoded-words in UTF-8", found[0])
    if encoding in "bB":
        return binascii.a2b_base64(text, strict_mode=True).decode()
    demand(encoding in "qQ" and re.fullmatch(r"(?:=[0-9A-F]{2}|[!-<>-~])+", text), "q or b", found[0])
    return unquote_to_bytes(text.replace("%", "=25").replace("=", "%").replace("_", " ")).decode()


def decoded(value: str) -> str:
    """Unstructured text as a reader sees it; blanks between two encoded-words vanish (6.2)."""
    shown, was_word, blanks = "", False, ""
    for piece in re.split(r"([ \t]+)", value):
        found = _WORD.fullmatch(piece)
        if not piece or piece.isspace():
            blanks += piece
            continue
        demand(found or not _WORD.search(piece), "an encoded-word that stands alone", value)
        shown += ("" if found and was_word else blanks) + (_decoded_word(found) if found else piece)
        was_word, blanks = bool(found), ""
    return shown + blanks


def mailboxes(value: str) -> list[tuple[str, str]]:
    """(name, addr-spec) of each mailbox in an address list, those of groups in the group's place."""
    found: list[tuple[str, str]] = []
    entry: list[tuple[str, str]] = []
    in_group = False
    for token in [*_tokens(uncommented(value)), ("special", ",")]:
        if token == ("special", ":"):
            demand(_phrase(entry) and not in_group, "a group with a name", value)
            entry, in_group = [], True
        elif token in (("special", ","), ("special", ";")):
            closes = token[1] == ";"
            demand(in_group or not closes, "a semicolon at the end of a group only", value)
            entry = _trimmed(entry)
            if entry and entry != [("special", ";")]:
                found.append(_mailbox(entry, value))
            else:
                demand(closes or entry, "an address before each comma", value)
            in_group, entry = in_group and not closes, [("special", ";")] if closes else []
        else:
            entry.append(token)
    demand(not in_group, "a group that ends", value)
    return found


def uncommented(value: str) -> str:
    """The value with a blank for each comment (RFC 5322 section 3.2.2), which may hold others."""
    kept, depth, quoted, escaped = "", 0, False, False
    for char in value:
        was_escaped, escaped = escaped, char == "\\" and not escaped
        if not was_escaped and char == '"' and not depth:
            quoted = not quoted
        elif not was_escaped and char == "(" and not quoted:
            depth += 1
        elif not was_escaped and char == ")" and depth:
            depth -= 1
            char = " "
        kept += "" if depth else char
    demand(depth == 0, "a comment that ends", value)
    return kept


def _tokens(value: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(value):
        found = _TOKEN.match(value, at)
        demand(found, "an address", value[at:])
        assert found
        assert found.lastgroup
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _trimmed(tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
    while tokens and tokens[-1][0] == "blank":
        tokens = tokens[:-1]
    while tokens and tokens[0][0] == "blank":
        tokens = tokens[1:]
    return tokens


def _mailbox(tokens: list[tuple[str, str]], value: str) -> tuple[str, str]:
    if ("special", "<") not in tokens:
        return "", _addr_spec(tokens, value)
    at = tokens.index(("special", "<"))
    demand(tokens[-1] == ("special", ">"), "> at the end of an address", value)
    return _phrase(tokens[:at]), _addr_spec(tokens[at + 1 : -1], value)


def _phrase(tokens: list[tuple[str, str]]) -> str:
    demand(all(kind in ("blank", "atom", "quoted") for kind, _ in tokens), "a name of words", tokens)
    name, was_encoded = "", False
    for kind, text in tokens:
        if kind == "blank":
            continue
        found = _WORD.fullmatch(text) if kind == "atom" else None
        word = _decoded_word(found) if found else re.sub(r"\\(.)", r"\1", text)
        name += ("" if not name or (found and was_encoded) else " ") + word
        was_encoded = bool(found)
    return name


def _addr_spec(tokens: list[tuple[str, str]], value: str) -> str:
    """The address as it is written; nothing blank and no encoded-word may stand within."""
    spec = "".join(f'"{text}"' if kind == "quoted" else text for kind, text in tokens)
    local, at, domain = spec.rpartition("@")
    demand(at and all(kind != "blank" for kind, _ in tokens), "an address in one piece", value)
    demand(local.startswith('"') or all(local.split(".")), "a local part", value)
    demand(domain.isascii() and (domain.startswith("[") or all(domain.split("."))), "a domain", value)
    demand(not local.startswith("=?"), "no encoded-word in an address", value)
    return spec


def _leaves(fields: tuple[tuple[str, str], ...], body: bytes) -> Iterator[Part]:
    head = {name.lower(): unfolded(value) for name, value in fields}
    content_type, parameters = _parameters(head.get("content-type", "text/plain; charset=us-ascii"))
    if content_type.startswith("multipart/"):
        demand(head.get("content-transfer-encoding", "7bit") == "7bit", "a multipart in 7bit", head)
        for piece in _pieces(body, parameters["boundary"].encode()):
            yield from _leaves(*_part(piece))
        return
    encoding = head.get("content-transfer-encoding", "7bit").lower()
    disposition, named = _parameters(head.get("content-disposition", "inline"))
    demand(encoding == "7bit" or not content_type.startswith("message/"), "a message in 7bit", encoding)
    yield Part(
        content_type, parameters, encoding, disposition, named.get("filename"), head.get("content-id"),
        _taken_off(encoding, body),
    )  # fmt: skip


def _part(piece: bytes) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """RFC 2046 section 5.1.1: a part has perhaps no header, and perhaps no body with its empty line."""
    if piece.startswith(b"\r\n"):
        return (), piece[2:]
    wire = split(piece if b"\r\n\r\n" in piece else piece + b"\r\n")
    return wire.fields, wire.body


def _pieces(body: bytes, boundary: bytes) -> list[bytes]:
    """RFC 2046 section 5.1.1: the line end before a boundary belongs to the boundary."""
    whole = b"\r\n" + body
    demand(whole.count(b"\r\n--" + boundary + b"--\r\n") == 1, "a last boundary", boundary)
    whole = whole[: whole.index(b"\r\n--" + boundary + b"--\r\n")]
    pieces = whole.split(b"\r\n--" + boundary + b"\r\n")[1:]
    demand(pieces and boundary not in b"".join(pieces), "parts, and a boundary that none holds")
    return pieces


def _taken_off(encoding: str, body: bytes) -> bytes:
    if encoding == "7bit":
        return body
    lines = body.split(b"\r\n")
    demand(max(map(len, lines)) <= 76, "encoded lines within 76", max(lines, key=len))
    if encoding == "base64":
        return binascii.a2b_base64(b"".join(lines), strict_mode=True) if any(lines) else b""
    demand(encoding == "quoted-printable", "a transfer encoding for 7-bit lines", encoding)
    for line in lines:
        demand(re.fullmatch(rb"(?:=[0-9A-F]{2}|[\t -<>-~])*=?", line), "quoted-printable", line)
        demand(not line.endswith((b" ", b"\t")), "no blank at the end of an encoded line", line)
    whole = re.sub(rb"=\r\n", b"", body)
    return unquote_to_bytes(whole.replace(b"%", b"=25").replace(b"=", b"%"))


def _parameters(value: str) -> tuple[str, dict[str, str]]:
    """The value without its parameters, and these: RFC 2231 where there is a choice."""
    essence, _, _ = value.partition(";")
    at, plain, extended = len(essence), {}, {}
    while at < len(value):
        found = _PARAMETER.match(value, at)
        demand(found, "parameters", value[at:])
        assert found
        at = found.end()
        text = re.sub(r"\\(.)", r"\1", found[2]) if found[2] is not None else found[3]
        demand(text.isascii() and not _WORD.search(text), "no encoded-word in a parameter", text)
        (extended if "*" in found[1] else plain)[found[1].lower()] = text
    demand(re.fullmatch(r"[^\s;/]+(/[^\s;/]+)?", essence.strip()), "a type", value)
    return essence.strip().lower(), plain | _joined(extended)


def _joined(extended: dict[str, str]) -> dict[str, str]:
    """RFC 2231 section 3 and 4: name*0*, name*1, ... are one value; a star at the end: %-encoded."""
    found: dict[str, bytes] = {}
    for name in {key.split("*")[0] for key in extended}:
        keys = [key for key in extended if key.split("*")[0] == name]
        numbers = [key.split("*")[1] for key in keys]
        demand(numbers in ([""], [str(place) for place in range(len(keys))]), "numbers in order", keys)
        text = [extended[key] if key.endswith("*") else extended[key].replace("%", "%25") for key in keys]
        if keys[0].endswith("*"):
            charset, _, rest = text[0].split("'", 2)
            demand(charset.lower() == "utf-8", "parameters in UTF-8", charset)
            text[0] = rest
        found[name] = unquote_to_bytes("".join(text))
    return {name: octets.decode() for name, octets in found.items()}
