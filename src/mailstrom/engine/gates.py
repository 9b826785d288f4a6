"""What of the worker may hold a message up: its gates, as its loop sees them at one moment. Values only.

    Engine.gates ──in its loop──► Gates ──► explanation.py, which says what that means for a message
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..status import Phase, WorkerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DownGate:
    """A lane in which nobody answers."""

    secs: float  # since then
    is_asked: bool  # one delivery is asking
    heard: str | None  # what the last one heard


@dataclass(frozen=True, slots=True, kw_only=True)
class CapGate:
    """A limit of sessions that is reached: by this worker, or by all together."""

    name: str  # what counts together
    in_use: int  # by this worker
    most: int  # for all workers
    secs: float | None  # until we ask again whether others have left some; None: when one of ours ends


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterGate:
    """A rate that lets nothing more through now."""

    name: str  # what counts together
    rate: str
    secs: float | None  # until it does; None: as soon as those that are on their way have begun


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneGate:
    """The lane to which a route key is known to lead."""

    lane: str
    in_use: int  # deliveries under way
    limit: int  # as many as it takes at its pace
    is_shut: bool  # it takes no more now
    held_secs: float | None = None  # its host refused our credentials, or has not been asked yet: then 0
    rests_secs: float | None = None  # nobody at all could be reached: until this lane is asked again
    down: DownGate | None = None
    limits: tuple[CapGate | MeterGate, ...] = ()  # those that are shut


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """How far a try of this worker has come."""

    host: str | None = None  # None: not known yet
    ip: str | None = None
    phase: Phase | None = None  # of an open session
    is_waiting: bool = False  # for a place in its lane
    is_settling: bool = False  # its result is on its way into the storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The gates of a process's worker, as far as they concern one message."""

    status: WorkerStatus
    others_may_deliver: bool = False  # from the same storage
    is_silent: bool = False  # its loop has not answered: nothing else is known
    is_paused: bool = False
    is_ending: bool = False  # it takes nothing new any more
    is_stuck: bool = False  # results cannot be recorded
    in_hand: int = 0  # claims
    in_hand_limit: int = 0
    lanes: Mapping[str, LaneGate] = field(default_factory=dict)  # by route key; those that are known
    visits: Mapping[str, Visit] = field(default_factory=dict)  # by address, who is tried by this worker
