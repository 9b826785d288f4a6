"""`message.parse`: from the octets of a message to an `Email`, by the letter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings

from mailstrom.errors import MessageError
from mailstrom.message.address import Group, Mailbox
from mailstrom.message.attachment import Attachment
from mailstrom.message.email import Email
from mailstrom.message.prepare import prepare
from mailstrom.message.reading.parse import parsed_email
from tests.emails import emails

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FROM, DATE = "From: Ann <ann@example.org>", "Date: Mon, 02 Mar 2026 09:30:00 +0100"
MIME = "MIME-Version: 1.0"
ANN = Mailbox(name="Ann", local_part="ann", domain="example.org")
BOB = Mailbox(local_part="bob", domain="example.net")


def message(*fields: str, body: str = "Hi.\r\n", first: tuple[str, ...] = (FROM, DATE)) -> bytes:
    return "\r\n".join([*first, *fields, "", body]).encode()


def mime(*fields: str, body: str) -> bytes:
    return message(MIME, *fields, body=body)


def refusal(content: bytes, *, obsolete: bool = False, smtputf8: bool = False) -> MessageError:
    with pytest.raises(MessageError) as caught:
        parsed_email(content, obsolete=obsolete, smtputf8=smtputf8)
    return caught.value


def written(email: Email) -> bytes:
    made = prepare(
        email,
        recipients="bob@example.net",
        return_path="ann@example.org",
        default_from="ann@example.org",
        now=NOW,
        random_id="1",
    )
    return made.email.content


# --- what is read


def test_every_field_of_a_message_has_its_keyword() -> None:
    """RFC 5322 3.6."""
    received = (
        "from a.example ([192.0.2.1]) by b.example with ESMTP id x1 for <bob@example.net>; "
        "Mon, 2 Mar 2026 09:30:05 +0100 (CET)"
    )
    content = (
        b"Return-Path: <bounce@example.org>\r\n"
        b"Received: from a.example ([192.0.2.1]) by b.example with ESMTP id x1\r\n"
        b" for <bob@example.net>; Mon, 2 Mar 2026 09:30:05 +0100 (CET)\r\n"
        b"Date: Mon, 02 Mar 2026 09:30:00 +0100\r\n"
        b'From: Ann <ann@example.org>, "Doe, J." <j@example.org>\r\n'
        b"Sender: Ann <ann@example.org>\r\n"
        b"Reply-To: List: bob@example.net;\r\n"
        b"To: bob@example.net\r\n"
        b"Cc: Nobody:;\r\n"
        b"Bcc: bob@example.net\r\n"
        b"Message-ID: <1@example.org>\r\n"
        b"In-Reply-To: <2@example.org> (that one)\r\n"
        b"References: <3@example.org>\r\n <2@example.org>\r\n"
        b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_?=\r\n =?iso-8859-1?B?4Q==?= and more\r\n"
        b"Comments: one\r\n"
        b"Comments: =?us-ascii*en?Q?two?=\r\n"
        b'Keywords: one, "two, three", =?utf-8?Q?f=C3=BCnf?=\r\n'
        b"X-Text: =?utf-8?Q?=C3=A9?=\r\n"
        b"List-Id: =?utf-8?Q?=C3=A9?= <a.example>\r\n"
        b"\r\n"
        b"Hi.\r\nBye."
    )

    email = parsed_email(content)

    assert email == Email(
        from_=[ANN, Mailbox(name="Doe, J.", local_part="j", domain="example.org")],
        sender=ANN,
        reply_to=Group(name="List", members=(BOB,)),
        to=BOB,
        cc=Group(name="Nobody"),
        bcc=BOB,
        date=datetime(2026, 3, 2, 9, 30, tzinfo=timezone(timedelta(hours=1))),
        message_id="1@example.org",
        in_reply_to="2@example.org",
        references=["3@example.org", "2@example.org"],
        subject="Grüße á and more",
        comments=["one", "two"],
        keywords=["one", "two, three", "fünf"],
        headers=[
            ("Received", received),
            ("X-Text", "é"),
            ("List-Id", "=?utf-8?Q?=C3=A9?= <a.example>"),
        ],
        text="Hi.\nBye.",
    )


@pytest.mark.parametrize(
    ("content", "text"),
    (
        (message()[: -len("\r\nHi.\r\n")], ""),
        (message(body=""), ""),
        (message(body="Hi."), "Hi."),
        (message(body="\r\n\r\n"), "\n\n"),
        (message(body="a\x07\x0c\x1bb\r\n"), "a\ufffd\ufffd\ufffdb\n"),
        (message(MIME, "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit",
                 body="Café\r\n"), "Café\n"),
        (mime("Content-Type: text/plain; charset=iso-8859-15", "Content-Transfer-Encoding: quoted-printable",
              body="=A4 =\r\n=3D\r\n"), "€ =\n"),
        (mime("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64",
              body="w6kNCmENYg==\r\n"), "é\na\nb"),
        (mime('Content-Type: text/plain; charset="iso-2022-jp"', body='\x1b$B8"\x1b(B\r\n'), "権\n"),
    ),
)  # fmt: skip
def test_a_text_is_read_by_its_encoding_and_charset_with_lf_line_ends(content: bytes, text: str) -> None:
    """RFC 2045 6, RFC 2046 4.1; RFC 5322 3.5: a control character is valid, and is shown as U+FFFD."""
    assert parsed_email(content).text == text


def test_octets_in_which_every_line_ends_with_lf_are_read_as_if_they_had_crlf() -> None:
    content = message("Subject: a\r\n b", body="Hi.\r\n")

    assert parsed_email(content.replace(b"\r\n", b"\n")) == parsed_email(content)
    # and errors speak of what was given
    error = refusal(message("To: a@b.example, ,").replace(b"\r\n", b"\n"))
    assert (error.field, error.at) == ("to", len(f"{FROM}\n{DATE}\nTo: a@b.example, "))
    assert refusal(b"X-A: b\n" + b"x" * 999).at == 7


def test_the_body_is_sorted_into_text_html_calendar_and_attachments() -> None:
    """RFC 8621 4.1.4."""
    content = mime(
        "Content-Type: multipart/mixed; boundary=m",
        body=(
            "--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
            "--a\r\n\r\nplain\r\n"
            "--a\r\nContent-Type: multipart/related; boundary=r\r\n\r\n"
            "--r\r\nContent-Type: text/html\r\n\r\n<p>html\r\n"
            "--r\r\nContent-Type: image/png; name=x.png\r\nContent-ID: <logo@example.org>\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n"
            "--r--\r\n"
            "--a\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\n"
            "--a--\r\n"
            "--m\r\nContent-Type: text/csv; charset=utf-8; header=present\r\n"
            "Content-Disposition: attachment; filename=wrong.csv; filename*=utf-8''Pl%C3%A4ne.csv\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\nw6kK\r\n"
            "--m\r\n\r\nmore text\r\n"
            "--m\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@b.example\r\n\r\ninner\r\n\r\n"
            "--m\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a.example\r\n\r\n"
            "--m--\r\n"
        ),
    )

    email = parsed_email(content)

    assert (email.text, email.html, email.calendar) == ("plain", "<p>html", "BEGIN:VCALENDAR")
    assert email.attachments == (
        Attachment("x.png", b"\0\1\2", "image/png", content_id="logo@example.org", disposition="inline"),
        Attachment("Pläne.csv", "é\n".encode(), 'text/csv; charset="utf-8"; header="present"'),
        Attachment(None, b"more text", "text/plain", disposition="inline"),
        Attachment(None, b"From: a@b.example\r\n\r\ninner\r\n", "message/rfc822"),
        Attachment(None, b"Reporting-MTA: dns; a.example\r\n", "application/octet-stream"),
    )


@settings(max_examples=40)
@given(emails())
def test_what_we_write_is_read_back_as_the_same_email(email: Email) -> None:
    made = prepare(
        email,
        recipients="bob@example.net",
        return_path="ann@example.org",
        default_from="ann@example.org",
        now=NOW,
        random_id="1",
    )

    again = parsed_email(made.email.content, smtputf8=made.email.needs_smtputf8)

    same = ("reply_to", "to", "cc", "subject", "comments", "keywords", "in_reply_to", "references", "headers")
    assert {name: getattr(again, name) for name in same} == {name: getattr(email, name) for name in same}
    assert again.from_ == (email.from_ or (Mailbox(local_part="ann", domain="example.org"),))
    assert again.sender == (None if (email.sender,) == email.from_ else email.sender)
    assert again.date == (email.date or NOW).replace(microsecond=0)
    assert again.message_id == (email.message_id or made.email.message_id)
    assert [ended(one) for one in (again.text, again.html, again.calendar)] == [
        ended(one) for one in (email.text or "", email.html, email.calendar)
    ] or (email.text is None and again.text is None)
    assert sorted(map(shape, again.attachments)) == sorted(map(shape, email.attachments))


def ended(text: str | None) -> str | None:
    """How a text is written: LF line ends, the last line ended."""
    if not text:
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return lines if lines.endswith("\n") else f"{lines}\n"


def shape(attachment: Attachment) -> str:
    essence, parameters = attachment.parsed_type
    return repr(
        (attachment.filename, attachment.content, essence, parameters, attachment.content_id,
         attachment.disposition)
    )  # fmt: skip


# --- what is read on demand only


RECEIVED = "Received: from a.example by b.example; Mon, 2 Mar 2026 09:30 +0100"
RESENT = ("Resent-Date: 2 Mar 2026 09:30 +0100", "Resent-From: a@b.example")


@pytest.mark.parametrize(
    "content",
    (
        message("Bcc: (hidden)"),
        message('To: "" <a@b.example>, Ann<a@b.example> , <c@d.example>(c)'),
        message("To: a @ b.example, (c)a(c)@(c)b.example(c)"),
        message("To: a@[ 192.0.2.7 ], a@[IPv6:2001:db8::1]"),
        message('To: "a\tb" <a@b.example>, "a b"@b.example'),
        message("Subject:\r\n x\r\n\ty z"),
        message("Subject:  "),
        message("To:\r\n bob@example.net,\r\n (fold\r\n ed) ann@example.org"),
        message("Subject: " + "x" * 989),
        message("Subject: what =? and ?= and =?utf-8? mean"),
        message("Subject: =?utf-8?Q?" + "a" * 63 + "?="),
        message("To: (=?utf-8?Q?J=C3=BCri?= (inner)) a@b.example"),
        message("X-Empty: ", "x-1!#$%&'*+^_`{|}~: y"),
        message("Message-ID: <1@[192.0.2.1]>"),
        message("References: <1@a><2@b> (c)"),
        message("MIME-Version: 1.(made\r\n by hand)0"),
        mime("Content-Type: (a) text (b) / (c) plain (d) ; charset = us-ascii (e)", body="x"),
        mime(f'Content-Type: multipart/mixed; boundary="{"b" * 70}"',
             body="--{0}\r\n\r\nx\r\n--{0}--".format("b" * 70)),
        mime('Content-Type: multipart/x; boundary="a b:c"',
             body="pre\r\n--a b:c \t\r\n\r\nx\r\n--a b:c-- \r\npost"),
        mime("Content-Type: message/rfc822", body="anything\r\n"),
        message(first=(FROM, "Date: Mon,02 mar 2026\r\n 09:30 -0000 (a (b))")),
        message(first=(RECEIVED, RECEIVED, FROM, DATE)),
        message(first=("Return-Path: (c) <> (d)", RECEIVED, "Return-Path: <a@b.example>", FROM, DATE)),
        message(first=(*RESENT, "Resent-Message-ID: <1@a>", *RESENT, "Resent-Bcc: ", RECEIVED, FROM, DATE)),
        message("Sender: Undisclosed:;", first=(DATE, "From: Nobody:;"))
        .replace(b"Undisclosed:;", b"ann@example.org"),
    ),
)  # fmt: skip
def test_what_the_standards_allow_is_read_both_ways_alike(content: bytes) -> None:
    """RFC 5322 3, RFC 2045, RFC 2046, RFC 2047."""
    email = parsed_email(content)

    assert parsed_email(content, obsolete=True) == email
    assert parsed_email(written(email)).subject == email.subject


@pytest.mark.parametrize(
    ("content", "changed"),
    (
        (message("To: a@b.example, , ,c@d.example,"), {"to": "a@b.example, c@d.example"}),
        (message("To: G:,a@b.example,,;"), {"to": "G: a@b.example;"}),
        (message("To: <@a,@b.example:a@b.example>, <,@a:c@d.example>"), {"to": "a@b.example, c@d.example"}),
        (message("To: a . b @ c (d) . example"), {"to": "a.b@c.example"}),
        (message('To: "a"."b"@c.example'), {"to": "a.b@c.example"}),
        (message("To: J. R. Doe <a@b.example>"), {"to": '"J. R. Doe" <a@b.example>'}),
        (message('To: "a\x01\x7fb" <a@b.example> (\x02)'), {"to": '"a\ufffd\ufffdb" <a@b.example>'}),
        (message("To: a@b.example\r\n \r\n\t"), {"to": "a@b.example"}),
        (message("To: a@b.example", "to : c@d.example"), {"to": "a@b.example, c@d.example"}),
        (message("Subject: a\r\n \r\n b"), {"subject": "a  b"}),
        (message("Subject \t: a"), {"subject": "a"}),
        (message("Subject: a\rb\nc\0d\x07"), {"subject": "a\ufffdb\ufffdc\ufffdd\ufffd"}),
        (message("Subject: =?x-no?Q?a?= =?utf-8?Q?=C3?="), {"subject": "=?x-no?Q?a?= \ufffd"}),
        (message("Keywords: a,,b,"), {"keywords": ["a", "b"]}),
        (message("Message-ID: <1 @ a (c) . b>"), {"message_id": "1@a.b"}),
        (message('Message-ID: <"a b"@c>'), {"message_id": None}),
        (message("References: see <1@a> for", 'In-Reply-To: my "x" of <"2"@a>'),
         {"references": ["1@a"], "in_reply_to": ["2@a"]}),
        (message(first=(FROM, "Date: 2 Mar 26 09 : 30 EST")),
         {"date": datetime(2026, 3, 2, 9, 30, tzinfo=timezone(timedelta(hours=-5)))}),
        (message(first=(FROM,)), {"date": None}),
        (message(first=(DATE,)), {"from_": None}),
        (message(RECEIVED), {"headers": [("Received", RECEIVED[10:])]}),
        (message("Received: from a by b"), {}),
        (message(first=("Return-Path: <@a:b@c.example>", FROM, DATE)), {}),
        (message("Resent-Date: 2 Mar 126 09:30 GMT", "Resent-From: J. Doe <a@b.example>"),
         {"headers": [("Resent-Date", "Mon, 02 Mar 2026 09:30:00 +0000"),
                      ("Resent-From", '"J. Doe" <a@b.example>')]}),
        (message("Resent-To: a@b.example", "Resent-Reply-To: a@b.example"), {}),
        (message("List-Id: \x07"), {}),
        (message(body="a\rb\nc\0d\r\n"), {"text": "a\nb\nc\ufffdd\n"}),
        (message(body="Café\r\n"), {"text": "Café\n"}),
        (mime("Content-Type: text/plain; charset=x-no", body="a"), {"text": "a"}),
        (mime("Content-Type: text/plain; charset=us-ascii;", "Content-Transfer-Encoding: 8bit", body="é"),
         {"text": "\ufffd\ufffd"}),
        (mime("Content-Transfer-Encoding: quoted-printable", body="=c3=A9 " + "x" * 80 + " \r\n"),
         {"text": "é " + "x" * 80 + "\n"}),
        (mime("Content-Transfer-Encoding: base64", body="w6 k\r\n"), {"text": "é"}),
        (message("Content-Type: text/html", body="x"), {"text": None, "html": "x"}),
        (mime("Content-Type: multipart/mixed; boundary=b", body="--b\r\n\r\nx"), {"text": "x"}),
        (mime("Content-Type: text/calendar", "Content-Transfer-Encoding: base64", body="... ..."),
         {"text": None, "attachments": Attachment(None, b"... ...", "application/octet-stream",
                                                  disposition="attachment")}),
    ),
)  # fmt: skip
def test_what_is_obsolete_is_read_on_demand_and_comes_out_fit_to_be_written(
    content: bytes, changed: dict[str, object]
) -> None:
    """RFC 5322 4: a reader must take it, nothing may write it."""
    refusal(content)
    expected = {"from_": ANN, "date": parsed_email(message()).date, "text": "Hi.\n"} | changed

    email = parsed_email(content, obsolete=True)

    assert email == Email(**expected)
    again = parsed_email(written(email))
    assert (again.to, again.subject, again.keywords) == (email.to, email.subject, email.keywords)
    assert (again.references, again.headers) == (email.references, email.headers)


@pytest.mark.parametrize(
    ("field", "expected"),
    (
        ("From: Jüri <juri@example.org>", {"from_": "Jüri <juri@example.org>"}),
        ("From: jüri@bücher.example", {"from_": "jüri@bücher.example"}),
    ),
)
def test_utf8_in_header_fields_is_read_where_smtputf8_is_in_use(field: str, expected: dict[str, str]) -> None:
    """RFC 6532 3.2."""
    content = message("Subject: Café", "Keywords: é", "X-A: é", first=(field, DATE))

    email = parsed_email(content, smtputf8=True)

    assert email == Email(
        **expected, subject="Café", keywords=["é"], headers={"X-A": "é"}, text="Hi.\n",
        date=parsed_email(message()).date,
    )  # fmt: skip
    assert refusal(content).field == "from_"
    assert refusal(content, obsolete=True).field == "from_"


# --- what is refused, and what is said of it


@pytest.mark.parametrize(
    ("content", "field", "place", "expected"),
    (
        (b"", "content", "", "header fields"),
        (message()[:20], "content", "", "each line ended"),
        (message(first=(DATE,)), "from_", "Date", "a From field"),
        (message(first=(FROM,)), "date", "From", "a Date field"),
        (message("Subject: a", "subject: b"), "subject", "subject: b", "one subject field"),
        (message("To: a@b.example", "Cc: c@d.example", "To: e@f.example"), "to", "To: e@", "one to field"),
        (message("Subject : x"), "content['Subject ']", "Subject :", "a field name"),
        (message("garbage"), "content", "garbage", "name, colon, value"),
        (message(first=(" Subject: x", FROM, DATE)), "content[' Subject']", " Subject", "a field name"),
        (message("Subject: a\x07b"), "subject", "\x07b", "no control character"),
        (message("Subject: a\r\n b\x07"), "subject", "\x07", "no control character"),
        (message("Subject: a\r\n \r\n b"), "subject", "Subject", "no blank line"),
        (message("Subject: a\0b"), "content", "\0", "no NUL"),
        (message("Subject: a\rb"), "content", "\rb", "CRLF"),
        (message(body="a\r\nb\nc"), "content", "\nc", "CRLF"),
        (message("Subject: " + "x" * 990), "content", "Subject", "998"),
        (message(body="y\r\n" + "x" * 999), "content", "x" * 999, "998"),
        (message("Subject: Café"), "subject", "\xe9", "SMTPUTF8"),
        (message("X-A: b", "X-B: é"), "x_b", "\xe9", "SMTPUTF8"),
        (message("To: a@b.example;c@d.example"), "to", ";c@", "semicolon"),
        (message("To: "), "to", "\r\n\r\nHi", "user@example.org"),
        (message("To: a@b.example,\r\n  b..c@d.example"), "to", "..c", "single dots"),
        (message("To: A: B: a@b.example;;"), "to", ": a@b", "not another group"),
        (message("To: A: a@b.example"), "to", "\r\n\r\nHi", "';' at the end"),
        (message("To: <@a:b@c.example>"), "to", "@a:b", "source route"),
        (message("To: a@b.example (open"), "to", "(open", "')'"),
        (message('To: "=?utf-8?Q?a?=" <a@b.example>'), "to", '"=?', "no encoded word inside quotes"),
        (message("To: =?utf-8?Q?a?=@b.example"), "to", "=?utf", "no encoded word in an address"),
        (message("To: =?utf-8?Q?J_(x)?= <a@b.example>"), "to", "=?utf", "a whole encoded word"),
        (message("Sender: a@b.example, c@d.example"), "sender", "a@b", "one address"),
        (message("Subject: =?utf-8?Q?a b?="), "subject", "=?utf", "a whole encoded word"),
        (message("Subject: x=?utf-8?Q?a?="), "subject", "x=?utf", "a whole encoded word"),
        (message("Subject: =?utf-8?X?a?="), "subject", "=?utf", "a whole encoded word"),
        (message("X-A: =?utf-8?B?w6k?="), "headers['X-A']", "=?utf", "base64"),
        (message("Subject: =?utf-8?Q?=C3?="), "subject", "=?utf", "octets that utf-8 has"),
        (message("Subject: =?x-no?Q?a?="), "subject", "=?x-no", "a known charset"),
        (message("Subject: =?utf-8?Q?a=0D=0Ab?="), "subject", "=?utf", "no control characters"),
        (message("Keywords: a,,b"), "keywords", ",b", "a keyword"),
        (message("Message-ID: <1@a> <2@a>"), "message_id", "<1@a>", "one message id"),
        (message("References: <1@a>, <2@a>"), "references", ", <2@a>", "angle brackets"),
        (message("References: <1@a>\r\n <2 @a>"), "references", "<2 @a>", "a message id such as"),
        (message(first=(FROM, "Date: Tue, 02 Mar 2026 09:30:00 +0100")), "date", "Tue", "a date such as"),
        (message("Received: x; 2 Mar 2026 09:30 +0000"), "received", "Received", "Received above Date"),
        (message(first=("Received: a:b; x", FROM, DATE)), "received", ":b;", "words, domains"),
        (message(first=("Return-Path: a@b.example", FROM, DATE)), "return_path", "a@b", "angle brackets"),
        (message(first=("Resent-To: a@b.example", FROM, DATE)), "resent_date", "Resent", "Resent-Date"),
        (message(first=(RESENT[0], "X-A: b", RESENT[1], FROM, DATE)), "resent_from", "Resent", "together"),
        (message(first=(*RESENT, "Resent-Reply-To: a@b.example", FROM, DATE)), "resent_reply_to",
         "Resent-Reply-To", "RFC 5322 3.6.6"),
        (message("List-Id:"), "headers['List-Id']", "List-Id", "a value of tokens"),
        (message("Content-Type: text/plain"), "mime_version", "Content-Type", "MIME-Version: 1.0"),
        (message("MIME-Version: 2.0"), "mime_version", "2.0", "1.0"),
        (mime("Content-Type: multipart/x; boundary=a:b", body=""), "content_type", ":b", "';'"),
        (mime("Content-Type: text/plain; charset=x-no", body="a"), "content", "a", "a known charset"),
        (mime("Content-Type: text/plain; charset=punycode", body="a"), "content", "a", "a known charset"),
        (mime("Content-Transfer-Encoding: 8bit", body="\xe9"), "content", "\xe9", "octets that us-ascii has"),
        (message(body="a\r\nbé"), "content", "\xe9", "ASCII in a body whose encoding is 7bit"),
        (mime("Content-Transfer-Encoding: quoted-printable", body="=C3é"), "content", "\xe9", "ASCII in"),
        (mime("Content-Transfer-Encoding: base64", body="QUFB\r\nQ$=="), "content", "$==", "base64"),
        (mime("Content-Transfer-Encoding: x-uue", body="a"), "content", "a", "quoted-printable or base64"),
    ),
)  # fmt: skip
def test_a_refusal_names_the_field_the_octet_and_what_was_expected(
    content: bytes, field: str, place: str, expected: str
) -> None:
    """RFC 5322 2-3.6, RFC 2045-2047."""
    error = refusal(content)

    assert error.field == field
    assert expected in error.expected
    if place:
        at = error.at
        assert at is not None
        assert content[at:].startswith(place.encode())
        assert f"octet {at + 1} of the content" in str(error)


def test_several_authors_need_a_sender() -> None:
    """RFC 5322 3.6.2, also of those who send a message again."""
    assert refusal(message(first=(DATE, "From: a@b.example, c@d.example"))).field == "sender"
    again = ("Resent-Date: 2 Mar 2026 09:30 +0100", "Resent-From: a@b.example, c@d.example")
    assert refusal(message(first=(*again, FROM, DATE))).field == "sender"
    parsed_email(message(first=(*again, "Resent-Sender: a@b.example", FROM, DATE)))


def test_what_is_no_octets_is_refused() -> None:
    assert "bytes" in refusal("From: a@b.example\r\n\r\n").expected  # type: ignore[arg-type]
