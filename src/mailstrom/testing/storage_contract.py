"""The contract of a storage, to be run against your own.

    from mailstrom.testing.storage_contract import check_storage

    report = check_storage(lambda: MyStorage(fresh_place()))
    print(report)           # a line per clause that does not hold
    report.raise_if_broken()

A clause is a function whose name is the sentence it checks. Each works on a new, empty storage,
and nothing here ever waits: time passes because `advance_lease_clock` lets so many seconds pass on
the storage's lease clock, and a crash is a storage that is left as it stands, never closed, while
`reopen` makes another on the same place.

    check_storage(factory, reopen=)                    the six methods of `Storage`
    check_shared_storage(factory, advance, another=,
        reopen=, in_transaction=, ...)                 claims, leases, orders, events: `SharedStorage`

What a storage cannot do is left out, and the report says so: its `not_applicable` names each clause
that was not tried and the argument it waits for. For a test runner that shows clauses one by one
there are `STORAGE_CLAUSES`, `clauses_for(...)` and `Bench`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Literal, TypeAlias

from ..abc import SharedStorage, Storage
from .shared_storage_cancel import CANCEL_CLAUSES
from .shared_storage_claims import CLAIM_CLAUSES
from .shared_storage_contents import (
    CONTENT_CLAUSES,
    a_large_content_is_stored_in_the_callers_transaction,
    a_large_content_is_there_after_a_crash,
)
from .shared_storage_crashes import CRASH_CLAUSES, SHARED_CRASH_CLAUSES
from .shared_storage_dots import DOT_CLAUSES
from .shared_storage_due import DUE_CLAUSES
from .shared_storage_events import EVENT_CLAUSES
from .shared_storage_keeping import KEEPING_CLAUSES, RETENTION_CLAUSES
from .shared_storage_leases import LEASE_CLAUSES
from .shared_storage_notes import NOTE_CLAUSES
from .shared_storage_order_parts import ORDER_PART_CLAUSES
from .shared_storage_orders import ORDER_CLAUSES
from .shared_storage_outbox import OUTBOX_CLAUSES, OVERLAPPING_CLAUSES
from .shared_storage_results import RESULT_CLAUSES
from .shared_storage_selection import SELECTION_CLAUSES
from .shared_storage_several import SEVERAL_CLAUSES
from .shared_storage_steps import STEP_CLAUSES
from .shared_storage_storing import STORING_CLAUSES
from .shared_storage_streams import STREAM_CLAUSES
from .storage_clauses import DURABLE_CLAUSES, STORAGE_CLAUSES
from .storage_kit import Bench, Transaction

__all__ = [
    "DURABLE_CLAUSES",
    "SHARED_CLAUSES",
    "STORAGE_CLAUSES",
    "Bench",
    "BrokenClause",
    "Need",
    "NotApplicable",
    "Report",
    "Transaction",
    "check_shared_storage",
    "check_storage",
    "clauses_for",
]

Clause: TypeAlias = Callable[[Bench], None]
Need: TypeAlias = Literal["another", "reopen", "in_transaction", "overlapping", "status_retention"]

#: What every `SharedStorage` keeps.
SHARED_CLAUSES: tuple[Clause, ...] = (
    *STORING_CLAUSES,
    *CLAIM_CLAUSES,
    *STEP_CLAUSES,
    *STREAM_CLAUSES,
    *LEASE_CLAUSES,
    *CONTENT_CLAUSES,
    *DOT_CLAUSES,
    *RESULT_CLAUSES,
    *DUE_CLAUSES,
    *CANCEL_CLAUSES,
    *ORDER_CLAUSES,
    *ORDER_PART_CLAUSES,
    *SELECTION_CLAUSES,
    *EVENT_CLAUSES,
    *NOTE_CLAUSES,
    *KEEPING_CLAUSES,
)

_NEEDING: Mapping[Need, tuple[Clause, ...]] = {
    "another": (*SEVERAL_CLAUSES, *SHARED_CRASH_CLAUSES),
    "reopen": (*CRASH_CLAUSES, a_large_content_is_there_after_a_crash),
    "in_transaction": (*OUTBOX_CLAUSES, a_large_content_is_stored_in_the_callers_transaction),
    "overlapping": OVERLAPPING_CLAUSES,
    "status_retention": RETENTION_CLAUSES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenClause:
    """A clause that does not hold, and how that showed."""

    clause: str
    error: Exception

    def __str__(self) -> str:
        return f"{self.clause}: {type(self.error).__name__}: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """A clause that was not tried, and the argument without which it cannot be."""

    clause: str
    needs: str

    def __str__(self) -> str:
        return f"{self.clause}: not tried without {self.needs}="


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Which clauses were tried, which of them do not hold, and which were not tried."""

    checked: tuple[str, ...]
    broken: tuple[BrokenClause, ...]
    not_applicable: tuple[NotApplicable, ...] = ()

    @property
    def holds(self) -> bool:
        """Every clause that was tried holds."""
        return not self.broken

    def raise_if_broken(self) -> None:
        """Raises `AssertionError` with a line per clause that does not hold."""
        if self.broken:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        head = f"{len(self.checked) - len(self.broken)} of {len(self.checked)} clauses hold"
        return "\n".join([head, *(f"  {each}" for each in (*self.broken, *self.not_applicable))])


