"""What workers agree on in their storage's notes: who holds how many sessions, what was drawn of a rate."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mailstrom.abc import Note
from mailstrom.engine.bounds import Cap, Meter
from mailstrom.engine.patience import PatientCalls
from mailstrom.engine.quota_notes import LEASE_SECS, QuotaNotes, shared
from mailstrom.engine.thread import run_inline
from mailstrom.schedule.rate import Rate
from mailstrom.storage.exclusive import ExclusiveStorage
from mailstrom.storage.memory import MemoryStorage
from mailstrom.testing.clock import VirtualClock
from mailstrom.testing.loop import VirtualLoop, run_virtual

LEASE = int(LEASE_SECS * 1_000_000)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LONG_NAME = "mx." + "a" * 300 + ".example"


# Who holds what


def test_who_asks_first_gets_what_he_wants_and_the_next_what_is_left() -> None:
    first = shared({}, "a", 3, 5, now=0)
    second = shared(first, "b", 4, 5, now=1)

    assert second == {"a": (3, LEASE), "b": (2, 1 + LEASE)}


def test_who_asks_again_holds_that_in_place_of_what_he_held() -> None:
    assert shared({"a": (3, 5)}, "a", 5, 5, now=1) == {"a": (5, 1 + LEASE)}
    assert shared({"a": (3, 5)}, "a", 0, 5, now=1) == {}


def test_who_has_not_told_for_a_while_that_he_is_there_holds_nothing() -> None:
    held = shared({}, "a", 5, 5, now=0)

    assert shared(held, "b", 5, 5, now=LEASE - 1) == held
    assert shared(held, "b", 5, 5, now=LEASE) == {"b": (5, 2 * LEASE)}


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, LEASE)),
        max_size=30,
    )
)
def test_together_they_never_hold_more_than_is_allowed(steps: list[tuple[str, int, int]]) -> None:
    held, now, most = dict[str, tuple[int, int]](), 0, 5
    for owner, wanted, later in steps:
        now += later
        held = shared(held, owner, wanted, most, now)
        assert sum(count for count, until in held.values() if until > now) <= most


# In the notes


class Slow(ExclusiveStorage):
    """Between reading a note and writing it another worker is quicker, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__(MemoryStorage())
        self.times = times

    def put_note(self, note: Note, now: object) -> Note | None:
        if self.times:
            self.times -= 1
            return None
        return super().put_note(note, now)  # type: ignore[arg-type]


def in_turn(
    storage: ExclusiveStorage, *asked: tuple[str, Cap | Meter, int], apart_secs: float = 0.0
) -> list[object]:
    """What each owner got, asking for so many in turn."""
    loop = VirtualLoop()

    async def main() -> list[object]:
        clock, found = VirtualClock(loop), list[object]()
        calls = PatientCalls(run_inline, lambda _: None, lambda _: None)
        for owner, limit, wanted in asked:
            notes = QuotaNotes(storage, calls, clock, owner)
            if isinstance(limit, Meter):
                drawn = await notes.draw(limit)
                found.append(None if drawn is None else drawn.count)
            else:
                share = await notes.hold(limit, wanted)
                found.append(None if share is None else share.sessions)
            await asyncio.sleep(apart_secs)
        return found

    return run_virtual(main(), loop=loop)


def test_what_one_worker_holds_the_others_do_not_get() -> None:
    cap = Cap("google", 5)

    found = in_turn(
        ExclusiveStorage(MemoryStorage()), ("a", cap, 3), ("b", cap, 5), ("a", cap, 0), ("b", cap, 5)
    )

    assert found == [3, 2, 0, 5]


def test_what_one_worker_drew_of_a_rate_the_others_do_not_get() -> None:
    meter = Meter("google", Rate(10, 1, 1))

    storage = ExclusiveStorage(MemoryStorage())

    found = in_turn(storage, *[("a", meter, 0), ("b", meter, 0)] * 4, apart_secs=0.05)

    assert found == [1, 0, 1, 0, 1, 0, 1, 0]


def test_limits_of_one_kind_with_different_names_do_not_touch() -> None:
    caps = [Cap(name, 1) for name in ("google", LONG_NAME, LONG_NAME + ".other", "x")]

    assert in_turn(ExclusiveStorage(MemoryStorage()), *[("a", cap, 1) for cap in caps]) == [1, 1, 1, 1]
    assert in_turn(ExclusiveStorage(MemoryStorage()), *[(who, caps[1], 1) for who in "ab"]) == [1, 0]


def test_who_is_never_the_quicker_gets_nothing_now() -> None:
    cap, meter = Cap("google", 5), Meter("google", Rate(10, 1, 1))

    assert in_turn(Slow(9), ("a", cap, 5)) == [5]
    assert in_turn(Slow(10), ("a", cap, 5)) == [None]
    assert in_turn(Slow(10), ("a", meter, 0)) == [0]


def test_a_storage_that_fails_gives_nothing() -> None:
    class Failing(ExclusiveStorage):
        def note(self, namespace: str, key: str, now: object) -> Note | None:
            raise OSError("no route to it")

    storage = Failing(MemoryStorage())

    assert in_turn(storage, ("a", Cap("x", 5), 5), ("a", Meter("x", Rate(10, 1, 1)), 0)) == [None, None]


def test_notes_are_gone_when_they_say_nothing_more() -> None:
    storage = ExclusiveStorage(MemoryStorage())
    in_turn(storage, ("a", Cap("google", 5), 3))
    note = storage.note("sessions", "google", LONG_AGO)
    assert note is not None

    end = note.expires_at

    assert storage.note("sessions", "google", end - timedelta(seconds=1)) is not None
    assert storage.note("sessions", "google", end) is None
