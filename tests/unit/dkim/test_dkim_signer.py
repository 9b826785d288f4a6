"""`DkimSigner`: settings checked when it is made, a key that is read once and shown nowhere."""

from __future__ import annotations

import builtins
import copy
import logging
import pickle
import traceback
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mailstrom.dkim import DEFAULT_HEADERS, DkimSigner
from mailstrom.dkim.signing_key import SigningKey
from mailstrom.errors import ConfigError
from tests.dkim_keys import ed25519_pem, ed25519_signer, rsa_pem, rsa_signer

SECRET_LINE = ed25519_pem().splitlines()[1]

# a throw-away key of 512 bits, which nobody makes any more
WEAK_PEM = """-----BEGIN RSA PRIVATE KEY-----
MIIBOgIBAAJBAL+zZL3IGP4VQ1pn4rFHePv6aD5xL27WzsVNXIj/tHAzWSdcGCAd
QDmgC7EY3PNBDHBWCf7PQZ0wrU3d4xWx1OkCAwEAAQJATZKyeXm3Y1oHX1YajdJ2
SsER3fK/VwLluUGM6INQ6PWqcryJqP0D5Ra0CVQ+7yVjjc7D3H7cD5cwGQ+u7yD9
4QIhAPFijpGZQT1i+wbE3DIAkc/QKhQ4rkpc8kDliXAXuh1vAiEAy068aphm9+3w
/1zALc+o9J8RdLMutNpGnL9xBbsDtycCIHmyN7CeNG8PhQGPpHgtI1ZDW8OgI/bn
z1b6ooT54WJPAiEAmoKhQWXHw58K7BgCWg6a+iY17voKghntVk1MSS2jGjsCICy7
ymVCY5MoMZkCPGGZ1KMe9any6BLhnTQtmazFzh1y
-----END RSA PRIVATE KEY-----
"""


def a_signer(**settings: Any) -> DkimSigner:
    return DkimSigner(**{"domain": "example.org", "selector": "s", "private_key": ed25519_pem(), **settings})


