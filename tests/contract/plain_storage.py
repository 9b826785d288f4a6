"""The smallest storage a user could write: six methods over a dict; and what a durable one adds."""

from __future__ import annotations

import threading

from mailstrom.abc import InternalMessageStatus, PreparedEmail, Storage
from mailstrom.errors import DuplicateMessage, MessageNotFound


class PlainStorage(Storage):
    """Keeps everything for ever. `durable` only says so: what is in it survives an adapter."""

    def __init__(self, *, durable: bool = False) -> None:
        self.durable = durable
        self.lock = threading.RLock()
        self.emails: dict[str, PreparedEmail] = {}
        self.statuses: dict[str, InternalMessageStatus] = {}
        self.reported: set[str] = set()

    def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
        with self.lock:
            if status.message_id in self.emails:
                raise DuplicateMessage(status.message_id)
            self.emails[status.message_id] = email
            self.statuses[status.message_id] = status

    def update_status(self, status: InternalMessageStatus) -> None:
        with self.lock:
            if status.message_id not in self.statuses:
                raise MessageNotFound(status.message_id)
            self.statuses[status.message_id] = status

    def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
        return self.emails[self._known(message_id)], self.statuses[message_id]

    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        return self.statuses[self._known(message_id)]

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        with self.lock:
            return [status for status in self.statuses.values() if status.completed_at is None]

    def retrieve_all_recent(self) -> list[InternalMessageStatus]:
        with self.lock:
            recent = [each for each in self.statuses.values() if each.message_id not in self.reported]
            self.reported |= {each.message_id for each in recent if each.completed_at is not None}
            return recent

    def _known(self, message_id: str) -> str:
        if message_id not in self.statuses:
            raise MessageNotFound(message_id)
        return message_id
