"""New keys, and the text to publish for one."""

from __future__ import annotations

from typing import Literal

from ..errors import ConfigError
from .signing_key import RSA_BITS_WANTED, without_cryptography

__all__ = ["generate_key", "zone_entry"]

RSA_BITS_MOST = 4096  # RFC 8301 3.2: more than every verifier has to handle
TXT_STRING_OCTETS = 255  # RFC 1035 3.3


def generate_key(kind: Literal["rsa", "ed25519"] = "rsa", *, bits: int = RSA_BITS_WANTED) -> str:
    """A new private key as PEM (PKCS #8, not encrypted): keep it where only the sender can read it.

    `bits` is for RSA: 2048 is what all receivers take and what fits into DNS well; Ed25519 is smaller
    and faster, but not all receivers know it: sign with both. `ConfigError` for another kind or size.
    """
    if kind not in ("rsa", "ed25519"):
        raise ConfigError(f"kind: expected 'rsa' or 'ed25519', got {kind!a}")
    if kind == "rsa" and bits not in range(RSA_BITS_WANTED, RSA_BITS_MOST + 1):
        raise ConfigError(f"bits: expected {RSA_BITS_WANTED} to {RSA_BITS_MOST}, got {bits!a}")
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    except ImportError as error:
        raise without_cryptography(error) from error

    key = Ed25519PrivateKey.generate() if kind == "ed25519" else generate_private_key(65537, bits)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def zone_entry(dns_name: str, dns_record: str) -> str:
    """The lines for a zone file: a TXT record whose text is cut into strings of at most 255 octets."""
    cuts = range(0, len(dns_record), TXT_STRING_OCTETS)
    strings = [dns_record[at : at + TXT_STRING_OCTETS] for at in cuts]
    quoted = "\n".join([f'    "{string}"' for string in strings])
    return f"{dns_name}. IN TXT (\n{quoted}\n)\n"
