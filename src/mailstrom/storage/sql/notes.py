"""Notes: compare and set, each time with a version that never comes again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ...abc import Note
from . import rows
from .dialect import Dialect
from .script import Script, Statement


class Notes:
    """The statements about notes; they are made once."""

    def __init__(self, dialect: Dialect) -> None:
        t = dialect.prefix
        named = "n.namespace = :namespace AND n.key = :key"
        self._new_version = Statement(dialect.new_tokens, {"count": 1})
        self._read = f"""
            SELECT n.value, n.expires_at, n.version FROM {t}notes AS n
            WHERE {named} AND n.expires_at > :now"""
        self._first = f"""
            INSERT INTO {t}notes AS n (namespace, key, value, expires_at, version)
            VALUES (:namespace, :key, :value, :expires_at, :version)
            ON CONFLICT (namespace, key) DO UPDATE
                SET value = excluded.value, expires_at = excluded.expires_at, version = excluded.version
                WHERE n.expires_at <= :now
            RETURNING version"""
        self._next = f"""
            UPDATE {t}notes AS n SET value = :value, expires_at = :expires_at, version = :version
            WHERE {named} AND n.version = :before AND n.expires_at > :now
            RETURNING version"""
        self._is_there = f"SELECT 1 FROM {t}notes AS n WHERE {named} AND n.version = :version"

    def read(self, namespace: str, key: str, now: datetime) -> Script[Note | None]:
        """The note; None where there is none, or it has expired."""
        given = {"namespace": namespace, "key": key, "now": rows.micros(now)}
        for value, expires_at, version in (yield Statement(self._read, given)):
            return Note(
                namespace=namespace,
                key=key,
                value=value,
                expires_at=rows.instant(expires_at),
                version=version,
            )
        return None

    def new_version(self) -> Script[int]:
        """A number that never comes again."""
        return int((yield self._new_version)[0][0])

    def put(self, note: Note, version: int, now: datetime, *, repeated: bool = False) -> Script[Note | None]:
        """The note with this version, where `note.version` stands there; else None.

        `repeated`: the reply to a COMMIT of the same was lost.
        """
        given = {
            "namespace": note.namespace,
            "key": note.key,
            "value": note.value,
            "expires_at": rows.micros(note.expires_at),
            "version": version,
            "before": note.version,
            "now": rows.micros(now),
        }
        is_kept = repeated and (yield Statement(self._is_there, given))
        if is_kept or (yield Statement(self._next if note.version else self._first, given)):
            return replace(note, version=version)
        return None
