"""How pages are laid out: beside each other where there is room, below each other where there is none."""

from __future__ import annotations

import pytest

from mailstrom.cli.page import Column, Line, Table, age_text, counted, plain_text

TABLE = Table(
    (Column("destination", may_be_cut=True), Column("recipients", is_number=True), Column("last error")),
    (
        ("dest.example", "1,204", "450 4.2.0 try again later, the mailbox is busy"),
        ("relay:smtp.provider.example", "2", ""),
    ),
)


def test_a_table_is_as_wide_as_it_gets_where_nobody_says_how_wide() -> None:
    assert plain_text([TABLE]) == (
        "destination                  recipients  last error\n"
        "dest.example                      1,204  450 4.2.0 try again later, the mailbox is busy\n"
        "relay:smtp.provider.example           2\n"
    )


def test_a_note_is_broken_below_its_own_beginning() -> None:
    assert plain_text([TABLE], 82) == (
        "destination                  recipients  last error\n"
        "dest.example                      1,204  450 4.2.0 try again later, the mailbox is\n"
        "                                         busy\n"
        "relay:smtp.provider.example           2\n"
    )


def test_in_a_narrow_window_notes_stand_below_their_rows() -> None:
    assert plain_text([TABLE], 50) == (
        "destination                  recipients\n"
        "dest.example                      1,204\n"
        "  450 4.2.0 try again later, the mailbox is busy\n"
        "relay:smtp.provider.example           2\n"
    )


def test_only_a_column_that_may_be_is_cut() -> None:
    assert plain_text([TABLE], 34).splitlines()[-1] == "relay:smtp.provider...           2"

    whole = Table((Column("message id"), *TABLE.columns[1:]), TABLE.rows)
    assert plain_text([whole], 34).splitlines()[-1] == "relay:smtp.provider.example           2"


def test_a_long_line_goes_on_below_its_first_word() -> None:
    page = [Line("  deferred: the mailbox is busy, try again later"), Line("Short.")]

    assert plain_text(page, 30) == "  deferred: the mailbox is\n    busy, try again later\nShort.\n"
    assert plain_text(page).count("\n") == 2


@pytest.mark.parametrize(
    ("secs", "text"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_a_duration_has_its_largest_unit(secs: float, text: str) -> None:
    assert age_text(secs) == text


def test_one_is_counted_in_the_singular() -> None:
    assert [counted(n, "message") for n in (0, 1, 1204)] == ["0 messages", "1 message", "1,204 messages"]
