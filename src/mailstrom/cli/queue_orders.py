"""`mailstrom queue cancel | hold | release | retry`: orders for what waits in the queue."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..records import Order, Ordered, Selection
from ..status import one_line
from .exit_codes import CommandError, ExitCode
from .page import counted
from .queue_arguments import selection_for_order
from .queue_pages import state_of
from .storage_option import config_with_storage, opened_queue
from .terminal import Streams

if TYPE_CHECKING:
    from ..abc import SharedStorage

ABOUT: dict[Order, str] = {
    Order.CANCEL: "Tries no more: what is not delivered yet has failed.",
    Order.HOLD: "Keeps mail in the queue without trying it.",
    Order.RELEASE: "Ends a hold: due at once.",
    Order.RETRY: "Tries at once what waits for its next try.",
}
DONE = {Order.CANCEL: "cancelled", Order.HOLD: "held", Order.RELEASE: "released", Order.RETRY: "due now"}

COUNTED = 1000  # messages that are looked at before the question
TOLD_SINGLY = 10  # recipients; of more than that, only how many they are


def run(order: Order, given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Asks where there is somebody to ask, carries the order out, and tells what it changed."""
    selection = selection_for_order(given)
    with opened_queue(config_with_storage(given, os.environ)) as storage:
        if selection.message_id is not None:
            storage.retrieve_status(selection.message_id)  # an unknown one is told as such
        elif not given.yes and not _is_confirmed(order, selection, storage, streams):
            raise CommandError(ExitCode.UNEXPECTED, "nothing was changed")
        changes = Changes(order, keeps_all=given.json)
        for batch in _carried_out(order, selection, storage):
            changes.add(batch)
        if changes.is_empty and not given.json:
            return _tell_nothing(order, selection, storage, streams)
    streams.write(json.dumps(changes.to_dict(), indent=2) if given.json else changes.text())
    return ExitCode.OK


class Changes:
    """What an order has changed, counted; each recipient only where they are few, or for JSON."""

    def __init__(self, order: Order, *, keeps_all: bool) -> None:
        self._order = order
        self._keeps_all = keeps_all
        self._message_ids: set[str] = set()
        self._recipients = 0
        self._claimed = 0
        self._kept: list[Ordered] = []

    @property
    def is_empty(self) -> bool:
        """Nothing was changed."""
        return self._recipients == 0

    def add(self, batch: Sequence[Ordered]) -> None:
        """These are changed, too."""
        self._message_ids.update(each.message_id for each in batch)
        self._recipients += len(batch)
        self._claimed += sum(each.claimed for each in batch)
        self._kept += batch if self._keeps_all else batch[: TOLD_SINGLY + 1 - len(self._kept)]

    def text(self) -> str:
        """For a person."""
        lines = [self._line(each) for each in self._kept] if self._recipients <= TOLD_SINGLY else []
        recipients = counted(self._recipients, "recipient")
        lines += [f"{DONE[self._order]}: {recipients} of {counted(len(self._message_ids), 'message')}"]
        if self._claimed:
            lines += [f"being tried at this moment: {self._claimed} of them; it takes effect when that ends"]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For a program."""
        return {
            "order": str(self._order),
            "messages": len(self._message_ids),
            "recipients": self._recipients,
            "claimed": self._claimed,
            "changed": [
                {
                    "message_id": each.message_id,
                    "address": each.after.address,
                    "before": state_of(each.before),
                    "after": state_of(each.after),
                    "claimed": each.claimed,
                }
                for each in self._kept
            ],
        }

    def _line(self, ordered: Ordered) -> str:
        done = "being tried at this moment" if ordered.claimed else DONE[self._order]
        return one_line(f"{ordered.message_id} to {ordered.after.address}: {done}")


def _carried_out(order: Order, selection: Selection, storage: SharedStorage) -> Iterator[Sequence[Ordered]]:
    """Batch after batch, until nothing is left that the order would change."""
    now = datetime.now(UTC)
    while batch := storage.order(order, selection, now):
        yield batch


def _is_confirmed(order: Order, selection: Selection, storage: SharedStorage, streams: Streams) -> bool:
    """Whether somebody at the terminal says yes; where there is no terminal, the command said it."""
    if not streams.stdin.isatty():
        return True
    found = storage.retrieve_all_incomplete(_concerned(order, selection), limit=COUNTED + 1)
    if not found:
        return True
    many = counted(len(found), "message") if len(found) <= COUNTED else f"more than {COUNTED:,} messages"
    print(f"{str(order).capitalize()} mail of {many}? [y/N] ", end="", file=streams.stderr, flush=True)
    return streams.stdin.readline().strip().lower() in (b"y", b"yes")


def _concerned(order: Order, selection: Selection) -> Selection:
    """Without those that the order cannot change."""
    if order is Order.CANCEL or selection.held is not None:
        return selection
    return replace(selection, held=order is Order.RELEASE)


def _tell_nothing(order: Order, selection: Selection, storage: SharedStorage, streams: Streams) -> ExitCode:
    if selection.message_id is None:
        streams.write(f"nothing to {order}: there is no such mail in the queue")
        return ExitCode.OK
    status = storage.retrieve_status(selection.message_id)
    streams.write(f"nothing to {order}: {one_line(str(status.public()))}")
    return ExitCode.UNEXPECTED if status.completed else ExitCode.OK
