"""Where a process may die, and what must become of its mail.

    store            send_email commits
    claim_many       the worker takes the mail
    MAIL             it says MAIL FROM to the host
    block            it writes a part of the content that does not hold the final dot
    renew            it prolongs its lease
    give_back_many   it ends in good order, and gives up what it has not sent
    mark_dots_sent   it notes that the final dot is about to be written
    dot              it writes the final dot
    reply            it reads the reply to it
    settle           it records the result
    purge            it removes what is kept no longer

Only from the final dot on, and until its result is recorded, a death may double the mail: nobody
can know what came of it (RFC 1047). Then the mail is flagged as uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """When in the course of a call."""

    BEFORE = "before"  # it has not begun
    COMMIT = "commit"  # all of its transaction is done, but for the COMMIT
    AFTER = "after"  # it is done, and nobody has heard of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """How often the host took the mail, and whether any of its results was uncertain."""

    copies: int
    flagged: bool = False

    def __str__(self) -> str:
        return f"sent {self.copies} times{', flagged' if self.flagged else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One side of one call, and the fate of mail whose process dies there."""

    call: str
    side: Side
    fate: Fate

    def __str__(self) -> str:
        return f"{self.side} {self.call}" if self.side is not Side.COMMIT else f"commit of {self.call}"


NOT_SENT = Fate(copies=0)
ONCE = Fate(copies=1)
ONCE_FLAGGED = Fate(copies=1, flagged=True)
TWICE_FLAGGED = Fate(copies=2, flagged=True)


def _points(call: str, *, before: Fate, commit: Fate | None = None, after: Fate) -> list[Point]:
    fates = {Side.BEFORE: before, Side.COMMIT: commit, Side.AFTER: after}
    return [Point(call=call, side=side, fate=fate) for side, fate in fates.items() if fate is not None]


#: In the course of a delivery.
DELIVERY = (
    *_points("store", before=NOT_SENT, commit=NOT_SENT, after=ONCE),
    *_points("claim_many", before=ONCE, commit=ONCE, after=ONCE),
    *_points("MAIL", before=ONCE, after=ONCE),
    *_points("block", before=ONCE, after=ONCE),
    *_points("renew", before=ONCE, commit=ONCE, after=ONCE),
    *_points("give_back_many", before=ONCE, commit=ONCE, after=ONCE),
    *_points("mark_dots_sent", before=ONCE, commit=ONCE, after=ONCE_FLAGGED),
    *_points("dot", before=ONCE_FLAGGED, after=TWICE_FLAGGED),
    *_points("reply", before=TWICE_FLAGGED, after=TWICE_FLAGGED),
    *_points("settle", before=TWICE_FLAGGED, commit=TWICE_FLAGGED, after=ONCE),
)
PURGE = tuple(_points("purge", before=ONCE, commit=ONCE, after=ONCE))


def point(call: str, side: Side) -> Point:
    """The point of that name."""
    (found,) = [each for each in DELIVERY if (each.call, each.side) == (call, side)]
    return found
