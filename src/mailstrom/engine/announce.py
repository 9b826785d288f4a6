"""What the world is told of results: one log line, one event, and a wake-up for who waits."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from ..abc import Claim, Clock, InternalRecipientStatus, Outcome
from ..event import Event, EventKind
from ..status import MessageStatus, WorkerStatus, printable
from .events import Board, Tell
from .triage import is_newly_delayed

IDS_IN_LOG = 20

_log = logging.getLogger("mailstrom")


class Announcer:
    """Tells of settled results and of the worker's status. Used in the worker's loop only."""

    def __init__(
        self,
        clock: Clock,
        delayed_after: timedelta,
        tell: Tell | None,
        board: Board,
    ) -> None:
        self._clock = clock
        self._delayed_after = delayed_after
        self._tell = tell
        self._board = board

    def worker_status(self, status: WorkerStatus) -> None:
        """The worker's status is another now."""
        if self._tell is not None:
            self._tell(Event(kind=EventKind.WORKER_STATUS, at=self._clock.now(), worker_status=status))

    def settled(
        self, claim: Claim, before: Sequence[InternalRecipientStatus], outcomes: Sequence[Outcome]
    ) -> None:
        """These outcomes stand in the storage now; `before` is how the same recipients stood."""
        for recipient, outcome in zip(before, outcomes, strict=True):
            level = logging.WARNING if outcome.result.state == "failed" else logging.INFO
            if _log.isEnabledFor(level):
                _log_result(level, claim, outcome)
            if self._tell is not None:
                self._tell_outcome(self._tell, claim, recipient, outcome)
        self._board.changed(claim.email.message_id)

    def given_back(self, claim: Claim) -> None:
        """The claim was cut off."""
        self._board.changed(claim.email.message_id)

    def _tell_outcome(
        self, tell: Tell, claim: Claim, before: InternalRecipientStatus, outcome: Outcome
    ) -> None:
        event = partial(Event, message_id=claim.email.message_id, address=outcome.address)
        for attempt in outcome.attempts:
            tell(event(kind=EventKind.ATTEMPT, at=attempt.at, attempt=attempt))
        now, result = self._clock.now(), outcome.result
        tell(event(kind=EventKind(result.state), at=now, result=result))
        if result.state == "deferred" and is_newly_delayed(claim, before, self._delayed_after, now):
            tell(event(kind=EventKind.DELAYED, at=now, result=result))


def _log_result(level: int, claim: Claim, outcome: Outcome) -> None:
    message_id, address = printable(claim.email.message_id), printable(outcome.address)
    _log.log(level, "%s to %s: %s", message_id, address, outcome.result)


def log_lost(left: Sequence[MessageStatus]) -> None:
    """Tells of the messages, if any, that end with the process: how many, and the first of their ids."""
    if not left:
        return
    ids = ", ".join(status.message_id for status in left[:IDS_IN_LOG])
    more = "" if len(left) <= IDS_IN_LOG else ", ..."
    lost = "1 message is" if len(left) == 1 else f"{len(left)} messages are"
    _log.warning("%s lost with the memory they rest in: %s%s", lost, ids, more)
