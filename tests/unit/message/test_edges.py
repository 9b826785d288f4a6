"""What lies between the readers and the writers: a name, a date, a file that is nearly right."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta, timezone
from email.mime.text import MIMEText

import pytest

from mailstrom import Attachment, Email, MessageError
from mailstrom.message.prepare import prepare
from tests.builders import an_email

HEAD = b"From: a@x.example\r\nDate: Mon, 02 Mar 2026 09:30:00 +0100\r\nMIME-Version: 1.0\r\n"
SIDE_BY_SIDE = (
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/html\r\n\r\n<b>body</b>\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nfooter\r\n--b--\r\n"
)


@pytest.mark.parametrize("charset", ("unicode+escape", "raw(unicode)escape", "idna-", "punycode_"))
def test_a_codec_that_is_no_charset_is_unknown_however_its_name_is_written(charset: str) -> None:
    content = HEAD + b'Content-Type: text/plain; charset="' + charset.encode() + b'"\r\n\r\n\\u0041\r\n'

    with pytest.raises(MessageError, match="known charset"):
        Email.parse(content)


def test_texts_that_stand_side_by_side_do_not_hide_each_other() -> None:
    found = Email.parse(HEAD + SIDE_BY_SIDE)

    assert (found.html, found.text) == ("<b>body</b>", None)
    assert [(each.content_type, each.content) for each in found.attachments] == [("text/plain", b"footer")]


def test_a_file_that_cannot_be_read_is_refused_by_its_keyword() -> None:
    closed = io.BytesIO(b"x")
    closed.close()

    for source in (closed, io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8")):
        with pytest.raises(MessageError) as caught:
            an_email().attach(source, filename="a.txt")  # type: ignore[arg-type]
        assert caught.value.field == "attachments"


def test_a_file_name_is_no_url() -> None:
    assert Attachment("data:text/html,y.pdf", b"").content_type == "application/pdf"
    assert Attachment("data:\u00e9/x,y", b"").content_type == "application/octet-stream"


@pytest.mark.parametrize(
    "at",
    (
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=1, seconds=1))),
        datetime(1900, 1, 1, tzinfo=timezone(timedelta(hours=1, seconds=1))),
    ),
)
def test_a_date_is_judged_as_it_will_be_written(at: datetime) -> None:
    with pytest.raises(MessageError, match="1900 or later"):
        an_email(date=at)


def test_a_structured_value_with_tabs_is_folded_without_a_blank_line() -> None:
    value = "a" * 75 + " \t " + "b" * 75 + ".x"

    content = prepare(an_email(headers={"List-Id": value}), now=NOW, random_id="x").email.content

    assert dict(Email.parse(content).headers)["List-Id"] == value


@pytest.mark.parametrize("mailto", ("Ann <a@b.example>", "mailto:Ann%20%3Ca@b.example%3E"))
def test_the_address_to_unsubscribe_by_has_no_name(mailto: str) -> None:
    """RFC 6068 2."""
    with pytest.raises(MessageError, match="without a name"):
        an_email().list_unsubscribe("https://x.example/u", mailto)


def test_an_answer_does_not_mind_the_other_fields_of_its_original() -> None:
    original = b"From: a\nDate: nonsense\nMessage-ID: <a@b.example>\n\n"

    assert an_email().reply_to(original).in_reply_to == ("a@b.example",)


def test_many_content_fields_in_a_part_are_told_apart_at_once() -> None:
    message = MIMEText("Hi.\n")
    message["From"], message["To"] = "a@x.example", "b@y.example"
    for number in range(3):
        message[f"Content-X{number}"] = "x"
    message["content-x1"] = "y"

    with pytest.raises(MessageError, match="one content-x1 field"):
        prepare(message, now=NOW, random_id="x")


NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
