"""The Date field (RFC 5322 section 3.3): `Mon, 02 Mar 2026 09:30:00 +0100`.

Names of days and months are English whatever the locale says, in any case. Between the parts
stands folding white space, and a comment at most at the end. The obsolete syntax (section 4.3)
lets comments and white space stand everywhere, years have two or three digits, and zones have
names: those of North America, and single letters, which mean nothing any more.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from ..errors import MessageError
from .text import after_blanks, checked_line, checked_text

__all__ = ["check_date_field", "checked_date", "read_date", "written_date", "written_second"]

REMEMBERED = 64  # dates that were read, or written
REMEMBERED_LENGTH = 40  # characters

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_DAYS = tuple(name.lower() for name in DAYS)
_ZERO = timedelta()
_DAY = timedelta(days=1)
_ZONES = {"EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8}

_DATE = re.compile(
    r"[ \t]*+(?:([A-Za-z]{3}),)?[ \t]*+([0-9]{1,2})[ \t]++([A-Za-z]{3})[ \t]++([0-9]{4,9})[ \t]++"
    r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?[ \t]++([+-][0-9]{4})(?=[ \t(]|\Z)"
)
# with comments and white space taken out of the places where they may stand
_OBSOLETE_DATE = re.compile(
    r" ?(?:([A-Za-z]{3}) ?, ?)?([0-9]{1,2}) ?([A-Za-z]{3}) ?([0-9]{2,9}) "
    r"([0-9]{2}) ?: ?([0-9]{2})(?: ?: ?([0-9]{2}))?(?=[ A-Za-z]) ?"
    r"([+-][0-9]{4}|[A-IK-Za-ik-z]|[A-Za-z]{2,9}) ?"
)


def checked_date(given: object, *, field: str) -> datetime:
    """An instant that a Date field can say: aware, of the year 1900 or later."""
    if not isinstance(given, datetime) or given.tzinfo is None or given.utcoffset() is None:
        raise MessageError(field, given=given, expected="an aware datetime, such as datetime.now(UTC)")
    is_ordinary = 1900 < given.year < 9999  # in whichever zone
    if not is_ordinary and _written_year(given) < 1900:  # RFC 5322 3.3
        raise MessageError(field, given=given, expected="a year of 1900 or later")
    return given


def _written_year(at: datetime) -> int:
    """The year that `written_date` writes; 0 where no datetime can say it."""
    if not (at.utcoffset() or timedelta()) % timedelta(minutes=1):
        return at.year
    try:
        return at.astimezone(UTC).year
    except OverflowError:
        return 0


def written_date(at: datetime) -> str:
    """The value of a Date field, to the second, in the datetime's own zone.

    A zone whose offset is no whole minute cannot be written: then it is said in UTC.
    """
    return _remembered_in_utc(at)[0] if at.tzinfo is UTC else _in_its_zone(at)


def written_second(at: datetime) -> str:
    """The second as digits alone, 20260302093000, in the datetime's own zone."""
    return _remembered_in_utc(at)[1] if at.tzinfo is UTC else _as_digits(at)


# of UTC alone: the same instant in two zones is one key
@lru_cache(maxsize=REMEMBERED)
def _remembered_in_utc(at: datetime) -> tuple[str, str]:
    """The messages of one call have the same instant."""
    return _in_its_zone(at), _as_digits(at)


def _as_digits(at: datetime) -> str:
    iso = datetime.isoformat(at)  # and by hand: strftime takes three times as long
    return f"{iso[:4]}{iso[5:7]}{iso[8:10]}{iso[11:13]}{iso[14:16]}{iso[17:19]}"


def _in_its_zone(at: datetime) -> str:
    offset = at.utcoffset()
    zone = "+0000"
    if offset:
        minutes, rest = divmod(int(offset.total_seconds()), 60)
        if rest or offset.microseconds:
            return written_date(at.astimezone(UTC))
        zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    iso = datetime.isoformat(at)  # 2026-03-02T09:30:00...: numbers one by one take twice as long
    return f"{DAYS[at.weekday()]}, {iso[8:10]} {MONTHS[at.month - 1]} {iso[:4]} {iso[11:19]} {zone}"


def check_date_field(value: str, *, field: str) -> None:
    """Raises `MessageError` unless the value of a Date field names an instant that there was.

    The obsolete forms of section 4.3 pass: they are read everywhere.
    """
    if len(value) <= REMEMBERED_LENGTH:
        _check_remembered(value, field)
    else:
        read_date(value, field=field, obsolete=True)


@lru_cache(maxsize=REMEMBERED)
def _check_remembered(value: str, field: str) -> None:
    """The messages of one second have the same Date."""
    read_date(value, field=field, obsolete=True)


def read_date(value: str, *, field: str, obsolete: bool = False) -> datetime:
    """The instant in the value of a Date field, in its own zone; `MessageError` for anything else.

    A leap second is read as the second before it. A zone of a day or more, which the grammar
    allows, is read as UTC.
    """
    found = _DATE.match(value)
    if (
        found is not None
        and found.end() != len(value)
        and not _is_comment(value, found.end(), field, obsolete)
    ):
        found = None
    if found is None and obsolete:
        found = _OBSOLETE_DATE.fullmatch(_without_comments(checked_line(value, field=field)))
    at = None if found is None else _instant(found)
    if at is None:
        raise MessageError(
            field, given=value, expected="a date such as Mon, 02 Mar 2026 09:30:00 +0100, one that there is"
        )
    return at


def _is_comment(value: str, at: int, field: str, obsolete: bool) -> bool:
    """Nothing but comments and blanks stands from `at` on."""
    (checked_line if obsolete else checked_text)(value, field=field)
    return after_blanks(value, at) == len(value)


def _instant(found: re.Match[str]) -> datetime | None:
    day_name, day, month, year, hour, minute, second, zone = found.groups()
    offset = _ZERO if zone == "+0000" else _offset(zone)
    number = _MONTHS.get(month.lower())
    if offset is None or number is None or (second is not None and second > "60"):
        return None
    try:
        at = datetime(
            _year(year), number, int(day), int(hour), int(minute), min(int(second or 0), 59), 0, UTC
        )
        # RFC 5322 3.3: the day's name is that of the date
        is_day = day_name is None or day_name.lower() == _DAYS[at.weekday()]
        if offset:
            at = at.replace(tzinfo=timezone(offset)) if abs(offset) < _DAY else at - offset
    except (ValueError, OverflowError):
        return None
    return at if is_day and at.year >= 1900 else None


def _year(text: str) -> int:
    year = int(text)
    if len(text) < 4:  # RFC 5322 4.3: two digits below 50 are of this century
        year += 2000 if len(text) == 2 and year < 50 else 1900
    return year


def _offset(zone: str) -> timedelta | None:
    """How far the zone is ahead of UTC; None for minutes that no hour has."""
    if zone.isalpha():
        # RFC 5322 4.3: what is not known, and the letters of old, means no more than "some time in UTC"
        return timedelta(hours=_ZONES.get(zone.upper(), 0))
    if zone[3] > "5":
        return None
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
    return -offset if zone[0] == "-" else offset


def _without_comments(value: str) -> str:
    """The value with a single space for each row of comments and blanks."""
    pieces: list[str] = []
    at = 0
    while at < len(value):
        end = after_blanks(value, at)
        if end is None:
            return ""
        pieces.append(value[at] if end == at else " ")
        at = max(end, at + 1)
    return "".join(pieces)
