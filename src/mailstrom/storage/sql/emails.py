"""Emails that will be asked for again soon: those that one claim does not finish."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ...abc import PreparedEmail

KEPT = 4
OCTETS_KEPT = 16 << 20  # the latest is kept however large it is
ADDRESS_OCTETS = 100  # about what one takes in memory


@dataclass(frozen=True, slots=True)
class Loaded:
    """What of a message never changes."""

    email: PreparedEmail
    submitted_at: datetime
    send_at: datetime | None

    @property
    def octets(self) -> int:
        """About what it takes in memory."""
        return len(self.email.content) + ADDRESS_OCTETS * len(self.email.recipients)


class RecentEmails:
    """The last few, so that a message to 100,000 is not read whole for each hundred of them.

    Any thread, without a lock: what two write at once, one of them may write in vain.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[int, Loaded], ...] = ()  # by seq, the latest first

    def get(self, seq: int) -> Loaded | None:
        """The message's, if it is kept."""
        return next((loaded for kept, loaded in self._kept if kept == seq), None)

    def keep(self, seq: int, loaded: Loaded) -> None:
        """Keeps it, and of those before it the latest that there is room for."""
        kept, room = [(seq, loaded)], OCTETS_KEPT - loaded.octets
        for each in self._kept:
            room -= each[1].octets
            if each[0] != seq and room >= 0 and len(kept) < KEPT:
                kept.append(each)
        self._kept = tuple(kept)
