"""`verify`: what the tables do not ask: look-ups that fail, bounds, several records, what it tells."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.dkim import DkimResult, DkimSigner, Verification, sealing, verify
from mailstrom.errors import ConfigError
from tests.dkim_keys import DOMAIN, ed25519_signer, records, rsa_signer

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HEADER = b"From: Ann <ann@sender.test>\r\nSubject: Tea\r\n"
BODY = b"Dear Bob,\r\ntea?\r\n"
NAME = f"e._domainkey.{DOMAIN}"


def sealed(signer: DkimSigner, header: bytes = HEADER, body: bytes = BODY) -> bytes:
    seal = sealing([signer], DOMAIN, NOW)
    assert seal is not None
    return seal.fields(header, memoryview(body)) + header + b"\r\n" + body


def the_verification(
    message: bytes, txt_lookup: Callable[[str], Any] | None = None, now: datetime | None = None
) -> Verification:
    published = records([ed25519_signer(), rsa_signer()])
    (verification,) = verify(message, txt_lookup or published.__getitem__, now=now)
    return verification


def test_a_verification_tells_who_vouches_for_what() -> None:
    signer = ed25519_signer(headers=("From", "Subject"), expires_after_secs=60)

    verification = the_verification(sealed(signer))

    assert verification == Verification(
        result=DkimResult.PASS,
        domain=DOMAIN,
        selector="e",
        identity=f"@{DOMAIN}",
        algorithm="ed25519-sha256",
        headers=("from", "from", "subject", "subject"),
        signed_at=NOW,
        expires_at=datetime(2026, 3, 2, 9, 31, tzinfo=UTC),
    )
    assert verification.covers("Subject")
    assert not verification.covers("To")


def test_a_message_without_signatures_has_no_verifications() -> None:
    assert verify(b"From: ann@sender.test\r\n\r\nHi\r\n", {}.__getitem__) == ()
    assert verify(b"", {}.__getitem__) == verify(b"\r\n", {}.__getitem__) == ()


def test_a_message_whose_every_line_end_is_lf_is_taken_for_the_one_with_crlf() -> None:
    message = sealed(ed25519_signer(canonicalization="simple/simple"))

    assert the_verification(message.replace(b"\r\n", b"\n")).result == "pass"


def test_a_bare_lf_among_crlf_is_an_octet_like_any_other() -> None:
    message = sealed(ed25519_signer(), body=b"a\nb\r\n")

    assert the_verification(message).result == "pass"
    assert the_verification(message.replace(b"a\nb", b"a\r\nb")).result == "fail"


def test_a_header_without_a_body_is_verified_as_one_with_an_empty_body() -> None:
    message = sealed(ed25519_signer(), body=b"")

    assert the_verification(message.removesuffix(b"\r\n")).result == "pass"


# Looking up


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (None, "permerror"),
        ([], "permerror"),
        (ed25519_signer().dns_record, "pass"),
        (ed25519_signer().dns_record.encode(), "pass"),
        ((ed25519_signer().dns_record,), "pass"),
        (["v=spf1 -all", ed25519_signer().dns_record.encode()], "pass"),
        (["v=DKIM1; p=", ed25519_signer().dns_record], "pass"),
        (["v=DKIM1; k=ed25519; p=" + "A" * 43 + "=", ed25519_signer().dns_record], "pass"),
        (["v=DKIM1; p=", ed25519_signer(every_author=True).dns_record[:-5]], "permerror"),
        (["v=spf1 -all"] * 4 + [ed25519_signer().dns_record], "permerror"),
        (["caf\u00e9"], "permerror"),
        ([b"\xff\xfe"], "permerror"),
    ],
    ids=[
        "nothing",
        "an empty list",
        "text",
        "octets",
        "one in a tuple",
        "behind another kind",
        "behind a revoked one",
        "behind one that cannot be read",
        "two that disagree",
        "too many",
        "not ASCII",
        "not UTF-8",
    ],
)
def test_a_look_up_returns_one_record_or_several_or_none(found: object, result: str) -> None:
    """RFC 6376 6.1.2: of several records each may be tried; four are."""
    asked: list[str] = []

    def txt_lookup(name: str) -> Any:
        asked.append(name)
        return found

    verification = the_verification(sealed(ed25519_signer()), txt_lookup)

    assert verification.result == result
    assert asked == [NAME]


@pytest.mark.parametrize(
    ("error", "result", "reason"),
    [
        (KeyError("x"), "permerror", f"{NAME}: no key record"),
        (LookupError(), "permerror", f"{NAME}: no key record"),
        (TimeoutError(), "temperror", f"{NAME}: look-up failed (TimeoutError)"),
        (OSError("no route"), "temperror", f"{NAME}: look-up failed (OSError)"),
    ],
)
def test_a_look_up_says_no_by_a_lookup_error_and_not_now_by_an_os_error(
    error: Exception, result: str, reason: str
) -> None:
    def txt_lookup(name: str) -> Any:
        raise error

    verification = the_verification(sealed(ed25519_signer()), txt_lookup)

    assert (verification.result, verification.reason) == (result, reason)
    assert (verification.domain, verification.selector) == (DOMAIN, "e")


def test_another_exception_of_the_look_up_is_the_callers() -> None:
    def txt_lookup(name: str) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        the_verification(sealed(ed25519_signer()), txt_lookup)


def test_a_record_in_test_mode_changes_no_result_but_is_told_of() -> None:
    """RFC 6376 3.6.1, t=y."""
    published = f"{ed25519_signer().dns_record}; t=y"

    verification = the_verification(sealed(ed25519_signer()), lambda name: published)

    assert (verification.result, verification.is_testing) == ("pass", True)


# What is refused


@pytest.mark.parametrize(
    ("now", "result"),
    [(None, "pass"), (NOW, "pass"), (NOW.replace(minute=31), "pass"), (NOW.replace(minute=32), "permerror")],
)
def test_a_signature_expires_when_there_is_a_now(now: datetime | None, result: str) -> None:
    """RFC 6376 3.5, x=."""
    assert the_verification(sealed(ed25519_signer(expires_after_secs=60)), now=now).result == result


def test_only_so_many_signatures_are_checked_and_looked_up() -> None:
    """RFC 6376 8.4."""
    asked: list[str] = []
    message = b"DKIM-Signature: v=1; a=rsa-sha256; d=a.test; s=s; h=from; b=AAAA; bh=%b=\r\n" % (b"A" * 43)

    found = verify(message * 40 + HEADER + b"\r\n", asked.append)

    assert [verification.result for verification in found] == ["permerror"] * 40
    assert len(asked) == 16
    assert found[-1].reason == "only the first 16 are checked"


@pytest.mark.parametrize(
    "field",
    [
        "DKIM-Signature:",
        "DKIM-Signature: ;",
        "DKIM-Signature: v=1",
        "DKIM-Signature: v=1; v=1",
        "DKIM-Signature: v=1; a=x; b==; bh=!; d=a; h=; s=",
        "DKIM-Signature: \u20ac=1",
        "DKIM-Signature: v=1; t=99999999999999",
    ],
)
def test_a_broken_field_is_a_permerror_with_the_reason(field: str) -> None:
    verification = the_verification(f"{field}\r\n".encode() + HEADER + b"\r\n")

    assert verification == Verification(result=DkimResult.PERMERROR, reason=verification.reason)
    assert verification.reason.startswith("DKIM-Signature: ")


def test_a_time_beyond_the_year_9999_is_no_instant_and_no_error() -> None:
    """RFC 6376 3.5: t= may have twelve digits."""
    message = sealed(ed25519_signer()).replace(b"t=1772443800", b"t=999999999999")

    verification = the_verification(message)

    assert (verification.result, verification.signed_at) == ("fail", None)


def test_without_the_package_for_keys_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_cryptography(name: str, *args: Any, **settings: Any) -> Any:
        if name.startswith("cryptography"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **settings)

    monkeypatch.setattr(builtins, "__import__", without_cryptography)

    with pytest.raises(ConfigError, match=r"install mailstrom\[dkim\]"):
        verify(HEADER, {}.__getitem__)


# Whatever comes

TAGS = ["v=1", "a=rsa-sha256", "a=ed25519-sha256", "b=AA", "bh=AA", "c=relaxed", "d=a.test", "s=s", "h=from"]
tags = st.lists(st.one_of(st.sampled_from(TAGS), st.text(max_size=8)), max_size=12).map(";".join)


@given(tags=tags, rest=st.binary(max_size=60), record=st.one_of(st.binary(max_size=40), tags))
def test_whatever_comes_has_a_result(tags: str, rest: bytes, record: str | bytes) -> None:
    message = f"DKIM-Signature: {tags}\r\n".encode("utf-8", "replace") + rest

    for verification in verify(message, lambda name: [record]):
        assert verification.result in DkimResult
        assert verification.reason


@pytest.mark.parametrize(
    "shape",
    [
        lambda size: b"DKIM-Signature: " + b"a=b;" * (size // 4) + b"\r\n",
        lambda size: b"DKIM-Signature: v=1;h=" + b"from:" * (size // 5) + b"\r\n",
        lambda size: b"DKIM-Signature: v=1;i=" + b"=41" * (size // 3) + b"\r\n",
        lambda size: b"DKIM-Signature: v=1;d=" + b"a-" * (size // 2) + b"\r\n",
        lambda size: b"DKIM-Signature: v=1;c=" + b"a-" * (size // 2) + b"\r\n",
        lambda size: b"DKIM-Signature: v=1;" + b" \r\n" * (size // 3) + b"\r\n",
        lambda size: b"DKIM-Signature: x\r\n" * (size // 19),
        lambda size: b"DKIM-Signature: " + b"\r\n x" * (size // 4) + b"\r\n",
        lambda size: b"From: x\r\n" * (size // 9),
        lambda size: b"\r\n " * (size // 3),
        lambda size: sealed(ed25519_signer(), header=HEADER + b"To: x\r\n" * (size // 7)),
        lambda size: sealed(ed25519_signer(), header=HEADER + b"To: " + b" \t" * (size // 2) + b"\r\n"),
    ],
)
def test_ten_times_the_message_takes_about_ten_times_as_long(shape: Callable[[int], bytes]) -> None:
    def secs(size: int) -> float:
        message = shape(size)
        return least_secs(lambda: verify(message, {}.__getitem__))

    # a wide margin: what is meant is that it is not a hundred times
    assert secs(1_000_000) < 30 * secs(100_000) + 0.01


def least_secs(work: Callable[[], object]) -> float:
    found = []
    for _ in range(3):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)
