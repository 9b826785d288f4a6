"""The way of a changed status: into the plain storage, then into the index, then it is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from ..abc import InternalMessageStatus, InternalRecipientStatus, PreparedEmail, Storage
from ..errors import MailstromError, MessageNotFound
from . import changes
from .border import border, foreign
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
        Without `write`, which is for what completes nobody, the storage is not called. False when the
        storage does not have the message any more. Nothing is changed where the storage fails.
        """
        if not changed:
            return True
        recipients, status = changes.in_place(message.recipients, changed), None
        if write:
            completes = len([each for each in changed.values() if each.result.completed]) == message.left
            completed_at = now if completes else None
            status = changes.restated(message.kept, recipients, completed_at=completed_at)
            if not self.write(message, status):
                return False
        with self.lock:
            self.index.commit(message, recipients, changed, ended, status)
            if now is not None and write:
                self._tell(message.kept.message_id, changed.values(), now, deferrals=settled)
        return True

    def write(self, message: Message, status: InternalMessageStatus) -> bool:
        """Writes the status; False when the storage does not have the message any more."""
        try:
            self.storage.update_status(status)
        except MessageNotFound:
            self._let_go(message)
            return False
        except MailstromError:
            raise
        except Exception as error:
            raise foreign("write a status", error) from error
        return True

    def email(self, message: Message) -> PreparedEmail | None:
        """The email, or None when the storage does not have it any more: nothing is tried then."""
        try:
            return self.storage.retrieve(message.kept.message_id)[0]
        except MessageNotFound:
            self._let_go(message)
            return None
        except MailstromError:
            raise
        except Exception as error:
            raise foreign("read an email", error) from error

    def reverse_path(self, message: Message) -> str | None:
        """Who sent it; the storage is asked once. None when it does not have the message any more."""
        if message.reverse_path is None:
            with border("read an email"), suppress(MessageNotFound):
                message.reverse_path = self.storage.retrieve(message.kept.message_id)[0].reverse_path
        return message.reverse_path

    def _tell(
        self, message_id: str, after: Iterable[InternalRecipientStatus], at: datetime, *, deferrals: bool
    ) -> None:
        for recipient in after:
            if deferrals or recipient.result.completed:
                event = changes.event_of(message_id, recipient, at)
                if event is not None:
                    self.journal.tell(event)

    def _let_go(self, message: Message) -> None:
        logging.getLogger("mailstrom.storage").error(
            "message %s is gone from the storage with work left; it is tried no more",
            message.kept.message_id,
        )
        with self.lock:
            self.index.forget(message)
