"""What CPython's `email` package does to addresses, and our reader and writer do not: P12 to P25.

Each test carries the number of its trap, and its docstring says what the package does with the
same input: names that become addresses, addresses that become names, and what is no address at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email import message_from_string, policy
from email.headerregistry import Address
from random import Random
from typing import Any

import pytest

from mailstrom.errors import MessageError
from mailstrom.message.address import Mailbox
from mailstrom.message.email import Email
from tests.unit.message.trap_doors import (
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
LONG_NAME = "Sender, spoofed, with a very long display name that must be folded over several lines ok"


# --- P12 to P15: names stay names


@pytest.mark.parametrize(
    ("door", "given"),
    [
        (our_email, Address(LONG_NAME, "to", "example.com")),
        (our_email, (LONG_NAME, "to@example.com")),
        (our_email, Mailbox(name=LONG_NAME, local_part="to", domain="example.com")),
        (our_email, f'"{LONG_NAME}" <to@example.com>'),
        (modern, Address(LONG_NAME, "to", "example.com")),
        (modern, f'"{LONG_NAME}" <to@example.com>'),
        (legacy, f'"{LONG_NAME}" <to@example.com>'),
        (octets, f'"{LONG_NAME}" <to@example.com>'),
    ],
)
def test_p12_a_long_name_with_commas_is_one_name(door: Door, given: Any) -> None:
    """P12 (gh-80222): folding loses the quotes, which makes three mailboxes of the name."""
    wire = sent(door({"To": given}))

    assert wire.mailboxes("To") == [(LONG_NAME, "to@example.com")]


ENCODED_COMMA = "=?utf-8?q?A_v=C3=A9ry_long_name_with_non-ASCII_char_and=2C_comma?="
DECODED_COMMA = "A v\u00e9ry long name with non-ASCII char and, comma"


@pytest.mark.parametrize(
    ("door", "name"), [(our_email, ENCODED_COMMA), (modern, DECODED_COMMA), (legacy, DECODED_COMMA)]
)
def test_p13_an_encoded_comma_separates_nothing(door: Door, name: str) -> None:
    """P13 (gh-121284): it is refolded with a bare comma. An `Email` takes what was typed for text."""
    message = door({"To": f"{ENCODED_COMMA} <to@example.com>"})

    assert sent(message).mailboxes("To") == [(name, "to@example.com")]
    assert prepared(message).email.recipients == ("to@example.com",)


def test_p13_an_encoded_comma_in_finished_octets_stays_as_it_is() -> None:
    """P13 (gh-121284): it is refolded with a bare comma."""
    message = octets({"To": f"{ENCODED_COMMA} <to@example.com>"})

    assert prepared(message).email.recipients == ("to@example.com",)
    assert content_of(message) == message


@pytest.mark.parametrize("door", [our_email, modern, legacy])
@pytest.mark.parametrize("length", range(40, 65))
def test_p14_the_comma_between_addresses_is_never_encoded(door: Door, length: int) -> None:
    """P14 (gh-100884, CVE-2025-1795): the separating comma is written as =?utf-8?q?=2C?=."""
    wire = sent(door({"To": "0" * length + "@example.org, \u00e4 <foo@example.org>"}))

    assert wire.mailboxes("To") == [("", "0" * length + "@example.org"), ("\u00e4", "foo@example.org")]
    assert "=2C" not in wire.one("To")


CHARACTERS = (
    "abcdefXYZ 0129" * 3 + " \"\\,;:<>@()[].'!?=_-" + "\u00e9\u00df\u0444\u65e5\u672c\u05d0\U0001f600"
)
LOCAL_PARTS = "abc.xyz019" * 3 + ' "\\,;:<>@()[]!=_-+'
DOMAINS = ["dest.example", "b\u00fccher.example", "xn--bcher-kva.example", "a." + "b" * 40 + ".example"]


def random_address(chance: Random) -> Address:
    name = " ".join("".join(chance.choices(CHARACTERS, k=chance.randint(0, 40))).split())
    local_part = "".join(chance.choices(LOCAL_PARTS, k=chance.randint(1, 30)))
    return Address(name, re.sub(r"^[.]|[.](?=[.]|$)", "x", local_part), chance.choice(DOMAINS))


def read_back(found: Address) -> tuple[str, str]:
    """As the strict reader should find it: the domain in A-labels, quotes where they are needed."""
    return found.display_name, found.addr_spec.replace("\u00fc", "").replace("bcher.", "xn--bcher-kva.")


@pytest.mark.parametrize(("door", "lists"), [(our_email, 1000), (modern, 250)])
def test_p15_no_list_of_odd_addresses_is_malformed(door: Door, lists: int) -> None:
    """P15: of 1,000 lists of four the package writes 141 malformed fields (3.10 to 3.12), 44 (3.13)."""
    chance = Random(15)
    given = [tuple(random_address(chance) for _ in range(4)) for _ in range(lists)]

    found = [sent(door({"To": four})).mailboxes("To") for four in given]

    assert found == [[read_back(address) for address in four] for four in given]


@pytest.mark.parametrize("local_part", [".a", "a.", "a..b", "."])
def test_p15_dots_that_need_quotes_get_them(local_part: str) -> None:
    """P15: addr_spec of an `Address` leaves them bare, which is no address (RFC 5321 section 4.1.2)."""
    wire = sent(our_email({"To": Address("Ann", local_part, "dest.example")}))

    assert wire.mailboxes("To") == [("Ann", f'"{local_part}"@dest.example')]


# --- P16 to P20: what may be encoded, and what may not


@pytest.mark.parametrize("door", DOORS)
def test_p16_a_local_part_that_is_not_ascii_stands_raw_and_needs_smtputf8(door: Door) -> None:
    """P16 (gh-122476): the package writes =?utf-8?q?j=C3=B6rg?=@example.com."""
    found = prepared(door({"To": "j\u00f6rg@example.com"})).email

    assert found.needs_smtputf8
    assert found.recipients == ("j\u00f6rg@example.com",)
    assert "\r\nTo: j\u00f6rg@example.com\r\n".encode() in found.content


@pytest.mark.parametrize("door", [our_email, modern, legacy])
def test_p17_a_domain_that_is_not_ascii_stands_in_a_labels(door: Door) -> None:
    """P17 (gh-83938): the package writes an encoded-word for a domain."""
    found = prepared(door({"To": "Joe <joe@b\u00fccher.example>"})).email

    assert not found.needs_smtputf8
    assert found.recipients == ("joe@xn--bcher-kva.example",)
    assert sent(door({"To": "Joe <joe@b\u00fccher.example>"})).mailboxes("To") == [
        ("Joe", "joe@xn--bcher-kva.example")
    ]


def test_p17_finished_octets_keep_their_domain_and_the_envelope_has_a_labels() -> None:
    """P17 (gh-83938): the package writes an encoded-word for a domain."""
    message = octets({"To": "joe@b\u00fccher.example"})

    assert prepared(message).email.recipients == ("joe@xn--bcher-kva.example",)
    assert content_of(message) == message
    assert prepared(message).email.needs_smtputf8


@pytest.mark.parametrize(
    "given",
    [
        "j\u00f6rg@x.y",
        "<j\u00f6rg@x.y>",
        ("", "j\u00f6rg@x.y"),
        (None, "j\u00f6rg@x.y"),
        Address(username="j\u00f6rg", domain="x.y"),
        Mailbox(local_part="j\u00f6rg", domain="x.y"),
        ["j\u00f6rg@x.y"],
    ],
)
def test_p18_one_rule_for_an_address_in_whatever_form_it_comes(given: Any) -> None:
    """P18 (gh-81074): Address(addr_spec=...) raises at what is taken in a string."""
    email = our_email({"To": given})

    assert email.to == (Mailbox(local_part="j\u00f6rg", domain="x.y"),)


QUOTED = '"' + "word " * 12 + 'x"@example.com'


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["", "A name that is long enough to leave little room on this line"])
def test_p19_a_quoted_local_part_keeps_its_quotes_and_stands_on_one_line(door: Door, name: str) -> None:
    """P19: the package folds it, and loses the quotes."""
    message = door({"To": f"{name} <{QUOTED}>"})

    assert prepared(message).email.recipients == (QUOTED,)
    assert split(content_of(message)).mailboxes("To") == [(name, QUOTED)]
    assert QUOTED.encode() in content_of(message)


@pytest.mark.parametrize("door", DOORS)
def test_p19_a_quoted_local_part_over_64_octets_is_refused(door: Door) -> None:
    """P19: the very address of the report, which the package writes without its quotes."""
    error = refusal(door, {"To": '"' + "word " * 20 + 'x"@example.com'})

    assert named(error, "To")


@pytest.mark.parametrize("door", DOORS)
def test_p19_a_quoted_local_part_that_is_not_ascii_stands_raw_in_its_quotes(door: Door) -> None:
    """P19: the package makes an encoded-word of it."""
    address = '"w\u00f6rd w\u00f6rd"@x.y'

    found = prepared(door({"To": address})).email

    assert found.needs_smtputf8
    assert found.recipients == (address,)
    assert split(found.content).mailboxes("To") == [("", address)]
    assert address.encode() in found.content


@pytest.mark.parametrize("door", [our_email, modern, legacy])
def test_p20_the_name_is_encoded_and_the_address_is_not(door: Door) -> None:
    """P20: the legacy class encodes the whole value, address included."""
    wire = sent(door({"To": "J\u00f6rg <j@example.com>", "From": "\u00c4nne <me@sender.example>"}))

    assert wire.mailboxes("To") == [("J\u00f6rg", "j@example.com")]
    assert wire.mailboxes("From") == [("\u00c4nne", "me@sender.example")]
    assert wire.one("To").endswith(" <j@example.com>")


# --- P21 to P25: lists, and what is no address


@pytest.mark.parametrize("door", [our_email, modern, legacy])
def test_p21_two_hundred_addresses_without_blanks_are_folded_after_commas(door: Door) -> None:
    """P21: they stay one line of 3,293 octets."""
    addresses = [f"user{number}@example.com" for number in range(200)]

    wire = sent(door({"To": ",".join(addresses)}))

    assert wire.mailboxes("To") == [("", address) for address in addresses]
    assert max(map(len, wire.lines("To"))) <= 78


def test_p21_finished_octets_with_a_line_over_998_octets_are_refused() -> None:
    """P21: the package sends a line of 3,293 octets."""
    error = refusal(octets, {"To": ",".join(f"user{number}@example.com" for number in range(200))})

    assert "998" in error.expected


@pytest.mark.parametrize("door", DOORS)
def test_p22_a_semicolon_between_addresses_is_named_in_the_error(door: Door) -> None:
    """P22: it is taken, and the second recipient is missing without a word."""
    error = refusal(door, {"To": "a@x.y;b@x.y"})

    assert named(error, "To")
    assert "semicolon" in error.expected


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("text", ["alice@example.org)bob@example.com", "alice@example.org(<bob@example.com>"])
def test_p23_an_address_with_a_parenthesis_is_not_the_address_before_it(door: Door, text: str) -> None:
    """P23 (CVE-2023-27043): parseaddr() returns alice's address."""
    error = refusal(door, {"To": text})

    assert named(error, "To")


