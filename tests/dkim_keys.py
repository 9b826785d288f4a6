"""Keys for tests, made once in a run, and signers with them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from mailstrom.dkim import DkimSigner, generate_key

DOMAIN = "sender.test"


@cache
def rsa_pem() -> str:
    """An RSA key of 2048 bits."""
    return generate_key("rsa")


@cache
def ed25519_pem() -> str:
    """An Ed25519 key."""
    return generate_key("ed25519")


def rsa_signer(domain: str = DOMAIN, **settings: Any) -> DkimSigner:
    """Signs for the domain with the selector "r"."""
    return DkimSigner(domain, "r", rsa_pem(), **settings)


def ed25519_signer(domain: str = DOMAIN, **settings: Any) -> DkimSigner:
    """Signs for the domain with the selector "e"."""
    return DkimSigner(domain, "e", ed25519_pem(), **settings)


def records(signers: Sequence[DkimSigner]) -> dict[str, str]:
    """What their domains publish: TXT records by name."""
    return {signer.dns_name: signer.dns_record for signer in signers}
