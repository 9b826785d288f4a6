"""The short way of reading addresses and the long one come to the same end, whatever they read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.mailbox import Group, Mailbox
from mailstrom.message.reading.address_reader import AddressReader, is_read_as, read_addresses
from mailstrom.message.reading.cursor import Reading

NAMES = (
    "", "Ann", "Ann Jürgen", "Ann  Jürgen", "J. Doe", '"A, B"', '" Ann "', '""', '"\\""', "(c)",
    '"=?utf-8?q?x?="', "=?utf-8?q?J=C3=BC?=", "=?utf-8?b?SsO8?=", "=?utf-8?q?=20x?= =?utf-8?q?y?=",
    "Ann =?utf-8?q?x?= Bob", "=?utf-8?q?=0A?=", "=?utf-8?q?a b?=", "=?x?q?x?=", "=?utf-8?q?x?=y",
    "=?", "?=", "Ann\N{NO-BREAK SPACE}B",
)  # fmt: skip
PATHS = (
    "<a@b.example>", " <a@b.example>", "  <a.b@c-d.example>", "a@b.example", "<A@B.EXAMPLE>", "<>",
    "<a@[192.0.2.1]>", "<a@xn--bcher-kva.example>", "<=?utf-8?q?x?=@b.example>", '<"a b"@c.example>',
    f"<{'a' * 65}@b.example>",
)  # fmt: skip
MARKS = (" ", "\t", ".", ",", ";", ":", '"', "<", ">", "@", "\r", "\0")
LISTS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(PATHS)).map("".join), max_size=4).map(
    ", ".join
)
TEXTS = LISTS | st.lists(st.sampled_from(NAMES + PATHS + MARKS), max_size=12).map("".join)
READINGS = pytest.mark.parametrize("reading", Reading)
ANN = Mailbox(name="Ann", local_part="ann", domain="one.example")
BOB = Mailbox(local_part="bob", domain="two.example")


class TheLongWay(AddressReader):
    """Takes nothing for simple."""

    def _simple(self) -> None:
        return None


@READINGS
@given(TEXTS)
@example("=?utf-8?q?J=C3=BCrgen?= =?utf-8?q?_M=C3=BC=C3=9Fig?= <a@b.example>, Ann <a@c.example>")
@example('"Baker, Ann" <a@b.example>, " " <b@c.example>')
@example("=?utf-8?q?=0A?= <a@b.example>")
def test_the_short_way_of_reading_ends_where_the_long_one_does(reading: Reading, text: str) -> None:
    found = _found(lambda: read_addresses(text, "to", reading))

    assert found == _found(lambda: TheLongWay(text, "to", reading).everything())


@given(TEXTS)
def test_a_text_is_read_as_what_the_strict_reader_finds_and_as_nothing_else(text: str) -> None:
    found = _found(lambda: TheLongWay(text, "to", Reading.STRICT).everything())

    if isinstance(found, tuple):
        assert is_read_as(text, found, "to")
        assert not is_read_as(text, (*found, BOB), "to")
        assert not is_read_as(text, found[1:], "to")
    else:
        assert _found(lambda: (is_read_as(text, (BOB,), "to"), ())) == found


@pytest.mark.parametrize(
    "other",
    [
        (ANN,),
        (BOB, ANN),
        (ANN, BOB, BOB),
        (ANN, Mailbox(name="Bob", local_part="bob", domain="two.example")),
        (ANN, Mailbox(local_part="Bob", domain="two.example")),
        (ANN, Mailbox(local_part="bob", domain="one.example")),
        (ANN, Group(name="bob", members=(BOB,))),
        (),
    ],
)
def test_other_addresses_are_not_what_was_read(other: tuple[Mailbox | Group, ...]) -> None:
    text = "Ann <ann@one.example>, bob@two.example"

    assert is_read_as(text, (ANN, BOB), "to")
    assert not is_read_as(text, other, "to")


def _found(read: Callable[[], object]) -> object:
    try:
        return read()
    except MessageError as error:
        return error.field
