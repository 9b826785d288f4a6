"""Reads the tables of a Markdown page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_CELL = re.compile(r"(?<!\\)\|")
_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table under a heading: its columns' names, and its rows by these."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]


def tables_of(markdown: str) -> list[Table]:
    """Every table, in order."""
    found: list[Table] = []
    heading, lines = "", list[str]()
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            lines.append(line)
            continue
        if lines:
            found.append(_table(heading, lines))
            lines = []
        if line.startswith("#"):
            heading = line.lstrip("# ").strip()
    return found


def code_spans(cell: str) -> list[str]:
    """What stands between backticks, an escaped bar unescaped."""
    return [span.replace("\\|", "|") for span in _SPAN.findall(cell)]


def _table(heading: str, lines: list[str]) -> Table:
    columns = tuple(_cells(lines[0]))
    rows = tuple(dict(zip(columns, _cells(line), strict=True)) for line in lines[2:])
    return Table(heading=heading, columns=columns, rows=rows)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL.split(line.strip())[1:-1]]
