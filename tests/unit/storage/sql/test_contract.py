"""The scripts keep the contract, whichever way events get their cursor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from mailstrom.storage.sql.dialect import SQLITE, Dialect
from mailstrom.testing.storage_contract import Bench
from tests.contract.subjects import each_clause
from tests.unit.storage.sql.memory import NUMBERING, MemorySqlStorage

RETENTION = timedelta(days=30)


@each_clause("status_retention")
@pytest.mark.parametrize("dialect", [SQLITE, NUMBERING], ids=["in order", "numbered"])
def test_the_scripts_keep_the_clause(dialect: Dialect, clause: Callable[[Bench], None]) -> None:
    storage = MemorySqlStorage(dialect, status_retention=RETENTION)
    bench = Bench(
        storage=storage, advance_lease_clock=storage.advance_lease_clock, status_retention=RETENTION
    )

    with bench:
        clause(bench)
