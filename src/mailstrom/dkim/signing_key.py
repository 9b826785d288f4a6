"""The private key of a signer: read once, shown nowhere.

RSA keys sign by RSASSA-PKCS1-v1_5 over SHA-256 (RFC 6376 section 3.3.1), Ed25519 keys sign the
SHA-256 digest itself (RFC 8463 section 3). RSA keys under 1024 bits must not be used (RFC 8301
section 3.2); under 2048 they should not be.
"""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, Self, TypeAlias

from ..errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["KeySource", "SigningKey", "loaded_key", "without_cryptography"]

RSA_BITS_LEAST = 1024
RSA_BITS_WANTED = 2048
PEM_OCTETS_MOST = 1 << 16

_PEM_MARK = b"-----BEGIN"
_EXPECTED = "an RSA or Ed25519 private key: PEM, the path of a PEM file, or a key of the cryptography package"

log = logging.getLogger("mailstrom.dkim")


class SigningKey:
    """A private key: it signs digests, and tells its algorithm and public half, nothing else.

    Two are equal when their public halves are. It is never pickled; a copy is the key itself.
    """

    __slots__ = ("_sign", "algorithm", "public_key", "signature_octets")

    def __init__(
        self, algorithm: str, public_key: str, signature_octets: int, sign: Callable[[bytes], bytes]
    ) -> None:
        self.algorithm = algorithm  # as in a=
        self.public_key = public_key  # as in p=: base64
        self.signature_octets = signature_octets
        self._sign = sign

    def sign(self, digest: bytes) -> bytes:
        """The signature over a SHA-256 digest; always `signature_octets` long."""
        return self._sign(digest)

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm}, {self.signature_octets * 8 if self.is_rsa else 256} bits)"

    @property
    def dns_record(self) -> str:
        """The TXT record that publishes the public half (RFC 6376 section 3.6.1)."""
        return f"v=DKIM1; k={'rsa' if self.is_rsa else 'ed25519'}; p={self.public_key}"

    @property
    def is_rsa(self) -> bool:
        """Whether the key is an RSA key; else it is an Ed25519 key."""
        return self.algorithm == "rsa-sha256"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningKey) and other.public_key == self.public_key

    def __hash__(self) -> int:
        return hash(("SigningKey", self.public_key))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SigningKey is never pickled")


KeySource: TypeAlias = "SigningKey | str | bytes | os.PathLike[str] | RSAPrivateKey | Ed25519PrivateKey"


def loaded_key(source: object) -> SigningKey | ConfigError:
    """The key, or why it cannot be used: returned, so that no traceback shows a frame with the key."""
    try:
        import cryptography.hazmat.primitives.serialization  # noqa: F401
    except ImportError as error:
        return without_cryptography(error)
    if isinstance(source, SigningKey):
        return source
    if not isinstance(source, (str, bytes, os.PathLike)):
        return _from_key_object(source)
    try:
        pem = _pem(source)
    except OSError as error:
        return _unreadable(source, error)
    return _from_pem(pem)


def without_cryptography(error: ImportError) -> ConfigError:
    """The error that says what to install."""
    refused = ConfigError('DKIM needs the package "cryptography": install mailstrom[dkim]')
    refused.__cause__ = error.with_traceback(None)  # a traceback may show the locals of every frame
    return refused


def _pem(source: str | bytes | os.PathLike[str]) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, str) and source.lstrip().startswith(_PEM_MARK.decode()):
        return source.encode("ascii", "replace")
    try:
        with open(source, "rb") as file:
            return file.read(PEM_OCTETS_MOST)
    except ValueError as error:  # a NUL in the name
        raise OSError("no file name") from error


def _unreadable(source: str | bytes | os.PathLike[str], error: OSError) -> ConfigError:
    # a text is not repeated: it may be a key that lost its first line
    where = f"the file {os.fspath(source)!a}" if isinstance(source, os.PathLike) else "a file of that name"
    reason = error.strerror or type(error).__name__
    return ConfigError(f"DkimSigner.private_key: expected {_EXPECTED}; {where} cannot be read ({reason})")


def _from_pem(pem: bytes) -> SigningKey | ConfigError:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if _PEM_MARK not in pem:
        return ConfigError(
            f"DkimSigner.private_key: expected {_EXPECTED}; it holds no {_PEM_MARK.decode()} line"
        )
    try:
        return _from_key_object(load_pem_private_key(pem, password=None))
    except TypeError:
        text = "the key is encrypted: decrypt it first, for example with `openssl pkey -in key.pem`"
        return ConfigError(f"DkimSigner.private_key: {text}")
    except (ValueError, UnsupportedAlgorithm):
        return ConfigError(f"DkimSigner.private_key: expected {_EXPECTED}; the PEM holds no such key")


def _from_key_object(key: object) -> SigningKey | ConfigError:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(key, Ed25519PrivateKey):
        return _ed25519(key)
    if isinstance(key, RSAPrivateKey):
        return _rsa(key)
    return ConfigError(
        f"DkimSigner.private_key: expected {_EXPECTED}, got a value of type {type(key).__name__}"
    )


def _ed25519(key: Ed25519PrivateKey) -> SigningKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    # RFC 8463 4.2: p= holds the 32 octets themselves
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return SigningKey("ed25519-sha256", base64.b64encode(public).decode(), 64, key.sign)


def _rsa(key: RSAPrivateKey) -> SigningKey | ConfigError:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if key.key_size < RSA_BITS_LEAST:
        text = f"an RSA key of {key.key_size} bits is refused by every receiver: use {RSA_BITS_WANTED} bits"
        return ConfigError(f"DkimSigner.private_key: {text}")
    if key.key_size < RSA_BITS_WANTED:
        log.warning("DKIM key: RSA with %d bits is weak, use %d", key.key_size, RSA_BITS_WANTED)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    padding, digest_kind = PKCS1v15(), Prehashed(SHA256())
    return SigningKey(
        "rsa-sha256",
        base64.b64encode(public).decode(),
        (key.key_size + 7) // 8,
        lambda digest: key.sign(digest, padding, digest_kind),
    )
