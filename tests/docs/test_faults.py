"""docs/faults.md has every row and threat that applies, and the tests it links show them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.fault_tests import PAGE, TESTS, files_by_number, numbers_cited_in, numbers_in
from tests.docs.tables import tables_of

REFRESH = "python -m tests.docs.fault_tests"
ROWS = [*range(1, 63)]
THREATS = [*range(1, 17), 20, 21, *range(24, 29)]


def cells() -> dict[str, str]:
    """Each row's and threat's number with its cell of tests."""
    tables = tables_of(PAGE.read_text(encoding="utf-8"))
    return {row[table.columns[0]]: row["Test"] for table in tables for row in table.rows}


def linked(cell: str) -> list[Path]:
    return [PAGE.parent / link for link in re.findall(r"\]\(([^)]+)\)", cell)]


def test_every_row_and_threat_that_applies_is_there_once_and_in_order() -> None:
    numbers = re.findall(r"^\| (S?\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert numbers == [*map(str, ROWS), *(f"S{threat}" for threat in THREATS)]


@pytest.mark.parametrize("number", cells())
def test_a_linked_test_cites_the_number(number: str) -> None:
    for path in linked(cells()[number]):
        assert number in numbers_cited_in(path), f"{path.name} does not: {REFRESH}"


def test_every_row_and_threat_has_a_test() -> None:
    assert [number for number, cell in cells().items() if not linked(cell)] == [], REFRESH


def test_no_test_cites_a_number_that_is_not_there() -> None:
    assert not files_by_number().keys() - cells().keys(), TESTS


@pytest.mark.parametrize(
    ("docstring", "numbers"),
    [
        ("Row 8: too many recipients.", ["8"]),
        ("Rows 3, 13 and 14; RFC 5321 4.5.3.2.", ["3", "13", "14"]),
        ("Rows 1 to 4.", ["1", "2", "3", "4"]),
        ("Threats S4, S6, S9; Row 29.", ["S4", "S6", "S9", "29"]),
        ("The file of a queue: threat S26.", ["S26"]),
        ("RFC 5321 3.8: row after row.", []),
    ],
)
def test_numbers_are_read_from_a_docstring(docstring: str, numbers: list[str]) -> None:
    assert list(numbers_in(docstring)) == numbers
