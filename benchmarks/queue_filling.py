"""Large queues, made in a minute or two: some messages go the ordinary way, then SQL multiplies their rows.

What is finished was claimed and delivered like any, its bodies are purged, and it ended within
the last 28 days. Copies of due mail are for domains of their own, but for the one domain that
most is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

from mailstrom.storage.urls import storage_from_url

from .queue_mail import MOST, OTHERS, an_email, delivered, mixed_mail, store
from .queue_places import opened

__all__ = ["DUE_ONCE", "due_domains", "fill", "fill_for_one"]

DUE_ONCE = 1000  # messages that are made the ordinary way
FINISHED_ONCE = 250

# What the n-th copy of a row has otherwise; its seq, too.
_Changed = Mapping[str, str]
_FOR_MOST = f"t.route_key = '{MOST}'"
_FINISHED: _Changed = {
    "messages.message_id": "n || '.' || t.message_id",
    "messages.completed_at": "t.completed_at - n * 600000000",
}
_DUE: _Changed = {
    "messages.message_id": "n || '.' || t.message_id",
    "recipients.due_at": "t.due_at - n * 1000000",
    "recipients.route_key": f"CASE WHEN {_FOR_MOST} THEN '{MOST}' ELSE 'd' || n || '.' || t.route_key END",
    **{
        f"recipients.{column}": (
            f"CASE WHEN {_FOR_MOST} THEN t.{column} ELSE replace(t.{column}, '@', '@d' || n || '.') END"
        )
        for column in ("recipient", "address", "mailbox")
    },
}


def fill(url: str, *, finished: int, due: int) -> None:
    """Makes so many messages in a new queue, in multiples of what is made the ordinary way."""
    if finished:
        _store_finished(url)
        _multiply(url, FINISHED_ONCE, finished // FINISHED_ONCE, _FINISHED)
    store(url, list(mixed_mail(DUE_ONCE)))
    _multiply(url, DUE_ONCE, due // DUE_ONCE, _DUE)


def fill_for_one(url: str, due: int) -> None:
    """Makes so many messages in a new queue, all for the domain that most is for; in thousands."""
    store(url, [an_email(number, MOST) for number in range(DUE_ONCE)])
    _multiply(url, DUE_ONCE, due // DUE_ONCE, _DUE)


def due_domains(due: int) -> list[str]:
    """The domains that so many due messages are for."""
    copies = range(1, due // DUE_ONCE)
    return [MOST, *OTHERS, *(f"d{number}.{domain}" for number in copies for domain in OTHERS)]


def _store_finished(url: str) -> None:
    store(url, [an_email(number, OTHERS[number % len(OTHERS)]) for number in range(FINISHED_ONCE)])
    with closing(storage_from_url(url)) as storage:
        settlements = []
        while claim := storage.claim(now := datetime.now(UTC), owner="bench", lease=timedelta(minutes=1)):
            settlements.append(delivered(claim, now))
        storage.settle(settlements, now)
        while storage.purge(now):
            continue


def _multiply(url: str, once: int, times: int, changed: _Changed) -> None:
    """Copies the messages stored last, so many, until there are `times` as many."""
    with opened(url) as tables:
        ((last,),) = tables.execute(f"SELECT max(seq) FROM {tables.prefix}messages").fetchall()
        for name in ("messages", "bodies", "recipients", "events"):
            table = f"{tables.prefix}{name}"
            listed = [each[0] for each in tables.execute(f"SELECT * FROM {table} LIMIT 0").description]
            values = _values_of_copies(name, listed, once, changed)
            tables.execute(f"""
                INSERT INTO {table} ({", ".join(values)})
                WITH RECURSIVE copies (n) AS (
                    SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM copies WHERE n < {times})
                SELECT {", ".join(values.values())}
                FROM copies CROSS JOIN {table} AS t
                WHERE n < {times} AND t.seq BETWEEN {last - once + 1} AND {last}""")


def _values_of_copies(table: str, columns: Sequence[str], once: int, changed: _Changed) -> dict[str, str]:
    """By column; an id of the row's own is left to the database."""
    values = {column: changed.get(f"{table}.{column}", f"t.{column}") for column in columns if column != "id"}
    return {**values, "seq": f"t.seq + n * {once}"}
