"""Email.parse and the address readers on octets made by hand: what they give, what they refuse, and where."""

from __future__ import annotations

import contextlib
import gc
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from mailstrom import Attachment, Email, Group, Mailbox, MessageError
from mailstrom.message import parse_mailboxes
from tests.blackbox.wire import body, least, sent

HEAD = b"From: Ann <ann@a.example>\r\nDate: Mon, 02 Mar 2026 09:30:00 +0100\r\n"
WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=timezone(timedelta(hours=1)))
ANN = Mailbox(name="Ann", local_part="ann", domain="a.example")
BOB = Mailbox(local_part="bob", domain="b.example")
MIXED = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"


def parsed(field: bytes = b"", text: bytes = b"", **modes: bool) -> Email:
    return Email.parse(HEAD + field + b"\r\n" + text, **modes)


def test_every_field_is_read_by_its_meaning() -> None:
    email = parsed(
        b"Sender: Sec <sec@a.example>\r\n"
        b"Reply-To: ann@a.example,\r\n Team: bob@b.example;\r\n"
        b"To: bob@b.example\r\nCc: nobody:;\r\nBcc: bob@b.example\r\n"
        b"Message-ID: <1@a.example>\r\nIn-Reply-To: <0@b.example>\r\n"
        b"References: <9@b.example>\r\n <0@b.example>\r\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?IQ==?= (x)\r\n"
        b"Comments: one\r\nComments: two\r\nKeywords: red, very blue\r\nKeywords: green\r\n"
        b"X-Tag: a\r\nX-Tag: b\r\n",
        b"Hi.\r\n",
    )

    assert email == Email(
        date=WHEN, from_=ANN, sender="Sec <sec@a.example>", to=BOB, cc=Group(name="nobody"), bcc=BOB,
        reply_to=["ann@a.example", Group(name="Team", members=(BOB,))], message_id="1@a.example",
        in_reply_to="0@b.example", references=["9@b.example", "0@b.example"], subject="Gr\u00fc\u00dfe! (x)",
        comments=["one", "two"], keywords=["red", "very blue", "green"],
        headers=[("X-Tag", "a"), ("X-Tag", "b")], text="Hi.\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "read"),
    [
        (b'"Smith, Ann" <ann@a.example>', "Smith, Ann"),
        (b'"q\\"u\\\\o" <ann@a.example>', 'q"u\\o'),
        (b"=?utf-8?q?J=C3=B6rg?= M <ann@a.example>", "J\u00f6rg M"),
        (b"=?iso-8859-1?q?J=F6rg?= <ann@a.example>", "J\u00f6rg"),
        (b"=?utf-8?q?Smith=2C_Ann?= <ann@a.example>", "Smith, Ann"),
        (b"(her) Ann (or (so) \\)) <(x)ann@a.example(y)> (z)", "Ann"),
        (b"Ann\r\n Smith <ann@a.example>", "Ann Smith"),
        (b"<ann@a.example>", None),
    ],
)
def test_names_comments_and_quotes_are_read(field: bytes, read: str | None) -> None:
    assert parsed(b"To: " + field + b"\r\n").to == (Mailbox(name=read, local_part="ann", domain="a.example"),)


@pytest.mark.parametrize(
    ("field", "local_part", "domain"),
    [
        (b'"a b"@b.example', "a b", "b.example"),
        (b'"a\\"b"@b.example', 'a"b', "b.example"),
        (b'"plain"@b.example', "plain", "b.example"),
        (b"a@[192.0.2.1]", "a", "[192.0.2.1]"),
        (b"a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"),
        (b"A.b+c@B.EXAMPLE", "A.b+c", "b.example"),
    ],
)
def test_each_form_of_an_address_is_read(field: bytes, local_part: str, domain: str) -> None:
    assert parsed(b"To: " + field + b"\r\n").to == (Mailbox(local_part=local_part, domain=domain),)


FOLDED = HEAD + b"Cc: ann@a.example,\r\n bob@b.example\r\n"


