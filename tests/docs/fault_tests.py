"""Which tests show a row or threat of docs/faults.md: those whose docstrings cite its number.

    python -m tests.docs.fault_tests

writes them into the last column of the tables. A docstring cites with "Row 8", "Rows 3, 13 and 14",
"Rows 1 to 4", "Threat S5".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "faults.md"
FOLDERS = ("crashes", "scenarios", "contract", "unit", "interop")  # the most telling ones first
TOOLS = TESTS / "unit" / "testing"  # these show what the tools can do, not what mailstrom does
SHOWN = 3  # files in one cell

_LIST = r"\b(?:Rows?|Threats?)\s+((?:S?\d+)(?:\s*(?:,\s*and|,|and|to|-)\s*S?\d+)*)"
_ROW = re.compile(r"^(\| (S?\d+) \|.*\| )[^|]*\|$", re.MULTILINE)


def files_by_number() -> dict[str, list[str]]:
    """Each number with the test files that cite it, as paths below tests/."""
    found: dict[str, list[str]] = {}
    for folder in FOLDERS:
        for path in sorted((TESTS / folder).rglob("test_*.py")):
            if path.parent == TOOLS:
                continue
            for number in sorted(numbers_cited_in(path)):
                found.setdefault(number, []).append(str(path.relative_to(TESTS)))
    return found


def numbers_cited_in(path: Path) -> set[str]:
    """The numbers in the docstrings of a test file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)]
    return {number for text in docstrings for number in numbers_in(text)}


def numbers_in(text: str) -> Iterator[str]:
    """The rows and threats that a text cites."""
    for listed in re.findall(_LIST, text):
        parts = re.findall(r"(S?)(\d+)|(to|-)", listed)
        for at, (kind, number, word) in enumerate(parts):
            if not word:
                yield kind + number
                continue
            first, last = parts[at - 1], parts[at + 1]
            yield from (f"{first[0]}{between}" for between in range(int(first[1]) + 1, int(last[1])))


def cell(paths: list[str]) -> str:
    """Links to the first few of the test files."""
    links = [f"[{Path(path).stem.removeprefix('test_')}](../tests/{path})" for path in paths[:SHOWN]]
    return ", ".join(links)


def written(page: str) -> str:
    """The page with its last column as the tests have it now."""
    found = files_by_number()

    def row(match: re.Match[str]) -> str:
        text = cell(found.get(match[2], []))
        return f"{match[1]}{text} |" if text else f"{match[1].rstrip()} |"

    return _ROW.sub(row, page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
