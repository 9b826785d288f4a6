"""Ordinary and odd emails, made by number: one number is always the same email.

    generated_email(7)            one of them
    generated_emails(1000)        numbers 0 to 999

All are from a domain of the caller's choice and to mailboxes of another. Names and subjects
are in many scripts, bodies end and indent in odd ways, files have odd names: whatever a
careless program would lose, tear or translate. Nothing here needs SMTPUTF8, and nothing is
refused by `Email`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from mailstrom import Attachment, Email
from mailstrom.message.address import Mailbox

WORDS: dict[str, tuple[str, ...]] = {
    "ascii": ("Ann", "Bob", "report", "of", "the", "week", "a", "No.", "4711", "it's", "e-mail", "50%"),
    "latin": ("Zoë", "Jürgen", "Łódź", "naïve", "façade", "ŠKODA", "smørrebrød", "İstanbul", "Việt", "ﬁn"),
    "combining": ("e\u0301te\u0301", "a\u0308o\u0308", "n\u0303", "q\u0307\u0323", "Z\u0351\u036b\u0343"),
    "greek": ("Ζωή", "Ωμέγα", "ἄλφα", "ςΣσ", "και"),
    "cyrillic": ("Анна", "Щука", "ёлка", "привет", "їжак", "ћирилица"),
    "hebrew": ("שלום", "עולם", "אָלֶף", "דואר"),
    "arabic": ("مرحبا", "بريد", "سلام", "لا", "فارسی\u200cها"),
    "indic": ("नमस्ते", "क्षत्रिय", "தமிழ்", "ಕನ್ನಡ", "বাংলা"),
    "thai": ("สวัสดี", "น้ำ", "ไปรษณีย์"),
    "georgian": ("საქართველო", "ფოსტა", "Հայերեն", "አማርኛ"),
    "chinese": ("你好", "電子郵件", "报告", "𠮷野家", "龘"),
    "japanese": ("こんにちは", "メール", "花子", "ｶﾀｶﾅ", "々〆〤"),
    "korean": ("안녕하세요", "전자우편", "한글", "\u1112\u1161\u11ab"),
    "emoji": ("😀", "👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👍🏽", "❤️", "🇺🇳", "1️⃣", "🫠"),
    "signs": ("€", "–", "“quoted”", "…", "№\u00a07", "½", "𝔘𝔫𝔦", "\u200bzero", "so\u00adft", "�"),
    "marks": ('"', "\\", "(a)", "<b>", "a,b", "c;d", "e:f", "g@h", "[i]", "=", "?", "_", "&amp;", "''"),
    "traps": ("=?utf-8?q?x?=", "=?", "?=", "=20", "=3D", "%s", "From", "Bcc:", "a@b.test", "<x@y.test>"),
    "long": ("x" * 60, "y" * 77, "z-" * 100, "ö" * 40, "語" * 90, "https://w.example/" + "p" * 150),
}
ODD_LINES = (
    "", "", " ", "\t", "   \t ", ".", "..", "...", ".leading", ". ", "From here", ">From there", "-- ", "--",
    "trailing blank ", "trailing tab\t", "  indented", "\tindented", "a  b   c", "=", "=20", "a=",
    "soft=\u00ad", "QUIT", "Bcc: nobody@mx.test", "--=_", "\u00a0", "\ufefftext", "{}",
    "\u3000wide blank\u3000", "~" * 76, "x" * 76, "x" * 77, "x" * 78, "x" * 998, "y" * 999,
    "z " * 700, "ü" * 500, "." * 80, " " * 120,
)  # fmt: skip
LINE_ENDS = ("\n", "\n", "\n", "\r\n", "\r")
TAILS = ("\n", "\n", "", " ", "\n\n", "\n\n\n\n", "\n \n", "\n\t", " \t\n", "\n.", "\n.\n", "\n..\n\n")
LOCAL_PARTS = ("ann", "bob.b", "o'hara", "a+tag", "x_y-z", "1", "a" * 60, "odd one", 'say "hi"')
FILE_NAMES = (
    "report.pdf", "a b.txt", "größe.bin", "отчёт.csv", "報告.xlsx", "😀.png", 'say "hi".txt',
    "back\\slash.txt", "semi;colon.txt", "per%20cent.txt", "it's.txt", "(paren).txt", "=?utf-8?q?x?=.txt",
    "noextension", ".hidden", "two.dots.tar.gz", "x" * 120 + ".txt", "長い名前" * 30 + ".txt",
    "e\u0301.txt", "a,b@c.txt",
)  # fmt: skip
CONTENT_TYPES = (
    None, None, "application/octet-stream", "application/pdf", "image/png", "text/plain; charset=utf-8",
    "text/csv; charset=utf-8; header=present", "application/x-odd.type+json",
)  # fmt: skip
ZONES = (UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=9, minutes=30)))
START = datetime(2026, 1, 1, tzinfo=UTC)
FORWARDED = (
    b"From: carol@other.test\r\nTo: ann@sender.test\r\nDate: Thu, 01 Jan 2026 09:00:00 +0100\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n.\r\nFrom here on \r\n"
)


def generated_emails(
    count: int, *, first: int = 0, sender_domain: str = "sender.test", recipient_domain: str = "mx.test"
) -> Iterator[Email]:
    """The emails from number `first` on."""
    for number in range(first, first + count):
        yield generated_email(number, sender_domain=sender_domain, recipient_domain=recipient_domain)


def generated_email(
    number: int, *, sender_domain: str = "sender.test", recipient_domain: str = "mx.test"
) -> Email:
    """The email with this number."""
    chance = Random(number)
    given: dict[str, Any] = {
        "from_": _mailbox(chance, sender_domain),
        "to": _mailboxes(chance, recipient_domain, chance.choice((1, 1, 1, 2, 3, 8))),
        "subject": words(chance, chance.choice((0, 1, 3, 5, 12))),
        "date": START.astimezone(chance.choice(ZONES)) + timedelta(seconds=chance.randrange(10**7)),
        "message_id": f"{number}.{chance.randrange(10**12)}@{sender_domain}",
        **_body(chance),
    }
    for add in (_further_addresses, _thread, _further_fields, _files):
        given |= add(chance, given, sender_domain, recipient_domain)
    return Email(**given)


def words(chance: Random, count: int) -> str:
    """A line of words, mostly of one script, with single blanks between."""
    scripts = [chance.choice(list(WORDS)) for _ in range(2)]
    return " ".join(chance.choice(WORDS[chance.choice(scripts)]) for _ in range(count))


def body_text(chance: Random) -> str:
    """Lines of words among odd ones; the end is odd, too."""
    end = chance.choice(LINE_ENDS)
    lines = [
        chance.choice(ODD_LINES) if chance.random() < 0.4 else words(chance, chance.randrange(1, 15))
        for _ in range(chance.choice((0, 1, 2, 5, 20, 60)))
    ]
    return (chance.choice(("\n", " \n", "")) + "\n".join(lines) + chance.choice(TAILS)).replace("\n", end)


def _mailbox(chance: Random, domain: str, local_part: str | None = None) -> Mailbox:
    local_part = local_part or chance.choice(LOCAL_PARTS)
    name = words(chance, chance.randrange(1, 4)) if chance.random() < 0.7 else None
    return Mailbox(name=name, local_part=local_part, domain=domain)


def _mailboxes(chance: Random, domain: str, count: int) -> list[Mailbox]:
    return [_mailbox(chance, domain, f"user{place}") for place in range(count)]


def _body(chance: Random) -> dict[str, Any]:
    kinds = chance.choice((("text",), ("text",), ("html",), ("text", "html"), ("text", "html"), ()))
    body: dict[str, Any] = {}
    if "text" in kinds:
        body["text"] = body_text(chance)
    if "html" in kinds:
        body["html"] = f"<p>{body_text(chance)}</p>{chance.choice(TAILS)}"
    return body


def _further_addresses(chance: Random, given: dict[str, Any], ours: str, theirs: str) -> dict[str, Any]:
    further: dict[str, Any] = {}
    if chance.random() < 0.3:
        further["cc"] = _mailboxes(chance, theirs, chance.randrange(1, 4))
    if chance.random() < 0.2:
        further["bcc"] = f"hidden@{theirs}"
    if chance.random() < 0.2:
        further["reply_to"] = _mailbox(chance, ours)
    if chance.random() < 0.15:
        further["sender"] = _mailbox(chance, f"bulk.{ours}")
    return further


def _thread(chance: Random, given: dict[str, Any], ours: str, theirs: str) -> dict[str, Any]:
    if chance.random() < 0.7:
        return {}
    ids = [f"{chance.randrange(10**20)}.{'r' * chance.randrange(1, 60)}@{theirs}" for _ in range(12)]
    return {"in_reply_to": ids[0], "references": ids[: chance.choice((1, 3, 12))]}


def _further_fields(chance: Random, given: dict[str, Any], ours: str, theirs: str) -> dict[str, Any]:
    fields: list[tuple[str, str]] = []
    if chance.random() < 0.25:
        link = f"<https://{ours}/u/{chance.randrange(10**9)}>, <mailto:u@{ours}>"
        fields += [("List-Unsubscribe", link), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")]
        fields.append(("List-Id", f"<news.{ours}>"))
    if chance.random() < 0.2:
        fields.append(("Auto-Submitted", "auto-generated"))
    if chance.random() < 0.3:
        fields += [("X-Tag", words(chance, chance.choice((0, 2, 9)))) for _ in range(chance.randrange(1, 4))]
    further: dict[str, Any] = {"headers": fields} if fields else {}
    if chance.random() < 0.15:
        further["comments"] = [words(chance, 4)]
        further["keywords"] = [words(chance, 1), words(chance, 2)]
    return further


def _files(chance: Random, given: dict[str, Any], ours: str, theirs: str) -> dict[str, Any]:
    further: dict[str, Any] = {}
    if chance.random() < 0.1:
        further["calendar"] = (
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//EN\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
        )
    files = [_file(chance) for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 4)))]
    if "html" in given and chance.random() < 0.3:
        image = chance.randbytes(chance.randrange(1, 900))
        files.append(Attachment("i.png", image, "image/png", content_id=f"i@{ours}", disposition="inline"))
    return further | ({"attachments": files} if files else {})


def _file(chance: Random) -> Attachment:
    if chance.random() < 0.1:
        return Attachment("forwarded.eml", FORWARDED, "message/rfc822")
    size = chance.choice((0, 1, 56, 57, 58, 1000, 5000))
    return Attachment(chance.choice(FILE_NAMES), chance.randbytes(size), chance.choice(CONTENT_TYPES))
