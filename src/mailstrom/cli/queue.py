"""`mailstrom queue`: how full it is, and what stands in it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import StorageError
from ..storage.picking import picks_recipient
from .exit_codes import ExitCode
from .message_pages import NOTHING_KNOWN, explanation_page, list_page, message_json, message_page
from .page import Line
from .page_view import repeat, watch_page, write_page
from .queue_arguments import is_chosen, selections_for_list
from .queue_pages import overview_json, overview_page, trouble_page
from .storage_option import config_with_storage, opened_queue, place_of
from .terminal import Streams

if TYPE_CHECKING:
    from ..records import InternalMessageStatus, Selection
    from ..storage.sql.queue import SqlStorage
    from .page import Page

ABOUT = "Tells how much mail waits and why, and cancels, holds, releases and retries it."
LIST_ABOUT = "Lists the messages with work left."
SHOW_ABOUT = "Shows one message with all its attempts."
EXPLAIN_ABOUT = "Tells what one message waits for, and until when."


def overview(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Counts by destination and state; once, or again and again."""
    with opened_queue(config_with_storage(given, os.environ), streams) as storage:
        if given.json and given.watch:
            repeat(lambda: _tell_one_more(storage, streams), given.interval)
        elif given.json:
            streams.write(json.dumps(_overview_json(storage), indent=2))
        elif given.watch:
            watch_page(lambda: _page_or_trouble(storage, given.limit), streams, given.interval)
        else:
            write_page(_overview_page(storage, given.limit), streams)
    return ExitCode.OK


def list_messages(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """One line for each message with work left."""
    selections, now = selections_for_list(given), datetime.now(UTC)
    limit = None if given.json else given.limit
    with opened_queue(config_with_storage(given, os.environ), streams) as storage:
        looked_up = _claimed if given.state == "claimed" else _waiting
        found = looked_up(storage, selections, None if limit is None else limit + 1)
        shown = found[:limit]
        details = storage.details([each.message_id for each in shown])
    if given.json:
        told = [message_json(each, details.get(each.message_id, NOTHING_KNOWN)) for each in shown]
        streams.write(json.dumps(told, indent=2))
    elif not shown:
        what = "such mail is in the queue" if is_chosen(given) else "mail waits in the queue"
        write_page([Line(f"No {what}.")], streams)
    else:
        write_page(list_page(shown, details, now, is_all=len(found) == len(shown)), streams)
    return ExitCode.OK


def show(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """One message with its attempts."""
    from ..submission import message_id_of

    with opened_queue(config_with_storage(given, os.environ), streams) as storage:
        status = storage.retrieve_status(message_id_of(given.message_id))
        details = storage.details([status.message_id]).get(status.message_id, NOTHING_KNOWN)
    if given.json:
        streams.write(json.dumps(message_json(status, details), indent=2))
    else:
        write_page(message_page(status, details, datetime.now(UTC)), streams)
    return ExitCode.OK


def explain(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """What holds each recipient of a message, as far as the storage knows."""
    from ..explanation import explained
    from ..submission import message_id_of

    message_id = message_id_of(given.message_id)
    with opened_queue(config_with_storage(given, os.environ), streams) as storage:
        trying = storage.being_tried(message_id)
        explanation = explained(storage.retrieve_status(message_id), trying, None, datetime.now(UTC))
    if given.json:
        streams.write(json.dumps(explanation.to_dict(), indent=2))
    else:
        write_page(explanation_page(explanation), streams)
    return ExitCode.OK


def _overview_page(storage: SqlStorage, limit: int) -> Page:
    now = datetime.now(UTC)
    return overview_page(storage.overview(now), now, place_of(storage), limit)


def _page_or_trouble(storage: SqlStorage, limit: int) -> Page:
    """The next look may find the queue again."""
    try:
        return _overview_page(storage, limit)
    except StorageError as error:
        return trouble_page(place_of(storage), datetime.now(UTC), str(error))


def _overview_json(storage: SqlStorage) -> dict[str, object]:
    now = datetime.now(UTC)
    return overview_json(storage.overview(now), now)


def _tell_one_more(storage: SqlStorage, streams: Streams) -> None:
    """One object a line; what goes wrong is told elsewhere, so that the lines can be read."""
    try:
        streams.write(json.dumps(_overview_json(storage)))
    except StorageError as error:
        streams.complain(str(error))


def _waiting(
    storage: SqlStorage, selections: Sequence[Selection], limit: int | None
) -> Sequence[InternalMessageStatus]:
    """The messages that are selected, the oldest first."""
    found = [storage.retrieve_all_incomplete(each, limit=limit) for each in selections]
    by_id = {status.message_id: status for statuses in found for status in statuses}
    return sorted(by_id.values(), key=lambda status: status.submitted_at)[:limit]


def _claimed(
    storage: SqlStorage, selections: Sequence[Selection], limit: int | None
) -> Sequence[InternalMessageStatus]:
    """Those of them that are being tried; as many as workers have in hand, so each is looked up."""
    return list(islice(_being_tried(storage, selections), limit))


def _being_tried(storage: SqlStorage, selections: Sequence[Selection]) -> Iterator[InternalMessageStatus]:
    claimed = storage.claimed_messages()
    details = storage.details(claimed)
    for message_id in claimed:
        of_it = [replace(each, message_id=message_id) for each in selections]
        for status in _waiting(storage, of_it, None):
            trying = details.get(message_id, NOTHING_KNOWN).trying
            tried = [each for each in status.recipients if each.address in trying]
            if any(picks_recipient(selection, each) for selection in of_it for each in tried):
                yield status
