"""Where an email takes turns: what the caller says, else what the email says of itself."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest

from mailstrom import MessageError, Submission
from mailstrom.submission import STREAM_LIMIT, Moment, UnsignedDomains, entry_for
from tests.builders import a_config, an_email

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MOMENT = Moment(wall=NOW, steady=NOW)


def turns_of(email: Any, **options: Any) -> tuple[str, str]:
    """The stream and the priority that are stored."""
    _, status = entry_for(Submission(email, **options), a_config(), MOMENT, "1", UnsignedDomains())
    return status.stream, status.priority


def finished(headers: str) -> bytes:
    return f"From: me@sender.example\r\nTo: you@dest.example\r\n{headers}\r\nHi.\r\n".encode()


def of_the_library(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {"From": "me@sender.example", "To": "you@dest.example", **headers}.items():
        message[name] = value
    message.set_content("Hi.\n")
    return message


def test_what_the_caller_says_counts() -> None:
    assert turns_of(an_email().bulk(), stream="news", priority="high") == ("news", "high")


@pytest.mark.parametrize(
    ("return_path", "stream"),
    [
        (None, "no-reply@sender.example"),
        ("Bounces+4711=you@Sender.example", "bounces@sender.example"),
        ("", ""),
    ],
)
def test_without_a_stream_it_is_the_sender_without_what_is_for_one_recipient(
    return_path: str | None, stream: str
) -> None:
    assert turns_of(an_email(), return_path=return_path) == (stream, "normal")


@pytest.mark.parametrize(
    ("email", "priority"),
    [
        (an_email(), "normal"),
        (an_email().bulk(), "low"),
        (of_the_library(), "normal"),
        (of_the_library(precedence="Bulk"), "low"),
        (of_the_library(Precedence="first-class"), "normal"),
        (finished("Precedence: bulk\r\n"), "normal"),
    ],
)
def test_mail_that_says_it_is_bulk_has_low_priority(email: Any, priority: str) -> None:
    assert turns_of(email)[1] == priority


@pytest.mark.parametrize(
    "stream", ["", "x" * (STREAM_LIMIT + 1), "a\nb", "\x01", "\ud800", 7, b"x"], ids=repr
)
def test_a_stream_is_some_printable_characters(stream: Any) -> None:
    with pytest.raises(MessageError, match="stream: expected 1 to 40 printable characters"):
        turns_of(an_email(), stream=stream)


@pytest.mark.parametrize("priority", ["urgent", "", 1, ["high"]], ids=repr)
def test_there_are_three_priorities(priority: Any) -> None:
    with pytest.raises(MessageError, match="priority: expected 'high', 'normal' or 'low'"):
        turns_of(an_email(), priority=priority)
