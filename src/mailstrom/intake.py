"""From a caller's email into the queue: checked, composed, stored, and told to observers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from .abc import Clock, InternalRecipientStatus, SharedStorage
from .config import Config
from .engine.door import Door
from .engine.events import Board, Observers
from .engine.platform import Platform
from .engine.waiting import Awaited, awaited_room
from .errors import ClosedError, MailstromError, MessageError, QueueFull
from .event import Event, EventKind
from .message.address import expanded, parse_mailboxes
from .message.email import Email
from .status import Queued
from .submission import (
    Entry,
    Moment,
    Submission,
    UnsignedDomains,
    entries_for,
    entry_for,
    newly_stored,
    recipient_for,
    submissions_of,
    with_index,
)

if TYPE_CHECKING:
    from email.message import Message

    from .message.address import Addresses

T = TypeVar("T")

CLOSING = "this Mailstrom is closing: it takes no more mail and is not started again"


class Intake:
    """Makes entries of emails, and stores them while the door is open and there is room. Any thread.

    `steady` is the queue's clock. `is_lost` says that what was stored will
    not be found any more.
    """

    def __init__(
        self,
        config: Config,
        storage: SharedStorage,
        *,
        platform: Platform,
        steady: Clock,
        door: Door,
        board: Board,
        observers: Observers,
        is_lost: Callable[[], bool],
    ) -> None:
        self._config = config
        self._storage = storage
        self._platform = platform
        self._steady = steady
        self._door = door
        self._board = board
        self._observers = observers
        self._is_lost = is_lost
        self._unsigned = UnsignedDomains()

    def entry(self, submission: Submission) -> Entry:
        """What is stored for one email."""
        return entry_for(submission, self._config, self._moment(), self._platform.new_id(), self._unsigned)

    def entries(self, emails: Iterable[Email | Message | bytes | Submission]) -> list[Entry]:
        """What is stored for several; an error names the index."""
        submissions, new_ids = submissions_of(emails), iter(self._platform.new_id, None)
        return entries_for(submissions, self._config, self._moment(), new_ids, self._unsigned)

    def recipients(self, given: Email | Message | bytes | Addresses) -> Sequence[InternalRecipientStatus]:
        """Whom an email goes to, or these addresses; nothing is stored."""
        if isinstance(given, (Email, bytes)) or hasattr(given, "get_payload"):
            _, status = self.entry(Submission(cast("Email | Message | bytes", given)))
            return status.recipients
        mailboxes = {each.address: each for each in expanded(parse_mailboxes(given, field="addresses"))}
        if not mailboxes:
            raise MessageError("addresses", given=given, expected="at least one address")
        now = self._steady.now()
        return [recipient_for(each, self._config, Queued(), now) for each in mailboxes.values()]

    def awaited_room(self, store: Callable[[], T]) -> Awaited[T | QueueFull]:
        """What `store` returns as soon as the queue has room for it."""
        return awaited_room(store, self._storage, self._board, self._platform)

    def store(self, entries: Sequence[Entry]) -> list[str]:
        """Stores all or none; tells what is new."""
        accepting = self._observers.accepting([email.message_id for email, _ in entries])
        with self._door.within() as is_open, accepting:
            if not is_open:
                raise ClosedError(CLOSING)
            ids = self._storage.store(entries)
            if self._is_lost():
                raise ClosedError("this Mailstrom was closed in the meantime: the mail was not taken")
            if self._observers.are_there:
                self._tell_accepted(newly_stored(entries, ids, self._storage))
        return ids

    def _tell_accepted(self, message_ids: Iterable[str]) -> None:
        for message_id in message_ids:
            now = self._steady.now()
            self._observers.tell(Event(kind=EventKind.ACCEPTED, at=now, message_id=message_id))

    def _moment(self) -> Moment:
        return Moment(wall=self._platform.clock.now(), steady=self._steady.now())


@contextmanager
def naming_the_index() -> Iterator[None]:
    """An error of one of several emails says in its text which it was."""
    try:
        yield
    except MailstromError as error:
        raise (error if error.index is None else with_index(error, error.index)) from error.__cause__
