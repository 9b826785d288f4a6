"""Whose turn it is within a route key. Pure.

Of ten claims for it seven are of high priority, two of normal, one of low, so that nothing waits for
ever; a turn of a priority that has nothing goes to the highest that has. Within a priority each stream
has its turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ..abc import InternalMessageStatus, Priority

__all__ = ["LEVELS", "PRIORITIES", "Stream", "levels_at", "stream_of"]

Stream: TypeAlias = tuple[int, str]  # the level of its priority, its name

PRIORITIES: Mapping[int, Priority] = {1: "high", 2: "normal", 3: "low"}
LEVELS: Mapping[Priority, int] = {priority: level for level, priority in PRIORITIES.items()}

_TURNS = (1, 1, 1, 2, 1, 1, 1, 2, 1, 3)
_ORDERS = tuple((level, *(other for other in PRIORITIES if other != level)) for level in _TURNS)


def levels_at(turn: int) -> tuple[int, ...]:
    """The levels, in the order in which they are asked at a route key's turn of this number, from 0."""
    return _ORDERS[turn % len(_ORDERS)]


def stream_of(status: InternalMessageStatus) -> Stream:
    """Where its recipients take turns."""
    return LEVELS.get(status.priority, LEVELS["normal"]), status.stream
