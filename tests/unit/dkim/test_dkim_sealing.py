"""Sealing: the DKIM-Signature fields of one message, and who accepts them."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import dkim as dkimpy
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mailstrom.dkim import DkimSigner, sealing, verify
from mailstrom.dkim.field import signature_lines, signature_octets
from mailstrom.dkim.signature import Signature, parse_signature
from mailstrom.message.prepare import Seal
from tests.dkim_keys import DOMAIN, ed25519_signer, records, rsa_signer

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HEADER = (
    b"Received: from a by b; Mon, 02 Mar 2026 09:30:00 +0000\r\n"
    b"From: Ann <ann@sender.test>\r\n"
    b"To: Bob <bob@example.net>,\r\n carol@example.net\r\n"
    b"Subject: Tea  at four\r\n"
    b"Date: Mon, 02 Mar 2026 09:30:00 +0000\r\n"
    b"Message-ID: <1@sender.test>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"X-Campaign: spring\r\n"
)
BODY = b"Dear Bob,\r\n\r\ntea  at four? \r\n\r\n"
LONG_NAME = "X-" + "y" * 72
FORMS = ("relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple")


def fields_of(signers: Sequence[DkimSigner], header: bytes = HEADER, body: bytes = BODY) -> bytes:
    seal = sealing(signers, DOMAIN, NOW)
    assert seal is not None
    room = seal.room(header)
    fields = seal.fields(header, memoryview(body))
    assert len(fields) == room
    return fields


def sealed(signers: Sequence[DkimSigner], header: bytes = HEADER, body: bytes = BODY) -> bytes:
    return fields_of(signers, header, body) + header + b"\r\n" + body


def results(message: bytes, signers: Sequence[DkimSigner]) -> list[str]:
    return [found.result for found in verify(message, records(signers).__getitem__)]


def the_signature(signer: DkimSigner, header: bytes = HEADER) -> Signature:
    return parse_signature(fields_of([signer], header).removesuffix(b"\r\n"))


def dkimpy_results(message: bytes, signers: Sequence[DkimSigner]) -> list[bool]:
    published = records(signers)

    def txt_lookup(name: bytes, timeout: int = 5) -> bytes:
        return published[name.decode().rstrip(".")].encode()

    return [_dkimpy_passes(message, place, txt_lookup) for place in range(len(signers))]


def _dkimpy_passes(message: bytes, place: int, txt_lookup: Callable[..., bytes]) -> bool:
    try:
        return bool(dkimpy.DKIM(message).verify(place, dnsfunc=txt_lookup))
    except dkimpy.ValidationError:
        return False


# What the field says


def test_a_field_says_who_signed_what_and_when() -> None:
    signer = ed25519_signer(expires_after_secs=3600, identity="ann=b@mail.sender.test")

    signature = the_signature(signer)

    assert signature == Signature(
        algorithm="ed25519-sha256",
        domain=DOMAIN,
        selector="e",
        headers=signature.headers,
        signature=signature.signature,
        body_hash=signature.body_hash,
        header_form="relaxed",
        body_form="relaxed",
        identity="ann=b@mail.sender.test",
        signed_at=1772443800,
        expires_at=1772447400,
    )


def test_each_field_present_is_named_and_those_that_readers_go_by_once_more() -> None:
    """RFC 6376 5.4.1, 8.15."""
    header = HEADER + b"Sender: ann@sender.test\r\nList-Unsubscribe: <https://sender.test/u>\r\n"

    named = list(the_signature(rsa_signer(), header).headers)

    assert {name: named.count(name) for name in named} == {
        "From": 2,
        "Sender": 1,
        "Reply-To": 1,
        "Subject": 2,
        "Date": 2,
        "Message-ID": 2,
        "To": 2,
        "Cc": 1,
        "MIME-Version": 2,
        "Content-Type": 1,
        "Content-Transfer-Encoding": 1,
        "List-Unsubscribe": 2,
    }


def test_the_unsubscribe_fields_are_covered_by_a_signer_that_does_not_name_them() -> None:
    """RFC 8058 4."""
    unsubscribe = b"List-Unsubscribe: <https://sender.test/u>\r\n"
    header = HEADER + unsubscribe + b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    signer = ed25519_signer(headers=("From",))

    headers = the_signature(signer, header).headers

    assert headers == ("From",) * 2 + ("List-Unsubscribe",) * 2 + ("List-Unsubscribe-Post",) * 2


def test_a_field_of_the_callers_own_is_covered_where_it_is_named() -> None:
    signer = ed25519_signer(headers=("From", "X-Campaign", "X-Absent"))

    assert the_signature(signer).headers == ("From", "From", "X-Campaign")


def test_a_field_that_stands_several_times_is_covered_each_time() -> None:
    """RFC 6376 5.4.2."""
    signers = [ed25519_signer(headers=("From", "X-Campaign"))]
    header = HEADER + b"X-Campaign: autumn\r\n"

    message = sealed(signers, header)

    assert the_signature(signers[0], header).headers == ("From", "From", "X-Campaign", "X-Campaign")
    assert results(message, signers) == ["pass"]
    assert results(message.replace(b"spring", b"winter"), signers) == ["fail"]
    assert results(message.replace(b"autumn", b"winter"), signers) == ["fail"]


@pytest.mark.parametrize("kind", [rsa_signer, ed25519_signer])
def test_the_lines_have_at_most_76_columns_and_b_stands_last(kind: Any) -> None:
    signer = kind(
        "a-rather-long-name-for-a-domain.sender.test",
        every_author=True,
        expires_after_secs=10,
        identity="someone-with-a-long-name@a-rather-long-name-for-a-domain.sender.test",
        headers=("From", LONG_NAME, *[f"X-Header-{number}" for number in range(40)]),
    )
    header = f"{LONG_NAME}: x\r\n{LONG_NAME}: y\r\n".encode() + HEADER
    header += b"".join(b"X-Header-%d: x\r\n" % number for number in range(40))

    field = fields_of([signer], header)

    lines = field.split(b"\r\n")
    assert lines.pop() == b""
    assert lines[0].startswith(b"DKIM-Signature: v=1; a=")
    assert all(line.startswith(b" ") and line.strip() for line in lines[1:])
    assert max(map(len, lines)) <= 76
    assert re.fullmatch(rb".*;\r\n b=[A-Za-z0-9+/]+(\r\n [A-Za-z0-9+/]+)*={0,2}\r\n", field, re.DOTALL)


def test_several_signers_sign_in_turn_and_the_last_stands_on_top() -> None:
    """RFC 8463 3."""
    signers = [rsa_signer(), ed25519_signer()]

    message = sealed(signers)

    assert re.findall(rb" s=(\w);", message) == [b"e", b"r"]
    assert results(message, signers) == ["pass", "pass"]


def test_signers_of_several_forms_each_hash_the_body_in_theirs() -> None:
    signers = [ed25519_signer(canonicalization=form) for form in FORMS]

    assert results(sealed(signers), signers) == ["pass"] * 4


def test_only_the_signers_of_the_authors_domain_sign() -> None:
    ours, foreign = ed25519_signer(), ed25519_signer("other.test")

    seal = sealing([foreign, ours], f"mail.{DOMAIN}", NOW)

    assert seal is not None
    assert re.findall(rb" d=([\w.]+);", seal.fields(HEADER, memoryview(BODY))) == [DOMAIN.encode()]


@pytest.mark.parametrize("author_domain", ["third.test", "", None])
def test_nothing_is_sealed_where_no_signer_signs_for_the_author(author_domain: str | None) -> None:
    assert sealing([ed25519_signer()], author_domain, NOW) is None
    assert sealing([], author_domain, NOW) is None
    assert sealing([ed25519_signer(every_author=True)], author_domain, NOW) is not None


def test_a_sealing_is_what_preparing_asks_for() -> None:
    seal: Seal | None = sealing([ed25519_signer()], DOMAIN, NOW)

    assert seal is not None


def test_a_sealing_can_be_used_for_another_header() -> None:
    signers = [ed25519_signer()]
    seal = sealing(signers, DOMAIN, NOW)
    assert seal is not None
    other = HEADER.replace(b"Tea", b"Coffee")

    rooms = [seal.room(HEADER), seal.room(other)]
    fields = seal.fields(other, memoryview(BODY))

    assert rooms == [len(fields), len(fields)]
    assert results(fields + other + b"\r\n" + BODY, signers) == ["pass"]


# Who accepts it


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("body", [b"", b"\r\n", BODY, b"no line end", b"caf\xc3\xa9\r\n", b".\r\n..\r\n"])
def test_another_verifier_accepts_what_we_sign(form: str, body: bytes) -> None:
    signers = [kind(canonicalization=form) for kind in (ed25519_signer, rsa_signer)]

    message = sealed(signers, body=body)

    assert results(message, signers) == ["pass", "pass"]
    assert dkimpy_results(message, signers) == [True, True]


@pytest.mark.parametrize(
    "change",
    [
        (b"tea  at", b"tee  at"),
        (b"Tea  at", b"Tee  at"),
        (b"ann@sender.test>", b"eve@sender.test>"),
        (b"MIME-Version: 1.0\r\n", b""),
        (b"X-Campaign", b"Subject: Win\r\nX-Campaign"),
        (b"X-Campaign", b"From: Eve <eve@example.net>\r\nX-Campaign"),
        (b"X-Campaign", b"Reply-To: eve@example.net\r\nX-Campaign"),
        (b"X-Campaign", b"Cc: eve@example.net\r\nX-Campaign"),
        (b"X-Campaign", b"Content-Type: text/html\r\nX-Campaign"),
        (b" t=1772443800;", b" t=1772443801;"),
    ],
    ids=str,
)
def test_neither_we_nor_another_verifier_accept_what_was_changed_or_added(
    change: tuple[bytes, bytes],
) -> None:
    """RFC 6376 8.15."""
    signers = [ed25519_signer(), rsa_signer()]
    message = sealed(signers)

    changed = message.replace(*change)

    assert changed != message
    assert results(changed, signers) == ["fail", "fail"]
    assert dkimpy_results(changed, signers) == [False, False]


@pytest.mark.parametrize(
    "change",
    [
        (b"Received:", b"Received: from c by d; Mon, 02 Mar 2026 09:30:01 +0000\r\nReceived:"),
        (b"X-Campaign", b"List-Id: <tea.example.net>\r\nX-Campaign"),
        (b"X-Campaign", b"List-Unsubscribe: <https://tea.example.net/u>\r\nX-Campaign"),
        (b"X-Campaign", b"Sender: tea@example.net\r\nX-Campaign"),
        (b"spring", b"autumn"),
        (b"Tea  at", b"Tea\r\n at"),
        (b"tea  at", b"tea at"),
    ],
    ids=str,
)
def test_what_relays_and_mailing_lists_add_breaks_no_signature(change: tuple[bytes, bytes]) -> None:
    signers = [ed25519_signer(), rsa_signer()]
    message = sealed(signers)

    changed = message.replace(*change)

    assert changed != message
    assert results(changed, signers) == ["pass", "pass"]
    assert dkimpy_results(changed, signers) == [True, True]


# Whatever it is

texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=60)
names = st.sampled_from(["Subject", "To", "Cc", "Received", "X-Campaign", "List-Unsubscribe", "x"])
folds = st.sampled_from([" ", "  ", "\t", "\r\n ", "\r\n\t", ""])
lines = st.tuples(names, st.just(":"), folds, texts, folds, texts, st.just("\r\n")).map("".join)
headers = st.lists(lines, max_size=8).map(lambda found: "".join([*found, "From: a@sender.test\r\n"]).encode())
octets = st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"=", b".", b"\xff", b"\r", b"\n"])
bodies = st.lists(octets).map(b"".join)
moments = st.datetimes(datetime(1970, 1, 2), timezones=st.just(UTC))


@given(header=headers, body=bodies, form=st.sampled_from(FORMS), moment=moments)
def test_what_we_sign_passes_and_takes_the_room_that_was_said(
    header: bytes, body: bytes, form: str, moment: datetime
) -> None:
    signers = [ed25519_signer(canonicalization=form, expires_after_secs=60)]
    seal = sealing(signers, DOMAIN, moment)
    assert seal is not None

    room = seal.room(header)
    fields = seal.fields(header, memoryview(body))

    assert room == len(fields)
    assert fields.isascii()
    assert results(fields + header + b"\r\n" + body, signers) == ["pass"]


@given(data=st.data(), form=st.sampled_from(FORMS))
def test_one_changed_octet_of_what_is_covered_fails(data: st.DataObject, form: str) -> None:
    signers = [ed25519_signer(canonicalization=form)]
    message = sealed(signers)
    covered = [*spans(message), (message.index(BODY), len(message) - 4)]
    at = data.draw(st.sampled_from([place for start, end in covered for place in range(start, end)]))
    octet = data.draw(st.sampled_from(b"#%&'*+xyz"))
    assume(message[at] != octet)

    changed = message[:at] + bytes([octet]) + message[at + 1 :]

    assert results(changed, signers) == ["fail"]


def spans(message: bytes) -> list[tuple[int, int]]:
    """Where the values of the covered fields stand."""
    names = rb"^(?:From|To|Subject|Date|Message-ID|MIME-Version): "
    found = re.finditer(names + rb"(.*(?:\r\n .*)*)\r\n", message, re.MULTILINE)
    return [(match.start(1), match.end(1)) for match in found]


def test_the_room_for_a_signature_is_known_for_keys_of_every_length() -> None:
    for length in range(1, 600):
        assert signature_octets(length) == len(signature_lines(b"x" * length))
        text = signature_lines(b"x" * length)
        assert b64decode(text.replace(b"\r\n", b"").replace(b" ", b"")) == b"x" * length
