"""`message.date`: the Date field, written and read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstrom.errors import MessageError
from mailstrom.message.date import check_date_field, read_date, written_date, written_second
from tests.unit.message.proportion import assert_in_proportion

CET = timezone(timedelta(hours=1))
NOON = datetime(2026, 3, 2, 9, 30, tzinfo=CET)


def read(value: str, *, obsolete: bool = False) -> datetime | None:
    try:
        return read_date(value, field="date", obsolete=obsolete)
    except MessageError:
        return None


@pytest.mark.parametrize(
    ("value", "expected"),
    (
        ("Mon, 02 Mar 2026 09:30:00 +0100", NOON),
        ("Mon,2 Mar 2026 09:30 +0100", NOON),
        ("2 Mar 2026 09:30 +0100", NOON),
        (" \tMON,\t02   mAR \t2026  09:30:00\t+0100  ", NOON),
        ("02 Mar 2026 09:30:00 +0100 (CET (Central) \\))", NOON),
        ("02 Mar 2026 09:30:00 +0100(CET)", NOON),
        ("02 Mar 2026 08:30:00 -0000", NOON),
        ("Sat, 30 Jun 2012 23:59:60 +0000", datetime(2012, 6, 30, 23, 59, 59, tzinfo=UTC)),
        ("29 Feb 2024 00:00 +0000", datetime(2024, 2, 29, tzinfo=UTC)),
        ("1 Jan 1900 00:00 +0000", datetime(1900, 1, 1, tzinfo=UTC)),
        ("31 Dec 9999 23:59:59 +0000", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2 Mar 2026 09:30 +2359", datetime(2026, 3, 1, 9, 31, tzinfo=UTC)),
        ("2 Mar 2026 09:30 -9959", datetime(2026, 3, 6, 13, 29, tzinfo=UTC)),
    ),
)
def test_a_date_is_read_by_the_grammar(value: str, expected: datetime) -> None:
    """RFC 5322 3.3."""
    assert read(value) == expected
    assert read(value, obsolete=True) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    (
        ("Mon, 02 Mar 26 09:30:00 +0100", NOON),
        ("02 Mar 126 09:30:00 +0100", NOON),
        ("2 Mar 49 09:30 GMT", datetime(2049, 3, 2, 9, 30, tzinfo=UTC)),
        ("2 Mar 50 09:30 GMT", datetime(1950, 3, 2, 9, 30, tzinfo=UTC)),
        ("Mon (a) , (b) 02(c)Mar(d)2026(e)09(f):(g)30(h):(i)00(j)+0100", NOON),
        ("2Mar2026 08:30GMT", NOON),
        ("2 Mar 2026 03:30 est", NOON),
        ("2 Mar 2026 01:30 PDT", NOON),
        ("2 Mar 2026 08:30 UT", NOON),
        ("2 Mar 2026 08:30 Z", NOON),
        ("2 Mar 2026 08:30 a", NOON),
        ("2 Mar 2026 08:30 CEST", NOON),
    ),
)
def test_an_obsolete_date_is_read_on_demand_only(value: str, expected: datetime) -> None:
    """RFC 5322 4.3: two or three digits of a year, names of zones, comments anywhere."""
    assert read(value) is None
    assert read(value, obsolete=True) == expected
    check_date_field(value, field="date")


@pytest.mark.parametrize(
    "value",
    (
        "", " ", "now", "Mon, 02 Mar 2026", "Mon, 02 Mar 2026 09:30:00", "Tue, 02 Mar 2026 09:30:00 +0100",
        "Mon 02 Mar 2026 09:30:00 +0100", "Monday, 02 Mar 2026 09:30:00 +0100", "02 March 2026 09:30 +0100",
        "02 Mär 2026 09:30 +0100", "30 Feb 2026 09:30 +0100", "29 Feb 2025 09:30 +0100",
        "0 Mar 2026 09:30 +0100", "32 Mar 2026 09:30 +0100", "2 03 2026 09:30 +0100",
        "002 Mar 2026 09:30 +0100",
        "2 Mar 1899 09:30 +0100", "2 Mar 2 09:30 +0100", "2 Mar 12026 09:30 +0100", "2 Mar 2026 24:00 +0100",
        "2 Mar 2026 9:30 +0100", "2 Mar 2026 09:60 +0100", "2 Mar 2026 09:30:61 +0100",
        "2 Mar 2026 09:30:00.5 +0100", "2 Mar 2026 09:30:00+0100", "2 Mar 2026 09:30 +01:00",
        "2 Mar 2026 09:30 +100", "2 Mar 2026 09:30 0100", "2 Mar 2026 09:30 +0160", "2 Mar 2026 09:30 J",
        "2 Mar 2026 09:30 +0100 x", "2 Mar 2026 09:30 +0100 (open", "2 Mar 2026 09:30 +0100\n (c)",
        "2 Mar 2026 09:30 +0100 (\0)", "2026-03-02T09:30:00Z", "31 Dec 9999 23:59 -9959",
        "٢ Mar 2026 09:30 +0100",
        "2 Mar 2026 09:30 EST5EDT", "2 Mar 2026 09:30 abcdefghij",
    ),
)  # fmt: skip
def test_what_names_no_instant_is_refused_both_ways(value: str) -> None:
    """RFC 5322 3.3, 4.3."""
    assert read(value) is None
    assert read(value, obsolete=True) is None


@given(
    st.datetimes(datetime(1900, 1, 3), datetime(9999, 12, 29)),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_what_is_written_is_read_as_the_same_second(at: datetime, zone: timezone) -> None:
    at = at.replace(tzinfo=zone)

    found = read_date(written_date(at), field="date")

    assert found == at.replace(microsecond=0)
    assert found.utcoffset() == at.utcoffset()


def test_one_instant_is_written_in_the_zone_that_it_has() -> None:
    noon = NOON.astimezone(UTC)

    dates = [written_date(at) for at in (noon, NOON, noon)]
    seconds = [written_second(at) for at in (noon, NOON, noon)]

    in_utc, in_cet = "Mon, 02 Mar 2026 08:30:00 +0000", "Mon, 02 Mar 2026 09:30:00 +0100"
    assert dates == [in_utc, in_cet, in_utc]
    assert seconds == ["20260302083000", "20260302093000", "20260302083000"]


@pytest.mark.parametrize("token", ("(", "()", " ", "(a) ", "\\", "1", "a"))
@pytest.mark.parametrize("start", ("", "2 Mar 2026 09:30 +0100 "))
def test_ten_times_the_value_takes_about_ten_times_as_long(token: str, start: str) -> None:
    """S21."""
    assert_in_proportion(lambda size: start + token * size, lambda value: read(value, obsolete=True), 3000)
