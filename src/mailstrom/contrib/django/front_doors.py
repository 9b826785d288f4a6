"""The `Mailstrom` behind each mailer: one in a process, made when the first email is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...facade import Mailstrom
from ...storage.fork import call_in_forked_child
from .settings import Settings
from .tables import check_tables

__all__ = ["FrontDoor", "FrontDoors", "front_door"]

TURN_SECS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontDoor:
    """A mailer's settings, and what takes its mail."""

    settings: Settings
    mailstrom: Mailstrom


class FrontDoors:
    """Those of one process, by the name of the mailer. Any thread; a forked child goes on with them.

    `make` makes one of a mailer's options. They are made one at a time, but nobody waits for that longer
    than `turn_secs`: the thread that makes one may log, and so wait for a log handler's lock, which the
    thread that waits here may have. Then there are two for a moment, and the second is closed.
    """

    def __init__(
        self, make: Callable[[Mapping[str, object]], FrontDoor], *, turn_secs: float = TURN_SECS
    ) -> None:
        self._make = make
        self._turn_secs = turn_secs
        self._turn = threading.Lock()
        self._made: dict[str | None, FrontDoor] = {}
        call_in_forked_child(self._in_child)

    def of(self, alias: str | None, options: Mapping[str, object]) -> FrontDoor:
        """That of this mailer, made of `options` where there is none yet."""
        if (door := self._made.get(alias)) is not None:
            return door
        turn = self._turn
        has_turn = turn.acquire(timeout=self._turn_secs)
        try:
            return self._made.get(alias) or self._make_first(alias, options)
        finally:
            if has_turn:
                turn.release()

    def _make_first(self, alias: str | None, options: Mapping[str, object]) -> FrontDoor:
        made = self._make(options)
        first = self._made.setdefault(alias, made)
        if first is not made:
            made.mailstrom.close()
        return first

    def _in_child(self) -> None:
        self._turn = threading.Lock()  # a thread that is not here may have had it


def front_door(alias: str | None, options: Mapping[str, object]) -> FrontDoor:
    """That of this mailer; None: of the setting MAILSTROM alone. Any thread."""
    return _doors.of(alias, options)


def _started(options: Mapping[str, object]) -> FrontDoor:
    settings = Settings.of(options)
    if settings.is_outbox:
        check_tables()
    mailstrom = Mailstrom(settings.config)
    try:
        mailstrom.start(settings.role)
    except BaseException:
        mailstrom.die()
        raise
    return FrontDoor(settings=settings, mailstrom=mailstrom)


_doors = FrontDoors(_started)  # here, since two threads may send first
