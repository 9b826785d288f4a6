"""The queue in a database: every operation of the contract as one script in one transaction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NoReturn, TypeVar

from ...abc import (
    EVERYTHING,
    Claim,
    Event,
    InternalMessageStatus,
    Note,
    Order,
    Ordered,
    Overview,
    PreparedEmail,
    Selection,
    Settlement,
    SharedStorage,
    Terms,
    Trying,
)
from ...errors import StorageError
from ...records import START, Cursor
from .claiming import Claiming, Granted
from .contents import Contents
from .controlling import Controlling
from .dialect import Dialect
from .events import Events
from .leasing import Leasing
from .looking import Details, Looking
from .notes import Notes
from .purging import Purging
from .reading import Reading
from .script import Script
from .settling import End, Settling, end_of
from .storing import Storing
from .waiting import Waiting

T = TypeVar("T")

STATUS_RETENTION = timedelta(days=30)
GIVEN_BACK_AT_ONCE = 2000  # recipients, or a few more


class SqlStorage(SharedStorage):
    """`SharedStorage` over whatever performs a script in a transaction.

    Of a completed message the body is kept for `retention`, all else for `status_retention`.
    A subclass brings `_write` and `_read`; both may be called from any thread, and let no
    foreign error through.
    """

    durable = True
    #: A claim outlives a loss of power. Needed where the database can lose power alone.
    claims_synced = True

    def __init__(
        self,
        dialect: Dialect,
        *,
        retention: timedelta = timedelta(0),
        status_retention: timedelta = STATUS_RETENTION,
    ) -> None:
        self.dialect = dialect
        self._storing = Storing(dialect)
        self._claiming = Claiming(dialect)
        self._contents = Contents(dialect)
        self._leasing = Leasing(dialect)
        self._settling = Settling(dialect)
        self._waiting = Waiting(dialect)
        self._controlling = Controlling(dialect)
        self._reading = Reading(dialect)
        self._looking = Looking(dialect)
        self._events = Events(dialect)
        self._notes = Notes(dialect)
        self._purging = Purging(dialect, retention=retention, status_retention=status_retention)
        # what a call that failed may have recorded nevertheless; whoever made it makes it again
        self._doubtful: set[End] = set()
        self._last_key = ""  # the route key that was served last

    @abstractmethod
    def _write(
        self,
        script: Callable[[], Script[T]],
        *,
        synced: bool = True,
        repeated: Callable[[], Script[T]] | None = None,
    ) -> T:
        """The script's result, performed in one write transaction and committed.

        `synced`: it outlives a loss of power. Where trouble ended the transaction before its
        commit, it may be performed again; where the reply to a COMMIT was lost, `repeated` is
        performed instead, or the script again where there is none.
        """

    @abstractmethod
    def _read(self, script: Callable[[], Script[T]]) -> T:
        """The script's result, from one consistent view; it changes nothing."""

    def store(self, entries: Sequence[tuple[PreparedEmail, InternalMessageStatus]]) -> list[str]:
        """Keeps all of them or none; the ids under which they stand, in the same order."""
        return self._write(
            lambda: self._storing.store(entries), repeated=lambda: self._storing.store(entries, repeated=True)
        )

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        """The next due work, in one step: at most `terms.limit` claims."""
        granted: Sequence[Granted] = ()

        def claimed() -> Script[Sequence[Granted]]:
            nonlocal granted
            granted = yield from self._claiming.claim(now, terms, after=self._last_key)
            return granted

        def claimed_again() -> Script[Sequence[Granted]]:
            if (yield from self._claiming.stand(granted)):
                return granted
            return (yield from claimed())

        committed = self._write(claimed, repeated=claimed_again, synced=self.claims_synced)
        self._claiming.keep(committed)
        for each in committed:
            self._last_key = each.claim.route_key
        return [each.claim for each in committed]

    def read_content(self, claim: Claim, start: int) -> bytes | None:
        """Octets of the claimed email's content from `start` on; None where the claim was lost."""
        return self._read(lambda: self._contents.read(claim, start))

    def renew(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim | None]:
        """Each claim with a later `lease_until`, or None where it was lost."""
        return self._write(lambda: self._leasing.renew(claims, lease), synced=False)

    def mark_dots_sent(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> list[bool]:
        """Notes that final dots are about to be written; False where the claim was lost."""
        return self._write(lambda: self._leasing.mark_dots_sent(dots), synced=False)

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        """Records the results of some claims' recipients and ends the claims for them."""
        doubtful = self._doubtful and self._doubtful.intersection(map(end_of, settlements))
        try:
            taken = self._write(
                lambda: self._settling.settle(settlements, now, doubtful),
                repeated=lambda: self._settling.settle(settlements, now, set(map(end_of, settlements))),
            )
        except StorageError:
            self._doubtful.update(map(end_of, settlements))
            raise
        if doubtful:
            self._doubtful.difference_update(doubtful)
        return taken

    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        """Undoes a claim without a try or a crash; due again at once, or at `not_before`."""
        self._write(lambda: self._settling.give_back([claim], not_before), synced=False)

    def give_back_many(self, claims: Sequence[Claim]) -> None:
        """Undoes several claims, due again at once: a part of them in a step, for all may be many rows."""
        for part in _parts(claims):
            self._write(partial(self._settling.give_back, part, None), synced=False)

    def next_due(self, now: datetime, skip: Collection[str] = ()) -> datetime | None:
        """When the next work that is not in `skip` falls due or its lease ends; None: no work waits."""
        return self._read(lambda: self._waiting.next_due(now, skip))

    def is_idle(self) -> bool:
        """No recipient is left to try: all are completed or held, none is claimed."""
        return self._read(self._waiting.is_idle)

    def pull_in(self, latest: datetime) -> int:
        """Makes deferred recipients that are due after `latest` due then; how many they were."""
        count = 0
        while pulled := self._write(lambda: self._controlling.pull_in(latest)):  # nobody waits long for it
            count += pulled
        return count

    def retrieve_status(self, message_id: str) -> InternalMessageStatus:
        """The status; raises `MessageNotFound`."""
        return self._read(lambda: self._reading.status(message_id))

    def retrieve_all_incomplete(
        self, selection: Selection = EVERYTHING, *, limit: int | None = None
    ) -> Sequence[InternalMessageStatus]:
        """Every message with work left among the recipients selected, oldest first, at most `limit`."""
        return self._read(lambda: self._reading.incomplete(selection, limit))

    def retrieve_all_recent(self) -> Sequence[InternalMessageStatus]:
        """Every incomplete message, and those completed since the last such call, oldest first."""
        found = self._read(self._reading.recent)
        if completed := [each.message_id for each in found if each.completed_at is not None]:
            self._write(lambda: self._reading.report(completed), synced=False)
        return found

    def overview(self, now: datetime) -> Overview:
        """How full the queue is at `now`."""
        return self._read(lambda: self._reading.overview(now))

    def details(self, message_ids: Sequence[str]) -> Mapping[str, Details]:
        """What is known of these messages beside their statuses; who is not known is not there."""
        return self._read(lambda: self._looking.details(message_ids))

    def being_tried(self, message_id: str) -> Mapping[str, Trying]:
        """By address, who of the message is claimed and its lease not over."""
        return self._read(lambda: self._looking.trying([message_id])).get(message_id, {})

    def claimed_messages(self) -> Sequence[str]:
        """The ids of messages of whose recipients any is being tried at this moment, oldest first."""
        return self._read(self._looking.claimed)

    def events(self, after: int | None = None, *, limit: int = 1000) -> Sequence[Event]:
        """The status changes behind the cursor `after`, in order, at most `limit`."""
        if self._read(self._events.has_untold):  # asked first: else what others number meanwhile is missed
            self._write(lambda: self._events.number(limit))
        return self._read(lambda: self._events.told(after, limit))

    def order(
        self, order: Order, selection: Selection, now: datetime, *, after: Cursor = START, limit: int = 1000
    ) -> Sequence[Ordered]:
        """Carries the order out for up to `limit` of the recipients it would change; those, oldest first."""
        return self._write(
            lambda: self._controlling.order(order, selection, now, after, limit), repeated=_in_doubt
        )

    def purge(self, now: datetime, *, limit: int = 1000) -> int:
        """Removes what its retention is over for, a small batch in each call; 0: nothing was left."""
        return self._write(lambda: self._purging.purge(now, limit), synced=False)

    def forget(self, address: str, now: datetime) -> int:
        """Erases this recipient address wherever it is completed; how many recipients that were."""
        return self._write(lambda: self._purging.forget(address), repeated=_in_doubt)

    def note(self, namespace: str, key: str, now: datetime) -> Note | None:
        """The note; None where there is none, or it has expired."""
        return self._read(lambda: self._notes.read(namespace, key, now))

    def put_note(self, note: Note, now: datetime) -> Note | None:
        """Keeps the note and returns it with its new version: compare and set."""
        version = self._write(self._notes.new_version, synced=False)
        return self._write(
            lambda: self._notes.put(note, version, now),
            repeated=lambda: self._notes.put(note, version, now, repeated=True),
        )


def _parts(claims: Sequence[Claim]) -> Iterator[list[Claim]]:
    """The claims, so many together as are given back at once."""
    part, recipients = list[Claim](), 0
    for claim in claims:
        part.append(claim)
        recipients += len(claim.recipients)
        if recipients >= GIVEN_BACK_AT_ONCE:
            yield part
            part, recipients = [], 0
    if part:
        yield part


def _in_doubt() -> NoReturn:
    """For what can be told only by whoever has done it."""
    raise StorageError(
        "storage: the connection broke off at the end, and it may have been carried out: look, and call again"
    )
