"""The contract of a storage, to be run against your own.

    from mailstrom.testing.storage_contract import check_storage

    report = check_storage(lambda: MyStorage(fresh_place()))
    print(report)           # a line per clause that does not hold
    report.raise_if_broken()

A clause is a function whose name is the sentence it checks; `STORAGE_CLAUSES` and
`SHARED_CLAUSES` hold them all, for a test runner that shows them one by one. The factory
makes a new, empty storage at each call; `advance_lease_clock` lets so many seconds pass on
its lease clock, and nothing here ever waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..abc import SharedStorage, Storage
from .shared_storage_claims import CLAIM_CLAUSES
from .shared_storage_results import RESULT_CLAUSES
from .storage_clauses import STORAGE_CLAUSES
from .storage_kit import Bench

__all__ = [
    "SHARED_CLAUSES",
    "STORAGE_CLAUSES",
    "Bench",
    "BrokenClause",
    "Report",
    "check_shared_storage",
    "check_storage",
]

Subject = TypeVar("Subject")

SHARED_CLAUSES: tuple[Callable[[Bench], None], ...] = (*CLAIM_CLAUSES, *RESULT_CLAUSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenClause:
    """A clause that does not hold, and how that showed."""

    clause: str
    error: Exception

    def __str__(self) -> str:
        return f"{self.clause}: {type(self.error).__name__}: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Which clauses were tried and which do not hold."""

    checked: tuple[str, ...]
    broken: tuple[BrokenClause, ...]

    @property
    def holds(self) -> bool:
        """Every clause holds."""
        return not self.broken

    def raise_if_broken(self) -> None:
        """Raises `AssertionError` with a line per clause that does not hold."""
        if self.broken:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        head = f"{len(self.checked) - len(self.broken)} of {len(self.checked)} clauses hold"
        return "\n".join([head, *(f"  {each}" for each in self.broken)])


def check_storage(factory: Callable[[], Storage]) -> Report:
    """Runs every clause of `Storage` on a new storage each."""
    return _report(STORAGE_CLAUSES, factory)


def check_shared_storage(
    factory: Callable[[], SharedStorage], advance_lease_clock: Callable[[float], None]
) -> Report:
    """Runs every clause of `SharedStorage` on a new storage each."""
    return _report(SHARED_CLAUSES, lambda: Bench(storage=factory(), advance_lease_clock=advance_lease_clock))


def _report(clauses: Sequence[Callable[[Subject], None]], subject: Callable[[], Subject]) -> Report:
    broken = []
    for clause in clauses:
        try:
            clause(subject())
        except Exception as error:
            broken.append(BrokenClause(clause=clause.__name__, error=error))
    return Report(checked=tuple(clause.__name__ for clause in clauses), broken=tuple(broken))