def check_storage(factory: Callable[[], Storage], *, reopen: Callable[[], Storage] | None = None) -> Report:
    """Runs every clause of `Storage` on a new storage each.

    `factory` makes one in a new, empty place; `reopen` another in the place of the last, as the
    next process finds it (for a storage that is `durable`).
    """
    trials = {clause.__name__: partial(_try_alone, clause, factory) for clause in STORAGE_CLAUSES}
    if reopen is None:
        return _report(trials, {clause.__name__: "reopen" for clause in DURABLE_CLAUSES})
    durable = {clause.__name__: partial(_try_durable, clause, factory, reopen) for clause in DURABLE_CLAUSES}
    return _report({**trials, **durable}, {})


def check_shared_storage(
    factory: Callable[[], SharedStorage],
    advance_lease_clock: Callable[[float], None],
    *,
    another: Callable[[], SharedStorage] | None = None,
    reopen: Callable[[], SharedStorage] | None = None,
    in_transaction: Callable[[], AbstractContextManager[Transaction]] | None = None,
    overlapping: bool = False,
    status_retention: timedelta | None = None,
) -> Report:
    """Runs every clause of `SharedStorage` that applies on a new storage each, and closes it.

    `factory` makes one on a new, empty queue. All else is about the queue that it made last:
    `another` opens it as a process beside has it; `reopen` (or `another`) once its process is dead;
    `in_transaction` begins a caller's transaction on it and rolls back what is left open;
    `overlapping`: such a transaction that has stored something holds up no other writer;
    `status_retention`: how long `purge` leaves what is completed.
    """
    hooks: dict[Need, Any] = {
        "another": another,
        "reopen": reopen or another,
        "in_transaction": in_transaction,
        "overlapping": overlapping,
        "status_retention": status_retention,
    }
    needs: list[Need] = [need for need, given in hooks.items() if given]

    def bench() -> Bench:
        return Bench(storage=factory(), advance_lease_clock=advance_lease_clock, **hooks)

    trials = {clause.__name__: partial(_try_shared, clause, bench) for clause in clauses_for(*needs)}
    left = {
        clause.__name__: need for need, group in _NEEDING.items() for clause in group if need not in needs
    }
    return _report(trials, left)


def clauses_for(*needs: Need) -> tuple[Clause, ...]:
    """Every clause of `SharedStorage` that can be tried on a `Bench` which has these fields."""
    return (*SHARED_CLAUSES, *(clause for need in needs for clause in _NEEDING[need]))


def _try_alone(clause: Callable[[Storage], None], factory: Callable[[], Storage]) -> None:
    clause(factory())


def _try_durable(
    clause: Callable[[Storage, Callable[[], Storage]], None],
    factory: Callable[[], Storage],
    reopen: Callable[[], Storage],
) -> None:
    clause(factory(), reopen)


def _try_shared(clause: Clause, bench: Callable[[], Bench]) -> None:
    with bench() as opened:
        clause(opened)


def _report(trials: Mapping[str, Callable[[], None]], left: Mapping[str, str]) -> Report:
    broken = []
    for clause, trial in trials.items():
        try:
            trial()
        except Exception as error:
            broken.append(BrokenClause(clause=clause, error=error))
    not_applicable = tuple(NotApplicable(clause=clause, needs=need) for clause, need in left.items())
    return Report(checked=tuple(trials), broken=tuple(broken), not_applicable=not_applicable)
