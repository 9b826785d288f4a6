"""PostgreSQL keeps the contract: straight, and through PgBouncer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg

from mailstrom.storage.postgres import PostgresStorage
from mailstrom.testing.storage_contract import Bench, Need, Transaction
from tests.contract.subjects import each_clause
from tests.postgres import Bouncer, query

RETENTION = timedelta(days=30)
EVERY_NEED: tuple[Need, ...] = ("another", "reopen", "in_transaction", "overlapping", "status_retention")


@each_clause(*EVERY_NEED)
def test_postgres_keeps_the_clause(queue: str, clause: Callable[[Bench], None]) -> None:
    with bench_on(queue, lambda: PostgresStorage(queue, status_retention=RETENTION)) as bench:
        clause(bench)


@each_clause(*EVERY_NEED)
def test_postgres_behind_pgbouncer_keeps_the_clause(
    postgres_bouncer: Bouncer, queue: str, clause: Callable[[Bench], None]
) -> None:
    dsn = postgres_bouncer.through(queue)
    with bench_on(queue, lambda: PostgresStorage(dsn, status_retention=RETENTION)) as bench:
        clause(bench)


def bench_on(queue: str, opened: Callable[[], PostgresStorage]) -> Bench:
    """A storage on this empty queue, and any number of others beside it."""

    def advance_lease_clock(secs: float) -> None:
        """The clock is the database's own: instead of it, the leases are moved."""
        query(
            queue,
            "UPDATE mailstrom.recipients SET lease_until = lease_until - %s WHERE lease_until IS NOT NULL",
            [int(secs * 1_000_000)],
        )

    @contextmanager
    def in_transaction() -> Iterator[Transaction]:
        with psycopg.connect(queue) as connection:
            binding = storage.bind(connection)
            yield Transaction(binding=binding, commit=connection.commit, rollback=connection.rollback)
            connection.rollback()

    storage = opened()
    return Bench(
        storage=storage,
        advance_lease_clock=advance_lease_clock,
        another=opened,
        reopen=opened,
        in_transaction=in_transaction,
        overlapping=True,
        status_retention=RETENTION,
    )
