"""The way of a changed status: into the plain storage, then into the index, then it is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

from ..abc import InternalMessageStatus, InternalRecipientStatus, PreparedEmail, Storage
from ..errors import MessageNotFound
from . import changes
from .border import border
from .index import Lease, LeaseIndex, Message
from .journal import Journal

Changed = dict[int, InternalRecipientStatus]  # by position


class StatusWriter:
    """Writes what was decided while the message's `writing` lock is held.

    The lock given here is that of index and journal; it is never held while the storage is called.
    """

    def __init__(self, storage: Storage, lock: threading.Lock, index: LeaseIndex, journal: Journal) -> None:
        self.storage = storage
        self.lock = lock
        self.index = index
        self.journal = journal

    def replace(
        self,
        message: Message,
        changed: Changed,
        now: datetime | None = None,
        *,
        ended: Lease | None = None,
        write: bool = True,
        settled: bool = False,
    ) -> bool:
        """Writes and commits the changed recipients, and ends the lease for them.

        Tells of those that complete, and of all where they are `settled`; `now` is needed then.
        False when the storage does not have the message any more. Nothing is changed where the
        storage fails.
        """
        if not changed:
            return True
        completes = sum(recipient.result.completed for recipient in changed.values()) == message.left
        status = changes.with_recipients(message.status, changed, completed_at=now if completes else None)
        if write and not self.write(message, status):
            return False
        with self.lock:
            self.index.commit(message, status, changed, ended)
            if now is not None:
                told = [each for each in changed.values() if settled or each.result.completed]
                self._tell(status.message_id, told, now)
        return True

    def write(self, message: Message, status: InternalMessageStatus) -> bool:
        """Writes the status; False when the storage does not have the message any more."""
        try:
            with border("write a status"):
                self.storage.update_status(status)
        except MessageNotFound:
            self._let_go(message)
            return False
        return True

    def email(self, message: Message) -> PreparedEmail | None:
        """The email, or None when the storage does not have it any more: nothing is tried then."""
        try:
            with border("read an email"):
                return self.storage.retrieve(message.status.message_id)[0]
        except MessageNotFound:
            self._let_go(message)
            return None

    def reverse_path(self, message: Message) -> str | None:
        """Who sent it; the storage is asked once. None when it does not have the message any more."""
        if message.reverse_path is None:
            with border("read an email"), suppress(MessageNotFound):
                message.reverse_path = self.storage.retrieve(message.status.message_id)[0].reverse_path
        return message.reverse_path

    def _tell(self, message_id: str, recipients: Collection[InternalRecipientStatus], at: datetime) -> None:
        for recipient in recipients:
            event = changes.event_of(message_id, recipient, at)
            if event is not None:
                self.journal.tell(event)

    def _let_go(self, message: Message) -> None:
        logging.getLogger("mailstrom.storage").error(
            "message %s is gone from the storage with work left; it is tried no more",
            message.status.message_id,
        )
        with self.lock:
            self.index.forget(message)
