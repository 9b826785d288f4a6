"""Rates: how they are said, and that no window ever has more than rate * window + burst."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailstrom.errors import ConfigError
from mailstrom.schedule.rate import CLOCK_SLACK_SECS, Rate, draw

SECOND = 1_000_000_000
NOON = 1_800_000_000 * SECOND

RATES = st.builds(
    Rate,
    st.integers(1, 100_000),
    st.sampled_from([1, 60, 3600, 86_400]),
    st.integers(1, 1000),
)


def drawn_at(rate: Rate, times: list[int], most: int | None = None) -> list[tuple[int, int]]:
    """When how many were let through, where somebody asked at each of these times."""
    state, found = None, []
    for now in times:
        drawn = draw(rate, state, now, most)
        state = drawn.state
        found.append((now, drawn.count))
    return found


def most_in_windows(rate: Rate, let_through: list[tuple[int, int]]) -> bool:
    """No window from one that was let through to another has more than its rate and a burst."""
    for place, (begin, _) in enumerate(let_through):
        total = 0
        for end, count in let_through[place:]:
            total += count
            if (total - rate.burst) * rate.period_secs * SECOND > rate.count * (end - begin):
                return False
    return True


# How it is said


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/min", Rate(100, 60, 1)),
        ("5/s", Rate(5, 1, 5)),
        ("2000/h", Rate(2000, 3600, 1)),
        ("1000/day", Rate(1000, 86_400, 1)),
        ("100/min, burst 20", Rate(100, 60, 20)),
        (" 7 / Minute ,burst 3 ", Rate(7, 60, 3)),
        ("3/second", Rate(3, 1, 3)),
        ("3/hour", Rate(3, 3600, 1)),
    ],
)
def test_a_text_says_how_many_in_which_time_and_how_many_at_once(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text",
    ["", "often", "100", "/min", "100/", "0/min", "-5/min", "1.5/min", "5/year", "5/min burst 3",
     "5/min, burst 0", "5/min, burst", "٣/min", "5/min\n6/min", "100001/s", "9" * 400 + "/s"],
)  # fmt: skip
def test_another_text_is_a_config_error_that_shows_the_form(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^LaneLimits.rate: expected a rate such as '100/min'"):
        Rate.parse(text, "LaneLimits.rate")


@given(RATES.filter(lambda rate: rate.count <= 100_000 * rate.period_secs))
def test_what_a_rate_is_told_as_says_the_same_rate(rate: Rate) -> None:
    assert Rate.parse(str(rate)) == rate


# One after the other


def test_a_rate_lets_one_through_in_each_interval() -> None:
    rate = Rate.parse("100/min")
    asked = [NOON + each * SECOND // 10 for each in range(13)]

    assert [count for _, count in drawn_at(rate, asked)] == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]


def test_after_a_pause_a_burst_goes_at_once() -> None:
    rate = Rate.parse("1/min, burst 3")

    assert drawn_at(rate, [NOON] * 4 + [NOON + 61 * SECOND] * 2) == [
        *[(NOON, 1)] * 3,
        (NOON, 0),
        (NOON + 61 * SECOND, 1),
        (NOON + 61 * SECOND, 0),
    ]


def test_who_comes_too_early_is_told_when_to_come_again() -> None:
    rate = Rate.parse("1/min")
    state = draw(rate, None, NOON).state

    early = draw(rate, state, NOON + 20 * SECOND)

    assert (early.count, early.wait_ns) == (0, 40 * SECOND)
    assert draw(rate, early.state, NOON + 20 * SECOND + early.wait_ns).count == 1


# In any window


@given(RATES, st.lists(st.integers(0, 400), min_size=1, max_size=60), st.integers(1, 50))
@example(Rate(100_000, 1, 1), [0, 0, 1], 50)
def test_no_window_has_more_than_its_rate_and_a_burst(rate: Rate, steps: list[int], most: int) -> None:
    """The steps are parts of an interval: some far too early, some after a pause."""
    now, times = NOON, []
    for step in steps:
        now += step * rate.interval_ns // 100
        times.append(now)

    assert most_in_windows(rate, drawn_at(rate, times, most))


@given(RATES, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 100)), min_size=1, max_size=60))
@example(Rate(1000, 1, 1000), [(0, 100), (0, 100), (100, 0), (0, 0)] * 8)
def test_blocks_that_are_used_late_break_no_window(rate: Rate, steps: list[tuple[int, int]]) -> None:
    """Several workers draw; each block may be used at any time, as long as it is kept."""
    now, state, used = NOON, None, list[tuple[int, int]]()
    for step, late in steps:
        now += step * rate.interval_ns // 100
        drawn = draw(rate, state, now)
        state = drawn.state
        used.append((now + late * rate.kept_ns // 100, drawn.count))

    assert most_in_windows(rate, sorted(used))


@given(RATES, st.lists(st.integers(0, 1000), max_size=30))
def test_who_waits_as_long_as_he_was_told_is_let_through(rate: Rate, steps: list[int]) -> None:
    """No starvation, whatever was drawn before."""
    now, state = NOON, None
    for step in steps:
        now += step * rate.interval_ns // 1000
        state = draw(rate, state, now).state

    told = draw(rate, state, now)

    assert told.count or draw(rate, told.state, now + told.wait_ns).count


@given(RATES, st.integers(0, 10**20), st.integers(1, 1000))
def test_a_clock_that_was_set_back_starves_nobody(rate: Rate, back_ns: int, most: int) -> None:
    state = draw(rate, None, NOON + back_ns, most).state

    told = draw(rate, state, NOON)

    assert told.wait_ns <= rate.interval_ns + rate.kept_ns + int(CLOCK_SLACK_SECS * SECOND)


@given(RATES, st.integers(0, int(CLOCK_SLACK_SECS * SECOND)))
def test_clocks_that_are_a_little_apart_get_no_further_burst(rate: Rate, behind_ns: int) -> None:
    """Two machines: the one behind does not forget what the one ahead has drawn."""
    state = None
    for _ in range(3):
        state = draw(rate, state, NOON, rate.burst).state

    seen_behind = draw(rate, state, NOON - behind_ns).state

    assert draw(rate, seen_behind, NOON, rate.burst) == draw(rate, state, NOON, rate.burst)
