"""What a DKIM signature adds, beside the bare signature and beside dkimpy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mailstrom.dkim import DkimSigner, sealing
from mailstrom.message.prepare import prepare

from .composers import email_of
from .letters import NOW, Letter
from .rounds import Variant

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["signing_variants"]

DOMAIN = "shop.example.org"
FIELDS = (b"from to cc subject date message-id mime-version content-type content-transfer-encoding").split()


def signing_variants(pool: Sequence[Letter]) -> dict[str, Variant]:
    """Composing and signing the same letters: not at all, by both algorithms, and by dkimpy."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    ed25519, rsa = Ed25519PrivateKey.generate(), generate_private_key(65537, 2048)
    return {
        "mailstrom, unsigned": _composed(pool, []),
        "mailstrom, Ed25519": _composed(pool, [DkimSigner(DOMAIN, "e", ed25519)]),
        "mailstrom, RSA-2048": _composed(pool, [DkimSigner(DOMAIN, "r", rsa)]),
        "mailstrom, both": _composed(pool, [DkimSigner(DOMAIN, "r", rsa), DkimSigner(DOMAIN, "e", ed25519)]),
        "mailstrom, then a bare RSA-2048 signature": _composed_then(pool, _bare_rsa(rsa)),
        "signing alone, mailstrom, Ed25519": _signed(pool, DkimSigner(DOMAIN, "e", ed25519)),
        "signing alone, mailstrom, RSA-2048": _signed(pool, DkimSigner(DOMAIN, "r", rsa)),
        "signing alone, dkimpy, RSA-2048": _signed_by_dkimpy(pool, rsa),
        "bare signature, cryptography, Ed25519": _bare_ed25519(ed25519),
        "bare signature, cryptography, RSA-2048": _bare_rsa(rsa),
    }


def _composed(pool: Sequence[Letter], signers: Sequence[DkimSigner]) -> Variant:
    return lambda number: _content(pool[number % len(pool)], signers)


def _content(letter: Letter, signers: Sequence[DkimSigner]) -> bytes:
    prepared = prepare(
        email_of(letter),
        now=NOW,
        random_id=os.urandom(12).hex(),
        seal=lambda domain: sealing(signers, domain, NOW),
    )
    return prepared.email.content


def _composed_then(pool: Sequence[Letter], also: Variant) -> Variant:
    return lambda number: (_content(pool[number % len(pool)], []), also(number))


def _signed(pool: Sequence[Letter], signer: DkimSigner) -> Variant:
    """Signing what mailstrom has composed before: from its octets to the field."""
    parted = [_content(letter, []).partition(b"\r\n\r\n") for letter in pool]
    ready = [(header + b"\r\n", memoryview(body)) for header, _, body in parted]

    def run(number: int) -> bytes:
        header, body = ready[number % len(ready)]
        seal = sealing([signer], DOMAIN, NOW)
        assert seal is not None
        seal.room(header)
        return seal.fields(header, body)

    return run


def _bare_ed25519(key: Ed25519PrivateKey) -> Variant:
    digest = hashlib.sha256(b"the same hash").digest()
    return lambda number: key.sign(digest)


def _bare_rsa(key: RSAPrivateKey) -> Variant:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    digest, padding, algorithm = hashlib.sha256(b"the same hash").digest(), PKCS1v15(), Prehashed(SHA256())
    return lambda number: key.sign(digest, padding, algorithm)


def _signed_by_dkimpy(pool: Sequence[Letter], key: RSAPrivateKey) -> Variant:
    """Signing what mailstrom has composed before."""
    import dkim  # type: ignore[import-untyped]
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    contents = [_content(letter, []) for letter in pool]
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    sign = partial(
        dkim.sign,
        selector=b"r",
        domain=DOMAIN.encode(),
        privkey=pem,
        canonicalize=(b"relaxed", b"relaxed"),
        include_headers=FIELDS,
    )
    return lambda number: sign(contents[number % len(contents)])
