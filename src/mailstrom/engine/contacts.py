"""What passes tell of the hosts they went to: for the pace of the lane, and for the state of the network.

    Delivery ──► Contact ──► Contacts ──┬─► Lanes    more room, less room, down, open again
                                        └─► Reach    is the fault ours?

A pass is in vain where nobody of all its hosts could be brought to listen to a message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ..abc import Clock
from ..schedule.verdict import FaultKind, Verdict
from ..smtp.session import OpenFailure
from ..status import printable
from .lanes import Lanes
from .reach import Reach
from .slot import OF_ONE_KEY, Answer, Slot

_log = logging.getLogger("mailstrom")


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """When a pass or an attempt began: for the record, and to measure it, since the wall clock may be set."""

    at: datetime
    monotonic: float


class Contacts:
    """Notes who is reached and who is not. Used in the worker's loop only.

    `network_changed` is called when `network_has_failed` is another. `is_relayed`: all mail goes to one
    relay.
    """

    def __init__(
        self, lanes: Lanes, clock: Clock, network_changed: Callable[[], object], *, is_relayed: bool
    ) -> None:
        self.lanes = lanes
        self._clock = clock
        self._network_changed = network_changed
        self._is_relayed = is_relayed
        self._reach = Reach()

    @property
    def network_has_failed(self) -> bool:
        """Nobody at all can be reached, and the fault is ours."""
        return self._reach.has_failed

    def connected(self, slot: Slot, lane: str) -> None:
        """A connection to a host of the lane was made."""
        had_failed = self._reach.has_failed
        is_over = self._reach.reached(lane, self._clock.monotonic())
        self._reach.knows(slot.route_key)
        if is_over:
            self.lanes.wake_all()
            if had_failed:
                _log.warning("the network works again: %s was reached", printable(lane))
                self._network_changed()

    def spoke(self, lane: str) -> None:
        """A host of the lane listened to a message, or said that it never will."""
        if self.lanes.succeeded(lane, self._clock.monotonic()):
            _log.info("%s answers again", printable(lane))

    def no_host(self, slot: Slot, verdict: Verdict, began: Began, *, is_unanswered: bool) -> bool:
        """A look-up found no host, or no name server answered it; whether that does not count as a try."""
        lane = slot.lane
        if not self._is_relayed:
            self.lanes.stray(slot)
        if verdict.state == "failed":
            self.spoke(slot.lane)
            return False
        if is_unanswered and self.not_connected(slot.route_key, slot, began, formerly=lane):
            return True
        self.in_vain(slot, verdict, began, slot.route_key)
        return False

    def not_connected(
        self,
        destination: str,
        slot: Slot,
        began: Began,
        *,
        has_no_route: bool = False,
        formerly: str | None = None,
    ) -> bool:
        """A pass made no connection; whether it does not count as a try.

        A single destination without a route may be one of a family that this host has not; where that is
        the relay, nothing at all can be sent.
        """
        had_failed, now = self._reach.has_failed, self._clock.monotonic()
        is_proof = has_no_route and self._is_relayed
        again_at = self._reach.missed(
            destination, began_at=began.monotonic, now=now, is_proof=is_proof, formerly=formerly
        )
        if again_at is None:
            return False
        self.lanes.rest(slot.lane, again_at)
        if self._reach.has_failed and not had_failed:
            _log.error("the network failed: nobody can be reached; no tries are counted until somebody is")
            self._network_changed()
        return True

    def in_vain(self, slot: Slot, verdict: Verdict, began: Began, host: str) -> None:
        """A pass reached nobody in the slot's lane, and that is not our own fault."""
        told_at = self._clock.now()
        answer = Answer(began_at=began.at, told_at=told_at, host=host, verdict=verdict)
        if self.lanes.failed(slot, answer, self._clock.monotonic()):
            lane, why = printable(slot.lane.removeprefix(OF_ONE_KEY)), printable(verdict.reason or "")
            _log.warning("%s is down: %s; one delivery at a time asks there now", lane, why)


class Contact:
    """How one pass fares with the hosts of its lane. Used by one task."""

    def __init__(self, contacts: Contacts, slot: Slot, began: Began) -> None:
        self._contacts = contacts
        self._slot = slot
        self._lane = slot.lane
        self._began = began
        self._host = ""
        self._is_connected = False
        self._spoke = False
        self._has_no_route = True

    def connected(self) -> None:
        """A connection was made: said at once, since the host may take minutes to greet."""
        self._is_connected = True
        self._contacts.connected(self._slot, self._lane)

    def opened(self) -> None:
        """A session was opened, or one that was open took a message."""
        self.connected()
        self._spoken()

    def failed(self, host: str, failure: OpenFailure) -> None:
        """No session could be opened with a host."""
        self._host = host
        is_unreachable = failure.fault is not None and failure.fault.kind is FaultKind.UNREACHABLE
        self._has_no_route = self._has_no_route and is_unreachable
        if failure.verdict.state == "failed":
            self._spoken()

    def ends(self, verdict: Verdict) -> bool:
        """The pass is over for all that are left, with this verdict; whether it does not count as a try."""
        if self._spoke:
            return False
        is_missed = not self._is_connected and self._contacts.not_connected(
            self._lane, self._slot, self._began, has_no_route=self._has_no_route
        )
        if not is_missed:
            self._contacts.in_vain(self._slot, verdict, self._began, self._host)
        return is_missed

    def _spoken(self) -> None:
        self._spoke = True
        self._contacts.spoke(self._lane)
