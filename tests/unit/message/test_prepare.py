"""`message.prepare`: the envelope and the octets of whatever is handed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.address import Mailbox
from mailstrom.message.email import Attachment, Email
from mailstrom.message.prepare import Prepared, fingerprint, prepare
from mailstrom.message.prepared import DsnOptions, PreparedEmail
from mailstrom.message.reading.finished import crlf_content

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ADDED_DATE = "Date: Mon, 02 Mar 2026 09:30:00 +0000\r\n"


def an_email(**changes: Any) -> Email:
    return Email(**{"from_": "a@example.org", "to": "b@example.net", "text": "Hi.\n"} | changes)


def finished(*fields: str, body: str = "Hi.\r\n") -> bytes:
    """A finished message with From and Date where no field says otherwise."""
    names = {field.partition(":")[0].lower() for field in fields}
    given_fields = list(fields)
    if "from" not in names:
        given_fields.append("From: a@example.org")
    if "date" not in names:
        given_fields.append("Date: Mon, 02 Mar 2026 09:30:00 +0100")
    if not names & {"to", "cc", "bcc", "resent-to"}:
        given_fields.append("To: b@example.net")
    return ("\r\n".join(given_fields) + "\r\n\r\n" + body).encode()


def prepared(email: Email | Message | bytes, **options: Any) -> Prepared:
    return prepare(email, **{"now": NOW, "random_id": "r4nd0m"} | options)


def refusal(email: Any, **options: Any) -> MessageError:
    with pytest.raises(MessageError) as caught:
        prepared(email, **options)
    return caught.value


def fields_of(content: bytes) -> list[str]:
    return content.partition(b"\r\n\r\n")[0].decode().replace("\r\n ", " ").split("\r\n")


# --- the envelope


def test_recipients_stand_in_the_order_to_cc_bcc_and_each_once() -> None:
    email = an_email(
        to="Ann <Ann@Example.org>, G: g1@example.net, b\u00fcro@example.net;",
        cc="ann@example.org, g1@EXAMPLE.net",
        bcc="Other name <Ann@example.org>, z@b\u00fccher.example",
    )

    found = prepared(email)

    assert found.email.recipients == (
        "Ann@example.org",
        "g1@example.net",
        "b\u00fcro@example.net",
        "ann@example.org",
        "z@xn--bcher-kva.example",
    )
    assert [str(mailbox) for mailbox in found.recipients] == [
        "Ann <Ann@example.org>",
        "g1@example.net",
        "b\u00fcro@example.net",
        "ann@example.org",
        "z@b\u00fccher.example",
    ]


@pytest.mark.parametrize(
    ("changes", "options", "reverse_path"),
    (
        ({}, {}, "a@example.org"),
        ({"sender": "s@example.com"}, {}, "s@example.com"),
        ({"from_": "x@example.com, y@example.com", "sender": "s@example.com"}, {}, "s@example.com"),
        (
            {"sender": "s@example.com"},
            {"return_path": "Bounces <r@B\u00fccher.example>"},
            "r@xn--bcher-kva.example",
        ),
        ({}, {"return_path": ""}, ""),
        ({"from_": None}, {"default_from": "d@example.com"}, "d@example.com"),
        ({"from_": "Robots:;", "sender": "s@example.com"}, {}, "s@example.com"),
    ),
)
def test_the_reverse_path_is_the_sender_or_the_first_author_or_what_is_said(
    changes: dict[str, Any], options: dict[str, Any], reverse_path: str
) -> None:
    """RFC 5321 4.4, 4.5.5; RFC 5322 3.6.2."""
    assert prepared(an_email(**changes), **options).email.reverse_path == reverse_path


def test_recipients_that_are_said_replace_those_of_the_header() -> None:
    for email in (an_email(bcc="c@example.org"), finished("To: b@example.net", "Bcc: c@example.org")):
        found = prepared(email, recipients="X <x@example.com>, G: y@example.com;")

        assert found.email.recipients == ("x@example.com", "y@example.com")
        assert b"To: b@example.net\r\n" in found.email.content
        assert b"c@example.org" not in found.email.content


@pytest.mark.parametrize(
    ("email", "options", "field"),
    (
        (an_email(to=None), {}, "recipients"),
        (an_email(to="Nobody:;"), {}, "recipients"),
        (an_email(), {"recipients": []}, "recipients"),
        (finished("To: Nobody:;"), {}, "recipients"),
        (an_email(), {"recipients": "nobody"}, "recipients"),
        (an_email(), {"return_path": "a@example.org, b@example.org"}, "return_path"),
        (an_email(from_=None), {}, "from_"),
        (b"To: b@example.net\r\n\r\n", {}, "from_"),
        ("From: a@b\r\n\r\n", {}, "email"),
        (None, {}, "email"),
    ),
)
def test_what_goes_to_nobody_or_comes_from_nobody_is_refused(
    email: Any, options: dict[str, Any], field: str
) -> None:
    assert refusal(email, **options).field == field


# --- what is added and taken away


def test_bcc_never_reaches_the_wire() -> None:
    """P09."""
    legacy = MIMEText("Hi.")
    modern = EmailMessage()
    for message in (legacy, modern):
        message["From"], message["To"], message["BCC"] = (
            "a@example.org",
            "b@example.net",
            "secret@example.com",
        )
    raw = finished(
        "To: b@example.net", "bcc: secret@example.com,\r\n\tmore@secret.example", "Resent-Bcc: secret@x.y"
    )

    for email in (an_email(bcc="secret@example.com"), legacy, modern):
        found = prepared(email)
        assert found.email.recipients == ("b@example.net", "secret@example.com")
        assert b"secret" not in found.email.content
        assert b"bcc" not in found.email.content.lower()
    assert b"secret" not in prepared(raw, recipients="b@example.net", return_path="").email.content


def test_what_is_missing_is_added_and_what_is_there_is_kept() -> None:
    email = an_email(message_id="<mine@example.com>", date=datetime(2020, 1, 1, tzinfo=UTC))

    found = prepared(email)

    assert found.email.message_id == "mine@example.com"
    assert fields_of(found.email.content)[:2] == [
        "Date: Wed, 01 Jan 2020 00:00:00 +0000",
        "Message-ID: <mine@example.com>",
    ]
    assert prepared(an_email()).email.message_id == "20260302093000.r4nd0m@example.org"
    assert prepared(an_email(from_="a@[192.0.2.1]")).email.message_id == "20260302093000.r4nd0m@[192.0.2.1]"


def test_finished_octets_change_in_nothing_else() -> None:
    raw = (
        b"Received: from x.example\r\n\tby y.example; Mon, 02 Mar 2026 09:30:00 +0100\r\n"
        b"FROM:  Ann (home)\r\n <ann@example.org>\r\nX-Odd:a\r\nbcc: c@example.org\r\nto: b@example.net\r\n"
        b"\r\n  body \r\n.\r\n\r\nno end"
    )

    found = prepared(raw)

    assert found == Prepared(
        email=PreparedEmail(
            message_id="20260302093000.r4nd0m@example.org",
            reverse_path="ann@example.org",
            recipients=("b@example.net", "c@example.org"),
            content=raw.replace(b"bcc: c@example.org\r\n", b"").replace(
                b"\r\n\r\n  body",
                b"\r\nMessage-ID: <20260302093000.r4nd0m@example.org>\r\n"
                + ADDED_DATE.encode()
                + b"\r\n  body",
            ),
        ),
        recipients=(
            Mailbox(local_part="b", domain="example.net"),
            Mailbox(local_part="c", domain="example.org"),
        ),
        generated=(b"Message-ID: <20260302093000.r4nd0m@example.org>\r\n", ADDED_DATE.encode()),
        has_own_id=False,
    )
    assert prepared(finished("Message-ID: (c) <1@x> (d)")).email.content == finished(
        "Message-ID: (c) <1@x> (d)"
    )


def test_a_message_without_a_body_is_a_message() -> None:
    """RFC 5322 3.5."""
    raw = finished("Message-ID: <1@x>").partition(b"\r\n\r\n")[0] + b"\r\n"

    assert prepared(raw).email.content == raw


def test_octets_whose_every_line_ends_with_lf_become_crlf() -> None:
    """P42."""
    raw = finished("Message-ID: <1@x>", body="a\r\n.\r\n\r\nb")

    assert prepared(raw.replace(b"\r\n", b"\n")).email.content == raw


# --- what a message needs


@pytest.mark.parametrize(
    ("email", "needs"),
    (
        (an_email(subject="\u00e9", to="J\u00f6 <b@b\u00fccher.example>", text="\u4e2d"), (False, False)),
        (an_email(to="j\u00f6@example.net"), (True, False)),
        (an_email(bcc="j\u00f6@example.net"), (False, False)),  # that recipient alone needs it
        (finished(body="caf\u00e9\r\n"), (False, True)),
        (finished("Subject: caf\u00e9"), (True, False)),
        (finished("To: j\u00f6@example.net"), (True, False)),
        (finished("To: =?utf-8?q?=C3=A9?= <b@example.net>"), (False, False)),
    ),
)
def test_an_extension_is_needed_only_where_the_octets_need_it(
    email: Email | bytes, needs: tuple[bool, bool]
) -> None:
    """P16, P46; RFC 6531 3.4, RFC 6152 3."""
    found = prepared(email).email

    assert (found.needs_smtputf8, found.needs_8bitmime) == needs


def test_dsn_options_are_carried_along() -> None:
    dsn = DsnOptions(ret="HDRS", envid="id 1+1=2", notify=("SUCCESS", "FAILURE"))

    assert prepared(an_email(dsn=dsn)).email.dsn == dsn


# --- what finished octets must not be


@pytest.mark.parametrize(
    ("raw", "field", "expected"),
    (
        (finished() + b"a\nb\r\n", "content", "bare LF"),
        (finished() + b"a\rb\r\n", "content", "bare CR"),
        (finished().replace(b"\r\n", b"\r"), "content", "bare CR"),
        (finished() + b"\0\r\n", "content", "NUL"),
        (finished() + b"x" * 999, "content", "998"),
        (finished("Subject: " + "x" * 990), "content", "998"),
        (finished("Subject: a\x07b"), "subject", "U+0007"),
        (finished("Subject: a\x85b"), "subject", "U+0085"),
        (finished().replace(b"b@", b"\xff@"), "to", "UTF-8"),
        (finished("garbage line"), "content", "name, colon, value"),
        (finished("X Bad: 1"), "content['X Bad']", "field name"),
        (finished("Subject : x"), "content['Subject ']", "field name"),
        (finished(": value"), "content['']", "field name"),
        (finished(" Subject: x"), "content[' Subject']", "field name"),
        (b"From a@b Mon Mar  2 2026\r\n" + finished(), "content", "name, colon, value"),
        (finished("Subject: a\r\n \r\n b"), "subject", "blank line"),
        (finished("Subject: a", "subject: b"), "subject", "one"),
        (finished("From: a@b.c", "From: d@e.f"), "from_", "one"),
        (finished("To: a@b.c", "To: d@e.f"), "to", "one"),
        (finished("Message-ID: <1@a>", "Message-ID: <2@a>"), "message_id", "one"),
        (finished("Content-Type: text/plain", "Content-type: text/html"), "content_type", "one"),
        (finished("Message-ID: 1@a"), "message_id", "angle brackets"),
        (finished("Message-ID: <a@b@c>"), "message_id", "left@"),
        (finished("Date: 2026-03-02T09:30:00Z"), "date", "a date such as"),
        (finished("From: a@b.c, d@e.f"), "sender", "not a single mailbox"),
        (finished("To: a@x.y;b@x.y"), "to", "semicolon"),
        (finished("To: "), "to", "an address"),
        (finished("From: <@r:a@b.c>"), "from_", "source route"),
        (finished("Sender: a@b.c (open"), "sender", "')'"),
        (b"no header at all", "content", "header fields"),
    ),
)
def test_octets_that_can_be_read_in_two_ways_are_refused(raw: bytes, field: str, expected: str) -> None:
    """P04-P06, P10, P22, P30-P32, S1, S5; RFC 5322 2.1.1, 2.2, 3.6."""
    error = refusal(raw)

    assert error.field == field
    assert expected in str(error)


@given(
    st.binary(max_size=60)
    | st.lists(
        st.sampled_from(
            [b"From: a@b\r\n", b"To: c@d\r\n", b"\r\n", b" ", b"x", b"\n", b":", b"\xc3\xa9", b"Bcc: "]
        )
    ).map(b"".join)
)
def test_any_octets_are_refused_or_sent_as_they_are(raw: bytes) -> None:
    """S1, S5, S21."""
    try:
        found = prepared(raw)
    except MessageError:
        return

    again = prepared(found.email.content, recipients=list(found.recipients))
    assert again.email.content == found.email.content
    assert crlf_content(found.email.content) == found.email.content


# --- resent messages


RESENT = (
    "Resent-From: Mary <mary@example.net>",
    "Resent-To: jane@example.com",
    "Resent-Bcc: ida@example.com",
    "Resent-Date: Mon, 02 Mar 2026 10:00:00 +0000",
    "Resent-Message-ID: <r1@example.net>",
)


def test_a_resent_message_goes_where_the_resent_fields_say() -> None:
    """RFC 5322 3.6.6."""
    found = prepared(finished(*RESENT, "Message-ID: <1@a>", "To: b@example.net")).email

    assert (found.message_id, found.reverse_path) == ("r1@example.net", "mary@example.net")
    assert found.recipients == ("jane@example.com", "ida@example.com")
    assert b"ida@example.com" not in found.content


def test_which_of_several_resent_blocks_is_meant_has_to_be_said() -> None:
    """RFC 5322 3.6.6."""
    raw = finished(*RESENT, *RESENT)

    assert refusal(raw).field == "resent_to"
    assert prepared(raw, recipients="x@y.example", return_path="z@y.example").email.recipients == (
        "x@y.example",
    )
    assert refusal(finished(*RESENT[:3])).field == "resent_date"


# --- fingerprints


def a_message(kind: type[EmailMessage] | None = EmailMessage, **fields: Any) -> Message:
    message: Message = MIMEText("Hi.") if kind is None else kind()
    for name, value in ({"From": "a@example.org", "To": "b@example.net"} | fields).items():
        message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    "email", (an_email(html="<p>x</p>"), finished().replace(b"Date", b"X-Date"), a_message(Subject="x"))
)
def test_the_same_email_has_the_same_fingerprint_whenever_it_is_prepared(email: Any) -> None:
    first, second = prepared(email), prepared(email, now=LATER, random_id="other")

    assert first.email.content != second.email.content
    assert fingerprint(first) == fingerprint(second)


def test_another_email_has_another_fingerprint() -> None:
    variants = [
        prepared(an_email()),
        prepared(an_email(text="Ho.\n")),
        prepared(an_email(subject="x")),
        prepared(an_email(bcc="c@example.org")),
        prepared(an_email(), return_path=""),
        prepared(an_email(message_id="1@x")),
        prepared(an_email(message_id="2@x")),
        prepared(an_email(date=NOW)),
        prepared(an_email(dsn=DsnOptions(ret="FULL"))),
    ]

    assert len({fingerprint(variant) for variant in variants}) == len(variants)


# --- seals


class Seal:
    """Counts the octets it was shown."""

    def __init__(self, fields: bytes = b"X-Seal: 00000000\r\n", room: int = 18) -> None:
        self._fields = fields
        self._room = room
        self.seen = b""

    def room(self, header: bytes) -> int:
        return self._room

    def fields(self, header: bytes, body: memoryview) -> bytes:
        self.seen = header + b"\r\n" + bytes(body)
        return self._fields.replace(b"00000000", b"%08d" % len(self.seen))


def a_standard_message() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Bcc"] = "a@example.org", "b@example.net", "c@example.com"
    message.set_content("Hi.\n")
    return message


SEALED = (
    an_email(bcc="c@example.com", attachments=[Attachment("a.bin", bytes(1000))]),
    finished("Bcc: c@example.com"),
    finished("Message-ID: <1@x>"),
    finished("Message-ID: <1@x>").replace(b"\r\n", b"\n"),
    a_standard_message(),
)


@pytest.mark.parametrize("email", SEALED)
def test_a_seal_stands_on_top_of_the_final_octets(email: Any) -> None:
    seal = Seal()
    bare = prepared(email)

    found = prepared(email, seal=lambda domain: seal if domain == "example.org" else None)

    content = bare.email.content
    assert seal.seen == content
    assert found.email.content == b"X-Seal: %08d\r\n" % len(content) + content
    assert (found.sealed, bare.sealed) == (18, 0)
    assert fingerprint(found) == fingerprint(bare)


@pytest.mark.parametrize(
    "seal", (Seal(b"X: y\r\n"), Seal(b"X-Seal: 0000000000"), Seal(b"X-Seal 000000000\r\n"))
)
def test_what_is_no_header_field_is_no_seal(seal: Seal) -> None:
    with pytest.raises(MessageError):
        prepared(an_email(), seal=lambda domain: seal)


def test_nothing_is_sealed_where_there_is_no_seal_for_the_domain_of_from() -> None:
    asked: list[str | None] = []

    for email in (an_email(), an_email(from_="G:;", sender="s@example.com")):
        assert prepared(email, seal=asked.append).email == prepared(email).email

    assert asked == ["example.org", None]


# --- emails that are resent


def test_an_email_with_resent_fields_goes_where_they_say() -> None:
    """RFC 5322 3.6.6."""
    raw = finished(*RESENT, "Message-ID: <1@a.example>", "To: b@example.net")
    email = Email.parse(raw)

    found = prepared(email).email

    assert (found.reverse_path, found.recipients, found.message_id) == (
        "mary@example.net",
        ("jane@example.com",),
        "r1@example.net",
    )
    assert prepared(email, recipients="x@example.com", return_path="").email.recipients == ("x@example.com",)
