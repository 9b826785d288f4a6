"""The keys that senders sign with: new ones for each run."""

from __future__ import annotations

from pathlib import Path

__all__ = ["nodemailer_dkim", "signing", "write_keys"]

ED25519, RSA = "ed25519", "rsa"
_DOMAIN = "shop.example.org"


def write_keys(folder: Path) -> None:
    """A file for each algorithm."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    for name, key in ((ED25519, Ed25519PrivateKey.generate()), (RSA, generate_private_key(65537, 2048))):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _file(folder, name).write_bytes(pem)


def signing(folder: Path, algorithm: str) -> dict[str, str]:
    """`Config.dkim`, for mailstrom."""
    return {"domain": _DOMAIN, "selector": algorithm, "private_key_file": str(_file(folder, algorithm))}


def nodemailer_dkim(folder: Path) -> dict[str, str]:
    """The same for Nodemailer, which signs with RSA only."""
    pem = _file(folder, RSA).read_text(encoding="ascii")
    return {"domainName": _DOMAIN, "keySelector": RSA, "privateKey": pem}


def _file(folder: Path, algorithm: str) -> Path:
    return folder / f"{algorithm}.pem"
