"""The doors of those who make an email: every keyword, every value, every helper."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.headerregistry import Address as StdlibAddress
from email.headerregistry import Group as StdlibGroup
from typing import Any

from mailstrom.errors import MessageError
from mailstrom.message.address import Group, Mailbox, parse_mailbox
from mailstrom.message.attachment import Attachment
from mailstrom.message.email import Email
from mailstrom.message.prepared import DsnOptions
from tests.fuzz.checks import FROM, TO, an_email, check_email, parameters_of_files
from tests.fuzz.doors import Door

__all__ = ["DOORS"]

ADDRESSES = (
    "ann@dest.example",
    "Ann Lee <ann@dest.example>, Bob <bob@dest.example>",
    '"Doe, Jane" <"jane doe"@dest.example>, J. R. Doe <j@[192.0.2.1]>',
    "Team: Zoë <zoe@bücher.example>, b@xn--bcher-kva.example;, jörg@dest.example",
    "Undisclosed recipients:;",
)
TEXTS = (
    "Hello", "Grüße aus Köln, und ein langer Betreff dazu, der nicht in eine Zeile passt 🙂",
    "=?utf-8?q?x?= y",
)  # fmt: skip
BODIES = ("Hi.\n", "Line one\r\n.\r\nFrom here\r\n" + "long " * 300, "Größe\n" * 20, "a=20b  \n\tc \n")
IDS = ("<a.b@mail.example>", "a@b", "<1@[192.0.2.1]> <2@mail.example>")
DATE = "Mon, 02 Mar 2026 09:30:00 +0000"
CALENDAR = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Größe\r\nEND:VCALENDAR\r\n"
SEPARATOR = "|"


def setter(make: Callable[[str], Email]) -> Callable[[str], bool]:
    """What takes a text through whatever makes an `Email` of it."""

    def enter(text: str) -> bool:
        try:
            made = make(text)
        except MessageError:
            return False
        check_email(made)
        return True

    return enter


def _stdlib_address(text: str) -> StdlibAddress:
    try:
        return StdlibAddress(text, text, "dest.example")
    except Exception as error:  # it refuses in its own ways
        raise MessageError("to", given=text, expected="what the standard library takes") from error


def _stdlib_group(text: str) -> StdlibGroup:
    return StdlibGroup(text, [StdlibAddress("Ann", "ann", "dest.example")])


def _of_many_pieces(text: str) -> Email:
    """An email with a piece of the text in each keyword."""
    pieces = [*text.split(SEPARATOR), *[""] * 12]
    to, cc, reply_to, subject, comment, body, html, calendar, ids, name, value, filename = pieces[:12]
    fields: dict[str, Any] = {"html": html or None, "calendar": calendar or None, "in_reply_to": ids or None}
    if name:
        fields["headers"] = {name: value}
    if filename:
        fields["attachments"] = [
            Attachment(filename, body.encode("utf-8", "replace")),
            Attachment(None, b"x", "image/png", content_id="logo@mail.example", disposition="inline"),
        ]
    return an_email(
        to=to or TO, cc=cc or None, reply_to=reply_to or None, subject=subject or None, comments=comment,
        text=body or None, **fields,
    )  # fmt: skip


def _dated(text: str) -> Email:
    """An email of an instant, made of numbers with blanks between: date, time, microsecond, zone."""
    try:
        year, month, day, hour, minute, second, micro, zone = map(int, text.split())
        at = datetime(year, month, day, hour, minute, second, micro, timezone(timedelta(seconds=zone)))
        at.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # no such datetime
        raise MessageError("date", given=text, expected="an instant") from error
    return an_email(date=at)


def _notified(text: str) -> Email:
    """An email that asks for delivery status notifications."""
    ret, _, notify = text.partition(" ")
    return an_email(dsn=DsnOptions(ret=ret or None, notify=tuple(notify.split())))  # type: ignore[arg-type]


def enter_content_type(text: str) -> bool:
    """The type of a file: every parameter of it is in the message."""
    try:
        made = Attachment("a", b"x", text)
    except MessageError:
        return False
    content = check_email(an_email(attachments=made)).content
    name = ("name",)
    given = [pair for pair in made.parsed_type[1] if pair[0] not in name]
    assert [pair for pair in parameters_of_files(content)[0] if pair[0] not in name] == given
    return True


_SETTERS: dict[str, tuple[Callable[[str], Email], tuple[str, ...]]] = {
    "from_": (lambda text: an_email(from_=text, sender="robot@sender.example"), ADDRESSES),
    "sender": (lambda text: an_email(sender=text), ADDRESSES),
    "to": (lambda text: an_email(to=text), ADDRESSES),
    "cc": (lambda text: an_email(cc=text), ADDRESSES),
    "bcc": (lambda text: an_email(bcc=text), ADDRESSES),
    "reply_to": (lambda text: an_email(reply_to=text), ADDRESSES),
    "list of addresses": (lambda text: an_email(to=text.split(",")), ADDRESSES),
    "name": (lambda text: an_email(to=(text, TO)), ("Ann Lee", "Doe, Jane", "Zoë", "=?x?=")),
    "address": (lambda text: an_email(to=[("Ann", text)]), ADDRESSES),
    "stdlib Address": (lambda text: an_email(to=_stdlib_address(text)), ("ann", "a b", "a..b")),
    "stdlib Group": (lambda text: an_email(to=_stdlib_group(text)), ("Team", "a;b", "Zoë")),
    "Mailbox.name": (
        lambda text: an_email(to=Mailbox(name=text, local_part="a", domain="b.example")), ("Ann Lee", "Zoë")
    ),
    "Mailbox.local_part": (
        lambda text: an_email(to=Mailbox(local_part=text, domain="dest.example")), ("ann", "a b", "jörg")
    ),
    "Mailbox.domain": (
        lambda text: an_email(to=Mailbox(local_part="you", domain=text)),
        ("dest.example", "bücher.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "xn--bcher-kva.example"),
    ),
    "Group.name": (
        lambda text: an_email(to=[Group(name=text, members=(parse_mailbox(FROM), parse_mailbox(TO)))]),
        ("Team", "a;b", "Zoë"),
    ),
    "group in From": (lambda text: an_email(from_=Group(name=text), sender=FROM), ("Team", "a;b", "Zoë")),
    "subject": (lambda text: an_email(subject=text), TEXTS),
    "comments": (lambda text: an_email(comments=text), TEXTS),
    "keywords": (lambda text: an_email(keywords=text), ("one, two words, drei ß", '"a", b.')),
    "list of keywords": (lambda text: an_email(keywords=[text, "last"]), TEXTS),
    "date": (_dated, ("2026 3 2 9 30 0 0 3600", "1900 1 1 0 0 0 1 -1", "9999 12 31 23 59 59 999999 0")),
    "text": (lambda text: an_email(text=text), BODIES),
    "html": (lambda text: an_email(html=text), ("<p>Hi</p>", *BODIES)),
    "calendar": (lambda text: an_email(calendar=text, text=None), (CALENDAR, *BODIES)),
    "message_id": (lambda text: an_email(message_id=text), IDS),
    "in_reply_to": (lambda text: an_email(in_reply_to=text), IDS),
    "references": (lambda text: an_email(references=text), IDS),
    "header name": (lambda text: an_email(headers={text: "x"}), ("X-Tag", "List-ID", "Resent-To")),
    "header value": (lambda text: an_email(headers={"X-Tag": text}), TEXTS),
    "structured header": (lambda text: an_email(headers={"List-ID": text}), ("<a.b.example>", "x " * 60)),
    "any header": (
        lambda text: an_email(headers=[tuple(text.partition("=")[::2])]),
        ("X-Tag=x", "Precedence=bulk", "DKIM-Signature=v=1", "Content-Description=Größe", "Archived-At=<https://a.example/>"),
    ),
    "resent headers": (
        lambda text: an_email(
            headers=[("Resent-Date", DATE), ("Resent-From", text), ("Resent-To", text)]
        ),
        ADDRESSES,
    ),
    "Received": (
        lambda text: an_email(headers={"Received": text}),
        ("from a.example by b.example with ESMTP id 1 for <c@d.example>; " + DATE,),
    ),
    "filename": (
        lambda text: an_email(attachments=Attachment(text, b"x")),
        ("plan.pdf", "Größe 100%.txt", 'a"b\\c;d.txt', "🙂" * 60),
    ),
    "attach": (lambda text: an_email().attach(b"x", filename=text), ("plan.pdf", "履歴書.docx")),
    "path": (lambda text: an_email().attach(text), ("/nowhere/plan.pdf", ".", "")),
    "content_id": (
        lambda text: an_email(html="x").inline(b"x", text, filename="a"), ("logo@mail.example", "<a@b>")
    ),
    "disposition": (
        lambda text: an_email(attachments=Attachment("a", b"x", disposition=text)),  # type: ignore[arg-type]
        ("inline", "attachment"),
    ),
    "dsn": (_notified, ("FULL SUCCESS DELAY", "HDRS NEVER", " FAILURE")),
    "envid": (lambda text: an_email(dsn=DsnOptions(envid=text)), ("order-17+3=x", "a b")),
    "list_unsubscribe url": (
        lambda text: an_email().list_unsubscribe(text), ("https://sender.example/u?id=1", "https://[::1]/")
    ),
    "list_unsubscribe mailto": (
        lambda text: an_email().list_unsubscribe("https://sender.example/u", text),
        ("off@sender.example", "mailto:off@sender.example?subject=off", "a%b@sender.example"),
    ),
    "auto_submitted": (
        lambda text: an_email().auto_submitted(text), ("auto-replied", 'auto-generated; owner="a b"')
    ),
    "answer to an id": (lambda text: an_email().reply_to(text), IDS),
    "all keywords": (
        _of_many_pieces,
        (
            "ann@dest.example|Bob <bob@dest.example>|c@d.example|ü|c|Hi.|<p>Hi</p>|BEGIN|<a@b>|X-Tag|x|a.pdf",
            "||||||--=_1_mixed\n|--=_1_related--||||a.txt",
        ),
    ),
}  # fmt: skip

DOORS = (
    *[Door(name, setter(make), examples) for name, (make, examples) in _SETTERS.items()],
    Door(
        "content_type",
        enter_content_type,
        (
            "text/csv; charset=utf-8",
            'a/b; x="y\\"z"; name=n',
            "application/json; title*=utf-8''%C3%BC",
            "message/rfc822",
        ),
    ),
)
