"""The DKIM-Signature field as a value (RFC 6376 section 3.5).

Read strictly by the grammar; whether such a signature is any good (an algorithm still in use,
From covered, not expired) is judged in `verify`. Domain names are A-labels; only the local part
of i= may be in UTF-8, where the mail is internationalised (RFC 8616).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..message.grammar import is_smtp_local_part
from .tags import (
    DkimSyntaxError,
    base64_value,
    colon_list,
    number_value,
    tag_list,
    unquoted_printable,
    without_value,
)

__all__ = ["Signature", "parse_signature", "parse_signature_value", "without_signature"]

LENGTH_DIGITS = 76  # RFC 6376 3.5
TIME_DIGITS = 12
SHA256_OCTETS = 32

_REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ALGORITHM = re.compile(r"[A-Za-z][A-Za-z0-9]*-[A-Za-z][A-Za-z0-9]*")
_WORD = r"[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_FORMS = re.compile(rf"{_WORD}(?:/{_WORD})?")
_HEADER_NAME = re.compile(r"[!-9<-~]+")
_NAME_OCTETS_MOST = 253
_LABEL_OCTETS_MOST = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What one DKIM-Signature field says."""

    algorithm: str
    domain: str
    selector: str
    headers: tuple[str, ...]  # h=: in the order they are hashed, as written
    signature: bytes
    body_hash: bytes
    header_form: str = "simple"
    body_form: str = "simple"
    identity: str | None = None
    body_length: int | None = None  # l=: only so many octets of the body are covered
    query_methods: tuple[str, ...] = ("dns/txt",)
    signed_at: int | None = None  # seconds since 1970
    expires_at: int | None = None
    copied_headers: tuple[str, ...] = ()  # z=: what stood there when it was signed

    @property
    def lower_headers(self) -> tuple[str, ...]:
        """The names of h= in lower case."""
        return tuple([name.lower() for name in self.headers])

    @property
    def identity_domain(self) -> str:
        """The domain of i=, which is d= where there is none."""
        return self.domain if self.identity is None else self.identity.rpartition("@")[2].lower()


def parse_signature(field: bytes, *, utf8: bool = True) -> Signature:
    """The signature of a field, given without its last line end; else `DkimSyntaxError`."""
    name, _, value = field.partition(b":")
    if name.rstrip(b" \t").lower() != b"dkim-signature":
        raise DkimSyntaxError("no DKIM-Signature field")
    return parse_signature_value(value, utf8=utf8)


def parse_signature_value(value: bytes, *, utf8: bool = True) -> Signature:
    """The signature of what stands after the colon; else `DkimSyntaxError`."""
    tags = tag_list(value, utf8=utf8)
    if tags.get("v", "1") != "1":
        raise DkimSyntaxError(f"v= is not 1: {tags['v'][:20]!a}")
    if missing := [name for name in _REQUIRED if not tags.get(name)]:
        raise DkimSyntaxError(f"required and missing: {'=, '.join(missing)}=")
    algorithm = _matched("a", _ALGORITHM, tags["a"]).lower()
    domain = _name("d", _DOMAIN, tags["d"])
    header_form, body_form = _forms(tags.get("c", "simple/simple"))
    signed_at, expires_at = _times(tags)
    return Signature(
        algorithm=algorithm,
        domain=domain,
        selector=_name("s", _SELECTOR, tags["s"]),
        headers=tuple([_matched("h", _HEADER_NAME, name) for name in colon_list(tags["h"])]),
        signature=base64_value("b", tags["b"]),
        body_hash=_body_hash(tags["bh"], algorithm),
        header_form=header_form,
        body_form=body_form,
        identity=_identity(tags["i"], domain) if "i" in tags else None,
        body_length=number_value("l", tags["l"], LENGTH_DIGITS) if "l" in tags else None,
        query_methods=tuple([method.lower() for method in colon_list(tags.get("q", "dns/txt"))]),
        signed_at=signed_at,
        expires_at=expires_at,
        copied_headers=tuple(
            [unquoted_printable("z", copy) for copy in tags.get("z", "").split("|") if copy]
        ),
    )


def without_signature(field: bytes) -> bytes:
    """The field with the value of b= deleted, as it was when it was hashed."""
    name, colon, value = field.partition(b":")
    return name + colon + without_value(value, b"b")


def _matched(tag: str, form: re.Pattern[str], value: str) -> str:
    if not form.fullmatch(value):
        raise DkimSyntaxError(f"{tag}= is malformed: {value[:40]!a}")
    return value


def _name(tag: str, form: re.Pattern[str], value: str) -> str:
    if len(value) > _NAME_OCTETS_MOST or max(map(len, value.split("."))) > _LABEL_OCTETS_MOST:
        raise DkimSyntaxError(f"{tag}= is longer than DNS allows")
    return _matched(tag, form, value).lower()


def _forms(value: str) -> tuple[str, str]:
    header, _, body = _matched("c", _FORMS, value).lower().partition("/")
    return header, body or "simple"


def _times(tags: dict[str, str]) -> tuple[int | None, int | None]:
    signed_at = number_value("t", tags["t"], TIME_DIGITS) if "t" in tags else None
    expires_at = number_value("x", tags["x"], TIME_DIGITS) if "x" in tags else None
    if signed_at is not None and expires_at is not None and expires_at <= signed_at:
        raise DkimSyntaxError("x= is not after t=")
    return signed_at, expires_at


def _body_hash(value: str, algorithm: str) -> bytes:
    octets = base64_value("bh", value)
    if algorithm.endswith("-sha256") and len(octets) != SHA256_OCTETS:
        raise DkimSyntaxError(f"bh= has {len(octets)} octets, SHA-256 makes {SHA256_OCTETS}")
    return octets


def _identity(value: str, domain: str) -> str:
    identity = unquoted_printable("i", value)
    local_part, at, name = identity.rpartition("@")
    name = _name("i", _DOMAIN, name)
    if not at or (local_part and not is_smtp_local_part(local_part)):
        raise DkimSyntaxError(f"i= is no address: {identity[:40]!a}")
    # RFC 6376 3.5: the same domain as d=, or below it
    if name != domain and not name.endswith(f".{domain}"):
        raise DkimSyntaxError(f"i= is outside d=: {name[:40]}")
    return identity
