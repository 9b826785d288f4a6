"""What is learned of a host, and for how long."""

from __future__ import annotations

import pytest

from mailstrom.smtp.habits import Habits


def until_whole(habits: Habits) -> int:
    """After how many transactions with somebody accepted it is whole again."""
    count = 0
    while not habits.take_whole and count < 1000:
        habits.note_transaction(in_vain=False)
        count += 1
    return count


def test_a_host_that_nothing_is_known_of_gets_messages_whole() -> None:
    assert Habits().take_whole


def test_one_refusal_is_an_accident_two_in_a_row_are_a_habit() -> None:
    habits = Habits()

    habits.note_transaction(in_vain=True)
    assert habits.take_whole

    habits.note_transaction(in_vain=True)
    assert not habits.take_whole
    assert until_whole(habits) == 3


@pytest.mark.parametrize(("every", "whole"), [(5, False), (100, True)])
def test_a_host_that_refuses_often_gets_no_chunks_in_vain(every: int, whole: bool) -> None:
    habits = Habits()

    for number in range(1000):
        habits.note_transaction(in_vain=number % every == 0)

    assert habits.take_whole is whole


def test_after_a_doubt_some_forty_messages_go_by_data() -> None:
    habits = Habits()

    habits.note_doubt()

    assert until_whole(habits) == 36


def test_a_host_without_chunking_never_gets_it_again() -> None:
    habits = Habits()

    habits.note_no_chunking()

    assert until_whole(habits) == 1000
