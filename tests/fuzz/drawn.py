"""What hypothesis draws for a door: inputs made from a seed, fragments in a row, anything at all."""

from __future__ import annotations

from functools import cache, partial
from typing import TypeVar

from hypothesis import strategies as st

from tests.fuzz.doors import Door
from tests.fuzz.inputs import OCTETS, TEXTS, input_for

__all__ = ["inputs"]

T = TypeVar("T")

SEEDS = st.integers(0, 2**64 - 1)


@cache
def inputs(door: Door) -> st.SearchStrategy[str | bytes]:
    """Inputs for this door, most of them made from good ones."""
    made = [SEEDS.map(partial(input_for, door)) for _ in range(6)]  # the same one six times counts once
    rows = st.lists(_of(TEXTS), max_size=8).map("".join) if door.takes_text else _octets()
    free = st.text(max_size=200) if door.takes_text else st.binary(max_size=300)
    return st.one_of(*made, rows, free)


def _octets() -> st.SearchStrategy[bytes]:
    return st.lists(_of(OCTETS), max_size=8).map(b"".join)


def _of(table: tuple[T, ...]) -> st.SearchStrategy[T]:
    return st.integers(0, len(table) - 1).map(table.__getitem__)
