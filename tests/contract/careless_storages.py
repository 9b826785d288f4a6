"""SQLite and PostgreSQL, with methods that were written carelessly: each has one bug."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from mailstrom.abc import (
    Binding,
    Claim,
    Event,
    InternalMessageStatus,
    Note,
    PreparedEmail,
    Settlement,
    Terms,
)
from mailstrom.errors import MailstromError
from mailstrom.storage.postgres import PostgresStorage
from mailstrom.storage.sql.rotation import Served
from mailstrom.storage.sql.script import Batch, Row, Script, Statement, perform
from mailstrom.storage.sql.storing import Storing
from mailstrom.storage.sqlite import SqliteStorage

T = TypeVar("T")
Entries = Sequence[tuple[PreparedEmail, InternalMessageStatus]]


class SettlesForAnybody(SqliteStorage):
    """The token does not stand in WHERE: whoever has the message may settle it."""

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        return super().settle([replace(each, claim=self._as_it_is(each.claim)) for each in settlements], now)

    def _as_it_is(self, claim: Claim) -> Claim:
        found = self._read(partial(_claim_of, claim.email.message_id, claim.recipients[0].address))
        return replace(claim, owner=found[0][0], token=found[0][1]) if found else claim


def _claim_of(message_id: str, address: str) -> Script[Sequence[Row]]:
    sql = """
        SELECT owner, token FROM mailstrom_recipients WHERE address = :address AND lease_until IS NOT NULL
            AND seq = (SELECT seq FROM mailstrom_messages WHERE message_id = :message_id)"""
    return (yield Statement(sql, {"message_id": message_id, "address": address}))


class SettlesWhatItHolds(SqliteStorage):
    """A settlement of which a part was lost is taken for the rest."""

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        return [self._taken(each, now) for each in settlements]

    def _taken(self, settlement: Settlement, now: datetime) -> bool:
        each_alone = [replace(settlement, outcomes=(outcome,)) for outcome in settlement.outcomes]
        return any(super().settle(each_alone, now))


class GiveBackCountsACrash(SqliteStorage):
    def give_back(self, claim: Claim, not_before: datetime | None = None) -> None:
        counted = tuple(replace(each, crashes=each.crashes + 1) for each in claim.recipients)
        super().give_back(replace(claim, recipients=counted), not_before)


class StoresOneByOne(SqliteStorage):
    """What comes before an entry that is refused stays."""

    def store(self, entries: Entries) -> list[str]:
        ids: list[str] = []
        for index, entry in enumerate(entries):
            try:
                ids += super().store([entry])
            except MailstromError as error:
                error.index = index
                raise
        return ids


class TellsOnce(SqliteStorage):
    """An event goes when it was told: whoever else reads events misses it."""

    def events(self, after: int | None = None, *, limit: int = 1000) -> Sequence[Event]:
        told = super().events(after, limit=limit)
        if told:
            self._write(partial(_forget_events, told[-1].cursor))
        return told


def _forget_events(until: int | None) -> Script[None]:
    yield Statement("DELETE FROM mailstrom_events WHERE id <= :until", {"until": until})


class CountsEachNoteAnew(SqliteStorage):
    """A note that was gone for a while has version 1 again."""

    def put_note(self, note: Note, now: datetime) -> Note | None:
        return self._write(lambda: self._notes.put(note, note.version + 1, now))


class BeginsEachStepAnew(SqliteStorage):
    """Forgets which route key was served last."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        self._last_key = ""
        return super().claim_many(now, terms)


class BeginsEachStepAtTheFirstStream(SqliteStorage):
    """Forgets which stream of a route key was served last."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        self._claiming._picking.served = Served()
        return super().claim_many(now, terms)


class MarksWhatItRefuses(SqliteStorage):
    """Answers False, and the mark is there."""

    def mark_dots_sent(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> list[bool]:
        marked = super().mark_dots_sent(dots)
        for (claim, _), is_marked in zip(dots, marked, strict=True):
            if not is_marked:
                self._write(partial(_mark_claimed, claim))
        return marked


class MarksEachAlone(SqliteStorage):
    """The dot is marked for some where another is settled."""

    def mark_dots_sent(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> list[bool]:
        mark = super().mark_dots_sent
        return [any(mark([(claim, [each]) for each in addresses])) for claim, addresses in dots]


class MarksForAllClaims(SqliteStorage):
    """The addresses of one claim are marked for the others of the call, too."""

    def mark_dots_sent(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> list[bool]:
        every = {each for _, addresses in dots for each in addresses}
        super().mark_dots_sent([(claim, [each]) for claim, _ in dots for each in every])
        return super().mark_dots_sent(dots)


def _mark_claimed(claim: Claim) -> Script[None]:
    sql = "UPDATE mailstrom_recipients SET dot_sent = 1 WHERE token = :token AND lease_until IS NOT NULL"
    yield Statement(sql, {"token": claim.token})


# Outbox


class StoresBesideTheTransaction(SqliteStorage):
    """What is stored through the caller's connection is there whatever becomes of its transaction."""

    def bind(self, connection: object) -> Binding:
        super().bind(connection)
        return _Bound(self.store)


