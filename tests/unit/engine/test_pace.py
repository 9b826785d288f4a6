"""Row 61, and how many deliveries a lane takes at once: Postfix's rule, in numbers."""

from __future__ import annotations

from functools import reduce
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.engine.pace import FAILURES_UNTIL_DOWN, INITIAL, Pace

MOST = 20
FEEDBACK = st.lists(st.sampled_from("+-"), max_size=60)


def after(feedback: str, pace: Pace | None = None, most: int = MOST) -> Pace:
    """The pace after so many successes (+) and failures (-)."""

    def step(now: Pace, sign: str) -> Pace:
        return now.after_success(most) if sign == "+" else now.after_failure()

    return reduce(step, feedback, pace or Pace())


def rooms(feedback: str) -> list[int]:
    steps = accumulate(feedback, lambda pace, sign: after(sign, pace), initial=Pace())
    return [pace.room for pace in steps]


def test_it_begins_with_room_for_five_each_success_makes_more_and_each_failure_less() -> None:
    """SCHEDULER_README: initial_destination_concurrency, default_destination_concurrency_*_feedback = 1."""
    assert rooms("++-+--") == [5, 6, 7, 6, 7, 6, 5]


def test_there_is_room_for_one_at_least_and_for_the_limit_at_most() -> None:
    assert after("-" * 10).room == 1
    assert after("+" * 40).room == MOST
    assert after("+", Pace(3), most=3).room == 3


@pytest.mark.parametrize(
    ("room", "failures"),
    [(1, 3), (2, 3), (3, 3), (4, 3), (5, 4), (10, 7), (20, 13)],
)
def test_a_cohort_of_failures_in_a_row_and_three_at_least_bring_it_down(room: int, failures: int) -> None:
    """Each is one part of as many as there was room for then; "at 1 cohort the destination is dead"."""
    before, brought_down = after("-" * (failures - 1), Pace(room)), after("-" * failures, Pace(room))

    assert (before.is_down, brought_down.is_down) == (False, True)


def test_a_success_in_between_makes_the_failures_begin_anew() -> None:
    assert not after("---" + "+" + "--").is_down
    assert after("-+") == Pace(INITIAL)


@given(FEEDBACK)
def test_whatever_happens_the_room_stays_within_its_bounds(feedback: list[str]) -> None:
    pace = after("".join(feedback))

    assert 1 <= pace.room <= MOST


@given(FEEDBACK)
def test_it_is_never_down_after_a_success_or_fewer_than_three_failures(feedback: list[str]) -> None:
    told = "".join(feedback)
    in_a_row = len(told) - len(told.rstrip("-"))
    pace = after(told)

    assert pace.failures == in_a_row
    assert in_a_row >= FAILURES_UNTIL_DOWN or not pace.is_down


@given(st.integers(1, MOST))
def test_from_any_pace_no_more_failures_are_needed_than_there_was_room_for(room: int) -> None:
    assert after("-" * max(room, FAILURES_UNTIL_DOWN), Pace(room)).is_down