NO_ADDRESSES = ["foo", "a b@c.d", "a@b..c", "a..b@c.d", "<>", "a@b.c,", "Name <bad>"]


@pytest.mark.parametrize("door", [our_email, modern, legacy])
@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_p24_what_is_no_address_is_refused(door: Door, text: str) -> None:
    """P24: the package takes all of these without complaint."""
    error = refusal(door, {"To": text})

    assert named(error, "To")


# RFC 5322 4.4: an empty entry in a list, as in "a@b.c,", is what others wrote once: it may be read
@pytest.mark.parametrize("text", [text for text in NO_ADDRESSES if text != "a@b.c,"])
def test_p24_finished_octets_with_what_is_no_address_are_refused(text: str) -> None:
    """P24: the package takes all of these without complaint."""
    error = refusal(octets, {"To": text})

    assert named(error, "To")


@pytest.mark.parametrize("door", [our_email, modern, legacy])
@pytest.mark.parametrize("given", [b"x", 120, [b"a@b.c"], object()])
def test_p24_what_is_no_text_is_refused(door: Door, given: Any) -> None:
    """P24: `To=b'x'` is sent as "To: 120"."""
    assert _is_refused_by_somebody(lambda: door({"To": given}))


def test_p24_no_address_at_all_is_not_the_word_none() -> None:
    """P24: `To=None` is sent as "To: None"."""
    assert named(refusal(legacy, {"To": None}), "To")
    assert _is_refused_by_somebody(lambda: modern({"To": None}))
    assert refusal(lambda: Email(from_="me@sender.example", to=None, text="Hi.\n")).field == "recipients"


