"""The Date field (RFC 5322 section 3.3): `Mon, 02 Mar 2026 09:30:00 +0100`.

Names of days and months are English whatever the locale says.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from ..errors import MessageError

__all__ = ["check_date_field", "checked_date", "written_date"]

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_COMMENT = re.compile(r"\([^()\\]*+\)")
_DATE = re.compile(
    r"(?:([A-Za-z]{3})[ \t]*,)?[ \t]*(\d{1,2})[ \t]+([A-Za-z]{3})[ \t]+(\d{2,9})[ \t]+"
    r"(\d{2})[ \t]*:[ \t]*(\d{2})(?:[ \t]*:[ \t]*(\d{2}))?[ \t]+([+-]\d{4}|[A-Za-z]{1,5})"
)


def checked_date(given: object, *, field: str) -> datetime:
    """An instant that a Date field can say: aware, of the year 1900 or later."""
    if not isinstance(given, datetime) or given.tzinfo is None or given.utcoffset() is None:
        raise MessageError(field, given=given, expected="an aware datetime, such as datetime.now(UTC)")
    if given.year < 1900:  # RFC 5322 3.3
        raise MessageError(field, given=given, expected="a year of 1900 or later")
    return given


def written_date(at: datetime) -> str:
    """The value of a Date field, to the second, in the datetime's own zone.

    A zone whose offset is no whole minute cannot be written: then it is said in UTC.
    """
    offset = at.utcoffset() or timedelta()
    minutes, rest = divmod(int(offset.total_seconds()), 60)
    if rest or offset.microseconds:
        return written_date(at.astimezone(UTC))
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    day = f"{DAYS[at.weekday()]}, {at.day:02} {MONTHS[at.month - 1]} {at.year:04}"
    return f"{day} {at.hour:02}:{at.minute:02}:{at.second:02} {zone}"


def check_date_field(value: str, *, field: str) -> None:
    """Raises `MessageError` unless the value of a Date field names an instant that there was.

    The obsolete forms of section 4.3 pass: they are read everywhere.
    """
    found = _DATE.fullmatch(_COMMENT.sub(" ", value).strip(" \t"))
    if found is None or not _is_possible(found):
        raise MessageError(field, given=value, expected="a date such as Mon, 02 Mar 2026 09:30:00 +0100")


def _is_possible(found: re.Match[str]) -> bool:
    day_name, day, month, year_text, hour, minute, second, zone = found.groups()
    year = int(year_text)
    if len(year_text) < 4:  # RFC 5322 4.3: two digits below 50 are of this century
        year += 2000 if len(year_text) == 2 and year < 50 else 1900
    try:
        on = date(year, MONTHS.index(month.capitalize()) + 1, int(day))
    except ValueError:
        return False
    is_day = day_name is None or day_name.capitalize() == DAYS[on.weekday()]
    is_time = int(hour) < 24 and int(minute) < 60 and int(second or 0) <= 60
    return is_day and is_time and on.year >= 1900 and (zone.isalpha() or int(zone[3:]) < 60)
