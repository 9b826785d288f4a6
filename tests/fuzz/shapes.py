"""Inputs that tempt a reader into looking at the same thing again and again, in any size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

__all__ = ["OCTET_SHAPES", "TEXT_SHAPES"]

UNITS = (
    "(", ")", "()", "(a) ", '"', '""', '"a" ', '\\"', "\\", " ", "\t", ",", ", ", ";", "; ", ":", ":;", "<",
    ">", "<>", "@", ".", "[", "]", "=", "==", "?", "=?", "?=", "=? ", "=?a?q?", "=?a?q?a", "=?utf-8?q?a?=",
    "=?utf-8?q?a?= ", "=?utf-8?b?YQ==?=\t", "=?utf-8?q?=", "a", "a.", ".a", "a ", "a@", "a,", "a;", "-",
    "a-", "--", "1", "1:", "%", "%41", "*", "'", "*0*=", ";a=b", "; a*0=b", ";a=", "/", "a/", "|", "&", "ü",
    "é ", "🙂", "a\u0301", "\u0301\u0316", "\u202e", "\u3002", "\u0130", "\r", "\n", "\r\n", "\r\n ", "\0",
    "a@b.example, ", "a@b.example,", "<a@b.example>,", "Ann Lee <a@b.example>, ", '"a b" <a@b.example>,',
    "=?utf-8?q?a?= <a@b.example>, ", "G:a@b.example;,", "<a@b> ", "<a.b@c.d>", "@a.example,", "word, ",
    '"a, b", ', "a\n", ".\n", "METHOD:", "\nMETHOD:a", "xn--a.", "X-Tag ", "https://a.example/",
)  # fmt: skip

# what stands before, what is repeated, what stands behind
FRAMES = (
    ("", "(", "", ")"), ('"', "\\", "", '"'), ('"', "a", "", '"@b.example'),
    ('"', '\\"', "", '"@b.example'), ("a@[", ":", "", "]"), ("a@[IPv6:", "1:", "", "]"),
    ("a@", "b.", "", "example"), ("a@", "xn--a.", "", "example"), ("a@", "é", "", ".example"),
    ("a@", "a-", "", "a.example"), ("ü", "\u0301\u0316", "", "@b.example"),
    ("a\u0315", "\u0300", "\u0315", "@b.example"), ("x:", "a@b.example,", "", "c@d.example;"),
    ("", "a ", "", "<a@b.example>"), ("", "=?utf-8?q?a?= ", "", "<a@b.example>"),
    ("", "a.", "", "<a@b.example>"), ("<", "@a.example,", "", ":b@c.example>"),
    ("=?utf-8?q?", "a", "", "?="), ("=?utf-8?q?", "=C3=BC", "", "?="), ("=?utf-8?b?", "YWFh", "", "?="),
    ("=?", "a", "", "?q?a?="), ("a", " ", "", ""), ("", " ", "", "a"), ("a", " ", "", "b"),
    ("a", "\t", "", "b"), ("ü", " ", "", "ü"), ("a@b.example", " ", "", ""), ("a@b.example", "(a)", "", ""),
    ("a@b.example", "(", "", ")"), ("Mon, 02 Mar 2026 09:30:00 +0000 ", "(", "", ")"),
    ("Mon, 02 Mar 2026 09:30:00 +0000 ", "(a) ", "", ""),
    ("", "(a)", "", "Mon, 02 Mar 2026 09:30:00 +0000"), ("Mon,", " ", "", "02 Mar 2026 09:30:00 +0000"),
    ("Mon, 02 Mar ", "1", "", " 09:30:00 +0000"), ("<", "a.", "", "a@b>"), ("<a@", "b.", "", "b>"),
    ("<a@[", "b", "", "]>"), ("<", '"a".', "", "a@b>"), ("", "a ", "", "<a@b>"), ("", "<a@b> ", "", "x"),
    ("text/plain", "; a=b", "", ""), ("text/plain", ";", "", ""), ('text/plain; a="', "\\a", "", '"'),
    ('text/plain; a="', "a", "", '"'), ("text/plain; a=", "a", "", ""), ("text/plain;", " ", "", "a=b"),
    ("text/plain", "(a)", "", ""), ("text/plain; a*=utf-8''", "%C3%BC", "", ""),
    ("multipart/mixed; boundary=", "a", "", ""), ("", "a", "", "/plain"),
    ("attachment; filename=", "a", "", ""), ("from ", "a ", "", "; Mon, 02 Mar 2026 09:30:00 +0000"),
    ("from ", "(a) ", "", "; x"), ("<https://a.example/", "a", "", ">"), ("https://", "a.", "", "example"),
    ("https://a.example/", "%20", "", ""), ("https://[", ":", "", "]/"), ("mailto:", "a", "", "@b.example"),
    ("mailto:a@b.example?", "a=b&", "", ""), ("auto-generated", "; a=b", "", ""),
    ('auto-generated; a="', "a", "", '"'), ("v=1; h=", "from:", "", "to"), ("utf-8 ", "ü", "", ""),
    ("utf-7 ", "+AGE-", "", ""), ("utf-7 ", "+", "", ""), ("hz ", "~{", "", ""),
    ("iso-2022-jp ", "\x1b$B", "", ""), ("big5 ", "ü", "", ""), ("punycode ", "a", "", ""),
    ("/", "a/", "", ""), ("X-Tag=", "a ", "", ""), ("X-Tag: ", "a ", "", ""),
    ("To: ", "a@b.example, ", "", "c@d.example"), ("x|y|z|s|c|", "a\n", "", "|<p>|"),
    ("|||||", "--=_1_mixed\n", "", "|x"),
)  # fmt: skip

MESSAGE = b"From: a@b.example\r\nDate: Mon, 02 Mar 2026 09:30:00 +0000\r\n"
MIME = MESSAGE + b"MIME-Version: 1.0\r\n"
MIXED = MIME + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
BASE64 = MIME + b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
QUOTED = (
    MIME + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
)
SIGNATURE = b"DKIM-Signature: v=1; a=ed25519-sha256; d=b.example; s=s; bh=" + b"A" * 43 + b"=; b=AAAA;"
RECEIVED = b"Received: from a by b; Mon, 02 Mar 2026 09:30:00 +0000\r\n"
RESENT = (
    b"Resent-Date: Mon, 02 Mar 2026 09:30:00 +0000\r\nResent-From: a@b.example\r\nResent-To: c@d.example\r\n"
)

# the same of octets
OCTET_FRAMES: dict[str, tuple[bytes, bytes, bytes]] = {
    "nothing but line ends": (b"", b"\r\n", b""),
    "nothing but LF": (b"", b"\n", b""),
    "nothing but CR": (b"", b"\r", b""),
    "CR and LF by turns": (b"", b"\n\r", b""),
    "one long line": (b"", b"a", b""),
    "NUL": (b"", b"\0", b""),
    "octets beyond ASCII": (MESSAGE + b"\r\n", b"\xff", b""),
    "lines without a colon": (MESSAGE, b"aaaa\r\n", b"\r\n"),
    "many fields": (MESSAGE, b"X-A: b\r\n", b"\r\n"),
    "many fields in 8 bits": (MESSAGE, b"X-A: \xc3\xbc\r\n", b"\r\n"),
    "fields without a value": (MESSAGE, b"a:\r\n", b"\r\n"),
    "fields with odd names": (MESSAGE, b"a : b\r\n", b"\r\n"),
    "a header that never ends": (MESSAGE, b"X-A: b\r\n", b""),
    "one field in many lines": (MESSAGE + b"X-A: b\r\n", b" c\r\n", b"\r\n"),
    "one field in many blank lines": (MESSAGE + b"X-A: b\r\n", b" \r\n", b"\r\n"),
    "a subject in many lines": (MESSAGE + b"Subject: b\r\n", b" c\r\n", b"\r\n"),
    "a subject of encoded words": (MESSAGE + b"Subject:", b" =?utf-8?q?a?=\r\n", b"\r\n"),
    "a subject of broken words": (MESSAGE + b"Subject:", b" =?utf-8?q?a\r\n", b"\r\n"),
    "many subjects": (MESSAGE, b"Subject: a\r\n", b"\r\n"),
    "recipients": (MESSAGE + b"To: a@b.example", b",\r\n a@b.example", b"\r\n\r\n"),
    "named recipients": (MESSAGE + b"To: a@b.example", b",\r\n =?utf-8?q?a?= <a@b.example>", b"\r\n\r\n"),
    "many To": (MESSAGE, b"To: a@b.example\r\n", b"\r\n"),
    "many Bcc": (MESSAGE, b"Bcc: a@b.example\r\n", b"\r\n"),
    "an unclosed comment": (MESSAGE + b"To: a@b.example", b"\r\n (", b"\r\n\r\n"),
    "an unclosed group": (MESSAGE + b"To: g:", b"\r\n a@b.example,", b"\r\n\r\n"),
    "unclosed quotes": (MESSAGE + b"To: ", b'\r\n "', b"\r\n\r\n"),
    "routes": (MESSAGE + b"To: <", b"\r\n @a.example,", b"\r\n :a@b.example>\r\n\r\n"),
    "references": (MESSAGE + b"Message-ID: <a@b>\r\nReferences:", b"\r\n <a@b.example>", b"\r\n\r\n"),
    "obsolete references": (MESSAGE + b"References:", b"\r\n your < a @ b >", b"\r\n\r\n"),
    "broken references": (MESSAGE + b"References:", b"\r\n <", b"\r\n\r\n"),
    "keywords": (MESSAGE + b"Keywords: a", b",\r\n a b", b"\r\n\r\n"),
    "many Keywords": (MESSAGE, b"Keywords: a\r\n", b"\r\n"),
    "many Received": (b"", RECEIVED, MESSAGE + b"\r\n"),
    "many resent blocks": (b"", RESENT, MESSAGE + b"\r\n"),
    "many Return-Path": (b"", b"Return-Path: <a@b.example>\r\n" + RECEIVED, MESSAGE + b"\r\n"),
    "short lines": (MESSAGE + b"\r\n", b"a\r\n", b""),
    "dots": (MESSAGE + b"\r\n", b".\r\n", b""),
    "long lines": (MESSAGE + b"\r\n", b"a" * 998 + b"\r\n", b""),
    "blanks": (MESSAGE + b"\r\n", b" ", b""),
    "lines that end with blanks": (MESSAGE + b"\r\n", b"a  \t\r\n", b""),
    "runs of blanks": (MESSAGE + b"\r\n", b"a" + b" " * 50, b"\r\n"),
    "empty lines at the end": (MESSAGE + b"\r\na", b"\r\n", b""),
    "empty lines and blanks": (MESSAGE + b"\r\na", b"\r\n ", b""),
    "lines in LF": (MESSAGE.replace(b"\r", b"") + b"\n", b"a\n", b""),
    "many parts": (MIXED, b"--b\r\n\r\na\r\n", b"--b--\r\n"),
    "parts that are empty": (MIXED, b"--b\r\n\r\n", b"--b--\r\n"),
    "parts without an empty line": (MIXED, b"--b\r\n", b"--b--\r\n"),
    "parts that never end": (MIXED, b"--b\r\n\r\na\r\n", b""),
    "the end again and again": (MIXED + b"--b\r\n\r\n", b"--b--\r\n", b""),
    "what looks like boundaries": (MIXED + b"--b\r\n\r\n", b"--bb\r\n", b"--b--\r\n"),
    "what looks like our boundaries": (MIXED + b"--b\r\n\r\n", b"=_1_mixed", b"\r\n--b--\r\n"),
    "dashes": (MIXED + b"--b\r\n\r\n", b"-", b"\r\n--b--\r\n"),
    "lines of dashes": (MIXED + b"--b\r\n\r\n", b"--\r\n", b"--b--\r\n"),
    "a boundary with blanks": (MIXED + b"--b", b" ", b"\r\n\r\n--b--\r\n"),
    "boundaries behind LF": (MIXED + b"--b\r\n\r\n", b"\n--b", b"\r\n--b--\r\n"),
    "a part with many fields": (MIXED + b"--b\r\n", b"X-A: b\r\n", b"\r\n--b--\r\n"),
    "a part whose header never ends": (MIXED + b"--b\r\n", b"X-A: b\r\n", b""),
    "parts of files": (
        MIXED, b"--b\r\nContent-Type: image/png; name=a\r\nContent-ID: <a@b>\r\n\r\na\r\n", b"--b--\r\n"
    ),
    "messages in messages": (MIME, b"Content-Type: message/rfc822\r\n\r\n", b"a\r\n"),
    "parameters": (MIME + b"Content-Type: text/plain", b";\r\n a=b", b"\r\n\r\n"),
    "base64": (BASE64, b"QUJD" * 19 + b"\r\n", b""),
    "base64 in small pieces": (BASE64, b"Q\r\n", b""),
    "base64 of padding": (BASE64, b"=", b""),
    "base64 of lines of padding": (BASE64, b"QQ==\r\n", b""),
    "base64 of garbage": (BASE64, b"!", b""),
    "base64 of blanks": (BASE64, b" \r\n", b""),
    "quoted-printable": (QUOTED, b"=C3=BC=\r\n", b""),
    "quoted-printable of =": (QUOTED, b"=", b"\r\n"),
    "quoted-printable of soft breaks": (QUOTED, b"=\r\n", b""),
    "quoted-printable of blanks": (QUOTED, b" ", b"=\r\n"),
    "quoted-printable of lines of blanks": (QUOTED, b"  \r\n", b""),
    "quoted-printable of broken pairs": (QUOTED, b"=C", b"\r\n"),
    "many signatures": (b"", SIGNATURE + b" h=from\r\n", MESSAGE + b"\r\n"),
    "a signature of many names": (SIGNATURE + b" h=from", b"\r\n :from", b"\r\n" + MESSAGE + b"\r\n"),
    "a signature of many colons": (SIGNATURE + b" h=", b":", b"\r\n" + MESSAGE + b"\r\n"),
    "a signature of many tags": (SIGNATURE + b" h=from", b";\r\n a=b", b"\r\n" + MESSAGE + b"\r\n"),
    "a signature of semicolons": (SIGNATURE, b";", b"\r\n" + MESSAGE + b"\r\n"),
    "a long signature": (SIGNATURE + b" h=from; x=", b"\r\n AAAA", b"\r\n" + MESSAGE + b"\r\n"),
    "a signature that copies": (SIGNATURE + b" h=from; z=", b"\r\n From:=20|", b"\r\n" + MESSAGE + b"\r\n"),
    "an identity": (SIGNATURE + b" h=from; i=", b"a.", b"a@b.example\r\n" + MESSAGE + b"\r\n"),
    "blanks around colons": (MESSAGE, b"X-A" + b" " * 40 + b":" + b" " * 40 + b"b\r\n", b"\r\n"),
    "many names": (b"", b" h=a:", b"b"),
    "a key": (b"v=DKIM1; p=", b"AAAA", b""),
    "a key of blanks": (b"v=DKIM1; p=", b" ", b""),
    "a record of tags": (b"v=DKIM1", b"; a=b", b""),
    "a record of words": (b"v=DKIM1; p=; h=", b"a:", b"a"),
}  # fmt: skip


def _framed(before: str, unit: str, middle: str, after: str, size: int) -> str:
    times = max(1, size // len(unit))
    # what closes as often as it opens
    end = after * times if (unit, after) == ("(", ")") else after
    return f"{before}{unit * times}{middle}{end}"


def _framed_octets(before: bytes, unit: bytes, after: bytes, size: int) -> bytes:
    return before + unit * max(1, size // len(unit)) + after


def _numbered(before: str, pattern: str, after: str, size: int) -> str:
    """Pieces that count upwards, each another one."""
    times = size // len(pattern.format(0))
    return before + "".join([pattern.format(number) for number in range(times)]) + after


def _numbered_octets(before: bytes, pattern: bytes, after: bytes, size: int) -> bytes:
    return before + _numbered("", pattern.decode(), "", size).encode() + after


def _backwards(before: str, pattern: str, size: int) -> str:
    return before + "".join([pattern.format(number) for number in reversed(range(size // len(pattern)))])


def _nested(size: int) -> bytes:
    """A multipart in a multipart, and so on."""
    level = "Content-Type: multipart/mixed; boundary=b{0}\r\n\r\n--b{0}\r\n"
    return MIME + _numbered("", level, "\r\na\r\n", size).encode()


def _closed(size: int) -> bytes:
    """The same, and every one is closed."""
    depth = size // 60
    ends = "".join([f"\r\n--b{number}--\r\n" for number in reversed(range(depth))])
    level = "Content-Type: multipart/mixed; boundary=b{0}\r\n\r\n--b{0}\r\n"
    return (
        MIME + "".join([level.format(number) for number in range(depth)]).encode() + b"\r\na" + ends.encode()
    )


def _half_open(size: int) -> bytes:
    """Many multiparts within one another, and many lines that end none of them."""
    levels = "".join([f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(40)])
    return MIME + levels.encode() + b"\r\n" + b"--bb\r\n" * (size // 6)


TEXT_SHAPES: dict[str, Callable[[int], str]] = {
    **{ascii(unit): partial(_framed, "", unit, "", "") for unit in UNITS},
    **{ascii(frame): partial(_framed, *frame) for frame in FRAMES},
    "pieces of a parameter": partial(_numbered, "text/plain", "; a*{0}=b", ""),
    "encoded pieces of a parameter": partial(_numbered, "text/plain; a*0*=utf-8''", "; a*{0}*=%41", ""),
    "pieces backwards": partial(_backwards, "text/plain", "; a*{0}=b"),
    "many parameters": partial(_numbered, "text/plain", "; a{0:06}=b", ""),
    "pieces of a file name": partial(_numbered, "attachment", "; filename*{0}=b", ""),
    "many addresses": partial(_numbered, "", "a{0:06}@b{0:06}.example, ", "c@d.example"),
    "many names": partial(_numbered, "", '"Lee, {0:06}" <a{0:06}@b.example>, ', "c@d.example"),
    "many groups": partial(_numbered, "", "g{0:06}: a@b.example;, ", "c@d.example"),
    "many ids": partial(_numbered, "", "<a{0:06}@b.example> ", ""),
    "many field names": partial(_numbered, "", "X-{0:06} ", ""),
    "many keywords": partial(_numbered, "", "word {0:06}, ", "end"),
}
OCTET_SHAPES: dict[str, Callable[[int], bytes]] = {
    **{name: partial(_framed_octets, *frame) for name, frame in OCTET_FRAMES.items()},
    "fields of many names": partial(_numbered_octets, MESSAGE, b"X-A{0:06}: b\r\n", b"\r\n"),
    "signed fields of many names": partial(
        _numbered_octets, SIGNATURE + b" h=from", b":x-a{0:06}", b"\r\n" + MESSAGE + b"\r\n"
    ),
    "pieces of a parameter": partial(
        _numbered_octets, MIME + b"Content-Type: text/plain", b";\r\n a*{0}=b", b"\r\n\r\n"
    ),
    "many different recipients": partial(
        _numbered_octets, MESSAGE + b"To: a@b.example", b",\r\n a{0:06}@b.example", b"\r\n\r\n"
    ),
    "many different ids": partial(
        _numbered_octets,
        MESSAGE + b"Message-ID: <a@b>\r\nReferences:",
        b"\r\n <a{0:06}@b.example>",
        b"\r\n\r\n",
    ),
    "many numbers of boundaries": partial(
        _numbered_octets, MIXED + b"--b\r\n\r\n", b"=_{0}_mixed\r\n", b"--b--\r\n"
    ),
    "nested": _nested,
    "nested and closed": _closed,
    "nested and left open": _half_open,
}