def _is_refused_by_somebody(make: Callable[[], Any]) -> bool:
    """The package itself raises at some of these on some versions; nothing of it is sent."""
    try:
        message = make()
    except (MessageError, TypeError, AttributeError, ValueError):
        return True
    return named(refusal(lambda: message), "To")


BROKEN = ['"', "<", "a@", "a@[1.2.3"]


@pytest.mark.parametrize("door", [our_email, legacy, octets])
@pytest.mark.parametrize("text", BROKEN)
def test_p25_half_an_address_is_refused_with_the_text_at_fault(door: Door, text: str) -> None:
    """P25 (gh-148518): the package ends in IndexError and AttributeError."""
    error = refusal(door, {"To": text})

    assert named(error, "To")
    assert repr(text) in str(error)


@pytest.mark.parametrize("name", ["From", "To", "Cc", "Reply-To", "Sender", "Bcc"])
@pytest.mark.parametrize("text", BROKEN)
def test_p25_half_an_address_in_a_parsed_message_is_refused_like_any_other(name: str, text: str) -> None:
    """P25 (gh-148518): the package reads a parsed field when it is asked for, and crashes then."""
    fields = {"From": "a@b.example", "To": "c@d.example", name: text}
    source = "".join(f"{name}: {value}\n" for name, value in fields.items()) + "\nHi.\n"

    error = refusal(lambda: message_from_string(source, policy=policy.default))

    assert named(error, name)
    assert repr(text) in str(error)
