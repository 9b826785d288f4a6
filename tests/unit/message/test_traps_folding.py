"""What CPython's `email` package does to long tokens and lines, and our writer does not: P26 to P36.

Each test carries the number of its trap, and its docstring says what the package does with the
same input: tokens that nobody can match any more, lines without text or without end, and hangs.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage
from typing import Any

import pytest

from mailstrom.message.attachment import Attachment
from mailstrom.message.email import Email
from tests.unit.message.trap_doors import (
    NOW,
    USUAL,
    Door,
    content_of,
    legacy,
    modern,
    named,
    octets,
    our_email,
    prepared,
    refusal,
    sent,
)  # fmt: skip
from tests.unit.message.wire_reader import split

DOORS = (our_email, modern, legacy, octets)
OBJECTS = (our_email, modern, legacy)
POLICIES = (policy.default, policy.SMTP, policy.SMTPUTF8, policy.compat32)


# --- P26 to P30: tokens


@pytest.mark.parametrize("door", OBJECTS)
def test_p26_message_ids_stay_whole_and_are_folded_between(door: Door) -> None:
    """P26 (gh-100991): ids over 77 characters become encoded-words, and threads fall apart."""
    ids = [f"<{letter * length}@example.com>" for letter in "abc" for length in (5, 66, 90, 300)]

    wire = sent(door({"References": " ".join(ids), "In-Reply-To": ids[3]}))

    assert [line.split()[-1] for line in wire.lines("References") if len(line) > 78] == [
        identifier for identifier in ids if len(identifier) > 77
    ]
    assert wire.one("References").split() == ids
    assert wire.lines("In-Reply-To") == [f"In-Reply-To: {ids[3]}"]


TOKENS = {
    "List-Unsubscribe": "<https://example.com/u/" + "a" * 90 + ">",
    "X-Token": "b" * 100,
    "X-Longest": "b" * (998 - len("X-Longest: ")),
    "List-Id": "<" + "c" * 90 + ".example.com>",
    "Feedback-ID": "d" * 50 + ":" + "e" * 50,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", TOKENS)
def test_p27_a_long_token_stands_literally_on_its_line(door: Door, name: str) -> None:
    """P27 (gh-85725): it becomes encoded-words."""
    wire = sent(door({name: TOKENS[name]}))

    assert wire.lines(name) == [f"{name}: {TOKENS[name]}"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["X-Token", "List-Unsubscribe"])
def test_p27_a_token_that_no_line_can_hold_is_refused(door: Door, name: str) -> None:
    """P27 (gh-85725): it becomes encoded-words."""
    error = refusal(door, {name: "<https://example.com/" + "a" * 1000 + ">"})

    assert "998" in error.expected
    assert named(error, name) or door is octets


@pytest.mark.parametrize("length", [90, 500])
def test_p27_a_long_content_id_stands_literally_on_its_line(length: int) -> None:
    """P27 (gh-85725): it becomes encoded-words, and no HTML finds its image."""
    content_id = "c" * length + "@example.com"
    image = Attachment("a.png", b"x", "image/png", content_id=content_id, disposition="inline")
    email = Email(from_="a@b.example", to="c@d.example", html="<img>", attachments=[image])

    for message in (email, modern({"Content-ID": f"<{content_id}>"})):
        assert f"\r\nContent-ID: <{content_id}>\r\n".encode() in sent(message).content


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("List-ID", "Gr\u00f6\u00dfe <gr\u00f6\u00dfe.example.com>"),
        ("List-Unsubscribe", "<https://example.com/gr\u00f6\u00dfe>"),
        ("List-Help", "<mailto:gr\u00f6\u00dfe@example.com>"),
        ("Auto-Submitted", "auto-generated; gr\u00f6\u00dfe=x"),
    ],
)
@pytest.mark.parametrize("door", OBJECTS)
def test_p28_what_is_not_ascii_in_a_field_of_tokens_is_refused(door: Door, name: str, value: str) -> None:
    """P28: phrase, brackets and id go into one encoded-word."""
    error = refusal(door, {name: value})

    assert named(error, name)
    assert "ASCII" in error.expected


SIGNATURE = (
    "v=1; a=rsa-sha256; d=sender.example; s=x; h=from:to;\r\n  bh=" + "A" * 43 + "=;\r\n\tb="
    + "dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSb" * 2 + "\r\n         " + "x" * 60 + "; t=1"
)  # fmt: skip


def test_p29_a_signature_in_finished_octets_stays_as_it_is_octet_by_octet() -> None:
    """P29: its b= is encoded anew, and does not verify."""
    given = octets({"DKIM-Signature": SIGNATURE})

    assert content_of(given) == given
    assert content_of(octets({"DKIM-Signature": SIGNATURE, "Bcc": "hidden@dest.example"})) == given


@pytest.mark.parametrize("how", POLICIES)
def test_p29_a_signature_in_a_message_of_the_package_is_refused(how: Any) -> None:
    """P29: its b= is encoded anew. We write the message anew, too: no signature over it could hold."""
    error = refusal(lambda: message_from_bytes(octets({"DKIM-Signature": SIGNATURE}), policy=how))

    assert named(error, "DKIM-Signature")


@pytest.mark.parametrize("door", OBJECTS)
def test_p29_a_signature_that_is_set_on_a_message_to_be_written_is_refused(door: Door) -> None:
    """P29: its b= is encoded anew. A signature is over octets that are not there yet."""
    error = refusal(door, {"DKIM-Signature": SIGNATURE.replace("\r\n", "")})

    assert named(error, "DKIM-Signature")


LATIN = octets({}).replace(b"From: me@sender.example", b"From: J\xf6rg <me@sender.example>")
RAW = octets({"From": "J\u00f6rg <me@sender.example>"})


def test_p30_raw_utf_8_in_finished_octets_passes_untouched_and_needs_smtputf8() -> None:
    """P30 (gh-99927): names become =?unknown-8bit?q?...?=."""
    found = prepared(RAW).email

    assert found.content == RAW
    assert found.needs_smtputf8


def test_p30_raw_octets_that_are_not_utf_8_are_refused() -> None:
    """P30 (gh-99927): they are sent raw, or become =?unknown-8bit?q?...?=."""
    error = refusal(lambda: LATIN)

    assert named(error, "From")


@pytest.mark.parametrize("how", POLICIES)
@pytest.mark.parametrize("given", [LATIN, RAW])
def test_p30_raw_octets_in_a_message_that_the_package_has_parsed_are_refused(given: bytes, how: Any) -> None:
    """P30 (gh-99927): the package has lost what they were."""
    error = refusal(lambda: message_from_bytes(given, policy=how))

    assert named(error, "From")


# --- P31 to P34: lines, and the end of writing


@pytest.mark.parametrize("door", DOORS)
def test_p31_a_message_id_that_no_line_can_hold_is_refused(door: Door) -> None:
    """P31: it is written on a line of 1,216 octets."""
    error = refusal(door, {"Message-ID": "<" + "a" * 1200 + "@sender.example>"})

    assert named(error, "Message-ID") or door is octets


@pytest.mark.parametrize("door", OBJECTS)
def test_p31_a_word_of_1200_letters_in_a_subject_is_written_in_lines(door: Door) -> None:
    """P31: the legacy class writes one line."""
    wire = sent(door({"Subject": "x" * 1200}))

    assert wire.text("Subject") == "x" * 1200


def test_p31_a_policy_without_a_line_length_has_no_say() -> None:
    """P31: max_line_length=0 writes one line of 1,205 octets."""
    message = modern({"Subject": "z" * 1205})
    message.policy = policy.SMTP.clone(max_line_length=0)

    assert sent(message).text("Subject") == "z" * 1205


def long_lines(cte: str) -> EmailMessage:
    message = modern({})
    message.set_content("x" * 2000, cte=cte)
    return message


@pytest.mark.parametrize(
    "message",
    [our_email({}, "x" * 2000), legacy({}, "x" * 2000), long_lines("8bit"), long_lines("7bit")],
    ids=["Email", "MIMEText", "8bit", "7bit"],
)
def test_p31_a_line_of_2000_letters_in_a_text_is_encoded(message: Any) -> None:
    """P31: it is written as it is."""
    [part] = sent(message).parts()

    assert part.text == "x" * 2000 + "\r\n" * part.text.endswith("\r\n")


def test_p31_a_line_of_2000_letters_in_an_attached_message_is_encoded() -> None:
    """P31: it is written as it is."""
    outer = modern({})
    outer.add_attachment(long_lines("7bit"))

    [_, inner] = sent(outer).parts()

    assert inner.content_type == "message/rfc822"
    assert split(inner.octets).parts()[0].text.rstrip() == "x" * 2000


def test_p31_finished_octets_with_a_line_over_998_octets_are_refused() -> None:
    """P31: they are sent as they are."""
    error = refusal(octets, {}, "x" * 2000 + "\r\n")

    assert "998" in error.expected


@pytest.mark.parametrize("blanks", [1, 2, 40, 75, 80, 200, 1100])
@pytest.mark.parametrize("door", OBJECTS)
def test_p32_no_line_is_made_of_blanks_and_all_of_them_arrive(door: Door, blanks: int) -> None:
    """P32: a line of blanks only, which many take for the end of the header."""
    subject = "a" * 70 + " " * blanks + "b" * 70

    wire = sent(door({"Subject": subject}))

    assert wire.text("Subject") == subject


def test_p32_finished_octets_with_a_line_of_blanks_in_a_field_are_refused() -> None:
    """P32: a line of blanks only, which many take for the end of the header."""
    error = refusal(octets, {"Subject": "a" * 70 + "\r\n" + " " * 40 + "\r\n " + "b" * 70})

    assert named(error, "Subject")


@pytest.mark.parametrize("length", [60, 68, 69, 70, 80, 100, 300, 970, 988, 989, 990, 1200])
@pytest.mark.parametrize("first", ["w", "\u00e9"])
@pytest.mark.parametrize("door", OBJECTS)
def test_p33_the_first_line_of_a_field_carries_text(door: Door, first: str, length: int) -> None:
    """P33: "Subject:" is followed by a line end, at which verifiers of DKIM fail."""
    wire = sent(door({"Subject": f"{first * length} and more"}))

    assert re.fullmatch("Subject: [^ ].*", wire.lines("Subject")[0])
    assert wire.text("Subject") == f"{first * length} and more"


@pytest.mark.parametrize("name", ["Reply-To", "To", "Sender", "Cc"])
@pytest.mark.parametrize("door", OBJECTS)
def test_p33_the_first_line_of_an_address_field_carries_the_address(door: Door, name: str) -> None:
    """P33: "Reply-To:" is followed by a line end, at which verifiers of DKIM fail."""
    address = f"{'a' * 60}@{'b' * 60}.example"

    wire = sent(door({name: address}))

    assert wire.lines(name) == [f"{name}: {address}"]


@pytest.mark.timeout(10)
def test_p34_a_policy_of_short_lines_does_not_hang() -> None:
    """P34: with max_line_length=15 the package never ends (at 10 it raises)."""
    for length in (0, 1, 10, 15, 16):
        message = modern({"Subject": "\u00e9" * 30, "To": "\u00e9" * 30 + " <you@dest.example>"})
        message.policy = policy.SMTP.clone(max_line_length=length)

        assert sent(message).text("Subject") == "\u00e9" * 30


@pytest.mark.timeout(10)
@pytest.mark.parametrize("length", [77, 130, 100_000])
def test_p34_a_long_parameter_name_is_refused(length: int) -> None:
    """P34 (gh-138223): the package never ends."""
    message = modern({})
    message.add_attachment("x", filename="a", params={"A" * length: "v"})
    given = ("a", b"x", "text/plain; " + "A" * length + "=v")

    errors = [refusal(lambda: message)]
    errors.append(refusal(lambda: our_email({}).replace(attachments=[Attachment(*given)])))

    assert ["parameter name" in error.expected for error in errors] == [True, True]


# --- P35, P36: what every message has


def test_p35_a_date_and_a_message_id_are_added_and_tell_nothing_of_the_host() -> None:
    """P35: the package adds neither; make_msgid() asks DNS for the host's name, and shows it."""
    bare = b"From: me@sender.example\r\nTo: you@dest.example\r\n\r\nHi.\r\n"

    for message in (our_email({}), modern({}), legacy({}), bare):
        wire = sent(message)

        assert wire.one("Date") == "Mon, 02 Mar 2026 09:30:00 +0000"
        assert re.fullmatch(r"<[^@>]*r4nd0m[^@>]*@sender[.]example>", wire.one("Message-ID"))


