"""What CPython's `email` package does when it writes, and our writer does not: P50 to P52.

Each test carries the number of its trap, and its docstring says what the package does with the
same input: other octets each time, errors too late, and memory. At the end: the list is complete.
"""

from __future__ import annotations

import copy
import re
import tracemalloc
from collections.abc import Callable
from email import message_from_string, policy
from email.message import Message
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mailstrom.message.attachment import Attachment
from mailstrom.message.email import Email
from tests.unit.message.trap_doors import content_of, legacy, modern, octets, our_email, refusal, sent

TEXT = "h\u00e9llo\nw\u00f6rld\n"
JAPANESE = "\u3053\u3093\u306b\u3061\u306f\n\u4e16\u754c\n" * 30
ODD = b"a\r1,2\nlast"


def many_parts() -> list[Email | Message | bytes]:
    package = modern({}, TEXT)
    package.add_alternative("<p>h\u00e9</p>\n", subtype="html")
    package.add_attachment(ODD, maintype="application", subtype="pdf", filename="\u00e9.pdf")
    ours = our_email({"Subject": "h\u00e9"}, TEXT).replace(html="<p>h\u00e9</p>\n")
    return [
        ours.replace(attachments=[Attachment("\u00e9.pdf", ODD)]),
        package,
        legacy({}, JAPANESE),
        octets({}),
    ]


def test_p50_the_same_email_is_the_same_octets_each_time() -> None:
    """P50: as_string() and as_bytes() differ, boundaries are made at random: a signature breaks."""
    first, second = many_parts(), many_parts()

    found = [content_of(message) for message in first]

    assert [content_of(message) for message in first] == found
    assert [content_of(message) for message in second] == found
    assert [content_of(copy.deepcopy(message)) for message in first] == found


def test_p50_the_message_that_was_given_stays_as_it_was() -> None:
    """P50: as_bytes() writes its boundary into the message."""
    [_, package, mime_text, _] = many_parts()
    before = [package.items(), mime_text.items(), mime_text.get_payload()]

    content_of(package)
    content_of(mime_text)

    assert [package.items(), mime_text.items(), mime_text.get_payload()] == before


def test_p50_what_was_prepared_is_taken_as_it_is() -> None:
    """P50: one canonical string of octets, from the call to the host."""
    contents = [content_of(message) for message in many_parts()]

    assert [content_of(content) for content in contents] == contents


LATE = {
    "body": "From: a@b.example\nTo: c@d.example\nSubject: x\n\n\u00e9\n",
    "subject": "From: a@b.example\nTo: c@d.example\nSubject: \u00e9\n\nx\n",
    "name": "From: J\u00e9 <a@b.example>\nTo: c@d.example\nSubject: x\n\nx\n",
    "surrogate": "From: a@b.example\nTo: c@d.example\nSubject: x\n\n\udcff\n",
    "lone": "From: a@b.example\nTo: c@d.example\nSubject: \ud800\n\nx\n",
}


@pytest.mark.parametrize("how", [policy.default, policy.SMTP, policy.compat32])
@pytest.mark.parametrize("name", ["body", "subject", "name"])
def test_p51_text_that_was_parsed_from_a_str_arrives(name: str, how: Any) -> None:
    """P51 (gh-131655, gh-77749): UnicodeEncodeError when it is sent at last."""
    wire = sent(message_from_string(LATE[name], policy=how))

    shown = wire.text("Subject") + wire.mailboxes("From")[0][0] + wire.parts()[0].text
    assert shown.replace("x", "") in ("\u00e9\r\n", "J\u00e9\r\n", "\u00e9")


@pytest.mark.parametrize("how", [policy.default, policy.compat32])
@pytest.mark.parametrize("name", ["surrogate", "lone"])
def test_p51_what_cannot_be_encoded_is_refused_at_the_call(name: str, how: Any) -> None:
    """P51 (gh-131655, gh-77749): UnicodeEncodeError when it is sent at last."""
    error = refusal(lambda: message_from_string(LATE[name], policy=how))

    assert error.field in ("subject", "text", "content")


@pytest.mark.parametrize("keyword", ["subject", "text", "html", "to", "headers", "message_id", "calendar"])
def test_p51_a_lone_surrogate_is_refused_where_an_email_is_made(keyword: str) -> None:
    """P51 (gh-131655, gh-77749): UnicodeEncodeError when it is sent at last."""
    values: dict[str, Any] = {"to": ("\ud800", "a@b.example"), "headers": {"X-A": "\ud800"}}

    error = refusal(lambda: our_email({}).replace(**{keyword: values.get(keyword, "a\ud800@b")}))

    assert error.field.startswith(keyword)


MEBIBYTES = 4 * 1024 * 1024


def with_file(content: bytes) -> Email:
    return our_email({}).replace(attachments=[Attachment("a.bin", content)])


def peak_of(content: bytes, make: Callable[[bytes], Email | bytes]) -> int:
    """The most octets that stand in memory at one time while it is composed, `content` included."""
    tracemalloc.start()
    try:
        assert len(content_of(make(content))) > len(content)
        return tracemalloc.get_traced_memory()[1] + len(content)
    finally:
        tracemalloc.stop()


def test_p52_composing_takes_two_and_a_half_times_the_attachment_at_most() -> None:
    """P52: 20 MiB take 150 MB."""
    content = Random(52).randbytes(MEBIBYTES)

    peak = peak_of(content, with_file)

    assert peak <= 2.5 * MEBIBYTES


def test_p52_finished_octets_stand_in_memory_twice_and_a_half_at_most() -> None:
    """P52: 20 MiB take 150 MB. (Date and Message-ID are missing, so that there is something to write.)"""
    content = b"From: a@b.example\r\nTo: c@d.example\r\n\r\n" + (b"x" * 70 + b"\r\n") * (MEBIBYTES // 72)

    peak = peak_of(content, bytes)

    assert peak <= 2.5 * MEBIBYTES


# --- the list


def test_every_trap_has_its_test() -> None:
    sources = [path.read_text("utf-8") for path in Path(__file__).parent.glob("test_traps_*.py")]

    found = set(re.findall(r"^def test_p(\d\d)_", "".join(sources), re.MULTILINE))
    cited = set(re.findall(r'^    """P(\d\d)[ :]', "".join(sources), re.MULTILINE))

    assert found == {f"{number:02}" for number in range(1, 53)}
    assert cited == found