@pytest.mark.parametrize(
    ("content", "at_fault", "octet"),
    [
        (HEAD + b"Subject: a\r\nSubject: b\r\n\r\n", "subject", len(HEAD) + 12),
        (HEAD + b"Cc: ann@a.example bob@b.example\r\n\r\n", "cc", len(HEAD) + 18),
        (FOLDED + b"Bcc: a@@b.example\r\n\r\n", "bcc", len(FOLDED) + 7),
        (HEAD + b"Cc: ann@a.example,\r\n bob@@b.example\r\n\r\n", "cc", len(HEAD) + 25),
        (HEAD + b"Cc: Ann Q. S <ann@a.example>\r\n\r\n", "cc", None),
        (HEAD + b"Cc: <@r.example:ann@a.example>\r\n\r\n", "cc", len(HEAD) + 5),
        (HEAD + b"Cc: ann@a.example,,bob@b.example\r\n\r\n", "cc", len(HEAD) + 18),
        (HEAD + b"Bad Name: x\r\n\r\n", "content['Bad Name']", len(HEAD)),
        (HEAD + b"Subject : x\r\n\r\n", "content['Subject ']", len(HEAD)),
        (HEAD + b"no colon\r\n\r\n", "content", len(HEAD)),
        (HEAD + b"Subject: \xc3\xbc\r\n\r\n", "subject", len(HEAD) + 9),
        (HEAD + b"Subject: a\0b\r\n\r\n", "content", len(HEAD) + 10),
        (HEAD + b"Subject: a\x07b\r\n\r\n", "subject", len(HEAD) + 10),
        (HEAD + b"Subject: a\r\n \r\n b\r\n\r\n", "subject", None),
        (HEAD + b"Message-ID: <a b@a.example>\r\n\r\n", "message_id", None),
        (HEAD + b"Message-ID: <a@a.example> x\r\n\r\n", "message_id", None),
        (HEAD + b"References: a@a.example\r\n\r\n", "references", None),
        (HEAD + b"\r\na\rb\r\n", "content", len(HEAD) + 3),
        (HEAD + b"\r\na\nb\r\n", "content", len(HEAD) + 3),
        (HEAD + b"\r\n" + b"x" * 999 + b"\r\n", "content", len(HEAD) + 2),
        (b"From: a@a.example\r\nDate: Mon, 31 Feb 2026 09:30:00 +0100\r\n\r\n", "date", 25),
        (b"From: a@a.example\r\nDate: Tue, 02 Mar 2026 09:30:00 +0100\r\n\r\n", "date", 25),
        (b"From: a@a.example\r\nDate: Mon, 02 Mar 26 09:30:00 GMT\r\n\r\n", "date", 25),
        (b"From: a@a.example\r\n\r\n", "date", 0),
        (b"Date: Mon, 02 Mar 2026 09:30:00 +0100\r\n\r\n", "from_", 0),
        (b"", "content", 0),
        (HEAD + b"Content-Type: text/plain\r\n\r\n", "mime_version", len(HEAD)),
        (HEAD + MIXED + b"--x\r\n\r\nunended\r\n", "content", None),
        (HEAD + MIXED + b"--x\r\nContent-Transfer-Encoding: base64\r\n\r\nZm9*\r\n--x--\r\n", "content",
         len(HEAD + MIXED) + 5 + 35 + 5),
    ],
)  # fmt: skip
def test_a_refusal_names_field_octet_and_what_was_expected(
    content: bytes, at_fault: str, octet: int | None
) -> None:
    with pytest.raises(MessageError) as refused:
        Email.parse(content)

    error = refused.value
    assert error.field == at_fault
    assert error.at is not None
    assert octet in {None, error.at}
    assert error.expected
    assert f"octet {error.at + 1} of" in str(error)


def test_two_authors_without_a_sender_are_refused_at_an_octet_too() -> None:
    content = b"From: a@a.example, b@b.example\r\nDate: Mon, 02 Mar 2026 09:30:00 +0100\r\n\r\n"

    with pytest.raises(MessageError) as refused:
        Email.parse(content)

    assert refused.value.field == "sender"
    assert refused.value.at is not None


@pytest.mark.parametrize(
    "field",
    [
        b"Subject : x\r\n",
        b"Cc: Ann Q. S <ann@a.example>\r\n",
        b"Cc: <@r.example:ann@a.example>\r\n",
        b"Cc: ann@a.example,,bob@b.example,\r\n",
        b"Subject: a\r\n \r\n b\r\n",
        b"Cc: ann . s@a . example\r\n",
    ],
)
def test_obsolete_forms_are_taken_only_where_asked_for(field: bytes) -> None:
    with pytest.raises(MessageError):
        parsed(field)

    assert parsed(field, obsolete=True).from_ == (ANN,)


