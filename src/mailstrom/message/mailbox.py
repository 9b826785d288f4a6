"""Mailboxes and groups (RFC 5322 section 3.4): a name for people and an address for machines.

A `Mailbox` is valid because it exists: its local part can be written in an envelope, its
domain is made of A-labels or is an address literal, the lengths of RFC 5321 section 4.5.3.1
hold, and email-validator agrees. What is sent and where it is routed come from the same
value.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ..errors import MessageError
from .domain import a_label_domain, u_label_domain
from .grammar import LOCAL_PART_LIMIT, PATH_LIMIT, wire_local_part
from .text import as_ascii, checked_text

__all__ = ["Group", "Mailbox"]

_ATEXT = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"
_PLAIN_LOCAL_PART = re.compile(rf"[{_ATEXT}]++(?:\.[{_ATEXT}]++)*")
_PLAIN_DOMAIN_END = re.compile(r"[a-z]\Z|\A[a-z0-9-]++\Z")  # a letter last, or no dot at all
_NAME = r"""[^\x00-\x20()<>\[\]:;@\\,".\x7f-\x9f]++"""  # atext, and everything from U+00A0 on
_PLAIN_PHRASE = re.compile(rf"{_NAME}(?: {_NAME})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """One address, with a display name or without.

    `local_part` is without quotes and escapes, in NFC (RFC 6532 section 3.1); its case is
    kept. `domain` is made of A-labels in lower case, or is an address literal.
    """

    name: str | None = None
    local_part: str
    domain: str

    def __post_init__(self) -> None:
        given = f"{self.local_part}@{self.domain}"
        checked = checked_mailbox(self.name, self.local_part, self.domain, field="mailbox", given=given)
        object.__setattr__(self, "name", checked.name)
        object.__setattr__(self, "local_part", checked.local_part)
        object.__setattr__(self, "domain", checked.domain)

    @property
    def address(self) -> str:
        """The addr-spec as it goes on the wire: quoted where it must be, A-labels."""
        return f"{wire_local_part(self.local_part)}@{self.domain}"

    @property
    def route_domain(self) -> str:
        """Where mail for it goes: the domain as A-labels in lower case, or the address literal."""
        return self.domain

    @property
    def needs_smtputf8(self) -> bool:
        """Only servers with SMTPUTF8 (RFC 6531) can take it: the local part is not ASCII."""
        return not self.local_part.isascii()

    def __str__(self) -> str:
        return self.shown(self.address)

    def shown(self, address: str) -> str:
        """What `str` gives; `address` is this one's own, for who has it already."""
        if "xn--" in self.domain:
            address = f"{wire_local_part(self.local_part)}@{u_label_domain(self.domain)}"
        return address if self.name is None else f"{quoted_phrase(self.name)} <{address}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A named list of mailboxes, perhaps empty, as in `Undisclosed recipients:;`.

    `members` are given in any form that `parse_mailboxes` takes; groups are not among them.
    """

    name: str
    members: tuple[Mailbox, ...] = ()

    def __post_init__(self) -> None:
        name = checked_name(self.name, field="group")
        if name is None:
            raise MessageError("group", given=self.name, expected="a name")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "members", _checked_members(self.members))

    def __str__(self) -> str:
        return f"{quoted_phrase(self.name)}: {', '.join(map(str, self.members))};"


def _checked_members(given: object) -> tuple[Mailbox, ...]:
    if isinstance(given, tuple) and all(isinstance(member, Mailbox) for member in given):
        return given
    from .address import parse_mailboxes  # which is made of mailboxes and groups

    found = parse_mailboxes(given, field="group")  # type: ignore[arg-type]
    members = tuple(member for member in found if isinstance(member, Mailbox))
    if len(members) != len(found):
        raise MessageError("group", given=given, expected="mailboxes in a group, not another group")
    return members


def checked_mailbox(name: str | None, local_part: str, domain: str, *, field: str, given: object) -> Mailbox:
    """The `Mailbox` of these parts; else `MessageError` that names `field` and what was wrong."""
    domain = a_label_domain(checked_text(domain, field=field), field=field, given=given)
    is_plain = _PLAIN_LOCAL_PART.fullmatch(checked_text(local_part, field=field)) is not None
    if len(local_part) > 4 * LOCAL_PART_LIMIT:  # before what takes longer the longer it is
        expected = f"a local part of at most {LOCAL_PART_LIMIT} octets"
        raise MessageError(field, given=given, expected=expected)
    if not local_part.isascii():
        local_part = unicodedata.normalize("NFC", local_part)
    # RFC 2047 5: never in an address (P16); some readers fail on all that begins and ends like one
    if "?=" in local_part.partition("=?")[2]:
        raise MessageError(field, given=given, expected="an address without an encoded word in it")
    address = f"{_wire_local_part(local_part, domain, field, given)}@{domain}"
    # for a dot-atom at a host name email-validator could only agree, at 100 times the cost
    if not (is_plain and _PLAIN_DOMAIN_END.search(domain) and "--" not in domain):
        _check_with_email_validator(address, field, given)
    return known_mailbox(checked_name(name, field=field), local_part, domain)


def known_mailbox(name: str | None, local_part: str, domain: str) -> Mailbox:
    """The `Mailbox` of parts that have been found to be right, and are as it holds them."""
    mailbox = object.__new__(Mailbox)
    put = object.__setattr__
    put(mailbox, "name", name)
    put(mailbox, "local_part", local_part)
    put(mailbox, "domain", domain)
    return mailbox


def checked_name(name: object, *, field: str) -> str | None:
    """The display name, None where it is empty; `MessageError` for control characters."""
    if name is None or name == "":
        return None
    if "\t" in checked_text(name, field=field):
        raise MessageError(field, given=name, expected="a name without tabs")
    assert isinstance(name, str)
    return name.strip(" ") or None


def quoted_phrase(name: str) -> str:
    """The name as it stands before an address, quoted where RFC 5322 section 3.2.4 asks for it."""
    if _PLAIN_PHRASE.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _wire_local_part(local_part: str, domain: str, field: str, given: object) -> str:
    """The local part as it is written; `MessageError` for more than RFC 5321 section 4.5.3.1 allows."""
    wire = wire_local_part(local_part)
    if wire is None:
        raise MessageError(field, given=given, expected="a local part without control characters")
    octets = len(wire) if wire.isascii() else len(wire.encode())
    if octets > LOCAL_PART_LIMIT:
        raise MessageError(
            field, given=given, expected=f"a local part of at most {LOCAL_PART_LIMIT} octets, not {octets}"
        )
    if octets + 1 + len(domain) > PATH_LIMIT - 2:
        raise MessageError(field, given=given, expected=f"an address of at most {PATH_LIMIT - 2} octets")
    return wire


def _check_with_email_validator(address: str, field: str, given: object) -> None:
    """Asks email-validator about the form alone.

    Two of its rules are policy for the public Internet and not ours, since mail on closed
    networks is mail too. A domain without a dot ("localhost") may be used. And reserved names
    (".test", ".local", ".invalid") may be used: the last label is stood in for by another of
    the same length.
    """
    from email_validator import EmailNotValidError, validate_email

    local_part, _, domain = address.rpartition("@")
    front, dot, last = domain.rpartition(".")
    if last.isalpha():
        domain = f"{front}{dot}{'x' * len(last)}"
    try:
        validate_email(
            f"{local_part}@{domain}",
            check_deliverability=False,
            allow_smtputf8=True,
            allow_quoted_local=True,
            allow_domain_literal=True,
            globally_deliverable="." in domain,
        )
    except EmailNotValidError as error:
        raise MessageError(field, given=given, expected=f"a usable address ({as_ascii(error)})") from error
