"""Emails that will be asked for again soon: those that one claim does not finish.

Kept is only what a transaction has committed: what one that failed has read may never have been
there, and its `seq` come again for another message.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ...abc import ClaimedEmail, PreparedEmail

KEPT = 4
OCTETS_KEPT = 16 << 20  # the latest is kept however large it is
ADDRESS_OCTETS = 100  # about what one takes in memory


class Loaded(NamedTuple):
    """What of a message never changes."""

    email: ClaimedEmail
    fingerprint: str
    submitted_at: datetime
    send_at: datetime | None

    @property
    def octets(self) -> int:
        """About what it takes in memory."""
        content = self.email.octets if isinstance(self.email, PreparedEmail) else 0
        return content + ADDRESS_OCTETS * len(self.email.recipients)

    def suits(self, content_limit: int | None) -> bool:
        """A claim on terms with this limit may have it."""
        if isinstance(self.email, PreparedEmail):
            return True
        return content_limit is not None and self.email.octets > content_limit


class RecentEmails:
    """The last few, so that a message to 100,000 is not read whole for each hundred of them.

    Any thread, without a lock: what two write at once, one of them may write in vain.
    """

    def __init__(self) -> None:
        self._kept: tuple[Loaded, ...] = ()  # the latest first

    def get(self, message_id: str, fingerprint: str) -> Loaded | None:
        """The message's, if it is kept."""
        for each in self._kept:
            if _identity(each) == (message_id, fingerprint):
                return each
        return None

    def keep(self, loaded: Loaded) -> None:
        """Keeps it, and of those before it the latest that there is room for."""
        kept, room = [loaded], OCTETS_KEPT - loaded.octets
        for each in self._kept:
            room -= each.octets
            if _identity(each) != _identity(loaded) and room >= 0 and len(kept) < KEPT:
                kept.append(each)
        self._kept = tuple(kept)


def _identity(loaded: Loaded) -> tuple[str, str]:
    return loaded.email.message_id, loaded.fingerprint
