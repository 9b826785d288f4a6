"""The queue in memory: fast, bounded, and gone with the process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from ..abc import InternalMessageStatus, PreparedEmail, Storage
from ..errors import ConfigError, DuplicateMessage, MailstromError, MessageNotFound, QueueFull
from .fork import call_in_forked_child


class MemoryStorage(Storage):
    """A queue that ends with the process; full at `max_messages` or `max_bytes`.

    Both bound what is not completed: messages, and octets of their content. The content is
    dropped as soon as a message is completed; its status stays for `retention` after that, at
    most `max_completed` of them, the longest completed go first. Retention is measured
    between the instants in the statuses themselves, no clock is read.

    A message counts as completed when its `completed_at` is set. Any thread may use it. A
    forked child starts with an empty one: what the parent stored, the parent delivers.
    """

    durable = False
    never_blocks = True

    def __init__(
        self,
        max_messages: int = 100_000,
        max_bytes: int = 1 << 30,
        retention: timedelta = timedelta(days=1),
        max_completed: int = 100_000,
    ) -> None:
        _check_bound("max_messages", max_messages)
        _check_bound("max_bytes", max_bytes)
        _check_bound("max_completed", max_completed)
        _check_retention(retention)
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._retention = retention
        self._max_completed = max_completed
        self._empty()
        call_in_forked_child(self._empty)

    def store(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
        """Keeps both; raises `DuplicateMessage` or `QueueFull`."""
        self.store_all([(email, status)])

    def store_all(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> None:
        """Keeps all of them or none; the exception's `index` is the position of the one at fault."""
        with self._lock:
            self._check_room(entries)
            for email, status in entries:
                self._add(email, status)

    def update_status(self, status: InternalMessageStatus) -> None:
        """Replaces the status; with the last recipient completed the content is dropped."""
        with self._lock:
            if status.message_id not in self._statuses:
                raise MessageNotFound(status.message_id)
            self._statuses[status.message_id] = status
            if status.completed_at is not None and status.message_id in self._emails:
                self._complete(status.message_id, status.completed_at)

    def retrieve(self, message_id: str) -> tuple[PreparedEmail, InternalMessageStatus]:
        """The email and its status; raises `MessageNotFound`, also once the message is completed."""
        with self._lock:
            if message_id not in self._emails:
                raise MessageNotFound(message_id)
            return self._emails[message_id], self._statuses[message_id]

    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        """The status; raises `MessageNotFound`, also once `retention` is over."""
        with self._lock:
            if message_id not in self._statuses:
                raise MessageNotFound(message_id)
            return self._statuses[message_id]

    def retrieve_all_incomplete(self) -> list[InternalMessageStatus]:
        """Every message that is not completed, oldest first."""
        with self._lock:
            return [self._statuses[message_id] for message_id in self._emails]

    def retrieve_all_recent(self) -> list[InternalMessageStatus]:
        """Every incomplete message, and those completed since the last such call, oldest first."""
        with self._lock:
            recent = [
                status
                for message_id, status in self._statuses.items()
                if message_id in self._emails or message_id in self._unreported
            ]
            self._unreported.clear()
            return recent

    def _empty(self) -> None:
        self._lock = threading.Lock()
        self._statuses: dict[str, InternalMessageStatus] = {}  # oldest first
        self._emails: dict[str, PreparedEmail] = {}  # of what is not completed, oldest first
        self._bytes = 0  # of content in _emails
        self._completed: deque[tuple[datetime, str]] = deque()  # longest completed first
        self._unreported: set[str] = set()  # completed since retrieve_all_recent

    def _check_room(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> None:
        ids: set[str] = set()
        count, octets = len(self._emails), self._bytes
        for index, (email, status) in enumerate(entries):
            if status.message_id in self._statuses or status.message_id in ids:
                raise _at(index, DuplicateMessage(status.message_id))
            ids.add(status.message_id)
            count, octets = count + 1, octets + len(email.content)
            if count > self._max_messages or octets > self._max_bytes:
                raise _at(index, self._full(len(email.content)))

    def _full(self, size: int) -> QueueFull:
        return QueueFull(
            f"the queue is full: {len(self._emails)} of at most {self._max_messages} messages and "
            f"{self._bytes} of at most {self._max_bytes} octets wait, and {size} octets were to be added; "
            "try again when mail was delivered, or give MemoryStorage a larger max_messages or max_bytes"
        )

    def _add(self, email: PreparedEmail, status: InternalMessageStatus) -> None:
        self._statuses[status.message_id] = status
        self._emails[status.message_id] = email
        self._bytes += len(email.content)
        if status.completed_at is not None:
            self._complete(status.message_id, status.completed_at)
        else:
            self._free(status.submitted_at)

    def _complete(self, message_id: str, at: datetime) -> None:
        self._bytes -= len(self._emails.pop(message_id).content)
        self._unreported.add(message_id)
        self._completed.append((at, message_id))
        self._free(at)

    def _free(self, now: datetime) -> None:
        """Forgets what was completed too long ago, measured from the newest instant seen."""
        while self._completed and (
            len(self._completed) > self._max_completed or now - self._completed[0][0] >= self._retention
        ):
            _, message_id = self._completed.popleft()
            self._unreported.discard(message_id)
            del self._statuses[message_id]


def _at(index: int, error: MailstromError) -> MailstromError:
    error.index = index
    return error


def _check_bound(name: str, bound: object) -> None:
    if not isinstance(bound, int) or isinstance(bound, bool) or bound < 1:
        raise ConfigError(f"MemoryStorage.{name}: expected 1 or more, got {bound!r}")


def _check_retention(retention: object) -> None:
    if not isinstance(retention, timedelta) or retention <= timedelta(0):
        raise ConfigError(f"MemoryStorage.retention: expected a timedelta above 0, got {retention!r}")
