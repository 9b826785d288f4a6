"""How a bug is planted in a storage that has none: a few other words in what it says to its database.

Where the words that are to be changed do not stand there any more planting fails, so that no bug is
taken for caught which is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Protocol, TypeAlias

from mailstrom.storage.sql.many import Many
from mailstrom.storage.sql.queue import SqlStorage
from mailstrom.storage.sql.script import Statement

Opening: TypeAlias = Callable[..., SqlStorage]


class Bug(Protocol):
    """What makes a storage a bad one."""

    def plant(self, storage: SqlStorage) -> None: ...


@dataclass(frozen=True, slots=True)
class Edit:
    """Other words in the statements that a storage keeps under this path of attributes."""

    path: str
    was: str
    becomes: str

    def plant(self, storage: SqlStorage) -> None:
        *rooms, name = self.path.split(".")
        room: object = reduce(getattr, rooms, storage)
        before = getattr(room, name)
        after = self._edited(before)
        if after == before:
            raise LookupError(f"{self.was!r} does not stand in {self.path}")
        setattr(room, name, after)

    def _edited(self, sql: Any) -> Any:
        match sql:
            case Statement() | Many():
                return replace(sql, sql=self._edited(sql.sql))
            case tuple():
                return tuple(map(self._edited, sql))
            case dict():
                return {key: self._edited(each) for key, each in sql.items()}
        return sql.replace(self.was, self.becomes)


class Unlike:
    """Statements made anew, with other words of the dialect than those of the storage's database."""

    def __init__(self, room: str, **words: object) -> None:
        self._room = room
        self._words = words

    def plant(self, storage: SqlStorage) -> None:
        made = type(getattr(storage, self._room))
        setattr(storage, self._room, made(replace(storage.dialect, **self._words)))


def planted(opening: Opening, *bugs: Bug) -> Opening:
    """What opens such a storage, with the bugs."""

    def opened(*args: Any, **options: Any) -> SqlStorage:
        storage = opening(*args, **options)
        for bug in bugs:
            bug.plant(storage)
        return storage

    return opened
