"""What wakes the worker, and whether that is still worth a look at the storage."""

from __future__ import annotations

from mailstrom.engine.wake import Wake


def is_open(_: str) -> bool:
    return False


def is_closed(_: str) -> bool:
    return True


def after_the_first() -> Wake:
    wake = Wake()
    wake.take(is_open)
    return wake


def test_the_first_look_is_worth_it() -> None:
    assert Wake().take(is_closed)


def test_anything_is_worth_a_look_whatever_lanes_are_closed() -> None:
    wake = after_the_first()

    wake.set()

    assert wake.is_set()
    assert wake.take(is_closed)


def test_room_in_a_lane_is_worth_a_look_while_it_is_there() -> None:
    wake = after_the_first()

    wake.set_for("dest.example")

    assert wake.is_set()
    assert wake.take(is_open)


def test_room_that_was_taken_meanwhile_is_worth_none() -> None:
    wake = after_the_first()

    wake.set_for("dest.example")

    assert not wake.take(is_closed)


def test_room_in_one_of_several_lanes_is_worth_a_look() -> None:
    wake = after_the_first()

    wake.set_for("full.example")
    wake.set_for("free.example")

    assert wake.take(lambda key: key == "full.example")


def test_what_was_taken_is_forgotten() -> None:
    wake = after_the_first()
    wake.set()
    wake.set_for("dest.example")

    wake.take(is_open)

    assert not wake.is_set()
    assert not wake.take(is_open)
