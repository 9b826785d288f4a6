"""Row 62, when the fault is ours: a rule over who was reached, and who was not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.engine.reach import (
    FIRST_WAIT_SECS,
    KNOWN_LIMIT,
    LONGEST_WAIT_SECS,
    SILENCE_SECS,
    SPARED_SECS,
    Reach,
)


def told(story: str) -> Reach:
    """After these, a second apart: a capital was reached, a small letter was missed."""
    reach = Reach()
    for now, who in enumerate(story):
        if who.isupper():
            reach.reached(who.lower(), now)
        else:
            reach.missed(who, began_at=now, now=now)
    return reach


@pytest.mark.parametrize(
    ("story", "is_suspected"),
    [
        ("", False),
        ("ABC", False),
        ("Aab", False),  # two
        ("Aabbbbaaa", False),  # still two
        ("Aabc", True),
        ("Abca", True),  # the known one may come last
        ("Abcdefgh", False),  # others are dead, and were never reached: no matter how many
        ("Aab" + "A" + "bc", False),  # in a row: somebody was reached in between
        ("abc", True),  # nobody was ever reached
        ("ab", False),
    ],
)
def test_three_different_ones_in_a_row_are_suspect_where_one_of_them_was_reached_before(
    story: str, is_suspected: bool
) -> None:
    """Dead destinations alone must not look like a lost network whenever there is no other mail."""
    assert told(story).is_suspected is is_suspected


def test_the_third_is_spared_its_try_at_once_and_a_minute_later_the_network_has_failed() -> None:
    """The first two cannot be told from dead hosts."""
    reach = Reach()
    reach.reached("a", 0.0)

    counted = [reach.missed(each, began_at=5.0, now=5.0) for each in ("a", "b")]
    spared = [reach.missed(each, began_at=5.0, now=5.0) for each in ("c", "b")]
    too_early = (reach.missed("c", began_at=64.0, now=64.0), reach.has_failed)[1]
    reach.missed("a", began_at=64.0, now=65.0)

    assert counted == [None, None]
    assert spared == [5.0 + FIRST_WAIT_SECS] * 2
    assert (too_early, reach.has_failed) == (False, True)


def test_the_minute_counts_from_when_somebody_was_reached_last() -> None:
    """A pass may have begun before, and ended in vain after."""
    reach = Reach()
    reach.reached("a", 100.0)

    for each in ("a", "b", "c"):
        reach.missed(each, began_at=80.0, now=100.0 + SILENCE_SECS - 1)
    before = reach.has_failed
    reach.missed("a", began_at=150.0, now=100.0 + SILENCE_SECS)

    assert (before, reach.has_failed) == (False, True)


def test_a_long_silence_before_is_no_evidence() -> None:
    """Nobody was reached for an hour, since there was nothing to send."""
    reach = Reach()
    reach.reached("a", 0.0)

    for each in ("a", "b", "c"):
        reach.missed(each, began_at=3600.0, now=3601.0)

    assert (reach.is_suspected, reach.has_failed) == (True, False)


def test_whoever_is_reached_ends_it() -> None:
    reach = told("Aabc")
    reach.missed("a", began_at=100.0, now=100.0)
    failed_before = reach.has_failed

    ended = reach.reached("z", 101.0)

    assert (failed_before, ended) == (True, True)
    assert (reach.has_failed, reach.is_suspected) == (False, False)
    assert reach.reached("z", 102.0) is False
    assert reach.missed("a", began_at=102.0, now=102.0) is None


def test_each_is_asked_again_later_and_later_up_to_ten_minutes() -> None:
    reach = told("Aabc")
    now, waits = 10.0, []

    for _ in range(9):
        again_at = reach.missed("c", began_at=now, now=now)
        waits.append((again_at or 0.0) - now)
        now = again_at or 0.0

    assert waits == [3.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0, 600.0]  # 10 from second 3 on


def test_those_that_were_under_way_together_are_one_time_of_asking() -> None:
    """Twenty at once would else mean ten minutes of rest after the first."""
    reach = told("Aabc")

    again = {reach.missed("a", began_at=40.0, now=40.0) for _ in range(20)}

    assert again == {50.0}


def test_a_destination_is_spared_its_tries_for_a_day_at_most_and_then_no_more() -> None:
    reach = told("Aabc")
    day = SPARED_SECS

    times = (10.0, day / 2, day, day + 3.0, day * 1.4)
    spared = [reach.missed("c", began_at=at, now=at) is not None for at in times]
    other = reach.missed("d", began_at=day * 1.4, now=day * 1.4)

    assert spared == [True, True, True, False, False]  # the first time was second 3
    assert other is not None


def test_no_second_day_begins_where_look_ups_fail_as_well() -> None:
    """What was a lane is a route key then, for the same mail; and once that leads to somebody it ends."""
    reach = told("Aabc")
    late = SPARED_SECS - 9

    spared = [
        reach.missed("key", began_at=at, now=at, formerly="c") is not None for at in (late, late + 20)
    ]
    reach.knows("key")

    assert spared == [True, False]
    assert reach.missed("key", began_at=late + 30, now=late + 30) is not None


def test_the_day_goes_on_over_faults_that_somebody_else_ended() -> None:
    """Else dead destinations beside one that is reached now and then were spared for ever."""
    reach = Reach()
    spared = []
    for hour in range(30):
        at = hour * 3600.0
        reach.reached("a", at)
        spared.append([reach.missed(each, began_at=at + 1, now=at + 1) for each in "abc"][-1] is not None)

    assert spared == [True] * 24 + [False] * 6


@pytest.mark.parametrize("first", ["c", "z"])
def test_one_that_was_reached_has_a_day_again(first: str) -> None:
    """Whether it was the first that was reached again, or another."""
    reach = told("Aabc")
    reach.missed("c", began_at=SPARED_SECS - 9, now=SPARED_SECS - 9)
    reach.reached(first, SPARED_SECS + 9)
    reach.reached("c", SPARED_SECS + 10)
    for each in "ab":
        reach.missed(each, began_at=SPARED_SECS + 20, now=SPARED_SECS + 20)

    assert reach.missed("c", began_at=SPARED_SECS + 20, now=SPARED_SECS + 20) is not None


def test_where_our_own_network_says_that_it_has_no_way_one_destination_is_enough() -> None:
    """Of a relay: all mail goes there, and every address has no route (ENETUNREACH)."""
    reach = Reach()

    again_at = reach.missed("relay:r.example", began_at=0.0, now=0.0, is_proof=True)
    reach.missed("relay:r.example", began_at=60.0, now=60.0, is_proof=True)

    assert again_at == FIRST_WAIT_SECS
    assert reach.has_failed


def test_what_is_remembered_is_bounded() -> None:
    reach = Reach()

    for number in range(KNOWN_LIMIT + 10):
        reach.reached(f"{number}", 0.0)
    for number in range(KNOWN_LIMIT + 10):
        reach.missed(f"{number}", began_at=1.0, now=1.0)

    assert {len(each) for each in (reach._known, reach._row, reach._spared)} == {KNOWN_LIMIT}


MOVES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.booleans(), st.floats(0, 2000), st.floats(0, 100)), max_size=60
)


@given(MOVES)
def test_whatever_happens_the_rule_keeps_what_it_promises(
    moves: list[tuple[str, bool, float, float]],
) -> None:
    reach, now, reached_at = Reach(), 100.0, 0.0  # what is missed began at 0 at the earliest
    known: set[str] = set()
    row: set[str] = set()
    for who, is_reached, later, lasted in moves:
        now += later
        if is_reached:
            reach.reached(who, now)
            known.add(who)
            row.clear()
            reached_at = now
            assert not reach.is_suspected
        else:
            again_at = reach.missed(who, began_at=now - lasted, now=now)
            row.add(who)
            assert again_at is None or now < again_at <= now + LONGEST_WAIT_SECS
            assert again_at is None or reach.is_suspected
        assert reach.is_suspected == (len(row) >= 3 and (not known or bool(known & row)))
        assert not reach.has_failed or (reach.is_suspected and now - reached_at >= SILENCE_SECS)
