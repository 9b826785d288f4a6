"""`mailstrom queue cancel | hold | release | retry`: orders for what waits in the queue."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..engine.steering import carried_out
from ..records import InternalMessageStatus, Order, Ordered, Selection
from ..status import one_line
from .exit_codes import CommandError, ExitCode
from .message_pages import NOTHING_KNOWN, standing_text, state_of
from .page import Line, Page, counted
from .page_view import write_page
from .queue_arguments import selections_for_order
from .storage_option import config_with_storage, opened_queue
from .terminal import Streams

if TYPE_CHECKING:
    from ..abc import SharedStorage
    from ..storage.sql.queue import SqlStorage

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
    _check_is_meant(order, given, streams)
    selections = selections_for_order(given, streams.stdin)
    named = list(dict.fromkeys(each.message_id for each in selections if each.message_id is not None))
    with opened_queue(config_with_storage(given, os.environ), streams) as storage:
        for message_id in named:
            storage.retrieve_status(message_id)  # an unknown one is told as such, before anything is done
        if not (named or given.yes or _is_confirmed(order, selections, storage, streams)):
            raise CommandError(ExitCode.UNEXPECTED, "nothing was changed")
        changes = Changes(order, keeps_all=given.json)
        for selection in selections:
            for batch in carried_out(storage, order, selection, datetime.now(UTC)):
                changes.add(batch)
        left = [storage.retrieve_status(each) for each in named] if changes.is_empty else []
        if changes.is_empty and not given.json:
            write_page(_nothing_page(order, left, storage), streams)
        else:
            streams.write(json.dumps(changes.to_dict(), indent=2) if given.json else changes.text())
    return ExitCode.UNEXPECTED if left and all(each.completed for each in left) else ExitCode.OK


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


def _check_is_meant(order: Order, given: argparse.Namespace, streams: Streams) -> None:
    """There is no way back from this one, and nobody to ask."""
    if order is Order.CANCEL and given.all and not given.yes and not streams.stdin.isatty():
        raise CommandError(
            ExitCode.USAGE, "cancel --all fails all mail for good: without a terminal it takes --yes, too"
        )


def _is_confirmed(
    order: Order, selections: Sequence[Selection], storage: SharedStorage, streams: Streams
) -> bool:
    """Whether somebody at the terminal says yes; where there is no terminal, the command said it."""
    if not streams.stdin.isatty():
        return True
    found = {
        status.message_id
        for each in selections
        for status in storage.retrieve_all_incomplete(_concerned(order, each), limit=COUNTED + 1)
    }
    if len(found) <= 1:
        return True
    many = counted(len(found), "message") if len(found) <= COUNTED else f"more than {COUNTED:,} messages"
    print(f"{str(order).capitalize()} mail of {many}? [y/N] ", end="", file=streams.stderr, flush=True)
    return streams.stdin.readline().strip().lower() in (b"y", b"yes")


def _concerned(order: Order, selection: Selection) -> Selection:
    """Without those that the order cannot change."""
    if order is Order.CANCEL or selection.held is not None:
        return selection
    return replace(selection, held=order is Order.RELEASE)


def _nothing_page(order: Order, left: Sequence[InternalMessageStatus], storage: SqlStorage) -> Page:
    """Why nothing was changed; `left`: the messages that were named, as they stand."""
    if not left:
        return [Line(f"nothing to {order}: there is no such mail in the queue")]
    now, details = datetime.now(UTC), storage.details([status.message_id for status in left])
    page = []
    for status in left[:TOLD_SINGLY]:
        trying = details.get(status.message_id, NOTHING_KNOWN).trying
        page.append(Line(f"nothing to {order}: {status.public()}"))
        page += [
            Line(f"  {one_line(each.address)}: {standing_text(each, trying.get(each.address), now)}")
            for each in status.recipients[:TOLD_SINGLY]
            if not each.result.completed
        ]
    return page
