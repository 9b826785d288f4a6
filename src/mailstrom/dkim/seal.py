"""Signing: the last thing that is done to the octets of a message (RFC 6376 section 5).

The room that the fields take is known before anything is signed, so that the content is put
together once: room, header, body; then the fields are written into the room. The body is hashed
once for each form, whoever signs; the fields named in h= are taken from the bottom up (section
5.4.2). The signer named last signs last, and its field stands on top.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from .canonical import body_digest, fields_by_name, hash_input
from .field import BODY_HASH_CHARACTERS, field_start, signature_lines, signature_octets
from .signer import DkimSigner

__all__ = ["Sealing", "sealing"]

_B_TAG = b";\r\n b="


def sealing(signers: Iterable[DkimSigner], author_domain: str | None, now: datetime) -> Sealing | None:
    """What signs a message of this From domain (in A-labels); None where none of the signers does.

    Without an author domain (From is a group without members, RFC 6854) only those sign that sign
    for every author.
    """
    chosen = tuple([signer for signer in signers if signer.signs(author_domain or "")])
    return Sealing(chosen, int(now.timestamp())) if chosen else None


class Sealing:
    """Makes the DKIM-Signature fields of one message; used by one thread."""

    __slots__ = ("_drafted", "_signed_at", "_signers")

    def __init__(self, signers: tuple[DkimSigner, ...], signed_at: int) -> None:
        self._signers = signers
        self._signed_at = signed_at
        self._drafted: tuple[bytes, list[_Draft]] | None = None

    def room(self, header: bytes) -> int:
        """How many octets `fields` will return for this header."""
        return sum([draft.octets for draft in self._drafts(header)])

    def fields(self, header: bytes, body: memoryview) -> bytes:
        """The DKIM-Signature fields, to stand on top of this header."""
        hashes: dict[str, bytes] = {}
        fields = []
        for draft in reversed(self._drafts(header)):
            form = draft.signer.body_form
            if form not in hashes:
                hashes[form] = _body_hash(body, form)
            fields.append(draft.signed(hashes[form]))
        return b"".join(fields)

    def _drafts(self, header: bytes) -> list[_Draft]:
        if self._drafted is None or self._drafted[0] != header:
            forms = {signer.header_form for signer in self._signers}
            named = {form: fields_by_name(header, form) for form in forms}
            drafts = [_draft(signer, named[signer.header_form], self._signed_at) for signer in self._signers]
            self._drafted = header, drafts
        return self._drafted[1]


class _Draft(NamedTuple):
    """A field before its body hash and signature are known."""

    signer: DkimSigner
    start: bytes  # up to the value of bh=
    covered: list[bytes]  # the canonical header fields, in the order of h=

    @property
    def octets(self) -> int:
        key = self.signer.private_key
        return len(self.start) + BODY_HASH_CHARACTERS + len(_B_TAG) + signature_octets(key.signature_octets)

    def signed(self, body_hash: bytes) -> bytes:
        unsigned = self.start + body_hash + _B_TAG
        octets = hash_input(self.covered, unsigned, self.signer.header_form)
        digest = hashlib.sha256(octets).digest()
        return unsigned + signature_lines(self.signer.private_key.sign(digest))


def _draft(signer: DkimSigner, named: dict[bytes, list[bytes]], signed_at: int) -> _Draft:
    names: list[bytes] = []
    covered: list[bytes] = []
    coverage_of = signer.coverage.get
    for name, present in named.items():
        coverage = coverage_of(name)
        if coverage is not None:
            covered += present[::-1]  # RFC 6376 5.4.2: the bottom one first
            names += (coverage.written * len(present), coverage.once_more)
    names += [written for name, written in signer.named_if_absent if name not in named]
    listed = b"".join(names).removesuffix(b":")
    return _Draft(signer, field_start(signer, listed, signed_at), covered)


def _body_hash(body: memoryview, form: str) -> bytes:
    digest = body_digest(body, form)
    assert digest is not None
    return b2a_base64(digest, newline=False)
