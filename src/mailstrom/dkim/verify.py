"""Checking the signatures of a message (RFC 6376 section 6.1), with the results of RFC 8601.

Each DKIM-Signature is judged by itself, from the top: the field is read and judged, the key record
is looked up and judged, the body is hashed, the header is hashed, the signature is checked. Who
trusts which domain for what is not judged here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from .canonical import body_digest, covered_fields, fields_by_name, hash_input
from .key_record import KeyRecord, PublicKey, has_signed, parse_key_record, public_key
from .signature import Signature, parse_signature, without_signature
from .signing_key import without_cryptography
from .tags import DkimSyntaxError

__all__ = ["DkimResult", "TxtLookup", "Verification", "verify"]

SIGNATURES_MOST = 16  # RFC 6376 8.4: a bound on the work that a message can ask for
KEY_RECORDS_MOST = 4
LAST_SECOND = 253_402_300_799  # of the year 9999

TxtLookup: TypeAlias = Callable[[str], "Iterable[str | bytes] | str | bytes | None"]


class DkimResult(StrEnum):
    """What came of a signature (RFC 8601 section 2.7.1)."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"  # the message, or the signature, is not what was signed
    PERMERROR = "permerror"  # it cannot be checked: a broken or refused signature or key record
    TEMPERROR = "temperror"  # it cannot be checked now: the key record could not be looked up


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of one DKIM-Signature field; what could not be read of it is None or empty."""

    result: DkimResult
    reason: str = ""  # empty for "pass"
    domain: str | None = None  # d=: who vouches
    selector: str | None = None
    identity: str | None = None  # i=, which is "@" and the domain where it is left out
    algorithm: str | None = None
    headers: tuple[str, ...] = ()  # h= in lower case: names that stand there once more can occur no more
    body_length: int | None = None  # l=: what follows these octets is covered by nothing
    signed_at: datetime | None = None
    expires_at: datetime | None = None
    is_testing: bool = False  # the key record says t=y

    def covers(self, name: str) -> bool:
        """Whether the fields of this name are signed."""
        return name.lower() in self.headers


def verify(message: bytes, txt_lookup: TxtLookup, *, now: datetime | None = None) -> tuple[Verification, ...]:
    """One verification for each DKIM-Signature field, from the top; nothing where there is none.

    `message` has CRLF line ends; where each of them is LF, they are taken for CRLF. `txt_lookup` gets
    a name ("sel._domainkey.example.org") and returns its TXT records, each with its strings joined;
    nothing, None or a `LookupError` (such as the KeyError of a mapping) is: no record. An `OSError`
    (such as TimeoutError) is: cannot be known now, "temperror". Other exceptions pass through.
    x= is only looked at where there is a `now`. Of more than 16 signatures only 16 are checked.
    """
    try:
        import cryptography.exceptions  # noqa: F401
    except ImportError as error:
        raise without_cryptography(error) from error
    parts = _Parts(bytes(message))
    return tuple(
        [_verification(field, place, parts, txt_lookup, now) for place, field in enumerate(parts.signatures)]
    )


class _Parts:
    """A message in the parts that are hashed; each form of the body is hashed once."""

    def __init__(self, message: bytes) -> None:
        if b"\r" not in message:
            message = message.replace(b"\n", b"\r\n")
        end = 0 if message.startswith(b"\r\n") else message.find(b"\r\n\r\n") + 2
        if end == 1:  # no empty line: all of it is header
            end = len(message)
        self._header = message[:end]
        self._fields = {"simple": fields_by_name(self._header, "simple")}
        self.signatures = self._fields["simple"].get(b"dkim-signature", [])
        self._body = memoryview(message)[end + 2 :]
        self._digests: dict[tuple[str, int | None], bytes | None] = {}

    def fields(self, form: str) -> dict[bytes, list[bytes]]:
        if form not in self._fields:
            self._fields[form] = fields_by_name(self._header, form)
        return self._fields[form]

    def body_digest(self, form: str, length: int | None) -> bytes | None:
        if (form, length) not in self._digests:
            self._digests[form, length] = body_digest(self._body, form, length)
        return self._digests[form, length]


class _Outcome(NamedTuple):
    result: DkimResult
    reason: str = ""
    is_testing: bool = False


def _verification(
    field: bytes, place: int, parts: _Parts, txt_lookup: TxtLookup, now: datetime | None
) -> Verification:
    if place >= SIGNATURES_MOST:
        return Verification(
            result=DkimResult.PERMERROR, reason=f"only the first {SIGNATURES_MOST} are checked"
        )
    try:
        signature = parse_signature(field)
    except DkimSyntaxError as error:
        return Verification(result=DkimResult.PERMERROR, reason=f"DKIM-Signature: {error}")
    outcome = _outcome(signature, field, parts, txt_lookup, now)
    return Verification(
        result=outcome.result,
        reason=outcome.reason,
        domain=signature.domain,
        selector=signature.selector,
        identity=signature.identity or f"@{signature.domain}",
        algorithm=signature.algorithm,
        headers=signature.lower_headers,
        body_length=signature.body_length,
        signed_at=_instant(signature.signed_at),
        expires_at=_instant(signature.expires_at),
        is_testing=outcome.is_testing,
    )


def _instant(seconds: int | None) -> datetime | None:
    """The instant; None where there is none, or it lies beyond the year 9999."""
    if seconds is None or seconds > LAST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _outcome(
    signature: Signature, field: bytes, parts: _Parts, txt_lookup: TxtLookup, now: datetime | None
) -> _Outcome:
    if refusal := _refusal(signature, now):
        return _Outcome(DkimResult.PERMERROR, refusal)
    name = f"{signature.selector}._domainkey.{signature.domain}"
    try:
        texts = _key_texts(txt_lookup, name)
    except OSError as error:
        return _Outcome(DkimResult.TEMPERROR, f"{name}: look-up failed ({type(error).__name__})")
    if not texts:
        return _Outcome(DkimResult.PERMERROR, f"{name}: no key record")
    # RFC 6376 6.1.2: of several records each may be tried
    outcomes = [_outcome_by(text, name, signature, field, parts) for text in texts[:KEY_RECORDS_MOST]]
    return min(outcomes, key=lambda outcome: _BEST_FIRST.index(outcome.result))


_BEST_FIRST = (DkimResult.PASS, DkimResult.FAIL, DkimResult.PERMERROR)


def _refusal(signature: Signature, now: datetime | None) -> str | None:
    """Why the signature cannot be used, whatever its key; None where it can."""
    if signature.algorithm == "rsa-sha1":
        return "a=rsa-sha1 must no longer be accepted (RFC 8301 3.1)"
    if signature.algorithm not in _KINDS:
        return f"a={signature.algorithm} is unknown"
    for form in (signature.header_form, signature.body_form):
        if form not in ("simple", "relaxed"):
            return f"c= names the unknown form {form}"
    if "dns/txt" not in signature.query_methods:
        return "q= names no known way to find the key"
    if "from" not in signature.lower_headers:
        return "From is not signed (RFC 6376 5.4)"
    if now is not None and signature.expires_at is not None and now.timestamp() > signature.expires_at:
        return "it has expired (x=)"
    return None


_KINDS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}


def _key_texts(txt_lookup: TxtLookup, name: str) -> list[str | bytes]:
    try:
        found = txt_lookup(name)
        return [found] if isinstance(found, (str, bytes)) else list(found or ())
    except LookupError:
        return []


def _outcome_by(text: str | bytes, name: str, signature: Signature, field: bytes, parts: _Parts) -> _Outcome:
    """What comes of the signature by this key record."""
    try:
        record = parse_key_record(text)
        if refusal := _key_refusal(record, signature):
            return _Outcome(DkimResult.PERMERROR, f"{name}: {refusal}", record.is_testing)
        key = public_key(record)
    except DkimSyntaxError as error:
        return _Outcome(DkimResult.PERMERROR, f"{name}: {error}")
    result, reason = _comparison(key, signature, field, parts)
    return _Outcome(result, reason, record.is_testing)


def _key_refusal(record: KeyRecord, signature: Signature) -> str | None:
    """Why the key cannot be used for this signature; None where it can."""
    if record.is_revoked:
        return "the key was revoked (p= is empty)"
    if record.key_kind != _KINDS[signature.algorithm]:
        return f"the key is for {record.key_kind}, the signature says a={signature.algorithm}"
    if record.hashes is not None and "sha256" not in record.hashes:
        return "the key is not for SHA-256 (h=)"
    if not record.is_for_mail:
        return "the key is not for mail (s=)"
    if record.is_strict and signature.identity_domain != signature.domain:
        return "the key is not for domains below its own (t=s)"
    return None


def _comparison(key: PublicKey, signature: Signature, field: bytes, parts: _Parts) -> tuple[DkimResult, str]:
    body_hash = parts.body_digest(signature.body_form, signature.body_length)
    if body_hash is None:
        return DkimResult.PERMERROR, "l= is more than the body has"
    if body_hash != signature.body_hash:
        return DkimResult.FAIL, "the body is not what was signed (bh=)"
    covered = covered_fields(signature.lower_headers, parts.fields(signature.header_form))
    octets = hash_input(covered, without_signature(field), signature.header_form)
    if not has_signed(key, hashlib.sha256(octets).digest(), signature.signature):
        return DkimResult.FAIL, "the header is not what was signed, or not with this key (b=)"
    return DkimResult.PASS, ""
