"""A process dies in a call that is no part of a delivery: the call was carried out whole, or not at all.

Row 50. Whoever comes after it may make the call again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailstrom.abc import Note, Order, Selection
from mailstrom.status import Delivered
from mailstrom.storage.sql.queue import SqlStorage
from mailstrom.testing.storage_kit import LATER, LEASE, NOW, an_entry, id_of, settlement, there
from tests.crashes.conftest import live
from tests.crashes.points import ONCE, Point, Side
from tests.crashes.program import CallLife, Place, UnheardPostgres
from tests.postgres import query

NOTE = Note(namespace="test", key="key", value="1", expires_at=LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call, what has to be there before, and what it changes."""

    name: str
    perform: Callable[[SqlStorage], object]
    seen: Callable[[SqlStorage], object]

    def __str__(self) -> str:
        return self.name


def one_delivered_one_waiting(storage: SqlStorage) -> None:
    to_two = an_entry("one", "a@dest.example", "b@dest.example")
    storage.store([to_two, an_entry("two", "c@other.example")])
    claim = there(storage.claim(NOW, owner="one", lease=LEASE), "a claim")
    assert claim.email.message_id == id_of("one")
    storage.settle([settlement(claim, Delivered(tries=1))], NOW)


def hold(storage: SqlStorage) -> object:
    return storage.order(Order.HOLD, Selection(message_id=id_of("two")), NOW)


def forget(storage: SqlStorage) -> object:
    return storage.forget("a@dest.example", NOW)


def put_note(storage: SqlStorage) -> object:
    return storage.put_note(NOTE, NOW)


def tell(storage: SqlStorage) -> object:
    return storage.events()


CALLS = (
    Call(name="order", perform=hold, seen=lambda s: [each.state for each in s.overview(NOW).backlog]),
    Call(name="forget", perform=forget, seen=lambda s: s.retrieve_status(id_of("one")).recipients),
    Call(name="put_note", perform=put_note, seen=lambda s: s.note("test", "key", NOW) is not None),
)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_call_that_is_cut_off_was_made_whole_or_not_at_all(
    place: Place, tmp_path: Path, call: Call, side: Side
) -> None:
    with closing(place.storage()) as storage:
        one_delivered_one_waiting(storage)
        before = call.seen(storage)

    at = Point(call=call.name, side=side, fate=ONCE)
    live(CallLife(place=place, point=at, perform=call.perform, folder=tmp_path).live, tmp_path)

    with closing(place.storage()) as storage:
        found = call.seen(storage)
        call.perform(storage)
        made = call.seen(storage)
    assert made != before
    assert found == (made if side is Side.AFTER else before)


@pytest.mark.parametrize("side", Side)
def test_events_that_were_being_numbered_are_told_once_and_in_order(
    database: str, tmp_path: Path, side: Side
) -> None:
    place = Place(storage_class=UnheardPostgres, path_or_dsn=database)
    with closing(place.storage()) as storage:
        one_delivered_one_waiting(storage)

    at = Point(call="events", side=side, fate=ONCE)
    live(CallLife(place=place, point=at, perform=tell, folder=tmp_path).live, tmp_path)

    numbered = query(database, "SELECT count(*) FROM mailstrom.events WHERE number IS NOT NULL")
    assert numbered == [(4 if side is Side.AFTER else 0,)]
    with closing(place.storage()) as storage:
        events = storage.events()
        assert [event.kind for event in events] == ["accepted", "accepted", "delivered", "delivered"]
        assert storage.events(events[0].cursor) == events[1:]
