"""What the world is told of results: one log line, one event, and a wake-up for who waits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from ..abc import Claim, Clock, InternalRecipientStatus, Outcome
from ..event import Event, EventKind
from ..status import DeliveryResult, MessageStatus, WorkerStatus, printable
from .triage import is_newly_delayed

IDS_IN_LOG = 20

_log = logging.getLogger("mailstrom")


class Announcer:
    """Tells of settled results and of the worker's status. Used in the worker's loop only."""

    def __init__(
        self,
        clock: Clock,
        delayed_after: timedelta,
        tell: Callable[[Event], None],
        changed: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._delayed_after = delayed_after
        self._tell = tell
        self._changed = changed

    def worker_status(self, status: WorkerStatus) -> None:
        """The worker's status is another now."""
        self._tell(Event(kind=EventKind.WORKER_STATUS, at=self._clock.now(), worker_status=status))

    def settled(
        self, claim: Claim, before: Sequence[InternalRecipientStatus], outcomes: Sequence[Outcome]
    ) -> None:
        """These outcomes stand in the storage now; `before` is how the same recipients stood."""
        for recipient, outcome in zip(before, outcomes, strict=True):
            self._log_and_tell(claim, recipient, outcome)
        self._changed(claim.email.message_id)

    def given_back(self, claim: Claim) -> None:
        """The claim was cut off."""
        self._changed(claim.email.message_id)

    def _log_and_tell(self, claim: Claim, before: InternalRecipientStatus, outcome: Outcome) -> None:
        message_id, address, result = claim.email.message_id, outcome.address, outcome.result
        level = logging.WARNING if result.state == "failed" else logging.INFO
        _log.log(level, "%s to %s: %s", printable(message_id), printable(address), result)
        for attempt in outcome.attempts:
            kind = EventKind.ATTEMPT
            self._tell(
                Event(kind=kind, at=attempt.at, message_id=message_id, address=address, attempt=attempt)
            )
        self._tell_result(EventKind(result.state), message_id, address, result)
        now = self._clock.now()
        if result.state == "deferred" and is_newly_delayed(claim, before, self._delayed_after, now):
            self._tell_result(EventKind.DELAYED, message_id, address, result)

    def _tell_result(self, kind: EventKind, message_id: str, address: str, result: DeliveryResult) -> None:
        now = self._clock.now()
        self._tell(Event(kind=kind, at=now, message_id=message_id, address=address, result=result))


def log_lost(left: Sequence[MessageStatus]) -> None:
    """Tells of the messages, if any, that end with the process: how many, and the first of their ids."""
    if not left:
        return
    ids = ", ".join(status.message_id for status in left[:IDS_IN_LOG])
    more = "" if len(left) <= IDS_IN_LOG else ", ..."
    lost = "1 message is" if len(left) == 1 else f"{len(left)} messages are"
    _log.warning("%s lost with the memory they rest in: %s%s", lost, ids, more)
