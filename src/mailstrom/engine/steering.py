"""An operator's orders: carried out in the storage, and told to who waits or observes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from ..abc import Event, Order, Ordered, Selection, SharedStorage
from ..event import EventKind
from ..records import START
from ..status import MessageStatus
from .events import Tell


class Steering:
    """Cancels, holds, releases and hastens what is queued. Any thread.

    `tell` takes events, `changed` the ids of messages that are not as they were.
    """

    def __init__(
        self,
        storage: SharedStorage,
        now: Callable[[], datetime],
        tell: Tell | None,
        changed: Callable[[str], None],
    ) -> None:
        self._storage = storage
        self._now = now
        self._tell = tell
        self._changed = changed

    def carry_out(self, order: Order, selection: Selection) -> MessageStatus | int:
        """The status of the one message that is meant, or how many recipients it changed.

        Those that are being sent to at this moment are counted, too. Raises `MessageNotFound`.
        """
        message_id = selection.message_id
        if message_id is None:
            return self._order(order, selection)
        self._storage.retrieve_status(message_id)
        self._order(order, selection)
        return self._storage.retrieve_status(message_id).public()

    def _order(self, order: Order, selection: Selection) -> int:
        now, count = self._now(), 0
        for batch in carried_out(self._storage, order, selection, now):
            count += len(batch)
            self._announce(batch, now)
        return count

    def _announce(self, batch: Sequence[Ordered], now: datetime) -> None:
        if self._tell is not None:
            for event in cancellations(batch, now):
                self._tell(event)
        for message_id in {ordered.message_id for ordered in batch}:
            self._changed(message_id)


def carried_out(
    storage: SharedStorage, order: Order, selection: Selection, now: datetime
) -> Iterator[Sequence[Ordered]]:
    """What the order changes, batch after batch.

    Each recipient is met once: what a worker beside has deferred again meanwhile is left alone.
    """
    after = START
    while batch := storage.order(order, selection, now, after=after):
        yield batch
        after = batch[-1].cursor


def cancellations(batch: Sequence[Ordered], at: datetime) -> Iterator[Event]:
    """What an order has ended; of who is being sent to, the worker tells how that ends."""
    for ordered in batch:
        if ordered.after.result.completed:
            yield Event(
                kind=EventKind.FAILED,
                at=at,
                message_id=ordered.message_id,
                address=ordered.after.address,
                result=ordered.after.result,
            )
