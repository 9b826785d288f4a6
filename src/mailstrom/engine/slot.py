"""The place of one delivery in a lane, and the answer of another that may hold for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ..schedule.verdict import Verdict

if TYPE_CHECKING:
    from .bounds import Bounds

OF_ONE_KEY = "key:"  # begins the name of a key's own lane; no lane of hosts has a name like that


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a probe of hosts that are down ended. It holds for all that was due when it began."""

    began_at: datetime  # by the queue's clock, as due times are
    told_at: datetime
    host: str  # the one that was asked last; the route key where none is known
    verdict: Verdict


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one delivery: the lane in which it counts now."""

    route_key: str
    lane: str
    due_at: datetime | None = None
    answer: Answer | None = None  # it is settled by that, without a visit
    bounds: Bounds | None = None  # the limits that it counts in
    is_placed: bool = False  # it has one of the sessions
    is_permitted: bool = False  # it has a permit of the rate
