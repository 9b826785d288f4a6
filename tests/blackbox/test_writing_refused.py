"""Whatever is injected where, the call says no and names the field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from email.message import EmailMessage, Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest

from mailstrom import Attachment, Config, DsnOptions, Email, Group, Mailbox, Mailstrom, MessageError
from mailstrom.message import parse_mailbox, parse_mailboxes
from tests.blackbox.wire import fields, least, octets, sent

FORBIDDEN = [
    "\r", "\n", "\r\n", "\r\n ", "\r\nBcc: evil@e.example\r\n", "\0", "\x01", "\x07", "\x0b", "\x0c", "\x1b",
    "\x7f", "\x85", "\u2028", "\u2029", "\ud800",
]  # fmt: skip


def signed_by_address(text: str) -> Email:
    return least(reply_to=f'"{text}" <a@a.example>')


FIELDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "a name in a pair": ("from_", lambda x: least(from_=(x, "a@a.example"))),
    "a name in a text": ("reply_to", signed_by_address),
    "a local part": ("to", lambda x: least(to=f"{x}@b.example")),
    "a quoted local part": ("cc", lambda x: least(cc=f'"{x}"@b.example')),
    "a domain": ("bcc", lambda x: least(bcc=f"a@b{x}.example")),
    "an address literal": ("to", lambda x: least(to=f"a@[{x}]")),
    "a sender": ("sender", lambda x: least(sender=(x, "a@a.example"))),
    "a mailbox's name": ("mailbox", lambda x: Mailbox(name=x, local_part="a", domain="a.example")),
    "a mailbox's local part": ("mailbox", lambda x: Mailbox(local_part=x, domain="a.example")),
    "a mailbox's domain": ("mailbox", lambda x: Mailbox(local_part="a", domain=f"{x}.example")),
    "a group's name": ("group", lambda x: Group(name=x)),
    "parse_mailbox": ("who", lambda x: parse_mailbox((x, "a@a.example"), field="who")),
    "parse_mailboxes": ("who", lambda x: parse_mailboxes([(x, "a@a.example")], field="who")),
    "subject": ("subject", lambda x: least(subject=x)),
    "comments": ("comments", lambda x: least(comments=["fine", x])),
    "keywords": ("keywords", lambda x: least(keywords=["fine", x])),
    "message_id": ("message_id", lambda x: least(message_id=f"{x}@a.example")),
    "message_id, right": ("message_id", lambda x: least(message_id=f"a@{x}")),
    "in_reply_to": ("in_reply_to", lambda x: least(in_reply_to=f"<{x}@a.example>")),
    "references": ("references", lambda x: least(references=["1@a.example", f"{x}@a.example"])),
    "a header's value": ("headers['X-A']", lambda x: least(headers={"X-A": x})),
    "a structured header": ("headers['List-Id']", lambda x: least(headers={"List-Id": f"<{x}.a.example>"})),
    "an unsubscribe url": (
        "list_unsubscribe.url",
        lambda x: least().list_unsubscribe(f"https://a.example/{x}"),
    ),
    "an unsubscribe address": (
        "list_unsubscribe.mailto",
        lambda x: least().list_unsubscribe("https://a.example", f"{x}@a.example"),
    ),
    "auto_submitted": ("auto_submitted", lambda x: least().auto_submitted(f"auto-{x}")),
    "a file name": ("attachments.filename", lambda x: least().attach(b"x", filename=x)),
    "a content type": (
        "attachments.content_type",
        lambda x: least().attach(b"x", filename="a", content_type=f"text/{x}"),
    ),
    "a parameter": (
        "attachments.content_type",
        lambda x: Attachment("a", b"x", f'text/plain; charset="{x}"'),
    ),
    "a content id": (
        "attachments.content_id",
        lambda x: least(html="<p>").inline(b"x", f"{x}@a.example", filename="a.png"),
    ),
    "dsn.envid": ("dsn.envid", lambda x: least(dsn=DsnOptions(envid=x))),
    "dsn.notify": ("dsn.notify", lambda x: least(dsn=DsnOptions(notify=(x,)))),  # type: ignore[arg-type]
    "dsn.ret": ("dsn.ret", lambda x: least(dsn=DsnOptions(ret=x))),  # type: ignore[arg-type]
    "return_path": ("return_path", lambda x: sent(least(), return_path=f"{x}@a.example")),
    "recipients": ("recipients", lambda x: sent(least(), recipients=[f"{x}@a.example"])),
}


@pytest.mark.parametrize("injected", FORBIDDEN, ids=ascii)
@pytest.mark.parametrize("place", FIELDS)
def test_an_injected_character_is_refused_with_the_field_named(place: str, injected: str) -> None:
    field, write = FIELDS[place]

    with pytest.raises(MessageError) as inside:
        write(f"a{injected}b")
    with pytest.raises(MessageError) as at_the_end:
        write(f"ab{injected}")
    with pytest.raises(MessageError) as at_the_start:
        write(f"{injected}ab")

    assert {inside.value.field, at_the_end.value.field, at_the_start.value.field} == {field}
    assert str(inside.value).isprintable()


@pytest.mark.parametrize("injected", FORBIDDEN, ids=ascii)
def test_an_injected_character_in_a_header_name_is_refused(injected: str) -> None:
    with pytest.raises(MessageError) as refused:
        least(headers={f"X-{injected}A": "b"})

    assert refused.value.field.startswith("headers['X-")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("keyword", ["text", "html", "calendar"])
@pytest.mark.parametrize("injected", ["\0", "\x01", "\x07", "\x0b", "\x1b", "\x7f", "\ud800"], ids=ascii)
def test_a_control_character_in_a_text_is_refused(keyword: str, injected: str) -> None:
    with pytest.raises(MessageError) as refused:
        sent(least(**{keyword: f"a{injected}b"}))

    assert refused.value.field == keyword


@pytest.mark.parametrize("name", ["", " ", "X A", "X:A", "X-\u00dc", "X\t", ":", "X" * 999, "(X)\x7f"])
def test_a_bad_header_name_is_refused(name: str) -> None:
    with pytest.raises(MessageError, match="field name"):
        least(headers={name: "x"})


@pytest.mark.parametrize(
    "name",
    [
        "Date", "From", "SENDER", "reply-to", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References",
        "subject", "Content-Type", "Content-Transfer-Encoding", "MIME-Version", "Return-Path",
        "DKIM-Signature", "Resent-Bcc",
    ],
)  # fmt: skip
def test_a_field_with_a_keyword_or_an_owner_is_no_header_of_the_callers(name: str) -> None:
    with pytest.raises(MessageError) as refused:
        sent(least(headers={name: "x@x.example"}))

    assert refused.value.field == f"headers['{name}']"


@pytest.mark.parametrize(
    "name", ["List-Id", "List-Unsubscribe", "list-unsubscribe-post", "Auto-Submitted", "Precedence"]
)
def test_a_field_that_may_be_there_once_is_refused_twice(name: str) -> None:
    value = {"List-Id": "<a.example>", "List-Unsubscribe": "<https://a.example>", "Precedence": "bulk"}.get(
        name, "List-Unsubscribe=One-Click" if name.startswith("list") else "auto-generated"
    )

    with pytest.raises(MessageError) as refused:
        sent(least(headers=[(name, value), (name.upper(), value)]))

    assert refused.value.field.startswith("headers[")


@pytest.mark.parametrize(
    "when",
    [
        datetime(2026, 1, 1),
        date(2026, 1, 1),
        "Mon, 02 Mar 2026 09:30:00 +0100",
        0,
        datetime(1899, 12, 31, tzinfo=UTC),
    ],
    ids=repr,
)
def test_an_impossible_date_is_refused(when: Any) -> None:
    with pytest.raises(MessageError) as refused:
        least(date=when)

    assert refused.value.field == "date"


@pytest.mark.parametrize("to", [None, [], "nobody:;"])
def test_an_email_without_a_recipient_is_refused(to: Any) -> None:
    with pytest.raises(MessageError) as refused:
        sent(least(to=to))

    assert refused.value.field == "recipients"


def test_an_email_without_an_author_is_refused_unless_there_is_a_default() -> None:
    with pytest.raises(MessageError) as refused:
        sent(least(from_=None))
    out = sent(least(from_=None), config=Config(mode="capture", default_from="shop@a.example"))

    assert refused.value.field == "from_"
    assert ("From", "shop@a.example") in fields(out.content)


def test_a_line_that_cannot_be_broken_is_refused() -> None:
    with pytest.raises(MessageError) as header:
        octets(headers={"X-A": "a" * 998})
    with pytest.raises(MessageError) as structured:
        octets(headers={"List-Id": f"<{'a' * 998}>"})
    with pytest.raises(MessageError) as message_id:
        octets(message_id=f"{'a' * 998}@a.example")

    assert [error.value.field for error in (header, structured, message_id)] == [
        "headers['X-A']", "headers['List-Id']", "message_id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "a",
        "@b.example",
        "a@",
        "a@b@c.example",
        "a b@b.example",
        "a..b@b.example",
        ".a@b.example",
        "a.@b.example",
        "a@-b.example",
        "a@b_.example",
        "a@b..example",
        "a@.example",
        f"{'a' * 65}@b.example",
        f"a@{'b' * 64}.example",
        f"a@{'b.' * 127}example",
        "a@[1.2.3]",
        "a@[IPv6:1::2::3]",
        "a@b.example>",
        "<a@b.example",
        "Smith, Ann <a@b.example>",
        "a@xn--a.example",
        "a@\u2615.example",
        "a@b.example,",
        ",a@b.example",
        "a@b.example,,c@b.example",
        "A: B: a@b.example;;",
        "<@r.example:a@b.example>",
        "a@b.example.",
        "a\u200b@b.example",
        "a@exa\u00admple.example",
        "Ann <a@b.example> more",
        "Ann <>",
        "a@192.0.2.1",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(MessageError) as refused:
        least(cc=address)

    assert refused.value.field == "cc"
    assert str(refused.value).isprintable()


def test_a_text_where_a_list_is_meant_is_no_list_of_characters() -> None:
    email = least(comments="one", keywords="red", references="1@a.example", in_reply_to="<1@a.example>")

    assert (email.comments, email.keywords) == (("one",), ("red",))
    assert (email.references, email.in_reply_to) == (("1@a.example",), ("1@a.example",))


@pytest.mark.parametrize(
    "keyword", ["subject", "text", "html", "calendar", "message_id", "comments", "to", "headers"]
)
@pytest.mark.parametrize("wrong", [5, b"octets", object()], ids=["int", "bytes", "object"])
def test_a_value_of_another_type_is_refused_with_the_field_named(keyword: str, wrong: Any) -> None:
    with pytest.raises(MessageError) as refused:
        least(**{keyword: wrong})

    assert refused.value.field == keyword


def legacy(name: str, value: str) -> Message:
    message = Message()
    message._headers = [("From", "a@a.example"), ("To", "b@b.example"), (name, value)]  # type: ignore[attr-defined]
    message.set_payload("x")
    return message


@pytest.mark.parametrize("name", ["Subject", "X-A", "Cc", "Message-ID", "References", "List-Unsubscribe"])
@pytest.mark.parametrize(
    "injected", ["\r\nBcc: evil@e.example", "\nX: y", "\r", "\0", "\x07", "\n\nbody"], ids=ascii
)
def test_a_message_of_the_standard_library_is_checked_alike(name: str, injected: str) -> None:
    with pytest.raises(MessageError) as refused:
        sent(legacy(name, f"<a@a.example>{injected}"))

    assert refused.value.field in {name.lower().replace("-", "_"), f"headers['{name}']"}


def test_a_file_name_of_the_standard_library_is_checked_too() -> None:
    message = MIMEMultipart()
    message["From"], message["To"] = "a@a.example", "b@b.example"
    part = MIMEApplication(b"x")
    part.add_header("Content-Disposition", "attachment", filename="a\r\nBcc: evil@e.example")
    message.attach(part)

    with pytest.raises(MessageError):
        sent(message)


@pytest.mark.parametrize("make", [EmailMessage, MIMEText], ids=["EmailMessage", "MIMEText"])
def test_a_refused_message_leaves_nothing_behind(make: Any) -> None:
    message = make("x") if make is MIMEText else make()
    message["From"] = "a@a.example"

    with Mailstrom(Config(mode="capture")) as m:
        with pytest.raises(MessageError, match="recipients"):
            m.send_email(message)
        assert list(m.outbox) == []
        assert list(m.query_recent()) == []
