"""No input takes time out of proportion to its size: ten times the input, at most twelve times the time."""

from __future__ import annotations

import pytest

from tests.fuzz.doors import Door, door_named, doors
from tests.fuzz.pace import TIMES_LARGER, disproportion
from tests.fuzz.shapes import OCTET_SHAPES, TEXT_SHAPES

TEXT_SIZE, OCTETS_SIZE = 800, 4_000
# these go through the code of others: the long run measures them as well
TWINS = frozenset(
    [
        "from_", "sender", "cc", "bcc", "reply_to", "list of addresses", "address", "group in From",
        "comments", "list of keywords", "html", "in_reply_to", "header name", "any header", "attach",
        "disposition", "dsn", "envid", "answer to an id", "stdlib Group", "stdlib Address", "parse_mailbox",
        "recipients", "return_path", "path", "Email.parse smtputf8", "Email.parse obsolete",
        "text as a file",
    ]
)  # fmt: skip
MEASURED = [door for door in doors() if door.is_ours and door.name not in TWINS]


@pytest.mark.parametrize("door", MEASURED, ids=lambda door: door.name)
def test_ten_times_the_input_takes_at_most_twelve_times_the_time(door: Door) -> None:
    shapes = TEXT_SHAPES if door.takes_text else OCTET_SHAPES
    size = TEXT_SIZE if door.takes_text else OCTETS_SIZE

    found = {
        name: disproportion(door, shape(size), shape(size * TIMES_LARGER)) for name, shape in shapes.items()
    }

    assert {name: slow for name, slow in found.items() if slow is not None} == {}


def test_what_looks_at_everything_again_for_each_character_is_found_out() -> None:
    def enter(text: str) -> bool:
        return sum(text.count(character) for character in text) > 0

    quadratic = Door("quadratic", enter, ("",))

    found = [disproportion(door, "ab" * 400, "ab" * 4_000) for door in (quadratic, door_named("subject"))]

    assert [slow is not None for slow in found] == [True, False]


def test_the_doors_that_are_left_out_are_doors() -> None:
    assert {door.name for door in doors()} >= TWINS