def test_p35_a_time_without_its_zone_is_refused() -> None:
    """P35: it is written as -0000, whatever zone was meant."""
    assert named(refusal(our_email, {"Date": NOW.replace(tzinfo=None)}), "Date")


def test_p35_a_zone_with_seconds_is_never_written_and_the_instant_stays() -> None:
    """P35: +053015 is written, which is no zone."""
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=30, seconds=15)))

    written = sent(our_email({"Date": local})).one("Date")

    assert re.search(r" [+-]\d{4}$", written)
    assert datetime.strptime(written, "%a, %d %b %Y %H:%M:%S %z") == NOW
    assert named(refusal(modern, {"Date": local}), "Date")


@pytest.mark.parametrize("door", [legacy, octets])
@pytest.mark.parametrize(
    "date", ["Mon, 02 Mar 2026 09:30:00 +053015", "Mon, 30 Feb 2026 09:30:00 +0000", "x"]
)
def test_p35_a_date_that_is_none_is_refused(door: Door, date: str) -> None:
    """P35: +053015 is written, which is no zone."""
    assert named(refusal(door, {"Date": date}), "Date")


NO_IDS = ["<a@[", "<\u00e4@b>", "<>", "<"]


@pytest.mark.parametrize("text", NO_IDS)
@pytest.mark.parametrize("door", [our_email, legacy, octets])
def test_p36_what_is_no_message_id_is_refused(door: Door, text: str) -> None:
    """P36 (gh-86650, gh-117849): UnboundLocalError, UnicodeEncodeError, IndexError."""
    assert named(refusal(door, {"Message-ID": text}), "Message-ID")


@pytest.mark.parametrize("text", NO_IDS)
@pytest.mark.parametrize("door", OBJECTS)
@pytest.mark.parametrize("name", ["In-Reply-To", "References"])
def test_p36_what_is_no_message_id_is_refused_in_a_reply_too(door: Door, text: str, name: str) -> None:
    """P36 (gh-86650, gh-117849): UnboundLocalError, UnicodeEncodeError, IndexError."""
    assert named(refusal(door, {name: text}), name)


@pytest.mark.parametrize("text", NO_IDS)
def test_p36_what_is_no_message_id_in_a_parsed_message_is_refused(text: str) -> None:
    """P36 (gh-86650, gh-117849): UnboundLocalError, UnicodeEncodeError, IndexError."""
    source = "".join(f"{name}: {value}\n" for name, value in (USUAL | {"Message-ID": text}).items()) + "\nx\n"

    assert named(refusal(lambda: message_from_string(source, policy=policy.default)), "Message-ID")