@pytest.mark.parametrize(
    ("date", "meant"),
    [
        (b"Mon, 2 Mar 26 09:30 GMT", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
        (b"2 Mar 2026 09:30:00 EST", datetime(2026, 3, 2, 14, 30, tzinfo=UTC)),
        (b"2 Mar 2026 09 : 30 (x) : 00 +0000", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
        (b"2 Mar 126 09:30:00 +0000", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
        (b"2 Mar 99 09:30:00 +0000", datetime(1999, 3, 2, 9, 30, tzinfo=UTC)),
    ],
)
def test_obsolete_dates_are_read_where_asked_for(date: bytes, meant: datetime) -> None:
    content = b"From: a@a.example\r\nDate: " + date + b"\r\n\r\n"

    with pytest.raises(MessageError):
        Email.parse(content)

    assert Email.parse(content, obsolete=True).date == meant


def test_utf8_in_the_header_is_taken_only_where_asked_for() -> None:
    field = "Subject: Gr\u00fc\u00dfe\r\nTo: J\u00f6rg <j\u00f6rg@b\u00fccher.example>\r\n".encode()

    with pytest.raises(MessageError):
        parsed(field)

    email = parsed(field, smtputf8=True)
    assert email.subject == "Gr\u00fc\u00dfe"
    assert email.to == (Mailbox(name="J\u00f6rg", local_part="j\u00f6rg", domain="b\u00fccher.example"),)


def test_the_parts_of_a_message_are_read() -> None:
    content = HEAD + (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="m m"\r\n\r\n'
        b"preamble\r\n--m m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
        b"--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Sch=F6n=20\r\nund=\r\n gut\r\n"
        b"--a\r\nContent-Type: multipart/related; boundary=r\r\n\r\n"
        b"--r\r\nContent-Type: text/html; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nPHA+\r\n"
        b"--r\r\nContent-Type: image/png\r\nContent-ID: <l@a.example>\r\n"
        b"Content-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: inline; filename=l.png\r\n\r\niVBORw==\r\n--r--\r\n"
        b"--a--\r\n--m m\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment;\r\n"
        b" filename*0*=utf-8'en'%C3%9C;\r\n filename*1=\"ber.pdf\"\r\n\r\n"
        b"JVBE\r\nRg==\r\n--m m--\r\nepilogue\r\n"
    )

    email = Email.parse(content)

    assert (email.text, email.html) == ("Sch\u00f6n \nund gut", "<p>")
    assert email.attachments == (
        Attachment("l.png", b"\x89PNG", "image/png", content_id="l@a.example", disposition="inline"),
        Attachment("\u00dcber.pdf", b"%PDF", "application/pdf"),
    )


@pytest.mark.parametrize(
    "email",
    [
        least(),
        least(text=None, html="<p>\u00fc\n"),
        least(text="\u65e5\u672c\n" * 50, calendar="BEGIN:VCALENDAR\nMETHOD:REPLY\nEND:VCALENDAR\n"),
        least(html="<p>\n")
        .inline(b"\x89PNG", "l@a.example", filename="l.png")
        .attach(b"", filename="\u00fc.bin"),
        least(to=[Group(name="A, B"), ("\u00dc \U0001f600 " * 30 + "x", "x@x.example")]),
        least(subject="  \u00fc \u00fc  ", comments=[" =?x", "a\tb"]),
        least().list_unsubscribe("https://a.example/u", "l@a.example").bulk().auto_submitted(),
    ],
)  # fmt: skip
def test_what_was_written_is_read_back_as_the_same_value(email: Email) -> None:
    again = Email.parse(sent(email).content)

    assert again.replace(date=None, message_id=None) == email


def test_a_message_that_was_read_can_be_sent_again() -> None:
    first = sent(least(html="<p>\n").attach(b"x", filename="x.bin")).content

    second = sent(Email.parse(first)).content

    assert body(second) == body(first)
    assert sorted(second.split(b"\r\n\r\n")[0].splitlines()) == sorted(
        first.split(b"\r\n\r\n")[0].splitlines()
    )


@pytest.mark.parametrize("content", ["text", None, 5, bytearray()], ids=repr)
def test_what_is_not_octets_is_refused(content: Any) -> None:
    with pytest.raises(MessageError) as refused:
        Email.parse(content)

    assert refused.value.field == "content"


@pytest.mark.parametrize(
    ("text", "place"),
    [("a@a.example, b@", 15), ("a@a.example b@b.example", 12), ("a@a.example;b@b.example", 11)],
)
def test_addresses_are_refused_with_the_place(text: str, place: int) -> None:
    with pytest.raises(MessageError) as refused:
        parse_mailboxes(text, field="guests")

    assert (refused.value.field, refused.value.at) == ("guests", place)
    assert refused.value.expected


HOSTILE = {
    "comments": lambda n: b"To: " + b"(" * n + b"\r\n",
    "quotes": lambda n: b"To: " + b'"\\' * n + b"\r\n",
    "groups": lambda n: b"To: " + b"a:" * n + b"\r\n",
    "words": lambda n: b"To: " + b"a " * n + b"\r\n",
    "encoded words": lambda n: b"Subject: " + b"=?" * n + b"\r\n",
    "folds": lambda n: b"Subject: a" + b"\r\n b" * n + b"\r\n",
    "fields": lambda n: b"X-A: b\r\n" * n,
    "boundaries": lambda n: MIXED + b"--x\r\n" * n,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_ten_times_the_input_takes_no_more_than_its_share_of_time(kind: str) -> None:
    def shortest(n: int) -> float:
        content, best = HEAD + HOSTILE[kind](n) + b"\r\n", 9.0
        for _ in range(5):
            gc.collect()  # else a collection of what others left falls into one of the two
            began = time.process_time()
            with contextlib.suppress(MessageError):
                Email.parse(content)
            best = min(best, time.process_time() - began)
        return best

    assert shortest(4000) < 12 * shortest(400) + 0.01
