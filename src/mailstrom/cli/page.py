"""What a command shows, as values: lines and tables, and how they are laid out. Pure.

    page ──laid_out──► rows of pieces ──► plain_text       for a file, a pipe, a plain terminal
                                      └─► page_rich.py     the same in colours

A page holds texts that are safe to print (`status.one_line` was there before). Each line, and each
row of a table, may have a note: a long text, such as what a server said. It stands behind the row
where there is room, else below it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = [
    "Column",
    "Line",
    "Page",
    "Piece",
    "Table",
    "age_text",
    "counted",
    "iso_text",
    "laid_out",
    "moment_text",
    "plain_text",
]

GAP = "  "
NOTE_MIN = 40  # with less room than that, notes stand below their rows
CUT_MIN = 12  # what a narrow window leaves of a column


@dataclass(frozen=True, slots=True)
class Line:
    """A text, broken where it is too long; what follows stands below its first word."""

    text: str = ""
    state: str = ""  # gives it the colour of that state; "heading": stands out


@dataclass(frozen=True, slots=True)
class Column:
    """The title of a column, and how its cells stand; `may_be_cut`: a narrow window shows its beginning."""

    title: str
    is_number: bool = False
    is_state: bool = False
    may_be_cut: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, one for each column; the last column holds the notes."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a row with one colour."""

    text: str
    state: str = ""


Page = Sequence[Line | Table]
Row = tuple[Piece, ...]


def laid_out(page: Page, width: int | None = None) -> Iterator[Row]:
    """The rows of a page that is `width` characters wide; None: as wide as it gets."""
    for block in page:
        yield from _line_rows(block, width) if isinstance(block, Line) else _table_rows(block, width)


def plain_text(page: Page, width: int | None = None) -> str:
    """The page without colours, a line end after each row."""
    rows = ("".join(piece.text for piece in row) for row in laid_out(page, width))
    return "".join(f"{row.rstrip()}\n" for row in rows)


def age_text(secs: float) -> str:
    """A duration with its largest unit: "0 s", "14 min", "3 h", "5 d"."""
    if secs < 120:
        return f"{max(secs, 0.0):.0f} s"
    if secs < 7200:
        return f"{secs / 60:.0f} min"
    if secs < 172_800:
        return f"{secs / 3600:.0f} h"
    return f"{secs / 86_400:.0f} d"


def moment_text(at: datetime) -> str:
    """An instant for a person: to the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso_text(at: datetime | None) -> str | None:
    """An instant for a program: ISO 8601, in UTC; None stays None."""
    return None if at is None else at.astimezone(UTC).isoformat()


def counted(number: int, one: str) -> str:
    """How many there are: "1 message", "1,204 messages"."""
    return f"1 {one}" if number == 1 else f"{number:,} {one}s"


def _line_rows(line: Line, width: int | None) -> Iterator[Row]:
    indent = len(line.text) - len(line.text.lstrip())
    for text in _broken(line.text.lstrip(), width, indent):
        yield (Piece(text, line.state),)


def _table_rows(table: Table, width: int | None) -> Iterator[Row]:
    *columns, last = table.columns
    widths = _widths(table, width)
    room = None if width is None else width - sum(widths) - len(GAP) * len(widths)
    beside = room is None or room >= NOTE_MIN
    title = (Piece(GAP + last.title, "title"),) if beside else ()
    yield *_cells([column.title for column in columns], columns, widths, "title"), *title
    for *cells, note in table.rows:
        front = _cells(cells, columns, widths)
        first, *others = _broken(note, room, 0) if beside else ("", *_broken(note, width, len(GAP)))
        yield (*front, Piece(GAP + first)) if first else front
        indent = sum(widths) + len(GAP) * len(widths) if beside else 0
        yield from ((Piece(" " * indent + text),) for text in others if text.strip())


def _widths(table: Table, width: int | None) -> list[int]:
    """Those of the columns in front of the notes."""
    titles = tuple(column.title for column in table.columns)
    widths = [max(map(len, cells)) for cells in zip(titles, *table.rows, strict=True)][:-1]
    if width is not None and table.columns[0].may_be_cut:
        others = sum(widths[1:]) + len(GAP) * (len(widths) - 1)
        widths[0] = min(widths[0], max(width - others, CUT_MIN))
    return widths


def _cells(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int], state: str = "") -> Row:
    pieces = []
    for number, (text, column, width) in enumerate(zip(texts, columns, widths, strict=True)):
        cut = text if len(text) <= width else f"{text[: width - 3]}..."
        padded = cut.rjust(width) if column.is_number else cut.ljust(width)
        own_state = text if column.is_state and not state else state
        pieces.append(Piece(padded if number == 0 else GAP + padded, own_state))
    return tuple(pieces)


def _broken(text: str, width: int | None, indent: int) -> list[str]:
    """The text in lines, the first indented so far, the others as far again."""
    before = " " * indent
    if width is None or len(text) + indent <= width:
        return [before + text]
    after = before if indent == 0 else before + GAP
    return textwrap.wrap(
        text,
        max(width, indent + CUT_MIN),
        initial_indent=before,
        subsequent_indent=after,
        break_on_hyphens=False,  # message ids and paths have them
    )
