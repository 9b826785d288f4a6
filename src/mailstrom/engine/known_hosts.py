"""What one engine has learned of the hosts it delivers to, the latest used of them."""

from __future__ import annotations

from collections import OrderedDict

from ..smtp.session import Habits

HOSTS_LIMIT = 10_000


class KnownHosts:
    """The habits of each host by its name. Used in the worker's loop only."""

    def __init__(self, limit: int = HOSTS_LIMIT) -> None:
        self._limit = limit
        self._habits: OrderedDict[str, Habits] = OrderedDict()

    def habits_of(self, host: str) -> Habits:
        """What is known of this host; new ones begin without a blemish."""
        name = host.rstrip(".").lower()
        habits = self._habits.setdefault(name, Habits())
        self._habits.move_to_end(name)
        if len(self._habits) > self._limit:
            self._habits.popitem(last=False)
        return habits