def pem_of(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# What it is


def test_a_signer_tells_its_algorithm_and_what_to_publish() -> None:
    signer = a_signer(selector="mail2026")

    assert signer.algorithm == "ed25519-sha256"
    assert signer.dns_name == "mail2026._domainkey.example.org"
    start, _, key = signer.dns_record.rpartition("p=")
    assert start == "v=DKIM1; k=ed25519; "
    assert len(b64decode(key)) == 32


def test_an_rsa_signer_publishes_the_subject_public_key_info() -> None:
    """RFC 6376 3.6.1 with erratum 3017."""
    key = load_pem_private_key(rsa_pem().encode(), None)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    signer = rsa_signer()

    assert signer.algorithm == "rsa-sha256"
    start, _, published = signer.dns_record.rpartition("p=")
    assert (start, b64decode(published)) == ("v=DKIM1; k=rsa; ", public)


@pytest.mark.parametrize(
    ("given", "a_labels"),
    [("Example.ORG", "example.org"), ("bücher.example", "xn--bcher-kva.example")],
)
def test_a_domain_is_kept_in_a_labels(given: str, a_labels: str) -> None:
    """RFC 8616 5."""
    assert a_signer(domain=given).domain == a_labels


@pytest.mark.parametrize(
    ("author_domain", "is_signed"),
    [
        ("example.org", True),
        ("Example.Org", True),
        ("mail.example.org", True),
        ("badexample.org", False),
        ("org", False),
        ("example.org.evil.test", False),
        ("", False),
    ],
)
def test_mail_is_signed_when_its_author_is_in_the_domain_or_below_it(
    author_domain: str, is_signed: bool
) -> None:
    assert a_signer().signs(author_domain) is is_signed
    assert a_signer(every_author=True).signs(author_domain)


@pytest.mark.parametrize(
    ("given", "kept"), [("relaxed", "relaxed/simple"), ("simple", "simple/simple"), ("simple/relaxed",) * 2]
)
def test_a_canonicalization_without_a_body_part_means_simple_for_the_body(given: str, kept: str) -> None:
    """RFC 6376 3.5, c=."""
    assert a_signer(canonicalization=given).canonicalization == kept


def test_the_unsubscribe_fields_are_covered_even_where_they_are_left_out() -> None:
    """RFC 8058 4."""
    signer = a_signer(headers=("From", "Subject", "subject"))

    assert signer.headers == ("From", "Subject", "List-Unsubscribe", "List-Unsubscribe-Post")


def test_equal_signers_are_equal_whatever_form_their_key_was_given_in(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text(ed25519_pem())
    key_object = load_pem_private_key(ed25519_pem().encode(), None)
    forms = [ed25519_pem(), ed25519_pem().encode(), f"\n{ed25519_pem()}", path, str(path), key_object]

    signers = {a_signer(private_key=form) for form in forms}

    assert signers == {a_signer()}
    assert a_signer() not in (a_signer(selector="t"), a_signer(private_key=rsa_pem()))
    assert a_signer() != a_signer(headers=["From"])


def test_a_signer_is_changed_by_replace_and_keeps_its_key() -> None:
    signer = a_signer()

    changed = replace(signer, selector="t")

    assert (changed.dns_name, changed.dns_record) == ("t._domainkey.example.org", signer.dns_record)
    assert changed == a_signer(selector="t")


# What is refused

WRONG: list[tuple[str, object]] = [
    ("domain", ""),
    ("domain", None),
    ("domain", "localhost"),
    ("domain", "[192.0.2.1]"),
    ("domain", "exa mple.org"),
    ("domain", "example.org; x=1"),
    ("domain", "example.org\r\nX: y"),
    ("selector", ""),
    ("selector", None),
    ("selector", "a b"),
    ("selector", "a;b"),
    ("selector", "a\r\n b"),
    ("selector", "-a"),
    ("selector", "a..b"),
    ("selector", "sélecteur"),
    ("selector", "s" * 64),
    ("selector", ".".join(["s" * 60] * 4)),
    ("canonicalization", "relaxed/none"),
    ("canonicalization", None),
    ("headers", "From"),
    ("headers", 5),
    ("headers", ["Subject"]),
    ("headers", ["From", "a:b"]),
    ("headers", ["From", "a;b"]),
    ("headers", ["From", "a b"]),
    ("headers", ["From", ""]),
    ("headers", ["From", "x" * 75]),
    ("headers", ["From", "DKIM-Signature"]),
    ("headers", ["From", "Received"]),
    ("headers", ["From", "Return-Path"]),
    ("headers", ["From", "Resent-Bcc"]),
    ("headers", ["From", "BCC"]),
    ("headers", ["From", "Comments"]),
    ("identity", "ann"),
    ("identity", "ann@other.example"),
    ("identity", "ann@badexample.org"),
    ("identity", "a b@example.org"),
    ("identity", "änn@example.org"),
    ("identity", "ann@"),
    ("identity", 5),
    ("expires_after_secs", 0),
    ("expires_after_secs", -5),
    ("expires_after_secs", 2.5),
    ("expires_after_secs", True),
    ("every_author", "yes"),
]


@pytest.mark.parametrize(("setting", "value"), WRONG)
def test_a_setting_that_cannot_be_used_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^DkimSigner.{setting}: expected "):
        a_signer(**{setting: value})


def test_none_of_the_default_headers_is_one_that_others_change() -> None:
    assert a_signer(headers=DEFAULT_HEADERS).headers == DEFAULT_HEADERS == a_signer().headers


# Keys


def test_an_rsa_key_under_1024_bits_is_refused() -> None:
    """RFC 8301 3.2."""
    with pytest.raises(ConfigError, match="an RSA key of 512 bits is refused by every receiver"):
        a_signer(private_key=WEAK_PEM)


def test_an_rsa_key_under_2048_bits_signs_and_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """RFC 8301 3.2."""
    with caplog.at_level(logging.WARNING, "mailstrom.dkim"):
        signer = a_signer(private_key=generate_rsa_key(65537, 1024))

    assert signer.private_key.signature_octets == 128
    assert [record.getMessage() for record in caplog.records] == [
        "DKIM key: RSA with 1024 bits is weak, use 2048"
    ]


def test_a_good_key_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mailstrom.dkim"):
        rsa_signer()
        replace(ed25519_signer(), selector="t")

    assert caplog.records == []


def test_an_encrypted_key_is_refused_with_what_to_do() -> None:
    key = load_pem_private_key(ed25519_pem().encode(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))

    with pytest.raises(ConfigError, match="the key is encrypted: decrypt it first"):
        a_signer(private_key=encrypted)


def test_a_public_key_is_refused() -> None:
    key = load_pem_private_key(ed25519_pem().encode(), None)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(ConfigError, match="the PEM holds no such key"):
        a_signer(private_key=public)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "got a value of type NoneType"),
        (5, "got a value of type int"),
        (generate_ec_key(SECP256R1()), "got a value of type .*PrivateKey"),
        ("", "cannot be read"),
        ("no such file", "a file of that name cannot be read"),
        ("a\0b", "a file of that name cannot be read"),
        (Path("no/such/file"), r"the file 'no/such/file' cannot be read \(No such file or directory\)"),
        (Path(__file__).parent, r"cannot be read \(Is a directory\)"),
        (b"", "it holds no -----BEGIN line"),
        (b"MC4CAQAwBQYDK2Vw", "it holds no -----BEGIN line"),
        ("-----BEGIN PRIVATE KEY-----\n", "the PEM holds no such key"),
        ("-----BEGIN PRIVATE KEY-----\n\u20ac\n-----END PRIVATE KEY-----\n", "the PEM holds no such key"),
    ],
)
def test_what_is_no_key_is_refused_with_the_reason(key: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^DkimSigner.private_key: expected an RSA or Ed25519 .*{reason}"):
        a_signer(private_key=key)


def test_without_the_package_for_keys_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_cryptography(name: str, *args: Any, **settings: Any) -> Any:
        if name.startswith("cryptography"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **settings)

    monkeypatch.setattr(builtins, "__import__", without_cryptography)

    with pytest.raises(ConfigError, match=r"install mailstrom\[dkim\]"):
        a_signer()


# Secrecy


def test_neither_a_signer_nor_its_key_shows_the_key() -> None:
    signer = a_signer()

    assert SECRET_LINE not in f"{signer!r} {signer} {signer.private_key!r} {signer.private_key}"
    assert repr(signer.private_key) == "SigningKey(ed25519-sha256, 256 bits)"
    assert repr(rsa_signer().private_key) == "SigningKey(rsa-sha256, 2048 bits)"


def test_a_signer_is_never_pickled_and_a_copy_is_equal() -> None:
    signer = a_signer()

    with pytest.raises(TypeError, match="a SigningKey is never pickled"):
        pickle.dumps(signer)
    assert copy.copy(signer) == copy.deepcopy(signer) == signer
    assert copy.deepcopy(signer).private_key is signer.private_key


@pytest.mark.parametrize(
    "settings",
    [
        {"selector": "a b"},
        {"private_key": SECRET_LINE},
        {"private_key": SECRET_LINE.encode()},
        {"private_key": f"-----BEGIN PRIVATE KEY-----\n{SECRET_LINE}A\n-----END PRIVATE KEY-----\n"},
    ],
)
def test_a_refused_signer_shows_the_key_in_no_frame_of_ours(settings: dict[str, object]) -> None:
    """S10: only the frames of the caller, who has the key anyway, may show it."""
    with pytest.raises(ConfigError) as caught:
        a_signer(**settings)

    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in told.stack if f"{Path('src', 'mailstrom')}" in frame.filename]
    assert ours
    assert [frame for frame in ours if SECRET_LINE in str(frame.locals)] == []
    assert SECRET_LINE not in str(caught.value)


@pytest.mark.parametrize("setting", ["domain", "selector", "identity", "canonicalization", "headers"])
def test_a_key_in_the_place_of_another_setting_is_not_repeated(setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        a_signer(**{setting: ed25519_pem()})

    assert SECRET_LINE not in str(caught.value)


def test_a_key_signs_a_digest_with_a_signature_of_its_length() -> None:
    keys: list[SigningKey] = [rsa_signer().private_key, ed25519_signer().private_key]

    assert [len(key.sign(b"x" * 32)) for key in keys] == [256, 64]
    assert [key.signature_octets for key in keys] == [256, 64]
