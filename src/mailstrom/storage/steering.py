"""What an operator does to a lifted queue: orders carried out, due times pulled in.

Message by message, oldest first, each under its own `writing` lock. Messages that do not match
are passed over without that lock: one whose status is being written holds up only those who
mean it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import attrgetter

from ..abc import Order, Ordered, Selection
from ..errors import StorageError
from ..records import Cursor
from . import changes
from .index import Message
from .picking import picks_message, picks_recipient
from .status_writer import Changed, StatusWriter


def pick(writer: StatusWriter, messages: Iterable[Message], selection: Selection) -> Iterator[Message]:
    """Those of the messages that have a recipient selected."""
    for message in messages:
        reverse_path = partial(writer.reverse_path, message)
        if picks_message(selection, message.kept, reverse_path) and any(
            picks_recipient(selection, recipient) for recipient in message.recipients
        ):
            yield message


def carry_out(
    writer: StatusWriter,
    messages: Sequence[Message],
    order: Order,
    selection: Selection,
    now: datetime,
    after: Cursor,
    limit: int,
) -> list[Ordered]:
    """Carries the order out for at most `limit` of the recipients behind `after` it would change; those.

    Where the storage fails after some of them, they are the answer; the next call meets the
    trouble first.
    """
    begin = bisect_left(messages, after[0], key=attrgetter("number"))
    asked = _Asked(order, selection, now, after)
    done: list[Ordered] = []
    try:
        for message in pick(writer, messages[begin:], selection):
            if len(done) >= limit:
                break
            done += _carry_out(writer, message, asked, limit - len(done))
    except StorageError:
        if not done:
            raise
    return done


def pull_in(writer: StatusWriter, messages: Iterable[Message], latest: datetime) -> int:
    """Makes deferred recipients that wait beyond `latest` due then; how many they were."""
    return sum(_pull_in(writer, message, latest) for message in messages)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An order, for whom, when, and behind whom."""

    order: Order
    selection: Selection
    now: datetime
    after: Cursor


def _carry_out(writer: StatusWriter, message: Message, asked: _Asked, limit: int) -> list[Ordered]:
    with message.writing:
        before = message.recipients
        with writer.lock:
            changed, claimed = _decide(message, asked, limit)
        if not writer.replace(message, changed, asked.now):
            return []
        with writer.lock:
            for position in (*changed, *claimed):
                writer.index.mark(message, position, asked.order, asked.now)
    return [
        Ordered(
            cursor=(message.number, position),
            message_id=message.kept.message_id,
            before=before[position],
            after=changed.get(position, before[position]),
            claimed=position in claimed,
        )
        for position in sorted((*changed, *claimed))
    ]


def _decide(message: Message, asked: _Asked, limit: int) -> tuple[Changed, set[int]]:
    """What becomes of those that nobody has claimed, and which claimed ones are to be marked."""
    changed: Changed = {}
    claimed: set[int] = set()
    for position, recipient in enumerate(message.recipients):
        if len(changed) + len(claimed) >= limit:
            break
        is_behind = (message.number, position) > asked.after
        if not (is_behind and picks_recipient(asked.selection, recipient)):
            continue
        if message.is_claimed(position):
            if message.would_mark(position, asked.order):
                claimed.add(position)
            continue
        mark, expires_at = message.mark(position), message.kept.expires_at
        after = changes.ordered(asked.order, recipient, asked.now, mark=mark, expires_at=expires_at)
        if after is not None:
            changed[position] = after
    return changed, claimed


def _pull_in(writer: StatusWriter, message: Message, latest: datetime) -> int:
    with message.writing:
        with writer.lock:
            changed = {
                position: changes.retried(recipient, latest)
                for position, recipient in enumerate(message.recipients)
                if changes.is_deferred_beyond(recipient, latest) and not message.is_claimed(position)
            }
        return len(changed) if changed and writer.replace(message, changed) else 0
