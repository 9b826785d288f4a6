"""DKIM: signatures over mail in the name of a domain (RFC 6376, RFC 8301, RFC 8463, RFC 8616).

A signature says: this domain vouches for these header fields and this body. It is a header field
on top of the message; the key to check it with stands in the DNS. `DkimSigner` says who signs with
which key, `sealing` makes the fields for one message, `verify` checks those of a message, and
`generate_key` makes a key. The package `cryptography` does the arithmetic: install mailstrom[dkim].
"""

from .keygen import generate_key, zone_entry
from .seal import Sealing, sealing
from .signer import DEFAULT_HEADERS, DkimSigner
from .verify import DkimResult, Verification, verify

__all__ = [
    "DEFAULT_HEADERS",
    "DkimResult",
    "DkimSigner",
    "Sealing",
    "Verification",
    "generate_key",
    "sealing",
    "verify",
    "zone_entry",
]
