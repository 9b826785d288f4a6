"""When the next work falls due, and whether there is any."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from . import rows
from .dialect import Dialect
from .keys import due_keys, ready_keys
from .rows import MICROSECOND
from .script import Script, Statement


class Waiting:
    """The statements that look ahead; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t, skipped = dialect.prefix, dialect.each_text.format(":skip")

        def first(place: str, instant: str) -> str:
            return (
                f"(SELECT {instant} FROM {t}recipients WHERE place = '{place}' AND {instant} IS NOT NULL"
                f" AND route_key NOT IN ({skipped}) ORDER BY {instant} LIMIT 1)"
            )

        later = [
            f"""({ready_keys(dialect)}
                SELECT min((SELECT d.due_at FROM {t}recipients AS d
                        WHERE d.place = 'ready' AND d.route_key = keys.route_key
                        ORDER BY d.due_at LIMIT 1))
                    FROM keys WHERE keys.route_key NOT IN ({skipped}))""",
            first("later", "due_at"),
            first("held", "due_at"),
            f"{first('claimed', 'lease_until')} - {dialect.lease_now}",
        ]
        # where something is due already, nobody looks ahead; LIMIT: it is looked at once
        self._next = f"""
            SELECT is_due, {", ".join(f"CASE WHEN is_due THEN NULL ELSE {each} END" for each in later)}
            FROM ({due_keys(dialect)} SELECT EXISTS (SELECT 1 FROM due_keys) AS is_due LIMIT 1) AS look"""
        self._to_try = f"""
            SELECT 1 WHERE EXISTS (SELECT 1 FROM {t}recipients WHERE place = 'later')
                OR EXISTS (SELECT 1 FROM {t}recipients WHERE place = 'ready' AND held = 0)
                OR EXISTS (SELECT 1 FROM {t}recipients WHERE place = 'claimed'
                    AND (held = 0 OR lease_until > {dialect.lease_now}))"""

    def next_due(self, now: datetime, skip: Collection[str]) -> Script[datetime | None]:
        """When the first work falls due or its lease ends that is not in `skip`; None: there is none."""
        given = {"skip": rows.as_json(sorted(skip)), "after": "", "now": rows.micros(now)}
        [(is_due, *due, lease_left)] = yield Statement(self._next, given)
        if is_due:
            return now
        instants = [rows.instant(each) for each in due if each is not None]
        if lease_left is not None:
            instants.append(now + lease_left * MICROSECOND)
        return min(instants, default=None)

    def is_idle(self) -> Script[bool]:
        """Nobody waits to be tried, nobody is claimed."""
        return not (yield Statement(self._to_try, {}))
