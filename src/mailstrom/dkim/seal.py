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
from functools import lru_cache
from typing import NamedTuple

from .canonical import body_digest, canonical_fields
from .field import BODY_HASH_CHARACTERS, header_list, instants, signature_lines
from .signer import Coverage, DkimSigner

__all__ = ["Sealing", "sealing"]

REMEMBERED = 64  # plans
REMEMBERED_FIELDS = 64  # in the header of a plan that is remembered

_B_TAG = b";\r\n b="
_RELAXED_B_TAG = b"; b="


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
            drafts = []
            canonical: dict[str, tuple[tuple[bytes, ...], list[bytes]]] = {}
            for signer in self._signers:
                form = signer.header_form
                if form not in canonical:
                    canonical[form] = canonical_fields(header, form)
                drafts.append(_draft(signer, *canonical[form], self._signed_at))
            self._drafted = header, drafts
        return self._drafted[1]


class _Draft(NamedTuple):
    """A field before its body hash and signature are known."""

    signer: DkimSigner
    start: bytes  # up to the value of bh=
    hashed: bytes  # what is signed, up to the value of bh=
    octets: int

    def signed(self, body_hash: bytes) -> bytes:
        b_tag = _RELAXED_B_TAG if self.signer.header_form == "relaxed" else _B_TAG
        digest = hashlib.sha256(b"".join((self.hashed, body_hash, b_tag))).digest()
        signature = self.signer.private_key.sign(digest)
        return b"".join((self.start, body_hash, _B_TAG, signature_lines(signature)))


def _draft(signer: DkimSigner, names: tuple[bytes, ...], fields: list[bytes], signed_at: int) -> _Draft:
    plan = (_remembered_plan if len(names) <= REMEMBERED_FIELDS else _planned)(signer.coverage, names)
    middle = instants(signer, signed_at)
    start = b"%b%b\r\n%b bh=" % (signer.tags, middle, plan.header_list)
    covered = [fields[place] for place in plan.places]
    if signer.header_form == "relaxed":  # as `relaxed_field` makes it of the whole
        covered.append(b"%b%b%b bh=" % (signer.relaxed_tags, middle, plan.relaxed_header_list))
    else:
        covered.append(start)
    octets = len(start) + BODY_HASH_CHARACTERS + len(_B_TAG) + signer.b_octets
    return _Draft(signer, start, b"\r\n".join(covered), octets)


class _Plan(NamedTuple):
    """How fields of these names are signed."""

    places: tuple[int, ...]  # which fields, in the order of h=
    header_list: bytes  # the lines of h=
    relaxed_header_list: bytes  # the same, unfolded


def _planned(coverage: Coverage, names: tuple[bytes, ...]) -> _Plan:
    """How a header with fields of these names is signed."""
    present: dict[bytes, list[int]] = {}
    for place, name in enumerate(names):
        present.setdefault(name, []).append(place)
    listed: list[bytes] = []
    covered: list[int] = []
    for name, places in present.items():
        if name in coverage.names:
            covered += places[::-1]  # RFC 6376 5.4.2: the bottom one first
            written, once_more = coverage.names[name]
            listed += (written * len(places), once_more)
    listed += [written for name, written in coverage.if_absent if name not in present]
    lines = header_list(b"".join(listed).removesuffix(b":"))
    return _Plan(tuple(covered), lines, lines.replace(b"\r\n", b""))


@lru_cache(maxsize=REMEMBERED)
def _remembered_plan(coverage: Coverage, names: tuple[bytes, ...]) -> _Plan:
    """The messages of one program have the same fields."""
    return _planned(coverage, names)


def _body_hash(body: memoryview, form: str) -> bytes:
    digest = body_digest(body, form)
    assert digest is not None
    return b2a_base64(digest, newline=False)
