"""What we sign, others accept; what was changed on the way, they refuse.

Both judges know both algorithms, so every message carries two signatures. The messages come
out of the engine as they would be sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from random import Random

import pytest

from mailstrom import Config, Email, Mailstrom, MemoryStorage
from mailstrom.dkim import DkimSigner
from tests.dkim_keys import ed25519_signer, records, rsa_signer
from tests.interop.dkim_judges import (
    Verdict,
    has_field_without_space,
    judged_by_dkimpy,
    judged_by_opendkim,
    skip_unless_opendkim_can_run,
)
from tests.interop.generated import generated_emails

COUNT = 1000
CANONICALIZATIONS = ("relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple")
PASSED = {"rsa-sha256": "pass", "ed25519-sha256": "pass"}

Judge = Callable[[Sequence[bytes]], list[Verdict]]


@cache
def signers(canonicalization: str) -> tuple[DkimSigner, ...]:
    """The same two keys and selectors for every canonicalization."""
    return (
        rsa_signer(canonicalization=canonicalization),
        ed25519_signer(canonicalization=canonicalization),
    )


@pytest.fixture(params=["dkimpy", "opendkim"])
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    published = records(signers("relaxed/relaxed"))

    def dkimpy(messages: Sequence[bytes]) -> list[Verdict]:
        return judged_by_dkimpy(messages, published)

    def opendkim(messages: Sequence[bytes]) -> list[Verdict]:
        skip_unless_opendkim_can_run()
        return judged_by_opendkim(messages, published, tmp_path)

    return dkimpy if request.param == "dkimpy" else opendkim


def signed(emails: Iterable[Email | bytes], canonicalization: str) -> list[bytes]:
    """What would be sent, to the last octet."""
    storage = MemoryStorage()
    with Mailstrom(Config(helo_name="a.sender.test", dkim=signers(canonicalization)), storage) as m:
        return [storage.retrieve(message_id)[0].content for message_id in m.send_emails(emails)]


@cache
def generated(canonicalization: str) -> tuple[bytes, ...]:
    """More than a quarter of the messages: each canonicalization has numbers of its own."""
    share = COUNT // 2
    first = CANONICALIZATIONS.index(canonicalization) * share
    return tuple(signed(generated_emails(share, first=first), canonicalization))


def fit_for(judge: Judge, canonicalization: str) -> list[bytes]:
    """Those that this judge can judge."""
    messages = generated(canonicalization)
    if judge.__name__ == "opendkim" and canonicalization.startswith("simple"):
        messages = tuple(message for message in messages if not has_field_without_space(message))
    return list(messages[: COUNT // len(CANONICALIZATIONS)])


@pytest.mark.parametrize("canonicalization", CANONICALIZATIONS)
def test_a_thousand_messages_are_accepted(judge: Judge, canonicalization: str) -> None:
    """RFC 6376 6.1, RFC 8463."""
    messages = fit_for(judge, canonicalization)

    verdicts = judge(messages)

    assert {place: verdict for place, verdict in enumerate(verdicts) if verdict != PASSED} == {}
    assert len(verdicts) >= COUNT / len(CANONICALIZATIONS)


# --- one octet has changed


def in_the_body(message: bytes, chance: Random) -> bytes | None:
    start = message.index(b"\r\n\r\n") + 4
    return _other_letter(message, start, len(message), chance)


def after_the_end(message: bytes, chance: Random) -> bytes | None:
    return message + b"x"


def in_field(name: bytes) -> Callable[[bytes, Random], bytes | None]:
    """One letter or digit of the value of the first field of this name."""

    def change(message: bytes, chance: Random) -> bytes | None:
        header = message[: message.index(b"\r\n\r\n") + 2]
        found = re.search(rb"^%s:((?:[^\r\n]|\r\n[ \t])*)" % name, header, re.MULTILINE)
        return None if found is None else _other_letter(message, *found.span(1), chance)

    return change


def in_the_name_of_from(message: bytes, chance: Random) -> bytes | None:
    return message.replace(b"\r\nFrom:", b"\r\nFrum:", 1)


def first_letter_of_each_tag(tag: bytes) -> Callable[[bytes, Random], bytes | None]:
    """Another letter where the value of this tag begins, in each of the signatures."""

    def change(message: bytes, chance: Random) -> bytes | None:
        header, end, body = message.partition(b"\r\n\r\n")
        header = re.sub(
            rb"([:;]\s*%s=\s*)([A-Za-z0-9+/])" % tag,
            lambda found: found[1] + (b"q" if found[2] != b"q" else b"w"),
            header,
        )
        return header + end + body

    return change


def a_further(field: bytes) -> Callable[[bytes, Random], bytes | None]:
    """Not an octet but a field: readers would show it in place of the signed one."""
    return lambda message, chance: field + b"\r\n" + message


def _other_letter(message: bytes, start: int, end: int, chance: Random) -> bytes | None:
    places = [at for at in range(start, end) if message[at : at + 1].isalnum()]
    if not places:
        return None
    at = chance.choice(places)
    other = chance.choice([each for each in b"abcxyzABCXYZ0189" if each != message[at]])
    return message[:at] + bytes([other]) + message[at + 1 :]


CHANGES: dict[str, Callable[[bytes, Random], bytes | None]] = {
    "a letter of the body": in_the_body,
    "after the end": after_the_end,
    "From": in_field(b"From"),
    "the name of From": in_the_name_of_from,
    "To": in_field(b"To"),
    "Cc": in_field(b"Cc"),
    "Sender": in_field(b"Sender"),
    "Reply-To": in_field(b"Reply-To"),
    "Subject": in_field(b"Subject"),
    "Date": in_field(b"Date"),
    "Message-ID": in_field(b"Message-ID"),
    "References": in_field(b"References"),
    "Content-Type": in_field(b"Content-Type"),
    "List-Unsubscribe": in_field(b"List-Unsubscribe"),
    "List-Unsubscribe-Post": in_field(b"List-Unsubscribe-Post"),
    "signature a=": first_letter_of_each_tag(b"a"),
    "signature b=": first_letter_of_each_tag(b"b"),
    "signature bh=": first_letter_of_each_tag(b"bh"),
    "signature d=": first_letter_of_each_tag(b"d"),
    "signature h=": first_letter_of_each_tag(b"h"),
    "signature s=": first_letter_of_each_tag(b"s"),
    "signature t=": first_letter_of_each_tag(b"t"),
    "a second From": a_further(b"From: mallory@evil.test"),
    "a second Subject": a_further(b"Subject: changed"),
    "a second To": a_further(b"To: mallory@evil.test"),
    "a second Reply-To": a_further(b"Reply-To: mallory@evil.test"),
    "a second Content-Type": a_further(b"Content-Type: text/html"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_message_that_was_changed_is_refused(judge: Judge, change: str) -> None:
    """RFC 6376 3.5, 5.4, 8.15."""
    chance = Random(change)
    originals = [message for each in CANONICALIZATIONS for message in fit_for(judge, each)[:25]]
    changed = [CHANGES[change](message, chance) for message in originals]
    sent = [message for message in changed if message is not None]

    verdicts = judge(sent)

    assert len(sent) >= 5
    assert [verdict for verdict in verdicts if "pass" in verdict.values()] == []


def test_relaxed_forgives_what_relays_do_to_blanks_and_simple_does_not(judge: Judge) -> None:
    """RFC 6376 3.4: header fields folded otherwise, blanks at the ends of lines."""
    email = Email(
        from_="ann@sender.test", to="bob@mx.test", subject="one two three", text="first line\nsecond line\n"
    )
    relaxed, simple = signed([email], "relaxed/relaxed")[0], signed([email], "simple/simple")[0]

    def refolded(message: bytes) -> bytes:
        return message.replace(b"one two", b"one\r\n  two").replace(b"first line\r\n", b"first  line \t\r\n")

    assert judge([refolded(relaxed)]) == [PASSED]
    assert "pass" not in judge([refolded(simple)])[0].values()
