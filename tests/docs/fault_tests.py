"""Which tests show a row or threat of docs/faults.md: those whose docstrings cite its number.

    python -m tests.docs.fault_tests

writes them into the last column of the tables. A docstring cites with "Row 8", "Rows 3, 13 and 14",
"Rows 1 to 4", "Threat S5" or "threat S5". Shown are a few, of each folder those first that are most about it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "faults.md"
FOLDERS = ("crashes", "scenarios", "contract", "interop", "unit")  # the most telling ones first
TOOLS = TESTS / "unit" / "testing"  # these show what the tools can do, not what mailstrom does
SHOWN = 3  # files in one cell

_LIST = r"\b(?:Rows?|[Tt]hreats?)\s+((?:S?\d+)(?:\s*(?:,\s*and|,|and|to|-)\s*S?\d+)*)"
_ROW = re.compile(r"^(\| (S?\d+) \|.*\| )[^|]*\|$", re.MULTILINE)


def files_by_number() -> dict[str, list[str]]:
    """Each number with the test files that cite it, as paths below tests/: of each folder one, in turns."""
    found: dict[str, list[list[str]]] = {}
    for folder in FOLDERS:
        for number, paths in _of_folder(TESTS / folder).items():
            found.setdefault(number, []).append(paths)
    return {number: list(_in_turns(of_folders)) for number, of_folders in found.items()}


def _of_folder(folder: Path) -> dict[str, list[str]]:
    """First those whose own docstring cites the number, then by how many of their tests do."""
    found: dict[str, list[tuple[bool, int, str]]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        if path.parent == TOOLS:
            continue
        own, *cited = _citations(path)
        for number, count in Counter([*own, *chain(*cited)]).items():
            rank = number not in own, -count, str(path.relative_to(TESTS))
            found.setdefault(number, []).append(rank)
    return {number: [path for _, _, path in sorted(ranked)] for number, ranked in found.items()}


def _in_turns(lists: list[list[str]]) -> Iterator[str]:
    for row in zip_longest(*lists):
        yield from filter(None, row)


def numbers_cited_in(path: Path) -> set[str]:
    """The numbers in the docstrings of a test file."""
    return set(chain(*_citations(path)))


def _citations(path: Path) -> Iterator[list[str]]:
    """Of each docstring the numbers, the file's own first."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, documented):
            yield list(numbers_in(ast.get_docstring(node) or ""))


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
