"""Slips in the queue as tables: statements, and whose claims are free."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

from mailstrom.storage.sql import writing
from mailstrom.storage.sql.claiming import Claiming
from mailstrom.storage.sql.leasing import Leasing
from mailstrom.storage.sql.queue import SqlStorage
from mailstrom.storage.sql.script import Statement
from mailstrom.storage.sql.settling import Settling
from mailstrom.storage.sql.waiting import Waiting
from mailstrom.storage.sql.writing import _Done
from mailstrom.storage.sqlite_abandoned import AbandonedClaims
from mailstrom.storage.sqlite_workers import WorkerLocks

from . import replaces


def _edited(statement: str, *edit: str) -> str:
    assert edit[0] in statement, f"{edit[0]!r} is no part of {statement}"
    return statement.replace(*edit)


@replaces(Claiming, "_grant")
def two_workers_get_the_same_rows(right: Any, self: Any, *args: Any) -> Any:
    granted = yield from right(self, *args)
    sql = "UPDATE mailstrom_recipients SET place = 'ready' WHERE token = :token"
    for each in granted:
        yield Statement(sql, {"token": each.claim.token})
    return granted


@replaces(Claiming, "__init__")
def leases_of_rows_never_end(right: Any, self: Any, dialect: Any) -> None:
    right(self, dialect)
    self._make_ready = _edited(self._make_ready, "r.lease_until <=", "r.lease_until <= -1 +")


@replaces(Claiming, "__init__")
def rows_keep_no_crash_counter(right: Any, self: Any, dialect: Any) -> None:
    right(self, dialect)
    self._write_ahead = _edited(self._write_ahead, "crashes = crashes + 1", "crashes = crashes")


@replaces(Claiming, "_stop")
def a_cancel_of_claimed_rows_is_forgotten(right: Any, self: Any, found: Any, now: Any) -> Any:
    unmarked = [[each._replace(mark=None) for each in turn] for turn in found]
    return (yield from right(self, unmarked, now))


@replaces(Leasing, "__init__")
def the_mark_is_not_written(right: Any, self: Any, dialect: Any) -> None:
    right(self, dialect)
    self._mark = _edited(self._mark, "dot_sent = 1", "dot_sent = 0")


@replaces(Leasing, "__init__")
def a_cancel_does_not_stop_the_dot(right: Any, self: Any, dialect: Any) -> None:
    right(self, dialect)
    self._markable = _edited(self._markable, "AND r.mark IS NULL", "")


@replaces(Leasing, "mark_dots_sent")
def who_lost_the_rows_may_send_the_dot(right: Any, self: Any, dots: Any) -> Any:
    yield from right(self, dots)
    return [True] * len(dots)


@replaces(Settling, "__init__")
def who_lost_the_rows_may_settle_them(right: Any, self: Any, dialect: Any) -> None:
    """Whoever is known to have had them last, though the claim is over."""
    right(self, dialect)
    self._held = _edited(self._held, "AND r.lease_until IS NOT NULL", "")


@replaces(Settling, "_is_done")
def a_lost_reply_makes_a_result_be_refused(right: Any, self: Any, settlement: Any) -> Any:
    yield from ()
    return False


@replaces(writing, "updating")
def the_mark_of_a_row_is_never_taken_away(right: Any, dialect: Any, table: Any, values: Any, row: Any) -> Any:
    return right(dialect, table, {name: values[name] for name in values if name != "dot_sent"}, row)


@replaces(_Done, "_tell")
def nothing_is_told_of_rows(right: Any, self: Any, *event: Any) -> None:
    pass


@replaces(_Done, "_note")
def messages_are_never_completed(right: Any, self: Any, seq: Any, at: Any) -> None:
    pass


@replaces(Waiting, "next_due")
def the_next_due_row_is_found_too_late(right: Any, self: Any, now: Any, skip: Any) -> Any:
    due_at = yield from right(self, now, skip)
    return None if due_at == now else due_at


@replaces(SqlStorage, "claim_many")
def every_claim_begins_at_the_first_key(right: Any, self: Any, *args: Any) -> Any:
    claims = right(self, *args)
    self._last_key = ""
    return claims


@replaces(AbandonedClaims, "end")
def claims_of_the_dead_wait_for_their_leases(right: Any, self: Any) -> None:
    pass


@replaces(WorkerLocks, "dead")
@contextmanager
def everybody_else_is_taken_for_dead(right: Any, self: Any, owner: str) -> Any:
    yield owner not in self._held
