"""Small facts with an end, in memory: compare and set by version."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from heapq import heappop, heappush

from ..abc import Note

_Name = tuple[str, str]  # namespace, key


class Notebook:
    """Notes until they expire. One thread at a time."""

    def __init__(self) -> None:
        self._notes: dict[_Name, Note] = {}
        self._ends: list[tuple[datetime, int, _Name]] = []  # with the version, which tells a later end
        self._last_version = 0

    def read(self, namespace: str, key: str, now: datetime) -> Note | None:
        """The note, unless it has expired."""
        note = self._notes.get((namespace, key))
        return None if note is None or note.expires_at <= now else note

    def put(self, note: Note, now: datetime) -> Note | None:
        """The note with its new version, if `note.version` was the one that stood there; 0: none did."""
        self._drop_expired(now)
        standing = self.read(note.namespace, note.key, now)
        if note.version != (0 if standing is None else standing.version):
            return None
        self._last_version += 1
        kept = replace(note, version=self._last_version)
        name = note.namespace, note.key
        self._notes[name] = kept
        heappush(self._ends, (note.expires_at, kept.version, name))
        return kept

    def _drop_expired(self, now: datetime) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, version, name = heappop(self._ends)
            if name in self._notes and self._notes[name].version == version:
                del self._notes[name]
