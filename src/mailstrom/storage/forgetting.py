"""How an address is erased from a plain storage, which can neither search nor delete.

What is known here leads to it: the messages with work left, and the ids of those completed
since. Its place in the status stays, since others are known by theirs, under a word that is
never shown (`changes.shown`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from ..abc import InternalMessageStatus
from ..errors import MessageNotFound
from . import changes
from .border import border
from .index import Message
from .picking import is_same_address
from .status_writer import Changed, StatusWriter


def forget(writer: StatusWriter, address: str) -> int:
    """Erases the address where it is completed, and what was told of it; how many recipients that were."""
    with writer.lock:
        incomplete, completed = list(writer.index.messages.values()), list(writer.index.completed)
    count = sum(_in_message(writer, message, address) for message in incomplete)
    count += sum(_in_completed(writer, message_id, address) for message_id in completed)
    with writer.lock:
        awaited = {name for name, message in writer.index.messages.items() if _awaits(message, address)}
        writer.journal.forget(address, but_of=awaited)
    return count


def _in_message(writer: StatusWriter, message: Message, address: str) -> int:
    if not _erased(message.recipients, address):
        return 0
    with message.writing:
        erased = _erased(message.recipients, address)
        status = _without(message.status, erased)
        if not writer.write(message, status):
            return 0
        with writer.lock:
            message.kept, message.recipients = status, status.recipients
    return len(erased)


def _in_completed(writer: StatusWriter, message_id: str, address: str) -> int:
    try:
        with border("read a status"):
            status = writer.storage.retrieve_status(message_id)
    except MessageNotFound:
        return 0
    erased = _erased(status.recipients, address)
    if not erased or status.completed_at is None:
        return 0
    left = _without(status, erased)
    with border("write a status"), suppress(MessageNotFound):
        writer.storage.update_status(left)
    if left.idempotency_key is None:
        with writer.lock:
            writer.index.forget_key(status)
    return len(erased)


def _erased(recipients: changes.Recipients, address: str) -> Changed:
    return {
        position: changes.forgotten(recipient)
        for position, recipient in enumerate(recipients)
        if recipient.result.completed and is_same_address(recipient.address, address)
    }


def _without(status: InternalMessageStatus, erased: Changed) -> InternalMessageStatus:
    """The status with these erased; where nobody is left, with nothing that its sender noted on it."""
    status = changes.with_recipients(status, erased)
    if changes.shown(status) is not None:
        return status
    return replace(status, metadata={}, idempotency_key=None, fingerprint="")


def _awaits(message: Message, address: str) -> bool:
    return any(
        not recipient.result.completed and is_same_address(recipient.address, address)
        for recipient in message.recipients
    )
