"""How many deliveries a lane takes at once: learned from how its hosts take them. A pure rule.

The anchor is Postfix's queue manager (qmgr_feedback.c, SCHEDULER_README): a lane begins with room for a
few, each success makes room for one more, and each failure takes one away. Host trouble only is a failure:
nobody of all hosts that a pass went to could be brought to listen to a message. What a host says of a
message or a recipient is a success: it spoke with us.

Failures in a row also add up to cohorts: each is one part of as many as could have failed together. After a
whole cohort, and three failures at least, the lane is down.
"""

from __future__ import annotations

from dataclasses import dataclass

INITIAL = 5  # Postfix: initial_destination_concurrency
FAILURES_UNTIL_DOWN = 3  # at least: where there is room for one, one failure is a whole cohort


@dataclass(frozen=True, slots=True)
class Pace:
    """Room for so many deliveries, and the failures in a row that led there."""

    room: int = INITIAL
    failures: int = 0
    cohorts: float = 0.0

    @property
    def is_down(self) -> bool:
        """Nobody answers there any more: what is sent is lost time."""
        return self.cohorts >= 1.0 and self.failures >= FAILURES_UNTIL_DOWN

    def after_success(self, most: int) -> Pace:
        """Room for one more, up to `most`."""
        if self.room >= most and not self.failures:
            return self
        return Pace(min(self.room + 1, most))

    def after_failure(self) -> Pace:
        """Room for one less, but for one at least."""
        return Pace(max(self.room - 1, 1), self.failures + 1, self.cohorts + 1 / self.room)
