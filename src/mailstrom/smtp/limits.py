"""How much a host says it takes (RFC 1870, RFC 9422), and what one session still has room for.

    250 LIMITS MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=1

    MAILMAX         transactions in one session, counted by MAIL, accepted or not
    RCPTMAX         RCPT commands in one transaction, accepted or not
    RCPTDOMAINMAX   domains of recipients in one session

A number has one to six digits and is not zero. A name that is not known here, or a value that is
no such number, limits nothing (RFC 9422 section 3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

_NUMBER = re.compile("[0-9]{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one EHLO reply said; None: no limit."""

    mails: int | None = None  # a session
    recipients: int | None = None  # a transaction
    domains: int | None = None  # a session


def read_limits(extensions: Mapping[str, str]) -> Limits:
    """The limits among what a host offers."""
    numbers: dict[str, int] = {}
    for parameter in extensions.get("LIMITS", "").split(" "):
        name, _, value = parameter.partition("=")
        if _NUMBER.fullmatch(value) and int(value):
            numbers.setdefault(name.upper(), int(value))
    return Limits(
        mails=numbers.get("MAILMAX"),
        recipients=numbers.get("RCPTMAX"),
        domains=numbers.get("RCPTDOMAINMAX"),
    )


def size_limit(extensions: Mapping[str, str]) -> int | None:
    """The largest message the host takes, or None where it sets no limit.

    RFC 1870 4: no parameter or 0 says nothing; what is no number says nothing either.
    """
    value = extensions.get("SIZE")
    return _octets(value) if value else None


@lru_cache(maxsize=64)  # few hosts set one of their own
def _octets(value: str) -> int | None:
    return int(value) or None if value.isascii() and value.isdigit() and len(value) <= 20 else None


class Room:
    """What the limits of one session leave. Used in the worker's loop only."""

    def __init__(self, limits: Limits) -> None:
        self.is_limited = limits != Limits()  # else nothing need be taken
        self._limits = limits
        self._mails = 0
        self._domains: set[str] = set()

    @property
    def is_used_up(self) -> bool:
        """No transaction may follow."""
        return self._limits.mails is not None and self._mails >= self._limits.mails

    def fitting(self, recipients: Sequence[str]) -> Sequence[str]:
        """Those whom the next transaction may name, in order."""
        if not self.is_limited:
            return recipients
        if self.is_used_up:
            return ()
        domains = set(self._domains)
        room_left = self._limits.domains
        found = []
        for recipient in recipients:
            domain = _domain(recipient)
            if domain in domains or room_left is None or len(domains) < room_left:
                domains.add(domain)
                found.append(recipient)
        return found[: self._limits.recipients]

    def take(self, recipients: Sequence[str]) -> None:
        """A transaction names these; where it names nobody, it is none."""
        self._mails += bool(recipients)
        if self._limits.domains is not None:
            self._domains.update(map(_domain, recipients))


def _domain(recipient: str) -> str:
    return recipient.rpartition("@")[2].lower()
