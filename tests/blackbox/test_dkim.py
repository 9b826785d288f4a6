"""DKIM from outside: what we sign, judged by dkimpy and by our own verify."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import dkim
import pytest

from mailstrom import AsyncMailstrom, Config, Email
from mailstrom.dkim import verify
from tests.blackbox.signing import (
    edwards_signer,
    ours,
    pem,
    published,
    rich,
    rsa_key,
    rsa_signer,
    signed,
    theirs,
)
from tests.blackbox.wire import least, read, sent

FORMS = ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("email", [rich(), least(), least(text=""), least(text=" \n\n \n")], ids=range(4))
def test_others_and_we_accept_what_we_sign(form: str, email: Email) -> None:
    signers = rsa_signer(canonicalization=form), edwards_signer(canonicalization=form)

    content = signed(email, *signers)

    assert theirs(content, published(*signers)) == [True, True]
    assert ours(content, published(*signers)) == ["pass", "pass"]
    assert {re.search(r"c=([a-z/]+)", value)[1] for value in read(content).get_all("DKIM-Signature")} == {
        form
    }  # type: ignore[index]


def test_relaxed_is_the_default_and_sha256_the_only_hash() -> None:
    content = signed(least(), rsa_signer(), edwards_signer())

    values = [str(value) for value in read(content).get_all("DKIM-Signature", [])]
    assert [("c=relaxed/relaxed" in value) for value in values] == [True, True]
    assert {re.search(r"a=([a-z0-9-]+)", value)[1] for value in values} == {"rsa-sha256", "ed25519-sha256"}  # type: ignore[index]


@pytest.mark.parametrize("place", ["text", "subject", "from"])
def test_one_changed_octet_breaks_every_signature(place: str) -> None:
    signers = rsa_signer(), edwards_signer()
    content = signed(least(), *signers)
    before, after = {
        "text": (b"\r\nHi.", b"\r\nHo."),
        "subject": (b"ject: Hi", b"ject: Ho"),
        "from": (b"ann@", b"anm@"),
    }[place]

    changed = content.replace(before, after, 1)

    assert changed != content
    assert ours(changed, published(*signers)) == ["fail", "fail"]
    assert theirs(changed, published(*signers)) == [False, False]


@pytest.mark.parametrize(
    "name",
    [
        "From",
        "To",
        "Cc",
        "Subject",
        "Date",
        "Message-ID",
        "Reply-To",
        "Content-Type",
        "MIME-Version",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
    ],
)
@pytest.mark.parametrize("where", ["top", "bottom"])
def test_a_field_that_is_added_breaks_the_signature(name: str, where: str) -> None:
    signer = edwards_signer()
    content = signed(rich(), signer)
    more = f"{name}: evil@e.example\r\n".encode()
    head, rest = content.split(b"\r\n\r\n", 1)

    changed = more + content if where == "top" else head + b"\r\n" + more + b"\r\n" + rest

    assert ours(changed, published(signer)) == ["fail"]
    assert theirs(changed, published(signer)) == [False]


@pytest.mark.parametrize("name", ["Subject", "To", "Cc", "Reply-To", "Content-Type"])
def test_a_field_that_was_not_there_cannot_be_added_either(name: str) -> None:
    signer = edwards_signer()
    given = b"From: x@a.example\r\nBcc: b@b.example\r\n\r\nx\r\n"
    content = signed(given, signer)

    assert ours(content, published(signer)) == ["pass"]
    assert ours(f"{name}: evil\r\n".encode() + content, published(signer)) == ["fail"]


@pytest.mark.parametrize("headers", [{}, {"headers": ("From",)}, {"headers": ("from", "subject")}])
def test_list_unsubscribe_is_covered_whatever_is_chosen(headers: dict[str, Any]) -> None:
    signer = edwards_signer(**headers)

    [found] = verify(signed(rich(), signer), published(signer).get)

    assert found.covers("List-Unsubscribe")
    assert found.covers("list-unsubscribe-post")
    assert found.covers("From")


def test_verify_tells_what_it_found() -> None:
    signer = edwards_signer(expires_after_secs=3600, identity="ann@sub.a.example")
    content = signed(least(), signer)

    [found] = verify(content, published(signer).get, now=datetime.now(UTC))
    [late] = verify(content, published(signer).get, now=datetime(2100, 1, 1, tzinfo=UTC))
    [no_key] = verify(content, {}.get)

    assert (found.result.value, found.domain, found.selector) == ("pass", "a.example", "e")
    assert (found.algorithm, found.identity) == ("ed25519-sha256", "ann@sub.a.example")
    assert found.expires_at is not None
    assert found.signed_at is not None
    assert (found.expires_at - found.signed_at).total_seconds() == 3600
    assert late.result.value != "pass"
    assert (no_key.result.value, bool(no_key.reason)) == ("permerror", True)
    assert verify(sent(least()).content, {}.get) == ()


def test_a_look_up_that_fails_for_now_is_a_temporary_error() -> None:
    def failing(name: str) -> str:
        raise TimeoutError(name)

    [found] = verify(signed(least(), edwards_signer()), failing)

    assert found.result.value == "temperror"


def test_verify_accepts_what_dkimpy_signed() -> None:
    signer = rsa_signer()
    given = b"From: x@a.example\r\nTo: b@b.example\r\nSubject: x  y\r\n\r\nHi \r\n\r\n"
    field_of_theirs = dkim.sign(given, b"r", b"a.example", pem(rsa_key(), "TraditionalOpenSSL"))

    assert ours(field_of_theirs + given, published(signer)) == ["pass"]
    assert ours(field_of_theirs + given.replace(b"Hi", b"Ho"), published(signer)) == ["fail"]


def test_mail_is_signed_by_the_domain_of_its_from() -> None:
    signer = edwards_signer()

    assert ours(signed(least(from_="x@news.a.example"), signer), published(signer)) == ["pass"]
    assert ours(signed(least(from_="x@nota.example"), signer), published(signer)) == []
    assert ours(signed(least(from_="x@c.example", sender="x@a.example"), signer), published(signer)) == []
    assert ours(signed(least(from_="x@c.example"), edwards_signer(every_author=True)), published(signer)) == [
        "pass"
    ]


def test_finished_octets_are_signed_and_otherwise_left_alone() -> None:
    given = b"From: x@a.example\r\nTo: b@b.example\r\nDate: Mon, 02 Mar 2026 09:30:00 +0100\r\n"
    given += b"Message-ID: <1@a.example>\r\nSubject:  odd \r\n\r\n\xff .\r\nx"
    signer = edwards_signer()

    content = signed(given, signer)

    assert content.endswith(given)
    assert content.removesuffix(given).count(b"DKIM-Signature:") == 1
    assert ours(content, published(signer)) == ["pass"]


def test_asyncio_callers_sign_alike() -> None:
    signer = edwards_signer()

    async def content() -> bytes:
        async with AsyncMailstrom(Config(mode="capture", dkim=signer)) as m:
            await m.start()
            await m.wait(await m.send_email(rich()), timeout=30)
            return m.outbox[0].content

    assert theirs(asyncio.run(content()), published(signer)) == [True]
