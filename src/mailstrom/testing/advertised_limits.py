"""The receiving side of LIMITS (RFC 9422): what a session was told, and whether it keeps to it."""

from __future__ import annotations

from collections.abc import Mapping


class LimitsOfSession:
    """Counts what one session asks for; each method says which limit that passes, or None.

    `are_told`: the last greeting named the limits; where a hook answered in its place, or HELO was
    said, nobody can keep to them.
    """

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.are_told = False
        self._limits = limits
        self._mails = 0
        self._recipients = 0  # of the transaction
        self._domains: set[str] = set()

    def mail(self) -> str | None:
        """Another MAIL, accepted or not."""
        self._mails += 1
        self._recipients = 0
        return self._passed("MAILMAX", self._mails)

    def rcpt(self, forward_path: str) -> str | None:
        """Another RCPT, accepted or not."""
        self._recipients += 1
        self._domains.add(forward_path.rpartition("@")[2].lower())
        passed = self._passed("RCPTDOMAINMAX", len(self._domains))
        return self._passed("RCPTMAX", self._recipients) or passed

    def _passed(self, name: str, count: int) -> str | None:
        limit = self._limits.get(name) if self.are_told else None
        return f"{name}={limit}" if limit is not None and count > limit else None
