"""`email.reply_to`: the addresses of Reply-To and, called, the answer to a message."""

from __future__ import annotations

import copy
import gc
import pickle
from dataclasses import asdict, replace
from email import message_from_bytes, policy
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.message import Email, Mailbox

OCTETS = (
    b"From: a@example.org\r\nMessage-ID: (c) <3@x.example>\r\nIn-Reply-To: <2@x.example>\r\n"
    b"References: <1@x.example>\r\n <2@x.example>\r\n\r\nHi.\rbare\n"
)


def threads(email: Email) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return email.in_reply_to, email.references


@pytest.mark.parametrize(
    ("original", "references"),
    (
        (
            Email(message_id="3@x.example", references="1@x.example 2@x.example"),
            ("1@x.example", "2@x.example"),
        ),
        (Email(message_id="3@x.example", in_reply_to="2@x.example"), ("2@x.example",)),
        (Email(message_id="3@x.example", in_reply_to="1@x.example 2@x.example"), ()),
        (Email(message_id="3@x.example"), ()),
        (Email(message_id="3@x.example", references="1@x.example 3@x.example"), ("1@x.example",)),
        (OCTETS, ("1@x.example", "2@x.example")),
        (OCTETS.replace(b"\r\n", b"\n").replace(b"\r", b""), ("1@x.example", "2@x.example")),
        (bytearray(OCTETS), ("1@x.example", "2@x.example")),
        (OCTETS.replace(b"References: <1@x.example>\r\n <2@x.example>\r\n", b""), ("2@x.example",)),
        (OCTETS.replace(b"References: <1@x.example>", b"References: <1> junk"), ("2@x.example",)),
        (message_from_bytes(OCTETS), ("1@x.example", "2@x.example")),
        (message_from_bytes(OCTETS, policy=policy.default), ("1@x.example", "2@x.example")),
        ("<3@x.example>", ()),
        ("3@x.example", ()),
    ),
)
def test_an_answer_names_the_original_and_what_came_before_it(
    original: Any, references: tuple[str, ...]
) -> None:
    """RFC 5322 3.6.4."""
    answer = Email(subject="Re: x", in_reply_to="9@x.example").reply_to(original)

    assert answer == Email(
        subject="Re: x", in_reply_to="3@x.example", references=[*references, "3@x.example"]
    )


@pytest.mark.parametrize(
    ("original", "expected"),
    (
        (Email(), "an original with a Message-ID"),
        (b"From: a@example.org\r\n\r\n", "an original with a Message-ID"),
        (b"Message-ID: <a b@c>\r\n\r\n", "an original with a Message-ID"),
        ("nonsense", "a message id"),
        (b"nonsense", "header"),
        (None, "an Email, a message of the standard library, bytes or a message id"),
    ),
)
def test_what_has_no_message_id_cannot_be_answered(original: Any, expected: str) -> None:
    with pytest.raises(MessageError) as caught:
        Email().reply_to(original)

    assert expected in caught.value.expected


def test_reply_to_is_a_tuple_of_addresses_like_the_others() -> None:
    email = Email(reply_to="a@example.org, b@example.org")
    addresses = (
        Mailbox(local_part="a", domain="example.org"),
        Mailbox(local_part="b", domain="example.org"),
    )

    assert email.reply_to == addresses
    assert (hash(email.reply_to), repr(email.reply_to)) == (hash(addresses), repr(addresses))
    assert email.replace(subject="S").reply_to == addresses
    assert email.replace(reply_to=email.reply_to) == email
    assert email.reply_to("1@x.example").reply_to == addresses


@pytest.mark.parametrize(
    "copied", (copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value)))
)
def test_an_email_and_its_reply_to_can_be_copied_and_pickled(copied: Any) -> None:
    email = Email(reply_to="a@example.org", subject="S")

    assert (copied(email), hash(copied(email))) == (email, hash(email))
    assert copied(email).reply_to("1@x.example") == email.reply_to("1@x.example")
    assert type(copied(email.reply_to)) is tuple


def test_an_email_can_be_taken_apart_into_plain_data() -> None:
    email = Email(reply_to="a@example.org")

    found = asdict(email)["reply_to"]

    assert found == ({"name": None, "local_part": "a", "domain": "example.org"},)
    with pytest.raises(TypeError, match="addresses alone"):
        found("1@x.example")
    assert replace(email, subject="S") == email.replace(subject="S")


def test_no_email_refers_to_itself() -> None:
    email = Email(reply_to="a@example.org")

    again = email.replace(reply_to=email.reply_to)

    assert [type(each) for each in gc.get_referents(again) if each == email.reply_to] == [tuple]
    assert all(each is not again for each in gc.get_referents(again))
