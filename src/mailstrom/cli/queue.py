"""`mailstrom queue`: how full it is, and what stands in it."""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .exit_codes import ExitCode
from .page_view import repeat, watch_page, write_page
from .queue_arguments import selection_for_list
from .queue_pages import list_page, message_page, overview_json, overview_page
from .storage_option import config_with_storage, opened_queue, place_of
from .terminal import Streams

if TYPE_CHECKING:
    from ..abc import SharedStorage
    from .page import Page

ABOUT = "Tells how much mail waits and why, and cancels, holds, releases and retries it."
LIST_ABOUT = "Lists the messages with work left."
SHOW_ABOUT = "Shows one message with all its attempts."


def overview(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """Counts by destination and state; once, or again and again."""
    with opened_queue(config_with_storage(given, os.environ)) as storage:

        def page() -> Page:
            now = datetime.now(UTC)
            return overview_page(storage.overview(now), now, place_of(storage), given.limit)

        if given.json:
            _tell_overview(storage, streams, given)
        elif given.watch:
            watch_page(page, streams, given.interval)
        else:
            write_page(page(), streams)
    return ExitCode.OK


def list_messages(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """One line for each message with work left."""
    selection, now = selection_for_list(given), datetime.now(UTC)
    with opened_queue(config_with_storage(given, os.environ)) as storage:
        if given.json:
            found = storage.retrieve_all_incomplete(selection)
            streams.write(json.dumps([status.public().to_dict() for status in found], indent=2))
            return ExitCode.OK
        found = storage.retrieve_all_incomplete(selection, limit=given.limit + 1)
    write_page(list_page(found[: given.limit], now, is_all=len(found) <= given.limit), streams)
    return ExitCode.OK


def show(given: argparse.Namespace, streams: Streams) -> ExitCode:
    """One message with its attempts."""
    from ..submission import message_id_of

    with opened_queue(config_with_storage(given, os.environ)) as storage:
        status = storage.retrieve_status(message_id_of(given.message_id))
    if given.json:
        streams.write(json.dumps(status.public().to_dict(), indent=2))
    else:
        write_page(message_page(status, datetime.now(UTC)), streams)
    return ExitCode.OK


def _tell_overview(storage: SharedStorage, streams: Streams, given: argparse.Namespace) -> None:
    """As JSON: one object, or with --watch one object a line."""

    def tell(indent: int | None) -> None:
        now = datetime.now(UTC)
        streams.write(json.dumps(overview_json(storage.overview(now), now), indent=indent))

    if given.watch:
        repeat(lambda: tell(None), given.interval)
    else:
        tell(2)
