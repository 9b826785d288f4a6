"""Inputs for the doors: good ones broken in many ways, nasty fragments, and anything at all.

Each input is made from one drawn seed, so that drawing costs little and every input can be made
again. What fails is made small by `faults.smallest`.
"""

from __future__ import annotations

from random import Random

from tests.emails import FILENAMES, LINES, ODDITIES, WORDS
from tests.fuzz import messages
from tests.fuzz.doors import Door

__all__ = ["OCTETS", "TEXTS", "input_for"]

TEXT_LIMIT, OCTETS_LIMIT = 5_000, 20_000

CONTROLS = (
    "\r", "\n", "\r\n", "\r\n ", "\n\t", "\r\n\r\n", "\0", "\x01", "\x0b", "\x0c", "\x1b", "\x7f", "\x80",
    "\x85", "\u2028", "\u2029", "\ufeff", "\ufffd", "\ufffe", "\ufdd0", "\u202e", "\u200b", "\u00ad",
    "\ud800", "\udfff", "\udc80", "\U0010ffff", "\t", " ", "  ", "\u00a0", "\u3000", "\u0130", "\u1e9e",
    "\ufb01", "\u212a", "\uff0e",
)  # fmt: skip
TOKENS = (
    '"', '\\"', "\\", "\\\\", "(", ")", "()", "((", "<", ">", "<>", "[", "]", "@", "@@", ",", ",,", ";",
    ":", "::", ".", "..", "/", "=", "==", "?", "?=", "=?", "*", "**", "%", "%00", "%0d%0a", "%C3%28", "''",
    "utf-8''", "*0*=", "*1=", "+", "-", "--", "_", "~", "^", "`", "{", "|", "}", "&", "#", "!", "$", "'",
)  # fmt: skip
ENCODED = (
    "=?utf-8?q?=C3=BC?=", "=?utf-8?q?=C3?=", "=?utf-8?b?w7w=?=", "=?utf-8?B?w?=", "=?utf-8?b?====?=",
    "=?utf-8?q??=", "=?utf-8?q?=00?=", "=?utf-8?q?=0D=0ABcc:_x@y.example?=", "=?utf-7?q?+2AA-?=",
    "=?utf-16?b?2AA=?=", "=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "=?hex?q?00?=", "=?idna?q?xn--a?=",
    "=?x-unknown?q?a?=", "=?utf-8?x?a?=", "=?utf-8*de?q?a?=", "=?utf-8?q?a b?=", "=?utf-8?q?=E2=80=A8?=",
    f"=?utf-8?q?{'a' * 80}?=", "=?us-ascii?q?=FF?=", "=?utf-8?q?_?=", "=?utf-8?q?=09?=", "=?utf-8?q?=22?=",
    "=?UTF-8?Q?=2C?=", "=?gb18030?b?gTCBMA==?=",
)  # fmt: skip
ADDRESSES = (
    "ann@dest.example", "Ann <ann@dest.example>", '"a b"@dest.example', '"a\\"b"@dest.example',
    "jörg@dest.example", "a@bücher.example", "a@xn--bcher-kva.example", "a@xn--zz", "a@[192.0.2.1]",
    "a@[IPv6:::1]", "a@[x:y]", "a@b", "a@-b.example", "a@b..example", "a@b.example.",
    "G: a@b.example, c@d.example;", "G:;", "<@r.example:a@b.example>", "postmaster", "MAILER-DAEMON",
    f"{'a' * 64}@dest.example", f"{'a' * 65}@dest.example", f"a@{'b' * 63}.example",
    f"a@{'b.' * 120}example", "a@127.0.0.1", "a@dest.example\u3002example", "a@faß.example", "a@☃.example",
    "ÄÖ@x.example", "a@b.example, c@d.example", "ann@dest.example (Ann)", "=?utf-8?q?a?= <a@b.example>",
    "a@xn--ls8h.example",
)  # fmt: skip
LONG = (
    "a" * 997, "a" * 998, "a" * 999, "a " * 500, "ü" * 400, "a," * 300, "x@y.example, " * 60, "." * 1000,
    " " * 1100, "\\" * 300,
)  # fmt: skip
MAIL = (
    "Bcc: x@y.example", "Subject: x", "From: x@y.example", "Content-Type: text/plain", "multipart/mixed",
    "message/rfc822", "message/partial", "text/plain; charset=utf-8", "boundary=b", 'boundary="=_1_mixed"',
    "--=_1_mixed", "--=_1_mixed--", "base64", "quoted-printable", "8bit", "binary", "attachment", "inline",
    "filename=", "name*0*=utf-8''", "charset=utf-16", "charset=utf-7", "Mon, 02 Mar 2026 09:30:00 +0000",
    "31 Feb 2026 00:00 GMT", "1 Jan 1900 00:00:60 -9959", "<a@b.example>", "<a.b@[192.0.2.1]>", "< a @ b >",
    "v=1;", "v=DKIM1;", "k=rsa;", "p=", "b=", "bh=", "d=sender.example;", "l=1;", "t=99999999999;",
    "h=from:to;", "https://a.example/?b=%20", "mailto:a@b.example", "DKIM-Signature: v=1; a=rsa-sha256",
    "ARC-Seal: i=1", "0", "1", "99999999999999999999", "-1", "1e9", "٣", "2026", "+0000",
)  # fmt: skip

