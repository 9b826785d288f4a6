"""Signers for the DKIM tests, and the two judges: our own verify, and dkimpy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mailstrom import Config, Email
from mailstrom.dkim import DkimSigner, verify
from tests.blackbox.wire import least, sent


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def edwards_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def pem(key: Any, form: str = "PKCS8", secret: bytes = b"") -> bytes:
    lock = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    written: bytes = key.private_bytes(
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), lock
    )
    return written


def rsa_signer(**settings: Any) -> DkimSigner:
    return DkimSigner("a.example", "r", rsa_key(), **settings)


def edwards_signer(**settings: Any) -> DkimSigner:
    return DkimSigner("a.example", "e", edwards_key(), **settings)


def signed(email: Any, *signers: DkimSigner) -> bytes:
    return sent(email, config=Config(mode="capture", dkim=signers)).content


def published(*signers: DkimSigner) -> dict[str, str]:
    return {signer.dns_name: signer.dns_record for signer in signers}


def ours(content: bytes, records: Mapping[str, str]) -> list[str]:
    return [str(found.result.value) for found in verify(content, records.get)]


def theirs(content: bytes, records: Mapping[str, str]) -> list[bool]:
    """What dkimpy says of each signature."""

    def look_up(name: bytes, timeout: float = 5) -> bytes:
        return records.get(name.decode().rstrip("."), "").encode()

    count = sum(
        line.lower().startswith(b"dkim-signature:") for line in content.split(b"\r\n\r\n")[0].splitlines()
    )
    found = []
    for number in range(count):
        try:
            found.append(bool(dkim.DKIM(content).verify(idx=number, dnsfunc=look_up)))
        except dkim.ValidationError:
            found.append(False)
    return found


def rich() -> Email:
    return (
        least(
            subject="Gr\u00fc\u00dfe " * 30,
            text="dots\n.\n..\n\n\n",
            html="<p>Sch\u00f6n  \n",
            cc="c@c.example",
        )
        .list_unsubscribe("https://a.example/u/1", "leave@a.example")
        .attach(bytes(range(256)) * 20, filename="\u00fc.bin")
    )
