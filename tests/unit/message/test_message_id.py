"""`message.message_id`: ids as they are given, and as they stand in a field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.message_id import (
    checked_message_id,
    message_id_in_field,
    read_message_id,
    read_message_ids,
)
from tests.unit.message.proportion import assert_in_proportion


def read(value: str, *, obsolete: bool = False) -> tuple[str, ...] | None:
    try:
        return read_message_ids(value, field="references", obsolete=obsolete)
    except MessageError:
        return None


@pytest.mark.parametrize(
    ("value", "expected"),
    (
        ("<1@a>", ["1@a"]),
        ("<1@a><2@b>", ["1@a", "2@b"]),
        (" (c) <1@a> (d <9@x>)\t<2@b>(e)", ["1@a", "2@b"]),
        ("<!#$%&'*+-/=?^_`{|}~.x@a-b.c>", ["!#$%&'*+-/=?^_`{|}~.x@a-b.c"]),
        ("<1@[192.0.2.1]>", ["1@[192.0.2.1]"]),
        ('<1@[x!"(),:;<=>]>', ['1@[x!"(),:;<=>]']),
        ("<1@[]>", ["1@[]"]),
    ),
)
def test_ids_are_read_by_the_grammar(value: str, expected: list[str]) -> None:
    """RFC 5322 3.6.4: nothing but dot-atoms, and a literal on the right."""
    assert read(value) == tuple(expected)
    assert read(value, obsolete=True) == tuple(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    (
        ("", []),
        ("no id", []),
        ('Your message of "Monday" <1@a> (c) and <2@b>', ["1@a", "2@b"]),
        ("J. Doe's <1@a>", ["1@a"]),
        ("<1 @ a (c) . b>", ["1@a.b"]),
        ('< "1" . "2" @ [x]>', ["1.2@[x]"]),
        ('<"a b"@c> <1@a>', ["1@a"]),
        ("<a@b(\x01)>", ["a@b"]),
    ),
)  # fmt: skip
def test_obsolete_ids_are_read_on_demand_as_far_as_they_can_be_written(
    value: str, expected: list[str]
) -> None:
    """RFC 5322 4.5.4."""
    assert read(value) is None
    assert read(value, obsolete=True) == tuple(expected)


@pytest.mark.parametrize(
    "value",
    (
        "1@a>", "<1@a", "<1@a> x <", "<>", "<1>", "<@a>", "<1@>", "<a@b@c>", "<a b@c>", "<a..b@c>",
        "<.a@b>", "<a@b.>",
        "<1@a>,<2@b>", "<<1@a>>", "<1@a> (open", "<1@[a>", "<1@a\n>", "<1@é>", "<1@a>;", '<"a@b>',
        f"<{'x' * 900}@a>",
    ),
)  # fmt: skip
def test_what_is_no_id_is_refused(value: str) -> None:
    assert read(value) is None
    found = read(value, obsolete=True)
    assert found is None or all(checked_message_id(one, field="references") for one in found)


def test_where_one_id_is_expected_there_is_one() -> None:
    """RFC 5322 3.6.4, 4.5.4."""
    assert read_message_id("(c) <1@a>", field="message_id") == "1@a"
    assert read_message_id("<1 @ a>", field="message_id", obsolete=True) == "1@a"
    assert read_message_id('<"a b"@c>', field="message_id", obsolete=True) is None
    for value in ("", "<1@a> <2@b>", "x <1@a>", "<1@a> x"):
        for obsolete in (False, True):
            with pytest.raises(MessageError, match="message_id"):
                read_message_id(value, field="message_id", obsolete=obsolete)
    assert message_id_in_field("(c) <1@a> (d)", field="message_id") == "1@a"


@given(st.text(st.sampled_from(list('<>@.a1"\\ ()[],\t\x01é')), max_size=30))
def test_any_text_is_read_or_refused_and_nothing_else(value: str) -> None:
    """S21; and what comes out is an id that can be written."""
    found = read(value)
    other = read(value, obsolete=True)

    assert found in (None, other)
    assert all(checked_message_id(one, field="references") == one for one in other or ())


@pytest.mark.parametrize("token", ("<1@a>", "<", "(", '"', "a ", "<1@", "a.", "()"))
@pytest.mark.parametrize("obsolete", (False, True))
def test_ten_times_the_value_takes_about_ten_times_as_long(token: str, obsolete: bool) -> None:
    """S21."""
    assert_in_proportion(lambda size: token * size, lambda value: read(value, obsolete=obsolete), 2000)
