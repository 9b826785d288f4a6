"""The TXT record that publishes a key (RFC 6376 section 3.6.1): read, and put to use.

    v=DKIM1; k=rsa; p=MIIB...

v= stands first where it stands at all; an empty p= says that the key was revoked. h= and s= say
which hashes and services the key is for, t=s that i= must not be below d=.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from .tags import DkimSyntaxError, base64_value, colon_list, tag_list

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = ["KeyRecord", "PublicKey", "has_signed", "parse_key_record", "public_key"]

RSA_BITS_LEAST = 1024  # RFC 8301 3.2
RSA_BITS_MOST = 8192  # a bound on the work that a stranger's record can ask for
ED25519_OCTETS = 32  # RFC 8463 4.2

_KINDS = ("rsa", "ed25519")

PublicKey: TypeAlias = "RSAPublicKey | Ed25519PublicKey"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What a key record says; `key` is empty where the key was revoked."""

    key_kind: str  # "rsa" or "ed25519"
    key: bytes
    hashes: tuple[str, ...] | None = None  # None: all
    services: tuple[str, ...] = ("*",)
    flags: tuple[str, ...] = ()

    @property
    def is_revoked(self) -> bool:
        """Whether p= is empty."""
        return not self.key

    @property
    def is_for_mail(self) -> bool:
        """Whether s= lets the key sign mail."""
        return "*" in self.services or "email" in self.services

    @property
    def is_testing(self) -> bool:
        """Whether the domain only tries out DKIM (t=y); the result is the same for all that."""
        return "y" in self.flags

    @property
    def is_strict(self) -> bool:
        """Whether i= must not be below d= (t=s)."""
        return "s" in self.flags


def parse_key_record(text: str | bytes) -> KeyRecord:
    """The record of these joined TXT strings; else `DkimSyntaxError`."""
    tags = tag_list(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    # RFC 6376 3.6.1: v= comes first, and its value is compared as it stands
    if "v" in tags and (next(iter(tags)) != "v" or tags["v"] != "DKIM1"):
        raise DkimSyntaxError("v= is not DKIM1, or not the first tag")
    if "p" not in tags:
        raise DkimSyntaxError("required and missing: p=")
    kind = tags.get("k", "rsa").lower()
    if kind not in _KINDS:
        raise DkimSyntaxError(f"k= is an unknown kind of key: {kind[:20]!a}")
    return KeyRecord(
        key_kind=kind,
        key=base64_value("p", tags["p"]),
        hashes=_words(tags["h"]) if "h" in tags else None,
        services=_words(tags.get("s", "*")),
        flags=_words(tags.get("t", "")),
    )


def _words(value: str) -> tuple[str, ...]:
    return tuple([word.lower() for word in colon_list(value)])


def public_key(record: KeyRecord) -> PublicKey:
    """The key itself; `DkimSyntaxError` where p= holds none that may be used."""
    return _ed25519_key(record.key) if record.key_kind == "ed25519" else _rsa_key(record.key)


def _ed25519_key(octets: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(octets) != ED25519_OCTETS:
        raise DkimSyntaxError(f"the key has {len(octets)} octets, Ed25519 keys have {ED25519_OCTETS}")
    return Ed25519PublicKey.from_public_bytes(octets)


def _rsa_key(octets: bytes) -> RSAPublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        # RFC 6376 3.6.1 and erratum 3017: SubjectPublicKeyInfo; an RSAPublicKey is read as well
        key = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DkimSyntaxError("p= holds no public key") from error
    if not isinstance(key, RSAPublicKey):
        raise DkimSyntaxError("p= holds no RSA key")
    if not RSA_BITS_LEAST <= key.key_size <= RSA_BITS_MOST:
        raise DkimSyntaxError(
            f"an RSA key of {key.key_size} bits: {RSA_BITS_LEAST} to {RSA_BITS_MOST} may be used"
        )
    return key


def has_signed(key: PublicKey, digest: bytes, signature: bytes) -> bool:
    """Whether the signature over this SHA-256 digest was made with the private half of the key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, digest)
        else:
            key.verify(signature, digest, PKCS1v15(), Prehashed(SHA256()))
    except InvalidSignature:
        return False
    return True
