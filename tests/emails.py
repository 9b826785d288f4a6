"""Emails of every kind, for hypothesis: `emails()` draws `Email` values that can be sent.

They are the emails of a bad day: names and subjects in many scripts, with quotes, commas,
blanks and what looks like an encoded word; hundreds of recipients, and groups; long words;
texts with lone dots and endless lines; files with names that no file should have. What is
small is drawn piece by piece, so that a failing example becomes simple; what is large is made
from one drawn seed, so that drawing it costs nothing.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

from mailstrom import Attachment, Email, Group, Mailbox
from mailstrom.message.address import expanded

WORDS = (
    "Ann", "Bob", "O'Neil", "report", "Zoë", "naïve", "Größe", "Łódź", "Ελένη", "Юрий", "Привет", "Հայ",
    "שלום", "مرحبا", "नमस्ते", "বাংলা", "தமிழ்", "ไทย", "ລາວ", "ქართული", "አማርኛ", "한국어", "日本語",
    "中文測試", "Tiếng", "e\u0301", "🙂", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇨🇭", "𝕏", "𠮷野家",
    "\u202eמאזל\u202c", "a\u200bb", "\ufeffmark", "\u00a0", "\u3000",
)  # fmt: skip
ODDITIES = (
    '"', '""', '"quoted"', "\\", "\\\\", '\\"', "a\\b", "Doe, Jane", "a;b", "a:b", "a@b.example",
    "<a@b.example>", "(c)", "(", ")", "[d]", ".", "..", "J. R. Doe", "Mr.", "'", "''", "`", "?", "=", "=?",
    "?=", "_", "=5F", "=20", "=?utf-8?q?x?=", "=?utf-8?B?eA==?=", "=?x?=",
    "=?utf-8?q?=0D=0ABcc:_x=40evil.example?=", "=?iso-8859-1?q?=FC?=", "utf-8''x", "%20", "%", "100%",
    "a%2Fb", "undisclosed-recipients:;", "-", "--", "*", "#1", "$&", "{}", "|", "~", "a" * 74, "b" * 80,
    "c" * 300, "ü" * 60, "日" * 90,
)  # fmt: skip
LINES = (
    "", ".", "..", "...", ".leading", "From here on", ">From there", "from", "trailing  ", "\ttab\t",
    "  two  blanks", "=", "=20", "=3D", "equals = sign", "-", "--", "-- ", "--=_1_mixed",
    "--=_1_alternative--", "--=_2_related", "=_3_mixed", "---", "=?utf-8?q?x?=", "Subject: not a field",
    "QUIT", "é", "\u0085", "\u2028", "\ufeff", "begin 644 x", "<p>&amp;</p>", "x" * 75, "x" * 76, "x" * 77,
    "x" * 997, "x" * 998, "x" * 999, "." + "y" * 2000, " " * 100, "ä" * 400, "語" * 700, "word " * 300,
    "🙂" * 120,
)  # fmt: skip
FILENAMES = (
    "a.txt", "report.pdf", "no-ending", "Größe.bin", "履歴書.docx", "отчёт.xlsx", "צילום.png",
    "\u202egnp.exe", "🙂👩‍👩‍👧.jpg", 'a"b.txt', "a\\b.txt", "a;b.txt", "a; filename=x.exe", "100%.txt",
    "a%20b.txt", "%41.txt", "a'b.txt", "it''s.txt", "utf-8''a.txt", "a b  c.txt", ".hidden", "..", "...x",
    "a/b.txt", "../../etc/passwd", "C:\\x.txt", "a,b.txt", "(1).txt", "a(1).txt", "[1].txt", "a=b.txt",
    "a?b.txt", "a*b.txt", "=?utf-8?q?x?=.txt", "=?utf-8?q?x=2Etxt?=", "{}.txt", "a@b.txt", "<a>.txt",
    "a:b.txt", "x" * 251 + ".txt", "ü" * 251 + ".txt", "🙂" * 255, "n" * 76 + ".txt", "n" * 255,
    "a~b|c^d.txt", "e\u0301.txt", "a\u00a0b.txt", "a_b&c+d-e!f$g#h.txt",
)  # fmt: skip
DOMAINS = (
    "dest.example", "mx.test", "a.b.c.d.example", "xn--bcher-kva.example", "münchen.example", "例え.テスト",
    "UPPER.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "localhost", "x" * 63 + ".example",
    ("y" * 40 + ".") * 4 + "example",
)  # fmt: skip
LOCAL_PARTS = (
    "ann", "bob.smith", "a+tag", "o'neil", "UPPER", "x" * 64, "_", "a=b", "!#$%&'*+/=?^_`{|}~-", "0",
    "john doe", "a@b", "a,b", "a;b", "a:b", ".dot", "a..b", "(c)", 'say "hi"', "back\\slash", "<b>", "[x]",
    " ", "a>b", "jörg", "用户", "почта", "jörg müller",
)  # fmt: skip
CONTENT_TYPES = (
    "application/octet-stream", "application/pdf", "image/png", "text/plain", "text/csv", "text/html",
    "text/calendar", "application/ics", "application/x-very-long.name+with-suffix", "audio/ogg",
    "model/gltf+json", None, "text/csv; charset=utf-8; header=present", 'text/plain; charset="iso-8859-1"',
    "application/json; title*=utf-8''%C3%BC",
)  # fmt: skip
# what is shown in its place and is no text: an inline text is one more text to every reader
INLINE_TYPES = ("image/png", "image/svg+xml", "application/pdf", "audio/ogg", "application/octet-stream")
MESSAGES = (
    b"Subject: attached\r\nFrom: a@mail.example\r\n\r\nbody\r\n",
    b"Subject: no line end\r\n\r\n.\r\n..\r\nFrom here",
    b"Subject: no body\r\n\r\n",
    b"Subject: long\r\n\r\n" + b"x" * 998 + b"\r\n\r\n\r\n",
    (
        b'Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_1_mixed"\r\n\r\n'
        b"--=_1_mixed\r\nContent-Type: text/plain\r\n\r\none\r\n--=_1_mixed\r\n"
        b"Content-Disposition: attachment; filename=inner.txt\r\n\r\ntwo\r\n--=_1_mixed--\r\n"
    ),
)
CALENDARS = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    "BEGIN:VCALENDAR\nMETHOD:CANCEL\nSUMMARY:Größe 日本語 🙂\n ; folded\nEND:VCALENDAR\n",
    "BEGIN:VCALENDAR\nSUMMARY:no method\nEND:VCALENDAR",
)

_CONTROLS = "".join(map(chr, (*range(32), *range(0x7F, 0xA0)))) + "\u2028\u2029"
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters=_CONTROLS)
BODY_CHARACTERS = st.characters(
    exclude_categories=["Cs"], exclude_characters="".join(map(chr, (*range(9), 11, 12, *range(14, 32), 127)))
)
ATEXT = string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~"
SEEDS = st.integers(0, 2**32 - 1)
T = TypeVar("T")


def _of(table: Sequence[T]) -> st.SearchStrategy[T]:
    """One of the table, which `sampled_from` would put into messages, however long it is."""
    return st.integers(0, len(table) - 1).map(lambda place: table[place])


def _joined(words: st.SearchStrategy[str], separators: tuple[str, ...], most: int) -> st.SearchStrategy[str]:
    """Up to `most` words, each with one of the separators after it but for the last."""
    pairs = st.lists(st.tuples(words, _of(separators)), min_size=1, max_size=most)
    return pairs.map(lambda drawn: "".join([part for pair in drawn for part in pair][:-1]))


@cache
def phrases() -> st.SearchStrategy[str]:
    """One line of text: words of many scripts, odd ones, any characters, long words."""
    words = _of(WORDS)
    odd = _of(ODDITIES)
    return st.one_of(
        _joined(words, (" ", " ", "  "), 5),
        _joined(words | odd, (" ", "  ", ""), 6),
        st.text(CHARACTERS, max_size=80),
        st.builds(lambda word, times: word * times, words | odd, st.integers(1, 12)),
        _joined(words | odd, (" ",), 60),
    )


@cache
def names() -> st.SearchStrategy[str | None]:
    """Display names: None, or what stays of a phrase once the blanks at its ends are gone."""
    return st.none() | phrases().map(lambda phrase: phrase.strip(" ")[:200].strip(" ") or None)


@cache
def subjects() -> st.SearchStrategy[str | None]:
    """Subjects: phrases, perhaps with blanks and tabs around them; empty; none."""
    blanks = st.sampled_from(("", "", "", " ", "  ", "\t"))
    around = st.builds(lambda before, phrase, after: before + phrase + after, blanks, phrases(), blanks)
    return st.one_of(phrases(), phrases(), around, st.sampled_from((None, "", " ", "a\tb")))


@cache
def mailboxes(*, ascii_only: bool = True) -> st.SearchStrategy[Mailbox]:
    """Addresses with names or without; local parts beyond ASCII only where asked for."""
    atoms = st.text(ATEXT, min_size=1, max_size=20)
    printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
    known = _of([part for part in LOCAL_PARTS if part.isascii() or not ascii_only])
    # RFC 2047 5: an encoded word in an address is refused; one that is cut short ends Python's reader
    made = st.one_of(atoms, atoms, printable).filter(lambda part: not re.search(r"=\?.*\?=", part))
    local_parts = st.one_of(known, made)
    return st.builds(Mailbox, name=names(), local_part=local_parts, domain=_of(DOMAINS))


def groups(members: st.SearchStrategy[Mailbox]) -> st.SearchStrategy[Group]:
    """Named groups of up to four addresses, and empty ones."""
    found = st.lists(members, max_size=4).map(tuple)
    return st.builds(Group, name=names().map(lambda name: name or "Undisclosed recipients"), members=found)


def _crowd(seed: int, names: list[str | None]) -> list[Mailbox]:
    """6 to 500 addresses, with the given names among them."""
    chance = random.Random(seed)
    size = min(chance.randint(6, 500), chance.randint(6, 500))
    return [
        Mailbox(
            name=chance.choice([None, chance.choice(names), f"{chance.choice(WORDS).strip()} {number}"]),
            local_part=f"{chance.choice(('user', 'a.b', 'x' * 40))}{number}",
            domain=chance.choice(DOMAINS[:4]),
        )
        for number in range(size)
    ]


@cache
def address_lists(*, ascii_only: bool = True, most: int = 4) -> st.SearchStrategy[list[Mailbox | Group]]:
    """Mailboxes and groups, in one of twelve cases hundreds of them."""
    some = mailboxes(ascii_only=ascii_only)
    few = st.lists(st.one_of(some, some, some, groups(some)), min_size=1, max_size=most)
    crowds = st.builds(lambda seed, named: _crowd(seed, [item.name for item in named]), SEEDS, few)
    return _one_in(12, crowds, few)


def _one_in(many: int, rare: st.SearchStrategy[T], often: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    return st.integers(1, many).flatmap(lambda drawn: rare if drawn == many else often)


@cache
def texts() -> st.SearchStrategy[str]:
    """Bodies: lines that somebody on the way may stumble over, any characters, nothing."""
    lines = _of(LINES) | phrases()
    return st.one_of(
        _joined(lines, ("\n", "\r\n", "\r", "\n\n"), 8),
        st.text(BODY_CHARACTERS, max_size=200),
        st.builds(lambda line, times: f"{line}\n" * times, lines, st.integers(1, 30)),
    )


@cache
def htmls() -> st.SearchStrategy[str]:
    """HTML, some of it well-formed."""
    return st.builds(lambda text: f"<!DOCTYPE html>\n<html><body>{text}</body></html>\n", texts()) | texts()


def _octets(seed: int) -> bytes:
    chance = random.Random(seed)
    return chance.randbytes(chance.choice((57, 1000, 4096, 60_000)))


@cache
def contents() -> st.SearchStrategy[bytes]:
    """The octets of files: few, many, texts with any line ends."""
    return st.one_of(
        st.binary(max_size=200),
        SEEDS.map(_octets),
        texts().map(str.encode),
        st.sampled_from(
            (b"", b"\n", b"\r", b"\r\n", b"a", b"\0", b"--=_1_mixed\r\n", b"\xef\xbb\xbfa,b\r\n")
        ),
    )


@cache
def filenames() -> st.SearchStrategy[str]:
    """File names that some program has lost, cut or taken for something else."""
    known = _of(FILENAMES)
    made = (phrases() | st.text(CHARACTERS, max_size=255)).map(lambda name: name[:255].strip())
    return st.one_of(known, known, made.filter(lambda name: name != "" and "\t" not in name))


@cache
def attachments() -> st.SearchStrategy[Attachment]:
    """Files of all types, with names or without, messages, and what is shown in its place."""
    named = filenames() | filenames() | st.none()
    ids = message_ids()
    files = st.builds(Attachment, named, contents(), _of(CONTENT_TYPES), content_id=st.none() | ids)
    shown = st.builds(
        Attachment,
        named,
        contents(),
        _of(INLINE_TYPES),
        content_id=st.none() | ids | ids,
        disposition=st.just("inline"),
    )
    messages = st.builds(Attachment, named, _of(MESSAGES), st.just("message/rfc822"))
    return st.one_of(files, files, files, shown, shown, messages)


@cache
def headers() -> st.SearchStrategy[list[tuple[str, str]]]:
    """Further fields: unstructured ones, and those whose tokens may not be encoded."""
    short = phrases().map(lambda phrase: phrase[:300])
    texts = st.tuples(st.sampled_from(("X-Note", "Organization", "x-a")), short)
    return st.lists(texts | st.just(("Precedence", "bulk")), max_size=3, unique_by=lambda pair: pair[0])


@cache
def dates() -> st.SearchStrategy[datetime]:
    """Instants of the years that a Date field can say, in zones of whole minutes and of others."""
    zones = st.integers(-86_399, 86_399).map(lambda secs: timezone(timedelta(seconds=secs)))
    return st.datetimes(datetime(1901, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC) | zones)


@cache
def message_ids() -> st.SearchStrategy[str]:
    """Message ids without the angle brackets."""
    left = st.text(ATEXT, min_size=1, max_size=30) | st.sampled_from(("a" * 200, "=?utf-8?q?x?=", "1.2.3"))
    return st.builds(
        lambda left, right: f"{left}@{right}", left, st.sampled_from(("mail.example", "[192.0.2.1]", "x"))
    )


def _perhaps(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return _one_in(3, strategy, st.none())


@cache
def emails() -> st.SearchStrategy[Email]:
    """Emails that can be sent: from one or several, to 1 to over 500, with any content."""
    return _one_in(20, _emails(ascii_only=False), _emails(ascii_only=True))


def _emails(*, ascii_only: bool) -> st.SearchStrategy[Email]:
    some = mailboxes(ascii_only=ascii_only)
    senders = _one_in(5, groups(some), some)
    many = address_lists(ascii_only=ascii_only)
    ids = st.lists(message_ids(), max_size=3)
    # each content id once
    files = st.lists(
        attachments(), min_size=1, max_size=4, unique_by=lambda each: each.content_id or id(each)
    )
    return st.builds(
        _email,
        some,
        senders,
        from_=_one_in(5, address_lists(ascii_only=ascii_only, most=3), some.map(lambda one: [one])),
        to=many,
        cc=_perhaps(many),
        bcc=_perhaps(many),
        reply_to=_perhaps(many),
        subject=subjects(),
        text=texts() | st.none(),
        html=_perhaps(htmls()),
        calendar=_one_in(6, _of(CALENDARS) | texts(), st.none()),
        comments=_one_in(10, st.lists(phrases(), max_size=2), st.just([])),
        keywords=_one_in(10, st.lists(names().map(lambda name: name or "word"), max_size=3), st.just([])),
        headers=_one_in(10, headers(), st.just([])),
        date=_one_in(5, dates(), st.none()),
        message_id=_perhaps(message_ids()),
        in_reply_to=_perhaps(ids),
        references=_perhaps(ids),
        attachments=_one_in(2, files, st.just([])),
    )


def _email(
    somebody: Mailbox,
    sender: Mailbox | Group,
    from_: list[Mailbox | Group],
    to: list[Mailbox | Group],
    **fields: Any,
) -> Email:
    """The email, with a sender where the authors need one, and with a recipient."""
    if len(from_) == 1 and isinstance(from_[0], Mailbox):
        sender = None
    elif not any(expanded(from_)) and not any(expanded([sender])):
        sender = somebody
    return Email(from_=from_, sender=sender, to=to if any(expanded(to)) else [*to, somebody], **fields)
