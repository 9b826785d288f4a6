"""A lane that is down: one delivery at a time asks its hosts, and what it hears holds for others.

    in probe's hands ──heard──► answer: for what was due when the probe began, of every route key
                                  │
           the first claim of a key that fell due later ──► is the next probe, or waits for that one

In a route key what fell due first is claimed first. So claims are let in without number as long as the
answer holds for them; the first for which it does not says that nothing of that key is left for it.
"""

from __future__ import annotations

from .slot import Answer, Slot

FRESH_SECS = 300.0  # an answer is not believed any longer
ANY_NUMBER = 1_000_000


class Down:
    """Who asks, and what was heard last. Used in the worker's loop, but for `room`: any thread."""

    def __init__(self, since: float) -> None:
        self.since = since
        self._probe: Slot | None = None
        self._answer: Answer | None = None
        self._fresh_until = since
        self._past: set[str] = set()  # route keys of which nothing is left for which the answer holds
        self._looked_up_at = since

    @property
    def is_asked(self) -> bool:
        """A probe is under way."""
        return self._probe is not None

    @property
    def heard(self) -> str | None:
        """Why it is down, as the last probe had it."""
        return None if self._answer is None else self._answer.verdict.reason

    def room(self, route_key: str) -> int:
        """How many claims of this key may be made now."""
        if self._answer is not None and route_key not in self._past:
            return ANY_NUMBER
        return int(self._probe is None)

    def takes(self, slot: Slot) -> bool:
        """Whether it has a place here: the answer holds for it, or it is the probe. Said in the slot."""
        answer = self._answer
        if answer is not None and slot.due_at is not None and slot.due_at <= answer.began_at:
            slot.answer = answer
            return True
        if answer is not None:
            self._past.add(slot.route_key)
        if self._probe is None:
            self._probe = slot
        return self._probe is slot

    def hears(self, slot: Slot, answer: Answer, now: float) -> None:
        """How the pass of a delivery ended in which nobody was reached; only the probe's counts."""
        if self._probe is slot:
            self._answer, self._fresh_until = answer, now + FRESH_SECS
            self._past.clear()

    def leaves(self, slot: Slot) -> None:
        """The delivery is over."""
        if self._probe is slot:
            self._probe = None

    def is_to_be_looked_up(self, now: float, secs: float) -> bool:
        """So long ago it was said before: which keys lead here may have changed."""
        if now - self._looked_up_at < secs:
            return False
        self._looked_up_at = now
        return True

    def forget_answer(self, now: float | None = None) -> None:
        """Believes the answer no more; with `now` only one that is not fresh."""
        if now is None or now >= self._fresh_until:
            self._answer = None
            self._past.clear()
