"""How what is completed goes: bodies, then statuses and events; or one address, everywhere.

A purge is a small batch, so that nobody waits long for it. What another process is just
purging is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from . import rows
from .dialect import Dialect
from .rows import LONG_AGO, MICROSECOND
from .script import Batch, Script, Statement


class Purging:
    """The statements that remove; they are made once."""

    def __init__(self, dialect: Dialect, *, retention: timedelta, status_retention: timedelta) -> None:
        t, of_these = dialect.prefix, dialect.among.format("seq", ":seqs")
        oldest = f"ORDER BY m.completed_at LIMIT :limit {dialect.skip_locked.format('m')}"
        self._retention = retention
        self._status_retention = status_retention
        self._with_body = f"""
            SELECT m.seq FROM {t}messages AS m WHERE m.has_body = 1 AND m.completed_at <= :until {oldest}"""
        self._over = f"SELECT m.seq FROM {t}messages AS m WHERE m.completed_at <= :until {oldest}"
        self._strip = (
            f"""DELETE FROM {t}bodies WHERE {of_these} AND EXISTS (
                SELECT 1 FROM {t}messages AS m WHERE m.seq = {t}bodies.seq AND m.completed_at IS NOT NULL)""",
            f"""DELETE FROM {t}blocks WHERE {of_these} AND EXISTS (
                SELECT 1 FROM {t}messages AS m WHERE m.seq = {t}blocks.seq AND m.completed_at IS NOT NULL)""",
            f"UPDATE {t}messages SET has_body = 0 WHERE {of_these} AND completed_at IS NOT NULL",
        )
        self._thin_out = tuple(
            f"""DELETE FROM {t}{table} WHERE ({key}) IN (
                SELECT {key} FROM {t}{table} WHERE {of_these} LIMIT :limit) RETURNING seq"""
            for table, key in (("events", "id"), ("recipients", "seq, position"))
        )
        self._delete = tuple(
            f"DELETE FROM {t}{table} WHERE {of_these}" for table in ("events", "bodies", "blocks", "messages")
        )
        self._expired = f"""
            DELETE FROM {t}notes WHERE (namespace, key) IN (
                SELECT namespace, key FROM {t}notes WHERE expires_at <= :now LIMIT :limit)
            RETURNING version"""
        self._of_address = f"""
            SELECT r.seq, r.position, r.address FROM {t}recipients AS r
            WHERE r.mailbox = :mailbox AND r.place = 'completed'
            ORDER BY r.seq, r.position {dialect.for_update.format("r")}"""
        self._erase = (
            f"DELETE FROM {t}recipients WHERE seq = :seq AND position = :position",
            f"DELETE FROM {t}events WHERE seq = :seq AND address = :address",
        )
        self._empty = f"""
            SELECT m.seq FROM {t}messages AS m WHERE {dialect.among.format("m.seq", ":seqs")}
                AND NOT EXISTS (SELECT 1 FROM {t}recipients AS r WHERE r.seq = m.seq)"""

    def purge(self, now: datetime, limit: int) -> Script[int]:
        """How much was removed; 0: nothing was left."""
        seqs = yield from self._completed(self._with_body, now, self._retention, limit)
        if seqs:
            yield from self._each(self._strip, seqs)
            return len(seqs)
        seqs = yield from self._completed(self._over, now, self._status_retention, limit)
        if seqs:
            return (yield from self._remove(seqs, limit))
        return len((yield Statement(self._expired, {"now": rows.micros(now), "limit": limit})))

    def forget(self, address: str) -> Script[int]:
        """Erases the address where it is completed; how many recipients that were."""
        found = yield Statement(self._of_address, {"mailbox": address.lower()})
        if not found:
            return 0
        erased = [{"seq": seq, "position": position, "address": given} for seq, position, given in found]
        for sql in self._erase:
            yield Batch(sql, erased)
        seqs = sorted({seq for seq, *_ in found})
        yield from self._each(self._strip, seqs)
        empty = yield Statement(self._empty, {"seqs": rows.as_json(seqs)})
        yield from self._each(self._delete, [seq for (seq,) in empty])
        return len(found)

    def _completed(self, sql: str, now: datetime, ago: timedelta, limit: int) -> Script[list[int]]:
        until = max(rows.micros(now) - ago // MICROSECOND, LONG_AGO)
        return [seq for (seq,) in (yield Statement(sql, {"until": until, "limit": limit}))]

    def _remove(self, seqs: Sequence[int], limit: int) -> Script[int]:
        """Removes the messages, or as much of what belongs to them as one batch holds."""
        for sql in self._thin_out:
            gone = yield Statement(sql, {"seqs": rows.as_json(seqs), "limit": limit})
            if len(gone) == limit:
                return limit
        yield from self._each(self._delete, seqs)
        return len(seqs)

    def _each(self, statements: Sequence[str], seqs: Sequence[int]) -> Script[None]:
        for sql in statements:
            yield Statement(sql, {"seqs": rows.as_json(seqs)})
