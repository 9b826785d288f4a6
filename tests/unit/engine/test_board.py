"""Who is woken by what: a message's watchers, those who wait for room, those who wait for rest."""

from __future__ import annotations

from mailstrom.engine.events import Board, Whole


def watched(board: Board) -> list[str]:
    woken: list[str] = []
    for name, what in {"a": "a", "b": "b", "room": Whole.ROOM, "rest": Whole.REST}.items():
        board.watch(what, lambda name=name: woken.append(name))  # type: ignore[misc]
    return woken


def test_a_change_wakes_who_watches_the_message_and_who_waits_for_room() -> None:
    board = Board()
    woken = watched(board)

    board.changed("a")

    assert woken == ["a", "room"]


def test_who_waits_for_rest_is_not_woken_by_each_result() -> None:
    """A queue of a million would be looked at a million times."""
    board = Board()
    woken = watched(board)

    board.changed("b")
    board.at_rest()

    assert woken == ["b", "room", "rest"]


def test_who_has_gone_is_woken_no_more() -> None:
    board = Board()
    woken: list[str] = []
    leave = board.watch("a", lambda: woken.append("a"))

    leave()
    board.changed("a")
    board.wake_all()

    assert woken == []
