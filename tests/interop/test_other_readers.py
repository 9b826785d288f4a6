"""What is written here is read by parsers that nobody here wrote, and every one finds the same.

Node's mailparser and postal-mime, Perl's Email::MIME and MIME::Parser, and Python's own read
the same emails, each drawn at random. A difference is ours until proven otherwise; what is a
reader's own habit stands in `readers/habits.py`, and has an example here that shows it.

    MAILSTROM_EMAILS=10000      how many emails, else 1000
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from mailstrom import Attachment, Email, Group, Mailbox
from mailstrom.message.prepare import prepare
from tests.emails import emails
from tests.interop.readers import habits, python_email
from tests.interop.readers.found import Found, expected_of
from tests.interop.readers.habits import HABITS, Habit, as_compared
from tests.interop.readers.reader import NAMES, Reader, is_installed, skip_unless_installed, started

EMAILS = int(os.environ.get("MAILSTROM_EMAILS", "1000"))
NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)

ANN = Mailbox(name="Ann", local_part="ann", domain="mx.test")
EVERYTHING = Email(
    from_=[Mailbox(name="Юрий, Zoë", local_part="zoe", domain="bücher.example"), ANN],
    sender=ANN,
    reply_to="answers@sender.test",
    to=[ANN, Group(name="The Team", members=(ANN, Mailbox(local_part="b b", domain="[IPv6:2001:db8::1]")))],
    cc=[Group(name="Undisclosed recipients")],
    subject="Größe  日本語 👩‍👩‍👧 =?utf-8?q?x?=",
    text="From here\n.\ntrailing  \n" + "ä" * 400,
    html='<p><img src="cid:logo@mail.example"></p>',
    calendar="BEGIN:VCALENDAR\nMETHOD:REQUEST\nSUMMARY:Größe\nEND:VCALENDAR\n",
    references=["1@mail.example", "2@mail.example"],
    attachments=[
        Attachment("отчёт; 100%.csv", bytes(range(256)), "text/csv; charset=utf-8"),
        Attachment("logo.png", b"\x89PNG", "image/png", content_id="logo@mail.example", disposition="inline"),
        Attachment("x" * 251 + ".eml", b"Subject: inner\r\n\r\ntext\r\n", "message/rfc822"),
    ],
)
PLAIN = Email(from_="a@mail.example", to="b@mail.example", subject="s", text="t\n")


def _written(email: Email) -> tuple[bytes, Found]:
    """The octets of the message, and what is to be found in it."""
    prepared = prepare(email, now=NOW, random_id="random").email
    return prepared.content, expected_of(email, prepared.message_id)


def _read_by_all(readers: list[Reader], content: bytes) -> dict[str, Found]:
    for reader in readers:
        reader.hand(content)
    try:
        own = python_email.read(content)
    finally:  # whatever Python makes of it, no answer may be left for the next message
        answers = {reader.name: reader.answer() for reader in readers}
    return {"email": own, **answers}


def _differences(name: str, email: Email, written: Found, found: Found) -> dict[str, Any]:
    """What was written and what this reader found, where it is not the same."""
    expected, found = as_compared(name, email, written, found)
    keys = sorted({*expected, *found})
    return {key: (expected.get(key), found.get(key)) for key in keys if expected.get(key) != found.get(key)}


@pytest.fixture(scope="module")
def readers() -> Iterator[list[Reader]]:
    """All that are installed: another test misses those that are not."""
    with ExitStack() as running:
        yield [running.enter_context(started(name)) for name in NAMES if is_installed(name)]


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_finds_everything_in_an_email_that_has_everything(name: str) -> None:
    skip_unless_installed(name)
    content, written = _written(EVERYTHING)

    with started(name) as reader:
        reader.hand(content)
        found = reader.answer()

    assert _differences(name, EVERYTHING, written, found) == {}


@pytest.mark.timeout(360 + EMAILS // 3)
@settings(
    max_examples=EMAILS,
    deadline=None,
    derandomize=False,  # others each time; a failing one is printed
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(emails())
def test_every_reader_finds_what_was_written(readers: list[Reader], email: Email) -> None:
    content, written = _written(email)

    answers = _read_by_all(readers, content)

    assert {name: _differences(name, email, written, found) for name, found in answers.items()} == {
        name: {} for name in answers
    }


def _email(**fields: Any) -> Email:
    return PLAIN.replace(**fields)


def _named(name: str | None, local_part: str = "b", domain: str = "mail.example") -> Mailbox:
    return Mailbox(name=name, local_part=local_part, domain=domain)


SHOWN_BY: list[tuple[Habit, Email]] = [
    (habits.blanks_in_names, _email(to=_named("Zoë  Größe " * 5))),
    (habits.names_that_are_addresses, _email(to=_named("b@mail.example"))),
    (habits.domains_in_unicode, _email(to="b@bücher.example")),
    (habits.encoded_words_in_ids, _email(references=["=?utf-8?q?x?=@mail.example"])),
    (habits.encoded_words_in_filenames, _email(attachments=Attachment("=?utf-8?q?x?=", b""))),
    (habits.angles_in_local_parts, _email(to=_named("Bob", "<b>"))),
    (habits.semicolons_in_groups, _email(to=Group(name="G", members=(_named("Bob", "b;b"),)))),
    (habits.byte_order_marks, _email(subject="\ufeffs")),
    (habits.line_ends_before_boundaries, _email(html="<p>\n")),
    (habits.calendars_are_text, _email(attachments=Attachment("a.ics", b"x", "text/calendar"))),
    (habits.messages_are_lines, _email(attachments=Attachment("a", b"A: b\r\n\r\n", "message/rfc822"))),
    (habits.noncharacters, _email(subject="a\ufffeb")),
    (habits.noncharacters_in_hex, _email(subject="a\ufffeb")),
    (habits.last_line_ends, _email(attachments=Attachment("a", b"A: b\r\n\r\nc\r\n", "message/rfc822"))),
]


@pytest.mark.parametrize(
    ("name", "habit"),
    [
        pytest.param(name, habit, id=f"{name}-{habit.__name__}")
        for name, all_of_it in HABITS.items()
        for habit in all_of_it
    ],
)
def test_a_reader_still_has_its_habit(readers: list[Reader], name: str, habit: Habit) -> None:
    if name != "email":
        skip_unless_installed(name)
    email = dict(SHOWN_BY)[habit]
    content, written = _written(email)

    found = _read_by_all(readers, content)[name]

    assert found != written, "it reads this as it was meant: the habit can go"
    assert _differences(name, email, written, found) == {}