TEXTS = (*CONTROLS, *TOKENS, *ENCODED, *ADDRESSES, *LONG, *MAIL, *WORDS, *ODDITIES, *FILENAMES, *LINES)
OCTETS = (
    *[text.encode("utf-8", "surrogatepass") for text in TEXTS], b"\xff", b"\xc3", b"\xed\xa0\x80",
    b"\xfe\xff", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\n.\r\n", b"\r\n \r\n", b"\r\n\t",
    b"=\r\n", b"=0D=0A", b"=C3=", b"----", b"====", b"\r\n--b3\r\n", b"\r\n--b3--\r\n",
    b"\r\n--=_1_mixed--\r\n", b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: 8bit\r\n", b"MIME-Version: 1.0\r\n",
)  # fmt: skip


def input_for(door: Door, seed: int) -> str | bytes:
    """One input, always the same for the same seed."""
    chance = Random(seed)
    if door.takes_text:
        return _text(chance, [str(one) for one in door.examples])[:TEXT_LIMIT]
    return _octets(chance, [one for one in door.examples if isinstance(one, bytes)])[:OCTETS_LIMIT]


def _text(chance: Random, examples: list[str]) -> str:
    match chance.randrange(10):
        case 0:
            return "".join([_any_character(chance) for _ in range(chance.choice((1, 3, 20, 200)))])
        case 1:
            return chance.choice(TEXTS) * chance.choice((1, 2, 10, 80, 300))
        case 2 | 3:
            between = chance.choice(("", " ", ", ", ";", "\t", "|"))
            return between.join([chance.choice(TEXTS) for _ in range(chance.choice((1, 2, 3, 5, 12)))])
        case _:
            text = chance.choice(examples)
            for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
                text = _changed(chance, text)
            return text


def _any_character(chance: Random) -> str:
    most = chance.choice((0x7F, 0x7F, 0xFF, 0x2FFF, 0xFFFF, 0x10FFFF))
    return chr(chance.randint(0, most))


def _changed(chance: Random, text: str) -> str:
    """The text with one change."""
    at = chance.randint(0, len(text))
    end = min(len(text), at + chance.choice((1, 1, 2, 8, 40)))
    match chance.randrange(6):
        case 0:
            return text[:at] + text[end:]
        case 1:
            return text[:at] + text[at:end] * chance.choice((2, 3, 50)) + text[end:]
        case 2:
            return text[:at] + _any_character(chance) + text[end:]
        case _:
            return text[:at] + chance.choice(TEXTS) + text[chance.choice((at, end)) :]


def _octets(chance: Random, examples: list[bytes]) -> bytes:
    match chance.randrange(12):
        case 0:
            return chance.randbytes(chance.choice((1, 10, 100)))
        case 1:
            return b"".join([chance.choice(OCTETS) for _ in range(chance.choice((1, 2, 5, 20)))])
        case _:
            content = chance.choice(examples)
            for _ in range(chance.choice((0, 1, 1, 2, 3, 6))):
                content = _broken(chance, content, examples)
            return content


def _broken(chance: Random, content: bytes, examples: list[bytes]) -> bytes:
    """The octets with one change."""
    at = chance.randint(0, len(content))
    end = min(len(content), at + chance.choice((1, 1, 4, 30, 200)))
    match chance.randrange(14):
        case 0:
            flipped = bytes([content[at] ^ (1 << chance.randrange(8))]) if at < len(content) else b""
            return content[:at] + flipped + content[at + 1 :]
        case 1:
            return content[:at] + content[end:]
        case 2:
            return content[:at] + content[at:end] * 2 + content[end:]
        case 3:
            return content[:at]
        case 4:
            return content[:at] + chance.randbytes(1) + content[at + 1 :]
        case 5:
            return (
                content.replace(b"\r\n", b"\n") if chance.random() < 0.5 else content.replace(b"\n", b"\r\n")
            )
        case 6:
            other = chance.choice(examples)
            return content[:at] + other[chance.randint(0, len(other)) :]
        case 7 | 8 | 9:
            return _with_lines(chance, content)
        case _:
            return content[:at] + chance.choice(OCTETS) + content[chance.choice((at, end)) :]


def _with_lines(chance: Random, content: bytes) -> bytes:
    """The octets with a line repeated, moved, taken out, put in, or with another value."""
    lines = content.split(b"\r\n")
    at = chance.randrange(len(lines))
    match chance.randrange(6):
        case 0:
            lines.insert(at, lines[at])
        case 1:
            lines.insert(chance.randrange(len(lines)), lines.pop(at))
        case 2:
            del lines[at]
        case 3:
            lines.insert(chance.randrange(min(len(lines), 12)), chance.choice(messages.FIELDS))
        case _:
            name, colon, _ = lines[at].partition(b":")
            lines[at] = (
                name
                + colon
                + b" "
                + b" ".join([chance.choice(OCTETS) for _ in range(chance.choice((1, 1, 2)))])
            )
    return b"\r\n".join(lines)
