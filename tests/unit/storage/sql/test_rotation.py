"""Whose turn was the last: remembered for so many route keys, and never begun anew by all others."""

from __future__ import annotations

from mailstrom.storage.sql.rotation import KEYS_KEPT, Served, Stream, Turn

NEWS, LETTERS = Stream(2, "news"), Stream(2, "letters")


def test_turns_are_counted_by_route_key() -> None:
    served = Served()

    served.note([Turn("a", stream=NEWS), Turn("b", stream=LETTERS), Turn("a", stream=LETTERS)])

    assert served.of("abc") == {"a": (2, {2: "letters"}), "b": (1, {2: "letters"}), "c": (0, {})}


def test_turns_of_this_step_count_though_they_are_not_noted() -> None:
    served = Served()
    served.note([Turn("a", stream=NEWS)])

    assert served.of("a", [Turn("a", stream=LETTERS), Turn("b", stream=NEWS)]) == {"a": (2, {2: "letters"})}
    assert served.of("a") == {"a": (1, {2: "news"})}


def test_a_key_with_one_stream_is_not_remembered() -> None:
    served = Served()

    served.note([Turn("a")])

    assert served.of("a") == {"a": (0, {})}


def test_a_key_that_is_not_remembered_goes_on_where_the_one_came_to_that_was_forgotten_last() -> None:
    """With more keys than can be remembered none begins at the first stream each time."""
    served = Served()
    keys = [f"d{number}" for number in range(KEYS_KEPT + 1)]

    served.note([Turn(keys[0], stream=NEWS), Turn(keys[0], stream=LETTERS)])
    served.note([Turn(key, stream=NEWS) for key in keys[1:]])

    assert served.of([keys[0], keys[1], "new"]) == {
        keys[0]: (2, {2: "letters"}),
        keys[1]: (1, {2: "news"}),
        "new": (2, {2: "letters"}),
    }
