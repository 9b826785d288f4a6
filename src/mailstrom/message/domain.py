"""Domain names for mail: from what people write to what goes on the wire, or a refusal.

The wire carries A-labels (`xn--...`, RFC 5890), so that no server needs SMTPUTF8 for a
domain. A name in Unicode is mapped by UTS 46 and encoded by IDNA 2008 (RFC 5891). Of the
mapping only two effects are accepted: lower case and NFC. Where it would drop a character
(soft hyphen), turn one into another (full-width letters) or into a dot (U+3002), the name a
person sees is not the name that would be asked for, and it is refused. A label must also
survive the way back.
"""

from __future__ import annotations

import re
import unicodedata

from ..errors import MessageError
from .grammar import is_address_literal
from .text import as_ascii

__all__ = ["a_label_domain", "u_label_domain"]

DNS_NAME_LIMIT = 253  # RFC 1035 2.3.4: 255 octets on the wire, two of them for length and root

_LDH = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")


def a_label_domain(domain: str, *, field: str, given: object) -> str:
    """The domain as A-labels in lower case, or the address literal; else `MessageError`."""
    if domain.startswith("["):
        return _literal(domain, field, given)
    name = domain.lower() if domain.isascii() else _encoded(domain, field, given)
    # the length first: whatever follows is bounded by it
    if len(name) > DNS_NAME_LIMIT:
        raise MessageError(field, given=given, expected=f"a domain of at most {DNS_NAME_LIMIT} octets")
    if not _LDH.fullmatch(name):
        expected = f"a domain of letters, digits and hyphens between dots, not {domain!a}"
        raise MessageError(field, given=given, expected=expected)
    if "--" in name or len(name) > 63:
        _check_labels(name, field, given)
    return name


def u_label_domain(domain: str) -> str:
    """The domain as people read it; an A-label that means nothing stays as it is."""
    if "xn--" not in domain:
        return domain
    import idna

    try:
        return idna.decode(domain)
    except idna.IDNAError:
        return domain


def _literal(domain: str, field: str, given: object) -> str:
    if not is_address_literal(domain):
        expected = "an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]"
        raise MessageError(field, given=given, expected=expected)
    inner = domain[1:-1].lower()
    return f"[IPv6:{inner[5:]}]" if inner.startswith("ipv6:") else f"[{inner}]"


def _encoded(domain: str, field: str, given: object) -> str:
    if len(domain) > DNS_NAME_LIMIT:
        raise MessageError(field, given=given, expected=f"a domain of at most {DNS_NAME_LIMIT} octets")
    import idna

    try:
        mapped = idna.uts46_remap(domain, std3_rules=True, transitional=False)
        labels = [_a_label(label) for label in mapped.split(".")]
    except (idna.IDNAError, UnicodeError) as error:
        expected = f"a domain that IDNA 2008 allows ({as_ascii(error)})"
        raise MessageError(field, given=given, expected=expected) from error
    # one character at a time: str.lower() itself looks around at a final sigma
    plain = unicodedata.normalize("NFC", "".join(map(str.lower, domain)))
    if mapped != plain:
        expected = f"a domain as it will be asked for: {domain!a} would become {mapped!a}"
        raise MessageError(field, given=given, expected=expected)
    return ".".join(labels)


def _a_label(label: str) -> str:
    import idna

    encoded = idna.alabel(label).decode("ascii").lower()
    if idna.ulabel(encoded) != label:
        raise idna.IDNAError(f"{label!a} does not survive the way back")
    return encoded


def _check_labels(name: str, field: str, given: object) -> None:
    for label in name.split("."):
        if len(label) > 63:
            raise MessageError(field, given=given, expected="labels of at most 63 octets between the dots")
        if label.startswith("xn--"):
            _check_a_label(label, field, given)
        elif label[2:4] == "--":
            # RFC 5890 2.3.1: labels with "--" in the third and fourth place are reserved
            raise MessageError(field, given=given, expected="no label with '--' in third place, except xn--")


def _check_a_label(label: str, field: str, given: object) -> None:
    import idna

    try:
        encoded = idna.alabel(idna.ulabel(label)).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        expected = f"a valid A-label instead of {label!a} ({as_ascii(error)})"
        raise MessageError(field, given=given, expected=expected) from error
    if encoded != label:
        raise MessageError(field, given=given, expected=f"a valid A-label instead of {label!a}")
