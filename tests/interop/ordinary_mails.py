"""Mail as programs send it every day: ten occasions in ten languages, two senders each.

Receipts, links to confirm an address, newsletters, alerts, invitations, files: nothing in them
is odd but what a composer would make odd.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from mailstrom import Email
from tests.interop.tongues import TONGUES, Tongue

FIRST_DATE = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class House:
    """Who sends."""

    domain: str
    mailbox: str


HOUSES = (House("shop.example.org", "service"), House("office.example.net", "hello"))


def ordinary_mails() -> Iterator[tuple[str, Email]]:
    """The 200 emails, each with a name such as ja-newsletter-shop."""
    number = 0
    for tongue_name, tongue in TONGUES.items():
        for place, (occasion, write) in enumerate(OCCASIONS.items()):
            for house in HOUSES:
                number += 1
                name = f"{tongue_name}-{occasion}-{house.domain.partition('.')[0]}"
                yield name, write(Letter(tongue, tongue.subjects[place], number, house))


@dataclass(frozen=True, slots=True)
class Letter:
    """One email before the occasion has added what is its own."""

    tongue: Tongue
    subject: str
    number: int
    house: House

    @property
    def link(self) -> str:
        token = hashlib.sha256(str(self.number).encode()).hexdigest()[:20]
        return f"https://www.{self.house.domain}/papers/{self.number}?key={token}"

    @property
    def text(self) -> str:
        """Paragraphs, each on one line: no line end but between them."""
        said = self.tongue
        return "\n\n".join([said.greeting, *said.sentences, self.link, said.farewell, said.author]) + "\n"

    @property
    def html(self) -> str:
        said = self.tongue
        body = "\n".join(f"<p>{one}</p>" for one in (said.greeting, *said.sentences))
        return (
            f'<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"><title>{self.subject}</title></head>\n'
            f'<body>\n{body}\n<p><a href="{self.link}">www.{self.house.domain}</a></p>\n'
            f"<p>{said.farewell}<br>{said.author}</p>\n</body>\n</html>\n"
        )

    @property
    def email(self) -> Email:
        """From the house to the reader, as text."""
        number = self.number
        return Email(
            from_=(self.tongue.author, f"{self.house.mailbox}@{self.house.domain}"),
            to=(self.tongue.reader, f"reader{number}@dest.example"),
            subject=self.subject,
            text=self.text,
            date=_date_of(number),
        )


def _receipt(letter: Letter) -> Email:
    return letter.email.replace(html=letter.html, reply_to=f"orders@{letter.house.domain}")


def _sign_up(letter: Letter) -> Email:
    return letter.email.replace(html=letter.html)


def _newsletter(letter: Letter) -> Email:
    email = letter.email.replace(html=letter.html, headers={"List-ID": f"<news.{letter.house.domain}>"})
    unsubscribe = f"https://www.{letter.house.domain}/unsubscribe/{letter.number}"
    return email.list_unsubscribe(unsubscribe, mailto=f"leave@{letter.house.domain}").bulk()


def _alert(letter: Letter) -> Email:
    return letter.email.auto_submitted()


def _invitation(letter: Letter) -> Email:
    return letter.email.replace(html=letter.html, calendar=_calendar(letter))


def _invoice(letter: Letter) -> Email:
    return letter.email.replace(html=letter.html).attach(PDF, filename=f"{letter.subject}.pdf")


def _report(letter: Letter) -> Email:
    rows = "".join(f"{letter.tongue.reader};{letter.number};{n}\r\n" for n in range(40))
    html = letter.html.replace("</body>", '<p><img src="cid:chart@example.org" alt="chart"></p>\n</body>')
    return (
        letter.email.replace(html=html)
        .attach(rows.encode(), filename="figures.csv", content_type="text/csv; charset=utf-8")
        .inline(PNG, "chart@example.org", filename="chart.png")
    )


def _reply(letter: Letter) -> Email:
    before = letter.email.replace(
        subject=letter.subject.removeprefix("Re: "),
        message_id=f"20260227101500.{letter.number}@dest.example",
        references=[f"20260226101500.{letter.number}@{letter.house.domain}"],
    )
    return letter.email.reply_to(before)


def _parcel(letter: Letter) -> Email:
    return letter.email.replace(html=letter.html, cc=[("Depot", f"depot@{letter.house.domain}")])


def _minutes(letter: Letter) -> Email:
    readers = [(tongue.reader, f"{name}@{name}.example") for name, tongue in TONGUES.items()]
    return letter.email.replace(to=readers).attach(
        letter.text.encode(), filename="minutes.txt", content_type="text/plain; charset=utf-8"
    )


def _date_of(number: int) -> datetime:
    """One after the other, each by a clock of its own: UTC-12 to UTC+13."""
    clock = timezone(timedelta(minutes=30 * (number % 51) - 12 * 60))
    return (FIRST_DATE + timedelta(minutes=17 * number)).astimezone(clock)


def _calendar(letter: Letter) -> str:
    """RFC 5545, RFC 6047."""
    starts = FIRST_DATE + timedelta(days=letter.number)
    return "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//example.org//Calendar//EN",
            "METHOD:REQUEST",
            "BEGIN:VEVENT",
            f"UID:{letter.number}@{letter.house.domain}",
            f"DTSTAMP:{FIRST_DATE:%Y%m%dT%H%M%SZ}",
            f"DTSTART:{starts:%Y%m%dT%H%M%SZ}",
            f"DTEND:{starts + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
            f"SUMMARY:{letter.subject}",
            f"ORGANIZER:mailto:{letter.house.mailbox}@{letter.house.domain}",
            f"ATTENDEE:mailto:reader{letter.number}@dest.example",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
    )


def _png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = b"".join(b"\0" + bytes((row + column) % 256 for column in range(width)) for row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


PNG = _png_of(120, 80)
PDF = (
    b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n"
    b"trailer<</Root 1 0 R/Size 4>>\n%%EOF\n"
)

OCCASIONS: dict[str, Callable[[Letter], Email]] = {
    "receipt": _receipt,
    "sign-up": _sign_up,
    "newsletter": _newsletter,
    "alert": _alert,
    "invitation": _invitation,
    "invoice": _invoice,
    "report": _report,
    "reply": _reply,
    "parcel": _parcel,
    "minutes": _minutes,
}