class StoresWithoutASavepoint(SqliteStorage):
    """Entries before one that was refused stay in the caller's transaction."""

    def bind(self, connection: Any) -> Binding:
        super().bind(connection)

        def execute(statement: Statement | Batch) -> Sequence[Row]:
            if isinstance(statement, Statement):
                return list(connection.execute(statement.sql, statement.params))
            connection.executemany(statement.sql, statement.params)
            return []

        return _Bound(lambda entries: perform(self._storing.store(entries), execute))


@dataclass(frozen=True, slots=True)
class _Bound(Binding):
    stored: Callable[[Entries], list[str]]

    def store(self, entries: Entries) -> list[str]:
        return self.stored(entries)


# Commits


class _Undone(MailstromError):
    """Rolls back a transaction that was performed to its end."""


class CommitsLater(SqliteStorage):
    """An operation that is late returns when all is done but the commit; the next call brings it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.late: list[Callable[[], Script[Any]]] = []
        super().__init__(*args, **options)

    def catch_up(self) -> None:
        late, self.late = self.late, []
        for script in late:
            super()._write(script)

    def later(self, script: Callable[[], Script[T]]) -> T:
        result = self.undone(script)
        self.late.append(script)
        return result

    def undone(self, script: Callable[[], Script[T]]) -> T:
        results: list[T] = []

        def to_its_end() -> Script[None]:
            results.append((yield from script()))
            raise _Undone

        try:
            self._write(to_its_end)
        except _Undone:
            return results[-1]
        raise AssertionError("it was rolled back")

    def _write(self, script: Callable[[], Script[T]], **options: Any) -> T:
        self.catch_up()
        return super()._write(script, **options)

    def _read(self, script: Callable[[], Script[T]]) -> T:
        self.catch_up()
        return super()._read(script)


class StoresBeforeTheCommit(CommitsLater):
    def store(self, entries: Entries) -> list[str]:
        return self.later(lambda: self._storing.store(entries))


class ClaimsBeforeTheCommit(CommitsLater):
    """The claim is not written ahead."""

    def claim_many(self, now: datetime, terms: Terms) -> list[Claim]:
        if (workers := self._living().workers) is not None:
            workers.hold(terms.owner)
        granted = self.later(partial(self._claiming.claim, now, terms, after=self._last_key))
        for each in granted:
            self._last_key = each.claim.route_key
        return [each.claim for each in granted]


class SettlesBeforeTheCommit(CommitsLater):
    def settle(self, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
        return self.later(lambda: self._settling.settle(settlements, now))


class MarksDotBeforeTheCommit(CommitsLater):
    """The mark is in memory when the dot goes out."""

    def mark_dots_sent(self, dots: Sequence[tuple[Claim, Collection[str]]]) -> list[bool]:
        return self.later(lambda: self._leasing.mark_dots_sent(dots))


class ChecksKeyThenInserts(CommitsLater):
    """Two that find an idempotency key free at the same time both store under it."""

    def store(self, entries: Entries) -> list[str]:
        ids = self.undone(lambda: self._storing.store(entries))
        new = [entry for entry, stands in zip(entries, ids, strict=True) if entry[1].message_id == stands]
        self._write(lambda: self._inserted(new))
        return ids

    def _inserted(self, new: Entries) -> Script[None]:
        ids = yield from self._storing.store(new)
        for (email, status), stands in zip(new, ids, strict=True):
            if status.message_id != stands:
                yield from self._storing.store([(email, replace(status, idempotency_key=None))])


# PostgreSQL


class StoresOneAfterTheOther(PostgresStorage):
    """Takes turns, so that a later event commits later."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._storing = self._storing_bound = _InTurn(self.dialect)


class _InTurn(Storing):
    def store(self, entries: Entries, *, repeated: bool = False) -> Script[list[str]]:
        [(is_free,)] = yield Statement("SELECT pg_try_advisory_xact_lock(4)", {})
        if not is_free:
            raise _WouldWait
        return (yield from super().store(entries, repeated=repeated))


class _WouldWait(MailstromError):
    """For a transaction that somebody else may leave open; the test need not."""
