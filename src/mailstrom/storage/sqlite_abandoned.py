"""The claims of owners that are dead: their leases end at once, not a minute later."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from .sql.script import Script, Statement

if TYPE_CHECKING:
    from .sqlite_workers import WorkerLocks

__all__ = ["AbandonedClaims"]

T = TypeVar("T")

LOOK_EVERY_SECS = 1.0
LONGEST_LEASE_SECS = 86_400


class Perform(Protocol):
    """Runs a script in a transaction."""

    def __call__(self, script: Callable[[], Script[T]], /) -> T:
        """The script's result."""


class AbandonedClaims:
    """Looks for them now and then. Any thread. Without locks only leases tell who is alive."""

    def __init__(
        self, locks: WorkerLocks | None, *, read: Perform, write: Perform, clock: Callable[[], float]
    ) -> None:
        self._locks = locks
        self._read = read
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._look_at = -math.inf

    def end(self) -> None:
        """Ends the leases of the dead; most calls return at once."""
        if not self._is_time():
            return
        if self._locks is None:
            self._write(_end_leases_of_another_boot)
            return
        for owner in self._read(_owners):
            with self._locks.dead(owner) as is_dead:
                if is_dead:
                    self._write(partial(_end_leases, owner))

    def _is_time(self) -> bool:
        with self._lock:
            now = self._clock()
            if now < self._look_at:
                return False
            self._look_at = math.inf if self._locks is None else now + LOOK_EVERY_SECS
            return True


def _owners() -> Script[list[str]]:
    rows = yield Statement("SELECT DISTINCT owner FROM mailstrom_recipients WHERE place = 'claimed'", {})
    return [owner for (owner,) in rows]


def _end_leases(owner: str) -> Script[None]:
    yield Statement(
        "UPDATE mailstrom_recipients SET lease_until = 0 WHERE place = 'claimed' AND owner = :owner",
        {"owner": owner},
    )


def _end_leases_of_another_boot() -> Script[None]:
    """The lease clock begins anew with the machine: such a lease would last until it comes there again."""
    yield Statement(
        "UPDATE mailstrom_recipients SET lease_until = 0"
        " WHERE place = 'claimed' AND lease_until > :lease_now + :longest",
        {"longest": LONGEST_LEASE_SECS * 1_000_000},
    )
