"""The settings of a signer, as they will be used: each check returns the value, or raises `ConfigError`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import ConfigError, MessageError
from ..message.domain import DNS_NAME_LIMIT, a_label_domain
from ..message.grammar import is_smtp_local_part

ALWAYS_COVERED = ("List-Unsubscribe", "List-Unsubscribe-Post")  # RFC 8058 4

# RFC 6376 5.4.1: trace, and what others may change; Bcc never goes on the wire
_NEVER_SIGNED = frozenset(
    [
        "authentication-results", "bcc", "comments", "delivered-to", "dkim-signature", "keywords", "received",
        "received-spf", "resent-bcc", "return-path", "x-original-to",
    ]
)  # fmt: skip
_NEVER_SIGNED_FAMILIES = ("arc-",)

_CANONICALIZATIONS = {
    "relaxed/relaxed": "relaxed/relaxed",
    "relaxed/simple": "relaxed/simple",
    "simple/relaxed": "simple/relaxed",
    "simple/simple": "simple/simple",
    "relaxed": "relaxed/simple",  # RFC 6376 3.5: the body's is "simple" where it is left out
    "simple": "simple/simple",
}
_HEADER_NAME = re.compile(r"[!-9<-~]+")  # RFC 6376 2.10: hdr-name, where 3.5 leaves no room for ";"
_LABELS = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_NAME_OCTETS_MOST = 74  # with a blank before and a colon after it, it fills a line


def domain(given: object) -> str:
    """The domain in A-labels, with a dot in it."""
    expected = "a domain such as example.org"
    if not isinstance(given, str) or given.startswith("[") or "." not in given:
        raise _refused("domain", expected, given)
    try:
        return a_label_domain(given, field="domain", given=given)
    except MessageError as error:
        raise _refused("domain", error.expected, given) from error


def selector(given: object, domain: str) -> str:
    """The selector in lower case: labels between dots, and room in DNS for the name of its record."""
    if isinstance(given, str) and given.isascii() and len(given) <= DNS_NAME_LIMIT:
        name = given.lower()
        fits = len(f"{name}._domainkey.{domain}") <= DNS_NAME_LIMIT
        if fits and _LABELS.fullmatch(name) and max(map(len, name.split("."))) <= 63:
            return name
    raise _refused("selector", "letters, digits, hyphens and dots, such as mail2026", given)


def canonicalization(given: object) -> str:
    """Header and body, each "relaxed" or "simple"."""
    if not isinstance(given, str) or given not in _CANONICALIZATIONS:
        raise _refused("canonicalization", f"one of {', '.join(_CANONICALIZATIONS)}", given)
    return _CANONICALIZATIONS[given]


def headers(given: object) -> tuple[str, ...]:
    """The names, each once, with those that are covered in any case."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise _refused("headers", 'the names of header fields, such as ("From", "Subject")', given)
    names: dict[str, str] = {}
    for name in (*given, *ALWAYS_COVERED):
        names.setdefault(_header_name(name).lower(), name)
    if "from" not in names:
        raise _refused("headers", "From among them (RFC 6376 5.4)", tuple(names.values()))
    return tuple(names.values())


def _header_name(given: object) -> str:
    if not isinstance(given, str) or not _HEADER_NAME.fullmatch(given) or len(given) > _NAME_OCTETS_MOST:
        raise _refused("headers", "names of header fields", given)
    lower = given.lower()
    if lower in _NEVER_SIGNED or lower.startswith(_NEVER_SIGNED_FAMILIES):
        raise _refused("headers", "fields that nobody changes on the way (RFC 6376 5.4.1)", given)
    return given


def identity(given: object, domain: str) -> str | None:
    """LOCAL@DOMAIN or @DOMAIN, in the signer's domain or below it, in A-labels."""
    if given is None:
        return None
    expected = f"None, or an address in {domain} or below it, such as @{domain}"
    if not isinstance(given, str) or len(given) > _NAME_OCTETS_MOST + DNS_NAME_LIMIT or not given.isascii():
        raise _refused("identity", expected, given)
    local, at, name = given.rpartition("@")
    try:
        name = a_label_domain(name, field="identity", given=given)
    except MessageError as error:
        raise _refused("identity", expected, given) from error
    is_ours = name == domain or name.endswith(f".{domain}")  # RFC 6376 3.5: i= is in d= or below it
    if not at or not is_ours or (local and not is_smtp_local_part(local, utf8=False)):
        raise _refused("identity", expected, given)
    return f"{local}@{name}"


def lifetime(given: object) -> int | None:
    """Seconds, 1 or more, or None."""
    if given is None:
        return None
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= 10**9:
        raise _refused("expires_after_secs", "None, or a whole number of seconds, 1 or more", given)
    return given


def flag(name: str, given: object) -> bool:
    """True or False."""
    if not isinstance(given, bool):
        raise _refused(name, "True or False", given)
    return given


def _refused(name: str, expected: str, given: object) -> ConfigError:
    shown = ascii(given)
    if "-----BEGIN" in shown:
        shown = "a PEM text, which is not repeated here"
    return ConfigError(f"DkimSigner.{name}: expected {expected}, got {shown[:100]}")
