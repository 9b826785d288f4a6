"""Events in memory: their order, their cursors, how many are kept."""

from __future__ import annotations

from datetime import timedelta

from mailstrom.abc import Event
from mailstrom.event import EventKind
from mailstrom.storage.journal import EVENTS_KEPT, Journal
from mailstrom.testing.storage_kit import LATER, NOW


def an_event(name: str, address: str | None = None, kind: EventKind = EventKind.DEFERRED) -> Event:
    return Event(kind=kind, at=NOW, message_id=name, address=address)


def names(events: list[Event]) -> list[str | None]:
    return [each.message_id for each in events]


def test_events_are_told_again_to_whoever_asks_with_the_same_cursor() -> None:
    journal = Journal()
    for name in "abcd":
        journal.tell(an_event(name))
    first, second, *_ = journal.after(None, 1000)

    assert names([first, second]) == ["a", "b"]
    assert names(journal.after(second.cursor, 1000)) == ["c", "d"]
    assert journal.after(second.cursor, 1) == journal.after(second.cursor, 1000)[:1]
    assert names(journal.after(0, 2)) == ["a", "b"]


def test_cursors_grow_also_where_the_clock_goes_back() -> None:
    journal = Journal()
    for minutes in (0, 5, -5, 0):
        journal.tell(Event(kind=EventKind.FAILED, at=NOW + timedelta(minutes=minutes)))

    cursors = [each.cursor or 0 for each in journal.after(None, 9)]

    assert cursors == sorted(set(cursors))


def test_a_cursor_of_an_earlier_process_does_not_hide_what_comes_later() -> None:
    earlier, later = Journal(), Journal()
    for name in "abc":
        earlier.tell(an_event(name))
    cursor = earlier.after(None, 9)[-1].cursor

    later.tell(Event(kind=EventKind.ACCEPTED, at=LATER, message_id="d"))

    assert names(later.after(cursor, 9)) == ["d"]


def test_the_oldest_go_first_when_there_are_too_many() -> None:
    journal = Journal()
    for number in range(EVENTS_KEPT + 2):
        journal.tell(an_event(str(number)))

    kept = journal.after(None, EVENTS_KEPT + 2)

    assert (names(kept[:1]), len(kept)) == (["2"], EVENTS_KEPT)


def test_what_is_forgotten_is_told_no_more_but_for_what_is_still_to_be_tried() -> None:
    journal = Journal()
    journal.tell(an_event("ended", kind=EventKind.ACCEPTED))
    for name, address in (
        ("ended", "You@dest.example"),
        ("open", "you@dest.example"),
        ("ended", "x@y.example"),
    ):
        journal.tell(an_event(name, address))

    journal.forget("you@DEST.example", but_of={"open"})

    told = [(each.message_id, each.address) for each in journal.after(None, 9)]
    assert told == [("ended", None), ("open", "you@dest.example"), ("ended", "x@y.example")]


def test_the_last_delivery_is_known_when_its_event_is_forgotten() -> None:
    journal = Journal()
    journal.tell(an_event("one", "you@dest.example", EventKind.DELIVERED))

    journal.forget("you@dest.example", but_of=())

    assert (journal.after(None, 9), journal.last_delivered_at) == ([], NOW)
